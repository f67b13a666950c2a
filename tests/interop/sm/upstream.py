"""Palanquin as the client: every suite and group, one way and mutual, towards servers that are not ours."""

import asyncio

from harness.ports import free_port
from harness.proxy import simple_request

from sm.programs import (SM_GROUPS, SM_SUITES, TLCP_SUITES, WRONG_ID, bouncycastle_server, gmssl_server, gmtls_server, s_server, shows,
                         shows_pair, tlcp, tls13)
from sm.world import World, sm_params, upstream

SSL = "cluster.{}.ssl."


async def suite(checks, pki, folder):
    world = World(pki, folder, "upstream")
    plain = world.listen("plain", inspect=False)
    ca = pki.crt("ca")
    cases = []
    for way, client in (("one way", None), ("mutual", "client")):
        mutual = ca if client else None
        for program in ("openssl", "tongsuo"):
            flags = tls13(":".join(SM_SUITES), ":".join(SM_GROUPS))
            server = await s_server(program, free_port(), *flags, *shows(pki, "server"), ca=mutual).start()
            world.peers.append(server)
            for cipher in SM_SUITES:
                for group in SM_GROUPS:
                    cluster = f"{program}-{cipher}-{group}-{client}"
                    world.cluster(cluster, server.port, upstream(pki, [client] if client else [], params=sm_params(cipher, group)))
                    cases.append((f"client, {program}, {cipher}, {group}, {way}", cluster, cipher, "TLSv1.3", cipher, group))
        tongsuo = await s_server("tongsuo", free_port(), *tlcp(), *shows_pair(pki, "server"), ca=mutual).start()
        gmtls = await gmtls_server(free_port(), pki, ca=mutual).start()
        world.peers += [tongsuo, gmtls]
        pair = ["client", "client-enc"] if client else []
        for cipher, theirs in TLCP_SUITES.items():
            if cipher.startswith("ECDHE") and not client:
                continue
            cluster = f"tongsuo-{cipher}-{client}"
            world.cluster(cluster, tongsuo.port, upstream(pki, pair, params={"cipher_suites": [cipher]}))
            cases.append((f"client, tongsuo, {cipher}, {way}", cluster, theirs, "TLCPv1.1", cipher, None))
        world.cluster(f"gmtls-{client}", gmtls.port, upstream(pki, pair, params={"cipher_suites": ["ECC_SM4_CBC_SM3"]}))
        body = "gmtls client" if client else "gmtls"
        cases.append((f"client, gmtls, ECC_SM4_CBC_SM3, {way}", f"gmtls-{client}", body, "TLCPv1.1", "ECC_SM4_CBC_SM3", None))
    for suite in SM_SUITES:
        server = await bouncycastle_server(free_port(), pki, suite).start()
        world.peers.append(server)
        for way, client in (("one way", None), ("mutual", "client")):
            cluster = f"bouncycastle-{suite}-{client}"
            world.cluster(cluster, server.port, upstream(pki, [client] if client else [], params=sm_params(suite, "curveSM2")))
            cases.append((f"client, bouncycastle, {suite}, {way}", cluster, "bouncycastle", "TLSv1.3", suite, "curveSM2"))
    wrong = await bouncycastle_server(free_port(), pki, SM_SUITES[0], WRONG_ID).start()
    world.peers.append(wrong)
    world.cluster("wrong-id", wrong.port, upstream(pki, params=sm_params(SM_SUITES[0], "curveSM2")))
    gmssl = await gmssl_server(free_port(), pki).start()
    world.peers.append(gmssl)
    # It drops a hello with extensions, so without a server name.
    world.cluster("gmssl", gmssl.port, upstream(pki, sni="", params={"cipher_suites": ["ECC_SM4_CBC_SM3"]}))
    async with world:
        for name, cluster, marker, version, cipher, group in cases:
            status, _, body = await simple_request(plain, "GET", f"/to/{cluster}/", seconds=30)
            problem = "" if status == 200 and marker in body else f"status {status}: {body[-300:]}"
            checks.check(name, problem or await counted(world, cluster, version, cipher, group))
        status, _, _ = await simple_request(plain, "GET", "/to/wrong-id/", seconds=30)
        # The answer does not wait for the peer to have read its alert and to say so.
        told = False
        for _ in range(100):
            told = told or b"decrypt_error(51)" in wrong.output
            await asyncio.sleep(0 if told else 0.05)
        checks.check("client, a server that signs under another SM2 identifier is refused with decrypt_error",
                     "" if status == 503 and told else f"status {status}: {wrong.output.decode()}")
        # It echoes the request, which is no answer, but only inside a session.
        await simple_request(plain, "GET", "/to/gmssl/")
        checks.check("client, gmssl, ECC_SM4_CBC_SM3, one way", await counted(world, "gmssl", "TLCPv1.1", "ECC_SM4_CBC_SM3", None))


async def counted(world, cluster, version, cipher, group):
    """Empty when the cluster's statistics name what was agreed."""
    names = ["handshake", f"versions.{version}", f"ciphers.{cipher}"] + ([f"curves.{group}", "sigalgs.sm2sig_sm3"] if group else [])
    for name in names:
        problem = await world.stat_grows(SSL.format(cluster) + name)
        if problem:
            return problem
    return ""
