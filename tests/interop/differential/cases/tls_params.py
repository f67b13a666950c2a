"""Versions, cipher suites, key exchanges, signature schemes and ALPN of a listener."""

from differential.tls_case import accepted, client, configs, fronts, probe, s_client, server, stats


def params(**fields):
    return lambda pki: server(pki, "srv", "srv-rsa", params=fields)


def rsa(**fields):
    return lambda pki: server(pki, "srv-rsa", params=fields)


def ec(**fields):
    return lambda pki: server(pki, "srv", params=fields)


V = {"lo": "tls_minimum_protocol_version", "hi": "tls_maximum_protocol_version"}


def versions(low=None, high=None):
    return params(**({V["lo"]: low} if low else {}), **({V["hi"]: high} if high else {}))


VERSIONS = fronts("tlsv-versions", {
    "default": versions(), "auto": versions("TLS_AUTO", "TLS_AUTO"), "v12": versions("TLSv1_2", "TLSv1_2"), "v13": versions("TLSv1_3", "TLSv1_3"),
    "v12-13": versions("TLSv1_2", "TLSv1_3"), "min13": versions("TLSv1_3"), "max12": versions(None, "TLSv1_2"),
}, [
    case for port, twelve, thirteen in (("default", 1, 1), ("auto", 1, 1), ("v12", 1, 0), ("v13", 0, 1), ("v12-13", 1, 1), ("min13", 0, 1), ("max12", 1, 0))
    for case in (
        probe(f"{port}: TLS 1.2 only", port, bool(twelve), max_version="1.2"),
        probe(f"{port}: TLS 1.3 only", port, bool(thirteen), min_version="1.3"),
        probe(f"{port}: both", port, True),
    )
] + [
    probe("default: TLS 1.1 only", "default", False, min_version="1.1", max_version="1.1"),
    probe("default: TLS 1.0 only", "default", False, min_version="1.0", max_version="1.0"),
    probe("v13: TLS 1.0 to 1.1", "v13", False, min_version="1.0", max_version="1.1"),
    stats("versions and ciphers in statistics", "ssl"),
])

ALL12 = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
         "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"]
CIPHERS = fronts("tlsv-ciphers", {
    "default": params(), "ec": ec(), "rsa": rsa(),
    "aes256": params(cipher_suites=["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"]),
    "rsa256": rsa(cipher_suites=["ECDHE-RSA-AES256-GCM-SHA384"]),
    "order": rsa(cipher_suites=["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]),
    "groups": rsa(cipher_suites=["[ECDHE-RSA-AES256-GCM-SHA384|ECDHE-RSA-CHACHA20-POLY1305]", "ECDHE-RSA-AES128-GCM-SHA256"]),
    "chacha": ec(cipher_suites=["ECDHE-ECDSA-CHACHA20-POLY1305"]),
    "iana": rsa(cipher_suites=["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]),
    "prefer": lambda pki: server(pki, "srv-rsa", prefer_client_ciphers=True, params={
        "cipher_suites": ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]}),
    "wrong-key": ec(cipher_suites=["ECDHE-RSA-AES128-GCM-SHA256"]),
    "cbc": rsa(cipher_suites=["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-SHA", "AES128-SHA", "AES256-GCM-SHA384"]),
}, [
    *[probe(f"default: {name}", "default", max_version="1.2", ciphers=name) for name in ALL12],
    probe("default: all", "default", max_version="1.2"),
    probe("ec: all", "ec", max_version="1.2"),
    probe("ec: RSA suites only", "ec", False, max_version="1.2", ciphers="aRSA+ECDHE+AESGCM"),
    probe("rsa: all", "rsa", max_version="1.2"),
    probe("rsa: ECDSA suites only", "rsa", False, max_version="1.2", ciphers="aECDSA+AESGCM"),
    probe("aes256: offers it", "aes256", max_version="1.2"),
    probe("aes256: does not offer it", "aes256", False, max_version="1.2", ciphers="ECDHE+AES128"),
    probe("aes256: TLS 1.3 is not touched", "aes256", min_version="1.3"),
    probe("rsa256: offers it", "rsa256", max_version="1.2"),
    probe("order: the server's counts", "order", max_version="1.2", ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"),
    probe("order: with TLS 1.3 offered too", "order", ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"),
    probe("prefer: the client's counts", "prefer", max_version="1.2", ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384"),
    probe("groups: within a group the client's counts (chacha)", "groups", max_version="1.2",
          ciphers="ECDHE-RSA-CHACHA20-POLY1305:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"),
    probe("groups: within a group the client's counts (aes)", "groups", max_version="1.2",
          ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-RSA-CHACHA20-POLY1305"),
    probe("default: the client prefers chacha", "default", max_version="1.2", ciphers="ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"),
    probe("default: the client prefers AES", "default", max_version="1.2", ciphers="ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305"),
    probe("default: the client prefers 256", "default", max_version="1.2", ciphers="ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"),
    probe("default: the client prefers RSA", "default", max_version="1.2", ciphers="ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"),
    probe("chacha: TLS 1.2", "chacha", max_version="1.2"),
    probe("iana: TLS 1.2", "iana", max_version="1.2"),
    probe("default: CBC only", "default", False, max_version="1.2", ciphers="ECDHE-RSA-AES128-SHA:AES128-SHA"),
    probe("default: static RSA only", "rsa", False, max_version="1.2", ciphers="kRSA"),
    probe("default: finite field only", "rsa", False, max_version="1.2", ciphers="DHE"),
    probe("wrong-key: TLS 1.2", "wrong-key", False, max_version="1.2"),
    probe("wrong-key: TLS 1.3", "wrong-key", min_version="1.3"),
    probe("cbc: a suite with AEAD", "cbc", max_version="1.2", ciphers="ECDHE-RSA-AES128-GCM-SHA256"),
    probe("cbc: ECDHE with CBC", "cbc", max_version="1.2", ciphers="ECDHE-RSA-AES128-SHA", wanted={"status": 0}, why="CBC is not spoken"),
    *[s_client(f"TLS 1.3: {suite}", "default", "-tls1_3", "-ciphersuites", suite)
      for suite in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")],
    s_client("TLS 1.3: the client's order, 256 first", "default", "-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256"),
    s_client("TLS 1.3: the client's order, chacha first", "default", "-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256"),
    s_client("TLS 1.3: the client's order, 128 first", "default", "-tls1_3", "-ciphersuites", "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"),
    s_client("TLS 1.3: no suite in common", "default", "-tls1_3", "-ciphersuites", "TLS_AES_128_CCM_SHA256", ok=False),
    stats("ciphers in statistics", "ssl", ignore=(r"\.cbc\.",)),
])

# rustls takes a key share that is there before a curve that it prefers, and the client's order in TLS 1.2.
SHARES = ("group",)
CURVES = fronts("tlsv-curves", {
    "default": params(), "p256": params(ecdh_curves=["P-256"]), "x25519": params(ecdh_curves=["X25519"]), "p384": params(ecdh_curves=["P-384"]),
    "p521": params(ecdh_curves=["P-521"]), "order": params(ecdh_curves=["P-384", "P-256", "X25519"]),
    "hybrid": params(ecdh_curves=["X25519MLKEM768"]), "hybrid-first": params(ecdh_curves=["X25519MLKEM768", "X25519"]),
}, [
    *[s_client(f"default: {curve} {flag[1:]}", "default", flag, "-groups", curve, ok=fine) for flag in ("-tls1_2", "-tls1_3")
      for curve, fine in (("X25519", True), ("P-256", True), ("P-384", False), ("P-521", False))],
    s_client("default: all", "default"),
    s_client("p256: all", "p256"), s_client("p256: X25519 first makes a second hello", "p256", "-tls1_3", "-groups", "X25519:P-256"),
    s_client("p256: X25519 only", "p256", "-groups", "X25519", ok=False),
    s_client("x25519: P-256 only", "x25519", "-tls1_2", "-groups", "P-256", ok=False),
    s_client("p384: it", "p384"), s_client("p384: TLS 1.2", "p384", "-tls1_2"), s_client("p521: it", "p521"), s_client("p521: TLS 1.2", "p521", "-tls1_2"),
    s_client("order: the server's in TLS 1.3", "order", "-tls1_3", "-groups", "X25519:P-256:P-384", ignore=SHARES),
    s_client("order: the server's in TLS 1.2", "order", "-tls1_2", "-groups", "X25519:P-256:P-384", ignore=SHARES),
    s_client("order: without the first", "order", "-groups", "X25519:P-256", ignore=SHARES),
    s_client("hybrid: a client without it", "hybrid", ok=False),
    s_client("hybrid-first: a client without it", "hybrid-first"),
    stats("curves in statistics", "ssl", ignore=(r"order\.ssl\.curves",)),
])

SCHEMES = fronts("tlsv-sigalgs", {
    "default": params(), "rsa": rsa(),
    "pss256": rsa(signature_algorithms=["rsa_pss_rsae_sha256"]), "pkcs1": rsa(signature_algorithms=["rsa_pkcs1_sha256"]),
    "p256": ec(signature_algorithms=["ecdsa_secp256r1_sha256"]), "wrong": ec(signature_algorithms=["rsa_pss_rsae_sha256"]),
    "order": rsa(signature_algorithms=["rsa_pss_rsae_sha512", "rsa_pss_rsae_sha384", "rsa_pss_rsae_sha256"]),
    "mutual": lambda pki: server(pki, "srv", ca="root", require=True, params={"signature_algorithms": ["ecdsa_secp256r1_sha256"]}),
}, [
    s_client("default: TLS 1.3", "default", "-tls1_3"), s_client("default: TLS 1.2", "default", "-tls1_2"),
    s_client("rsa: TLS 1.3", "rsa", "-tls1_3"), s_client("rsa: TLS 1.2", "rsa", "-tls1_2"),
    s_client("rsa: the client's order", "rsa", "-tls1_3", "-sigalgs", "RSA-PSS+SHA512:RSA-PSS+SHA256"),
    s_client("rsa: only SHA-384", "rsa", "-tls1_3", "-sigalgs", "RSA-PSS+SHA384"),
    s_client("rsa: only PKCS#1 in TLS 1.3", "rsa", "-tls1_3", "-sigalgs", "RSA+SHA256", ok=False),
    s_client("rsa: only PKCS#1 in TLS 1.2", "rsa", "-tls1_2", "-sigalgs", "RSA+SHA256"),
    s_client("rsa: only ECDSA", "rsa", "-tls1_3", "-sigalgs", "ECDSA+SHA256", ok=False),
    s_client("default: only RSA", "default", "-tls1_3", "-sigalgs", "RSA-PSS+SHA256"),
    s_client("default: only ECDSA", "default", "-tls1_3", "-sigalgs", "ECDSA+SHA256"),
    s_client("pss256: TLS 1.3", "pss256", "-tls1_3"), s_client("pss256: TLS 1.2", "pss256", "-tls1_2"),
    s_client("pss256: client without", "pss256", "-sigalgs", "RSA-PSS+SHA512", ok=False),
    s_client("pkcs1: TLS 1.2", "pkcs1", "-tls1_2"), s_client("pkcs1: TLS 1.3", "pkcs1", "-tls1_3", ok=False),
    s_client("p256: TLS 1.3", "p256", "-tls1_3"), s_client("wrong: TLS 1.3", "wrong", "-tls1_3", ok=False),
    s_client("order: the server's", "order", "-tls1_3"), s_client("order: the server's in TLS 1.2", "order", "-tls1_2"),
    s_client("mutual: what is asked for", "mutual", cert="cli"),
    s_client("mutual: a client with RSA", "mutual", cert="cli-rsa", ok=False),
    stats("signature schemes in statistics", "ssl"),
])

ALPN = fronts("tlsv-alpn", {
    "none": params(), "h1": lambda pki: server(pki, alpn=["http/1.1"]), "h2": lambda pki: server(pki, alpn=["h2"]),
    "both": lambda pki: server(pki, alpn=["h2", "http/1.1"]), "h1-first": lambda pki: server(pki, alpn=["http/1.1", "h2"]),
    "joined": lambda pki: server(pki, alpn=["foo", "http/1.1"]),
}, [
    probe("none: the client offers", "none", alpn=["http/1.1"]), probe("h1: the client offers it", "h1", alpn=["http/1.1"]),
    probe("h1: the client offers nothing", "h1"), probe("h1: the client offers another", "h1", alpn=["foo"]),
    probe("both: the server's order", "both", alpn=["http/1.1", "h2"], request=None, ok=False),
    probe("h1-first: the server's order", "h1-first", alpn=["h2", "http/1.1"]),
    probe("h2: the client offers HTTP/1.1", "h2", alpn=["http/1.1"]),
    probe("joined: the second", "joined", alpn=["http/1.1"]), probe("joined: a name that is not HTTP", "joined", alpn=["foo"]),
    probe("both: many offers", "both", alpn=["a", "b", "c", "http/1.0", "http/1.1"]),
    probe("both: only http/1.0", "both", alpn=["http/1.0"]),
])


def with_params(**fields):
    return lambda pki: server(pki, "srv-rsa", params=fields)


CONFIG = configs("tlsv-config", [
    accepted("an unknown suite", with_params(cipher_suites=["NONSENSE"]), False),
    accepted("a suite of TLS 1.3", with_params(cipher_suites=["TLS_AES_128_GCM_SHA256"]), False),
    accepted("ECDHE with CBC beside AEAD", with_params(cipher_suites=["ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES128-GCM-SHA256"]), True),
    accepted("ECDHE with CBC alone", with_params(cipher_suites=["ECDHE-RSA-AES128-SHA"]), True, wanted={"accepted": False}, why="CBC is not spoken"),
    accepted("static RSA alone", with_params(cipher_suites=["AES128-GCM-SHA256"]), True,
             wanted={"accepted": False}, why="there is no key exchange without forward secrecy; what cannot be served is refused"),
    accepted("an OpenSSL word", with_params(cipher_suites=["ALL"]), True, wanted={"accepted": False}, why="suites are named one by one"),
    accepted("an exclusion", with_params(cipher_suites=["-ALL", "ECDHE-RSA-AES128-GCM-SHA256"]), True, wanted={"accepted": False}, why="suites are named one by one"),
    accepted("an unknown curve", with_params(ecdh_curves=["P-999"]), False),
    accepted("P-521", with_params(ecdh_curves=["P-521"]), True),
    accepted("P-224", with_params(ecdh_curves=["P-224"]), False),
    accepted("prime256v1", with_params(ecdh_curves=["prime256v1"]), True),
    accepted("secp256r1", with_params(ecdh_curves=["secp256r1"]), False),
    accepted("x25519 in lower case", with_params(ecdh_curves=["x25519"]), True),
    accepted("X25519Kyber768Draft00", with_params(ecdh_curves=["X25519Kyber768Draft00", "X25519"]), False),
    accepted("MLKEM1024", with_params(ecdh_curves=["MLKEM1024"]), True, wanted={"accepted": False}, why="the cryptography has no such group alone"),
    accepted("the same curve twice", with_params(ecdh_curves=["P-256", "P-256"]), False),
    accepted("an unknown scheme", with_params(signature_algorithms=["nonsense"]), False),
    accepted("an old scheme", with_params(signature_algorithms=["rsa_pkcs1_sha1"]), True),
    accepted("ed25519", with_params(signature_algorithms=["ed25519"]), True),
    accepted("the minimum above the maximum", with_params(tls_minimum_protocol_version="TLSv1_3", tls_maximum_protocol_version="TLSv1_2"), True,
             wanted={"accepted": False}, why="no handshake could succeed"),
    accepted("TLS 1.0 as minimum", with_params(tls_minimum_protocol_version="TLSv1_0"), True),
    accepted("TLS 1.1 as minimum", with_params(tls_minimum_protocol_version="TLSv1_1"), True),
    accepted("TLS 1.1 as maximum", with_params(tls_minimum_protocol_version="TLSv1_0", tls_maximum_protocol_version="TLSv1_1"), True,
             wanted={"accepted": False}, why="TLS 1.0 and 1.1 are not spoken (RFC 8996)"),
    accepted("FIPS_202205", with_params(compliance_policies=["FIPS_202205"]), True),
    accepted("an empty ALPN protocol", lambda pki: server(pki, alpn=[""]), True),
    accepted("an upstream context without anything", lambda pki: client(pki, ca=None), True),
    accepted("an upstream with two certificates", lambda pki: client(pki, common={"tls_certificates": [
        {"certificate_chain": {"filename": pki.path(f"{one}.pem")}, "private_key": {"filename": pki.path(f"{one}.key")}} for one in ("cli", "cli-rsa")]}), False),
])

GROUPS = [VERSIONS, CIPHERS, CURVES, SCHEMES, ALPN, CONFIG]
