"""The suite's own test: the peers against each other, so that what fails against Palanquin is Palanquin's."""

from harness.ports import free_port

from sm.programs import (SM_GROUPS, SM_SUITES, TLCP_SUITES, WRONG_ID, bouncycastle_client, bouncycastle_server, gmssl_client, gmssl_server, gmtls_client, gmtls_server, s_client, s_server, shows,
                         shows_pair, tlcp, tls13)


async def suite(checks, pki, folder):
    ca = pki.crt("ca")
    for way, client in (("one way", None), ("mutual", "client")):
        mutual = ca if client else None
        for serving in ("openssl", "tongsuo"):
            flags = tls13(":".join(SM_SUITES), ":".join(SM_GROUPS))
            server = await s_server(serving, free_port(), *flags, *shows(pki, "server"), ca=mutual).start()
            for program in ("openssl", "tongsuo"):
                for cipher in SM_SUITES:
                    for group in SM_GROUPS:
                        got = await s_client(program, server.port, *tls13(cipher, group), *shows(pki, client), ca=ca)
                        wanted = {"version": "TLSv1.3", "cipher": cipher, "group": group, "signature": "sm2sig_sm3"}
                        checks.check(f"{program} to {serving}, {cipher}, {group}, {way}", got.problem(**wanted))
            await server.stop()
        for serving in ("tongsuo", "gmtls"):
            if serving == "tongsuo":
                server = await s_server("tongsuo", free_port(), *tlcp(), *shows_pair(pki, "server"), ca=mutual).start()
            else:
                server = await gmtls_server(free_port(), pki, ca=mutual).start()
            for cipher, theirs in TLCP_SUITES.items():
                if (cipher.startswith("ECDHE") and not client) or (serving == "gmtls" and cipher != "ECC_SM4_CBC_SM3"):
                    continue
                got = await s_client("tongsuo", server.port, *tlcp(cipher), *shows_pair(pki, client), ca=ca)
                checks.check(f"tongsuo to {serving}, {cipher}, {way}", got.problem(version="NTLSv1.1", cipher=theirs))
            if not client:
                got = await gmtls_client(server.port, pki)
                checks.check(f"gmtls to {serving}", got.problem(cipher="ECC_SM4_CBC_SM3"))
            if not client and serving == "tongsuo":  # gmtls answers in two records, and GmSSL's program shows the first
                got = await gmssl_client(server.port, pki)
                checks.check(f"gmssl to {serving}", got.problem())
            await server.stop()
    server = await gmssl_server(free_port(), pki).start()
    got = await gmssl_client(server.port, pki)
    checks.check("gmssl to gmssl", "" if "GET / HTTP/1.1" in got.text else str(got))
    await server.stop()
    flags = tls13(":".join(SM_SUITES), "curveSM2")
    server = await s_server("tongsuo", free_port(), *flags, *shows(pki, "server"), ca=ca).start()
    for suite in SM_SUITES:
        got = await bouncycastle_client(server.port, pki, suite, "client")
        checks.check(f"bouncycastle to tongsuo, {suite}", got.problem())
    got = await bouncycastle_client(server.port, pki, suite, "client", WRONG_ID)
    checks.check("tongsuo refuses another SM2 identifier", got.refused(51))
    await server.stop()
    server = await bouncycastle_server(free_port(), pki, SM_SUITES[0]).start()
    got = await s_client("tongsuo", server.port, *tls13(SM_SUITES[0], "curveSM2"), *shows(pki, "client"), ca=ca)
    checks.check("tongsuo to bouncycastle", got.problem())
    await server.stop()
    await refusals(checks, pki, ca)


async def refusals(checks, pki, ca):
    """What the peers themselves refuse of our bad clients."""
    for protocol, flags, show in (("RFC 8998", tls13("TLS_SM4_GCM_SM3", "curveSM2"), shows), ("TLCP", tlcp("ECC_SM4_GCM_SM3"), shows_pair)):
        server = await s_server("tongsuo", free_port(), *flags, *show(pki, "server"), ca=ca).start()
        for bad in ("expired", "unknown-ca", "broken", "wrong-eku"):
            got = await s_client("tongsuo", server.port, *flags, *show(pki, f"client-{bad}"), ca=ca)
            checks.check(f"tongsuo refuses a client: {protocol}, {bad}", got.refused())
        await server.stop()
