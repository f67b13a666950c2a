"""Palanquin as the server: every suite and group, one way and mutual, against clients that are not ours."""

import hashlib

from sm.pki import CLIENT_URI
from sm.programs import (SM_GROUPS, SM_SUITES, TLCP_SUITES, WRONG_ID, bouncycastle_client, gmssl_client, gmtls_client, s_client, shows,
                         shows_pair, tlcp, tls13)
from sm.world import World, downstream

PAIR = ["server", "server-enc"]
DECRYPT_ERROR = 51


async def suite(checks, pki, folder):
    world = World(pki, folder, "downstream")
    ca = pki.crt("ca")
    ways = {"one way": (world.listen("open", downstream(pki, PAIR)), None),
            "mutual": (world.listen("mutual", downstream(pki, PAIR, require=True, ca=ca)), "client")}
    chain = world.listen("chain", downstream(pki, ["below.pem", "below-enc.pem"]))
    async with world:
        for way, (port, client) in ways.items():
            for program in ("openssl", "tongsuo"):
                for cipher in SM_SUITES:
                    for group in SM_GROUPS:
                        name = f"server, {program}, {cipher}, {group}, {way}"
                        path = f"/{program}/{cipher}/{group}/{client}"
                        got = await s_client(program, port, *tls13(cipher, group), *shows(pki, client), ca=ca, path=path)
                        wanted = {"version": "TLSv1.3", "cipher": cipher, "group": group, "signature": "sm2sig_sm3"}
                        checks.check(name, got.problem(**wanted) or await seen(world, path, client, ("TLSv1.3", cipher)))
            for cipher, theirs in TLCP_SUITES.items():
                if cipher.startswith("ECDHE") and not client:
                    continue  # its key exchange needs the client's keys
                path = f"/tongsuo/{cipher}/{client}"
                got = await s_client("tongsuo", port, *tlcp(cipher), *shows_pair(pki, client), ca=ca, path=path)
                wanted = {"version": "NTLSv1.1", "cipher": theirs}
                checks.check(f"server, tongsuo, {cipher}, {way}", got.problem(**wanted) or await seen(world, path, client, ("TLCPv1.1", cipher)))
        await others(checks, world, pki, ways)
        await chains(checks, pki, chain)


async def others(checks, world, pki, ways):
    """GmSSL and gmtls know ECC_SM4_CBC_SM3 only; gmtls sends its sign certificate alone, Tongsuo then sends none."""
    cipher = "ECC_SM4_CBC_SM3"
    for way, (port, client) in ways.items():
        path = f"/gmtls/{client}"
        got = await gmtls_client(port, pki, client, path=path)
        checks.check(f"server, gmtls, {cipher}, {way}", got.problem(cipher=cipher) or await seen(world, path, client, ("TLCPv1.1", cipher)))
    got = await gmssl_client(ways["one way"][0], pki, path="/gmssl")
    checks.check(f"server, gmssl, {cipher}, one way", got.problem() or await seen(world, "/gmssl", None, ("TLCPv1.1", cipher)))
    port = ways["mutual"][0]
    for suite in SM_SUITES:
        for way, (listener, client) in ways.items():
            got = await bouncycastle_client(listener, pki, suite, client)
            checks.check(f"server, bouncycastle, {suite}, {way}", got.problem())
    got = await bouncycastle_client(port, pki, SM_SUITES[0], "client", WRONG_ID)
    checks.check("server, a client that signs under another SM2 identifier is refused with decrypt_error", got.refused(DECRYPT_ERROR))
    got = await s_client("tongsuo", port, *tlcp("ECDHE_SM4_GCM_SM3"), *shows_pair(pki, "client", enc=None), ca=pki.crt("ca"))
    checks.check("server, tongsuo with its sign certificate alone under ECDHE is refused", got.refused())


async def chains(checks, pki, port):
    """A leaf below an intermediate authority, which is sent, and the root, which is not."""
    ca = pki.crt("ca")
    for name, program, flags in [("RFC 8998, openssl", "openssl", tls13("TLS_SM4_GCM_SM3", "curveSM2")),
                                 ("RFC 8998, tongsuo", "tongsuo", tls13("TLS_SM4_GCM_SM3", "curveSM2")),
                                 ("TLCP, tongsuo", "tongsuo", tlcp("ECC_SM4_GCM_SM3"))]:
        got = await s_client(program, port, *flags, ca=ca)
        sent = got.text.count("\n   i:")
        wanted = 3 if "TLCP" in name else 2
        checks.check(f"server, an intermediate authority, {name}", got.problem() or ("" if sent == wanted else f"{sent} certificates were sent"))


async def seen(world, path, client, agreed):
    """What the origin and the access log were told of a connection."""
    headers = world.seen(path)
    if headers is None:
        return "the origin saw no request"
    xfcc = headers.get("x-forwarded-client-cert", "")
    line = await world.log_line(path)
    if line is None:
        return "no line in the access log"
    if tuple(line[:2]) != agreed:
        return f"the log says {line[:2]}, wanted {agreed}"
    if not client:
        return f"XFCC of nobody: {xfcc}" if xfcc else "" if line[2] == "-" else f"the log names {line[2]}"
    digest = hashlib.sha256(der(world.pki.crt(client))).hexdigest()
    wanted = [f"Hash={digest}", f"URI={CLIENT_URI}", 'Subject="CN=client,O=interop"']
    missing = [one for one in wanted if one not in xfcc]
    if missing:
        return f"XFCC lacks {missing}: {xfcc}"
    logged = [CLIENT_URI, "CN=client,O=interop", "CN=ca,O=interop", digest]
    return "" if line[2:6] == logged else f"the log says {line[2:6]}, wanted {logged}"


def der(path):
    import ssl
    with open(path) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())
