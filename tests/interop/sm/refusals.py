"""Certificates that must be refused: clients' by Palanquin's listeners, servers' by its clusters; and configurations that must not load."""

import asyncio
import json

from harness.ports import free_port
from harness.proxy import palanquin_binary, simple_request

from sm.pki import ENCRYPTION, SIGN
from sm.programs import gmtls_client, gmtls_server, s_client, s_server, shows, shows_pair, tlcp, tls13
from sm.world import World, downstream, sm_params, upstream

RFC8998 = tls13("TLS_SM4_GCM_SM3", "curveSM2")
TLCP = tlcp("ECC_SM4_GCM_SM3")
PAIR = ["server", "server-enc"]

# What is wrong, and the statistic that says so.
BAD = {
    "expired": "ssl.fail_verify_error",
    "unknown-ca": "ssl.fail_verify_error",
    "broken": "ssl.fail_verify_error",
    "revoked": "ssl.fail_verify_error",
    "wrong-eku": "ssl.fail_verify_error",
    "wrong-usage": "ssl.connection_error",
}


def prepare(pki):
    """The good and the bad certificates of every suite."""
    for role, fields in (("server", {"eku": "serverAuth"}), ("client", {"eku": "clientAuth", "san": "URI:spiffe://mesh.test/ns/shop/sa/cart"})):
        other = "clientAuth" if role == "server" else "serverAuth"
        pki.pair(role, **fields)
        pki.pair(f"{role}-expired", expired=True, **fields)
        pki.pair(f"{role}-unknown-ca", issuer="stranger", **fields)
        pki.pair(f"{role}-revoked", **fields)
        pki.pair(f"{role}-wrong-eku", **{**fields, "eku": other})
        pki.leaf(f"{role}-wrong-usage", usage="keyEncipherment", **fields)
        pki.leaf(f"{role}-wrong-usage-enc", usage="keyEncipherment", **fields)
        for suffix in ("", "-enc"):
            pki.broken(f"{role}-broken{suffix}", f"{role}{suffix}")
    pki.crl("revoked", "ca", "client-revoked", "client-revoked-enc", "server-revoked", "server-revoked-enc")


async def suite(checks, pki, folder):
    await of_clients(checks, pki, folder)
    await of_servers(checks, pki, folder)
    await of_configurations(checks, pki, folder)


async def of_clients(checks, pki, folder):
    world = World(pki, folder, "bad-clients")
    ca = pki.crt("ca")
    port = world.listen("mutual", downstream(pki, PAIR, require=True, ca=ca, crl=pki.path("revoked.crl")))
    flags = {"RFC 8998": (RFC8998, shows), "TLCP": (TLCP, shows_pair)}
    async with world:
        for protocol, (flags, show) in flags.items():
            got = await s_client("tongsuo", port, *flags, *show(pki, "client"), ca=ca)
            checks.check(f"{protocol}: a good client is served", got.problem())
            before = await world.stat("listener.mutual.ssl.fail_verify_no_cert")
            got = await s_client("tongsuo", port, *flags, ca=ca)
            problem = got.refused() or await world.stat_grows("listener.mutual.ssl.fail_verify_no_cert", before)
            checks.check(f"{protocol}: a client without a certificate is refused", problem)
            for bad, stat in BAD.items():
                before = await world.stat(f"listener.mutual.{stat}")
                if protocol == "TLCP" and bad == "wrong-usage":  # Tongsuo does not even load it
                    got = await gmtls_client(port, pki, f"client-{bad}")
                else:
                    got = await s_client("tongsuo", port, *flags, *show(pki, f"client-{bad}"), ca=ca)
                problem = got.refused() or await world.stat_grows(f"listener.mutual.{stat}", before)
                checks.check(f"{protocol}: a client's certificate: {bad}", problem)
            got = await s_client("tongsuo", port, *flags, *show(pki, "client"), ca=ca)
            checks.check(f"{protocol}: a good client is served afterwards", got.problem())
        checks.check("no refused request came to the origin", "" if len(world.origin.seen) == 4 else f"{len(world.origin.seen)} came")


async def of_servers(checks, pki, folder):
    world = World(pki, folder, "bad-servers")
    plain = world.listen("plain", inspect=False)
    kinds = {"RFC 8998": (RFC8998, shows, sm_params("TLS_SM4_GCM_SM3", "curveSM2")),
             "TLCP": (TLCP, shows_pair, {"cipher_suites": ["ECC_SM4_GCM_SM3"]})}
    cases = []
    for protocol, (flags, show, params) in kinds.items():
        for bad in ["", *BAD]:
            if protocol == "TLCP" and bad == "wrong-usage":
                server, used = gmtls_server(free_port(), pki, "server-wrong-usage"), {"cipher_suites": ["ECC_SM4_CBC_SM3"]}
            else:
                server, used = s_server("tongsuo", free_port(), *flags, *show(pki, f"server-{bad}" if bad else "server")), params
            world.peers.append(await server.start())
            cluster = f"{protocol.replace(' ', '')}-{bad or 'good'}"
            world.cluster(cluster, server.port, upstream(pki, params=used, crl=pki.path("revoked.crl")))
            cases.append((protocol, cluster, bad))
        # A name that the cluster does not expect.
        cluster = f"{protocol.replace(' ', '')}-name"
        server = await s_server("tongsuo", free_port(), *flags, *show(pki, "elsewhere")).start()
        world.peers.append(server)
        world.cluster(cluster, server.port, upstream(pki, params=params))
        cases.append((protocol, cluster, "name"))
    async with world:
        for protocol, cluster, bad in cases:
            status, _, body = await simple_request(plain, "GET", f"/to/{cluster}/")
            if not bad:
                checks.check(f"{protocol}: a good server is used", "" if status == 200 else f"status {status}: {body[:200]}")
                continue
            stat = "ssl.fail_verify_san" if bad == "name" else BAD[bad]
            problem = "" if status == 503 else f"status {status}: {body[:200]}"
            checks.check(f"{protocol}: a server's certificate: {bad}", problem or await world.stat_grows(f"cluster.{cluster}.{stat}"))


async def of_configurations(checks, pki, folder):
    """Acceptance 10: pairs that do not fit are told when the configuration loads."""
    wrong = {
        "a key that does not match": [("server", "client"), "server-enc"],
        "an encryption key that does not match": ["server", ("server-enc", "server")],
        "two certificates of one name that sign": ["server", "server-revoked"],
        "two certificates of one name for encryption": ["server", "server-enc", "server-revoked-enc"],
        "an encryption certificate alone": ["server-enc"],
        "a revoked list that is none": None,
    }
    for what, certs in wrong.items():
        fields = {"ca": pki.crt("ca"), "crl": pki.crt("ca")} if certs is None else {}
        world = World(pki, folder, f"wrong-{what.replace(' ', '-')}")
        world.listen("wrong", downstream(pki, certs or PAIR, **fields))
        code, text = await validate(world)
        checks.check(f"configuration: {what} is refused", "" if code and "panicked" not in text else f"exit {code}: {text[-300:]}")
    params = {"cipher_suites": ["ECC_SM4_GCM_SM3"]}
    world = World(pki, folder, "wrong-single")
    world.listen("single", downstream(pki, ["server"], params=params))
    code, text = await validate(world)
    checks.check("configuration: a single certificate for TLCP is refused", "" if code else f"exit {code}: {text[-300:]}")
    world = World(pki, folder, "swapped")
    world.listen("swapped", downstream(pki, ["server-enc", "server"]))
    async with world:
        got = await s_client("tongsuo", world.ports["swapped"], *TLCP, ca=pki.crt("ca"))
        checks.check("configuration: the order of the pair does not matter, KeyUsage does", got.problem())


async def validate(world):
    world.origin.port = 1
    file = world.folder / "bootstrap.yaml"
    file.write_text(json.dumps(world._bootstrap(free_port())))
    process = await asyncio.create_subprocess_exec(
        palanquin_binary(), "-c", str(file), "--mode", "validate", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    out, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, out.decode("utf-8", "replace")


__all__ = ["ENCRYPTION", "SIGN", "prepare", "suite"]
