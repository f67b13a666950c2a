"""One port for everything: which stack a hello gets, by what it offers and by the policy."""

import itertools
import ssl

from sm.programs import OPENSSL, REQUEST, ask, gmtls_client, s_client, shows, shows_pair, tlcp, tls13
from sm.world import World, downstream, sm_params

ALL = ["standard", "server", "server-enc"]
SM = {"suites": "TLS_SM4_GCM_SM3", "groups": "curveSM2", "sigalgs": "sm2sig_sm3"}
STANDARD = {"suites": "TLS_AES_128_GCM_SHA256", "groups": "X25519", "sigalgs": "ecdsa_secp256r1_sha256"}
HANDSHAKE_FAILURE = 40


async def suite(checks, pki, folder):
    world = World(pki, folder, "one-port")
    both = pki.chain("both-roots.pem", "ca", "p256-ca")
    ports = {policy: world.listen(policy, downstream(pki, ALL, ca=both), policy=None if policy == "default" else policy)
             for policy in ("default", "prefer_sm", "prefer_standard", "sm_only")}
    retry = world.listen("retry", downstream(pki, ["server"], params=sm_params(group="curveSM2")))
    alpn = world.listen("alpn", downstream(pki, ALL, alpn=("h2", "http/1.1")))
    only_tlcp = world.listen("only-tlcp", downstream(pki, ALL[1:]), match={"transport_protocol": "tlcp"})
    async with world:
        await dual(checks, pki, both, ports["default"])
        await mixed(checks, pki, both, ports)
        await policies(checks, pki, both, ports)
        await hello_retry(checks, world, pki, retry)
        got = await s_client("openssl", alpn, *tls13(SM["suites"], SM["groups"]), "-alpn", "http/1.1", ca=both)
        checks.check("ALPN in RFC 8998", got.problem(alpn="http/1.1"))
        got = await s_client("tongsuo", only_tlcp, *tlcp(), ca=both)
        checks.check("transport_protocol tlcp matches TLCP", got.problem(version="NTLSv1.1"))
        got = await s_client("tongsuo", only_tlcp, *tls13(SM["suites"], SM["groups"]), ca=both)
        checks.check("transport_protocol tlcp does not match TLS", got.refused())
        await resumption(checks, world, pki, both, ports["default"])


async def dual(checks, pki, both, port):
    """TLS 1.2, TLS 1.3, RFC 8998 and TLCP on one port."""
    context = ssl.create_default_context(cafile=both)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        checks.check(f"one port: Python's ssl, {version.name}", await standard(context, port))
    for name, flags in (("TLS 1.2", ["-tls1_2"]), ("TLS 1.3", tls13("TLS_AES_128_GCM_SHA256", "X25519", None))):
        got = await s_client("openssl", port, *flags, ca=both)
        checks.check(f"one port: {name}", got.problem(server="O=interop, CN=standard"))
    got = await s_client("openssl", port, *tls13(SM["suites"], SM["groups"]), ca=both)
    checks.check("one port: RFC 8998", got.problem(cipher=SM["suites"], server="O=interop, CN=server"))
    got = await s_client("tongsuo", port, *tlcp("ECC_SM4_CBC_SM3"), ca=both)
    checks.check("one port: TLCP", got.problem(version="NTLSv1.1", server="O=interop, CN=server"))
    got = await s_client("tongsuo", port, *tlcp("ECDHE_SM4_CBC_SM3"), *shows_pair(pki, "client"), ca=both)
    checks.check("one port: TLCP with ECDHE", got.problem(version="NTLSv1.1"))
    got = await gmtls_client(port, pki)
    checks.check("one port: gmtls", got.problem(cipher="ECC_SM4_CBC_SM3"))


async def standard(context, port):
    import asyncio
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        writer.write(REQUEST.format(path="/").encode())
        head = await asyncio.wait_for(reader.read(15), 10)
        writer.close()
    except (OSError, asyncio.TimeoutError) as error:
        return str(error)
    return "" if head.startswith(b"HTTP/1.1 200") else repr(head)


async def mixed(checks, pki, both, ports):
    """Acceptance 5: whatever mixture is offered, everything agreed is of one world."""
    kinds = {"SM": [SM], "standard": [STANDARD], "both": [SM, STANDARD]}
    for policy in ("default", "prefer_standard"):
        for choice in itertools.product(kinds, repeat=3):
            offer = {part: ":".join(kind[part] for kind in kinds[kind_name]) for part, kind_name in zip(SM, choice)}
            sm, std = "standard" not in choice, "SM" not in choice
            got = await s_client("openssl", ports[policy], *tls13(offer["suites"], offer["groups"], offer["sigalgs"]), ca=both)
            name = f"mixed hello, {policy}: suites {choice[0]}, groups {choice[1]}, signatures {choice[2]}"
            wanted = SM if sm and not (std and policy == "prefer_standard") else STANDARD if std else None
            if wanted is None:
                checks.check(name, got.refused())
            else:
                checks.check(name, got.problem(cipher=wanted["suites"], group=wanted["groups"], signature=wanted["sigalgs"]))


async def policies(checks, pki, both, ports):
    offers = {"standard": tls13("TLS_AES_128_GCM_SHA256", "X25519", None), "TLS 1.2": ["-tls1_2"]}
    for name, flags in offers.items():
        got = await s_client("openssl", ports["sm_only"], *flags, ca=both)
        checks.check(f"sm_only refuses {name} with handshake_failure", got.refused(HANDSHAKE_FAILURE))
    got = await s_client("openssl", ports["sm_only"], *tls13(SM["suites"], SM["groups"]), ca=both)
    checks.check("sm_only serves RFC 8998", got.problem(cipher=SM["suites"]))
    got = await s_client("tongsuo", ports["sm_only"], *tlcp(), ca=both)
    checks.check("sm_only serves TLCP", got.problem(version="NTLSv1.1"))
    for policy in ("prefer_sm", "prefer_standard"):
        got = await s_client("openssl", ports[policy], *offers["standard"], ca=both)
        checks.check(f"{policy} serves standard TLS", got.problem(server="O=interop, CN=standard"))
        got = await s_client("tongsuo", ports[policy], *tlcp(), ca=both)
        checks.check(f"{policy} serves TLCP", got.problem(version="NTLSv1.1"))


async def hello_retry(checks, world, pki, port):
    """A client whose first share the listener does not take is asked for another."""
    for program in ("openssl", "tongsuo"):
        flags = tls13("TLS_SM4_GCM_SM3", "curveSM2MLKEM768:curveSM2")
        command = [OPENSSL.replace("openssl-4.0.3/bin/openssl", "tongsuo-8.5.0/bin/tongsuo") if program == "tongsuo" else OPENSSL]
        command += ["s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", pki.crt("ca"), "-verify_return_error", "-ign_eof", "-msg", *flags]
        got = await ask(*command, stdin=REQUEST.format(path="/"))
        hellos = got.text.count(", ClientHello")
        checks.check(f"HelloRetryRequest to curveSM2, {program}", got.problem(group="curveSM2") or ("" if hellos == 2 else f"{hellos} hellos"))


async def resumption(checks, world, pki, both, port):
    """Resumed sessions keep the client's identity; a session of one stack is nothing to another."""
    kinds = {"RFC 8998": ("tongsuo", tls13(SM["suites"], SM["groups"]), shows(pki, "client")),
             "TLCP": ("tongsuo", tlcp("ECC_SM4_GCM_SM3"), shows_pair(pki, "client"))}
    for name, (program, flags, own) in kinds.items():
        file = str(world.folder / f"session-{name.replace(' ', '')}")
        first = await s_client(program, port, *flags, *own, "-sess_out", file, ca=both, path=f"/first/{name.replace(' ', '')}")
        path = f"/second/{name.replace(' ', '')}"
        again = await s_client(program, port, *flags, *own, "-sess_in", file, ca=both, path=path)
        problem = first.problem(resumed=False) or again.problem(resumed=True)
        xfcc = (world.seen(path) or {}).get("x-forwarded-client-cert", "")
        checks.check(f"resumption: {name} keeps the client's identity", problem or ("" if "URI=spiffe://mesh.test/" in xfcc else f"XFCC: {xfcc}"))
    file = str(world.folder / "session-RFC8998")
    flags = tls13("TLS_SM4_GCM_SM3:TLS_AES_128_GCM_SHA256", "X25519", "ecdsa_secp256r1_sha256")
    got = await s_client("tongsuo", port, *flags, "-sess_in", file, ca=both, path="/crossed")
    crossed = (world.seen("/crossed") or {}).get("x-forwarded-client-cert", "")
    checks.check("resumption: a ticket of RFC 8998 is nothing to the standard stack",
                 "" if not got.resumed and not crossed else f"{got}, XFCC {crossed}")
