"""Which client certificates a listener accepts: chains, names, pins, revocation, trust, SPIFFE bundles."""

import base64
import json

from harness import config, pki as pki_module

from differential.tls_case import accepted, configs, fronts, probe, s_client, server, stats

CART = "spiffe://mesh.test/ns/shop/sa/cart"


def mutual(validation=None, require=True, ca="root", **fields):
    return lambda pki: server(pki, ca=ca, require=require, validation=validation(pki) if callable(validation) else validation, **fields)


def required(port):
    """Envoy asks nobody for a certificate when there is nothing to check it with, although one is required."""
    return {"wanted": {"status": 0}, "why": "who requires a certificate means it"} if port == "require-only" else {}


def asked(port):
    return (r"x-peer",) if port == "require-only" else ()


REQUIRE = fronts("tlsv-require", {
    "none": mutual(require=None, ca=None), "require-only": mutual(ca=None), "ca-only": mutual(require=None), "both": mutual(), "no": mutual(require=False),
    "untrusted": mutual({"trust_chain_verification": "ACCEPT_UNTRUSTED"}), "untrusted-optional": mutual({"trust_chain_verification": "ACCEPT_UNTRUSTED"}, None),
    "untrusted-no-ca": mutual({"trust_chain_verification": "ACCEPT_UNTRUSTED"}, None, None),
    "expired": mutual({"allow_expired_certificate": True}),
}, [
    case for port, nothing, good, foreign, expired in (
        ("none", 1, 1, 1, 1), ("require-only", 1, 1, 1, 1), ("ca-only", 1, 1, 0, 0), ("both", 0, 1, 0, 0), ("no", 1, 1, 0, 0),
        ("untrusted", 0, 1, 1, 1), ("untrusted-optional", 1, 1, 1, 1), ("untrusted-no-ca", 1, 1, 1, 1), ("expired", 0, 1, 0, 1))
    for case in (
        probe(f"{port}: no certificate", port, bool(nothing), **required(port)), probe(f"{port}: a good certificate", port, bool(good), cert="cli", ignore=asked(port)),
        probe(f"{port}: of another authority", port, bool(foreign), cert="cli-foreign", ignore=asked(port)),
        probe(f"{port}: an expired one", port, bool(expired), cert="cli-expired", ignore=asked(port)),
        probe(f"{port}: no certificate, TLS 1.2", port, bool(nothing), max_version="1.2", ciphers="ECDHE+AESGCM", ignore=("^error",), **required(port)),
        probe(f"{port}: of another authority, TLS 1.2", port, bool(foreign), cert="cli-foreign", ignore=asked(port), max_version="1.2", ciphers="ECDHE+AESGCM"),
    )
] + [probe("both: not yet valid", "both", False, cert="cli-future"), probe("expired: not yet valid", "expired", cert="cli-future"),
     probe("both: a key of RSA", "both", cert="cli-rsa"), s_client("both: the authorities are named", "both", cert="cli", ignore=("requested",)),
     s_client("require-only: no authorities are named", "require-only", cert="cli", ignore=("requested", "x-peer")),
     stats("refusals in statistics", "ssl", ignore=(r"require-only|certificate\.unnamed|downstream_cx_ssl_total",))])


def san(kind, oid=None, **match):
    one = {"san_type": kind, "matcher": match, **({"oid": oid} if oid else {})}
    return {"match_typed_subject_alt_names": [one]}


def regex(text):
    return {"safe_regex": {"regex": text}}


SAN_CERTS = {
    "s-dns": {"dns": ["cart.shop.test", "second.shop.test"]}, "s-upper": {"dns": ["Cart.Shop.Test"]}, "s-wild": {"dns": ["*.shop.test"]},
    "s-wild-part": {"dns": ["c*t.shop.test"]}, "s-uri": {"uri": [CART]}, "s-two-uris": {"uri": ["spiffe://mesh.test/a", CART]}, "s-email": {"email": ["cart@shop.test"]},
    "s-ip": {"ip": ["10.1.2.3"]}, "s-ip6": {"ip": ["2001:db8::1"]}, "s-other": {"other": [(pki_module.UPN, "cart@shop.test")]}, "s-none": {},
    "s-cn": {"subject": "cart.shop.test"}, "s-mixed": {"dns": ["x.test"], "uri": [CART], "ip": ["10.0.0.9"], "email": ["m@x.test"]},
}


def with_sans(pki):
    for name, fields in SAN_CERTS.items():
        pki.make(name, "root", **fields)
    return pki


def by_san(*arguments, **match):
    return lambda pki: server(with_sans(pki), ca="root", require=True, validation=san(*arguments, **match))


SAN_RULES = {
    "dns-exact": (by_san("DNS", exact="cart.shop.test"), "s-dns s-upper s-wild"), "dns-exact-upper": (by_san("DNS", exact="CART.shop.test"), "s-dns s-upper s-wild"),
    "dns-ignore": (by_san("DNS", exact="CART.SHOP.test", ignore_case=True), "s-dns s-upper s-wild"),
    "dns-prefix": (by_san("DNS", prefix="cart."), "s-dns"), "dns-prefix-ignore": (by_san("DNS", prefix="CART.", ignore_case=True), "s-dns s-upper"),
    "dns-suffix": (by_san("DNS", suffix=".shop.test"), "s-dns s-wild s-wild-part"), "dns-contains": (by_san("DNS", contains="shop"), "s-dns s-wild s-wild-part"),
    "dns-regex": (by_san("DNS", **regex("c.*\\.test")), "s-dns s-wild-part"), "dns-regex-part": (by_san("DNS", **regex("shop")), ""),
    "dns-wild-exact": (by_san("DNS", exact="*.shop.test"), "s-wild"),
    "uri-exact": (by_san("URI", exact=CART), "s-uri s-two-uris s-mixed"), "uri-exact-upper": (by_san("URI", exact=CART.upper()), ""),
    "uri-ignore": (by_san("URI", exact=CART.upper(), ignore_case=True), "s-uri s-two-uris s-mixed"), "uri-prefix": (by_san("URI", prefix="spiffe://mesh.test/"), "s-uri s-two-uris s-mixed"),
    "uri-suffix": (by_san("URI", suffix="/sa/cart"), "s-uri s-two-uris s-mixed"), "uri-contains": (by_san("URI", contains="/ns/shop/"), "s-uri s-two-uris s-mixed"),
    "uri-regex": (by_san("URI", **regex("spiffe://[a-z.]+/ns/[^/]+/sa/cart")), "s-uri s-two-uris s-mixed"),
    "email-exact": (by_san("EMAIL", exact="cart@shop.test"), "s-email"), "email-suffix": (by_san("EMAIL", suffix="@shop.test"), "s-email"),
    "ip-exact": (by_san("IP_ADDRESS", exact="10.1.2.3"), "s-ip"), "ip-prefix": (by_san("IP_ADDRESS", prefix="10."), "s-ip s-mixed"),
    "ip6-exact": (by_san("IP_ADDRESS", exact="2001:db8::1"), "s-ip6"), "ip6-long": (by_san("IP_ADDRESS", exact="2001:0db8:0:0:0:0:0:1"), ""),
    "other-exact": (by_san("OTHER_NAME", pki_module.UPN, exact="cart@shop.test"), "s-other"), "other-prefix": (by_san("OTHER_NAME", pki_module.UPN, prefix="cart"), "s-other"),
    "other-oid": (by_san("OTHER_NAME", "1.2.3.4", exact="cart@shop.test"), ""),
}
SANS = fronts("tlsv-san", {port: make for port, (make, _) in SAN_RULES.items()}, [
    probe(f"{port}: {cert}", port, cert in fits.split(), cert=cert)
    for port, (_, fits) in SAN_RULES.items() for cert in SAN_CERTS
    if cert in fits.split() or cert in ("s-none", "s-cn") and port == "dns-exact" or cert[2] == port[0]
] + [stats("refused names in statistics", "fail_verify")])


def several(pki):
    return server(with_sans(pki), ca="root", require=True, validation={"match_typed_subject_alt_names": [
        {"san_type": "DNS", "matcher": {"exact": "second.shop.test"}}, {"san_type": "URI", "matcher": {"exact": CART}}]})


def untyped(pki):
    return server(with_sans(pki), ca="root", require=True, validation={"match_subject_alt_names": [{"exact": "cart.shop.test"}, {"prefix": "10."}]})


SEVERAL = fronts("tlsv-san-lists", {"typed": several, "untyped": untyped,
                                    "untrusted-san": lambda pki: server(with_sans(pki), ca="root", require=True, validation={
                                        **san("URI", exact=CART), "trust_chain_verification": "ACCEPT_UNTRUSTED"})}, [
    *[probe(f"typed: {cert}", "typed", ok, cert=cert) for cert, ok in (("s-dns", True), ("s-uri", True), ("s-wild", True), ("s-email", False))],
    *[probe(f"untyped: {cert}", "untyped", ok, cert=cert) for cert, ok in (("s-dns", True), ("s-ip", True), ("s-uri", False), ("s-wild", True))],
    probe("accepted although another name", "untrusted-san", cert="s-dns"), probe("accepted although another authority", "untrusted-san", cert="cli-foreign"),
])


def colons(text):
    return ":".join(text[at:at + 2] for at in range(0, len(text), 2)).upper()


PINS = fronts("tlsv-pins", {
    "hash": mutual(lambda pki: {"verify_certificate_hash": [pki["cli"].sha256()]}), "colons": mutual(lambda pki: {"verify_certificate_hash": [colons(pki["cli"].sha256())]}),
    "upper": mutual(lambda pki: {"verify_certificate_hash": [pki["cli"].sha256().upper()]}),
    "spki": mutual(lambda pki: {"verify_certificate_spki": [pki["cli"].spki()]}),
    "either": mutual(lambda pki: {"verify_certificate_spki": [pki["cli-rsa"].spki()], "verify_certificate_hash": [pki["cli"].sha256()]}),
    "two": mutual(lambda pki: {"verify_certificate_hash": ["00" * 32, pki["cli"].sha256()]}),
    "no-ca": mutual(lambda pki: {"verify_certificate_hash": [pki["cli-foreign"].sha256()]}, ca=None),
    "no-ca-optional": mutual(lambda pki: {"verify_certificate_spki": [pki["cli-foreign"].spki()]}, None, None),
    "ca-pinned": mutual(lambda pki: {"verify_certificate_hash": [pki["root"].sha256()]}),
    "untrusted-pin": mutual(lambda pki: {"verify_certificate_hash": [pki["cli"].sha256()], "trust_chain_verification": "ACCEPT_UNTRUSTED"}),
    "san-and-pin": mutual(lambda pki: {**san("URI", exact=CART), "verify_certificate_spki": [pki["cli"].spki()]}),
}, [
    probe("the certificate's hash", "hash", cert="cli"), probe("another certificate", "hash", False, ignore=("^error",), cert="cli-rsa"), probe("with colons", "colons", cert="cli"),
    probe("in capitals", "upper", cert="cli"), probe("the key's hash", "spki", cert="cli"), probe("another key", "spki", False, ignore=("^error",), cert="cli-rsa"),
    probe("either: by hash", "either", cert="cli"), probe("either: by key", "either", cert="cli-rsa"), probe("either: neither", "either", False, cert="cli-foreign"),
    probe("two hashes", "two", cert="cli"), probe("no authority, the pinned one", "no-ca", cert="cli-foreign"),
    probe("no authority, another", "no-ca", False, ignore=("^error",), cert="cli"), probe("no authority, none", "no-ca", False),
    probe("no authority, optional, none", "no-ca-optional", False, ignore=("^error",)), probe("no authority, optional, another", "no-ca-optional", False, ignore=("^error",), cert="cli"),
    probe("the authority's hash is not the client's", "ca-pinned", False, ignore=("^error",), cert="cli"),
    probe("accepted although another certificate", "untrusted-pin", cert="cli-rsa"), probe("accepted with the right one", "untrusted-pin", cert="cli"),
    probe("name and pin", "san-and-pin", cert="cli"), probe("name without pin", "san-and-pin", False, cert="cli-foreign"),
    stats("refused pins in statistics", "fail_verify"),
])


def chains(pki):
    """More chains than the shared ones."""
    pki.authority("short", "root", path_length=0)
    pki.authority("too-long", "short")
    pki.make("cli-too-long", "too-long", uri=[CART])
    pki.chain("cli-too-long.chain", "cli-too-long", "too-long", "short")
    deep = "root"
    for level in range(1, 9):
        pki.authority(f"deep{level}", deep)
        deep = f"deep{level}"
    pki.make("cli-deep", deep, uri=[CART])
    pki.chain("cli-deep.chain", "cli-deep", *[f"deep{level}" for level in range(8, 0, -1)])
    pki.chain("cli-order.chain", "cli-inter2", "inter", "inter2")
    pki.chain("cli-unrelated.chain", "cli", "foreign-root", "inter")
    pki.chain("cli-with-root.chain", "cli-inter", "inter", "root")
    pki.make("self", uri=[CART])
    pki.make("cli-server-only", "root", eku=[pki_module.SERVER_AUTH], uri=[CART])
    pki.make("cli-no-eku", "root", eku=(), uri=[CART])
    pki.make("cli-usage", "root", usage=["key_encipherment"], uri=[CART])
    pki.make("cli-ca-leaf", "root", ca=True, uri=[CART])
    pki.make("not-ca", "root", uri=["spiffe://mesh.test/x"])
    pki.make("cli-of-leaf", "not-ca", uri=[CART])
    pki.chain("cli-of-leaf.chain", "cli-of-leaf", "not-ca")
    pki.authority("old-inter", "root", start=-90, days=-1)
    pki.make("cli-old-inter", "old-inter", uri=[CART])
    pki.chain("cli-old-inter.chain", "cli-old-inter", "old-inter")
    pki.authority("old-root", start=-90, days=-1)
    pki.make("cli-old-root", "old-root", uri=[CART])
    pki.chain("two-roots.pem", "foreign-root", "root")
    pki.chain("big.chain", "cli-deep", *[f"deep{level}" for level in range(8, 0, -1)], *(["foreign-root"] * 12))
    for kind in ("p384", "p521", "ed25519", "rsa3072"):
        pki.make(f"cli-{kind}", "root", kind=kind, uri=[CART])
    pki.make("cli-rsa1024", "root", kind="rsa1024", uri=[CART])
    pki.make("cli-v-basic", "root", basic=False, uri=[CART])
    pki.authority("rsa-root", kind="rsa2048")
    pki.make("cli-rsa-root", "rsa-root", uri=[CART])
    return pki


def chained(ca="root", validation=None):
    return lambda pki: server(chains(pki), ca=ca, require=True, validation=validation)


LONG = {"wanted": {"status": 0}, "why": "at most six intermediates are followed"}
MORE = {"wanted": {"status": 200}, "why": "more keys than BoringSSL offers to verify"}
CHAINS = fronts("tlsv-chains", {
    "root": chained(), "two": chained("two-roots.pem"), "inter": chained("inter"), "leaf": chained("cli"), "self": chained("self"), "old": chained("old-root"),
    "old-allowed": chained("old-root", {"allow_expired_certificate": True}), "inter-allowed": chained("root", {"allow_expired_certificate": True}),
    "rsa-root": chained("rsa-root"), **{f"depth{depth}": chained("root", {"max_verify_depth": depth}) for depth in (0, 1, 2, 3, 10)},
}, [
    probe("an intermediate that is sent", "root", cert="cli-inter.chain"), probe("an intermediate that is missing", "root", False, cert="cli-inter"),
    probe("two intermediates", "root", cert="cli-inter2.chain"), probe("two intermediates in the wrong order", "root", cert="cli-order.chain", key="cli-inter2"),
    probe("unrelated certificates beside", "root", cert="cli-unrelated.chain", key="cli"), probe("the root is sent too", "root", cert="cli-with-root.chain", key="cli-inter"),
    probe("a path that is too long for its issuer", "root", False, cert="cli-too-long.chain"), probe("eight intermediates", "root", cert="cli-deep.chain", **LONG),
    probe("a big chain", "root", cert="big.chain", key="cli-deep", **LONG), probe("two roots: the second's", "two", cert="cli"), probe("two roots: the first's", "two", cert="cli-foreign"),
    probe("a trusted intermediate", "inter", cert="cli-inter"), probe("a trusted intermediate, another branch", "inter", False, cert="cli"),
    probe("the leaf itself is trusted", "leaf", cert="cli"), probe("another leaf than the trusted", "leaf", False, cert="cli-rsa"),
    probe("self-signed and trusted", "self", cert="self"), probe("self-signed and not trusted", "root", False, cert="self"),
    probe("usage: server only", "root", False, cert="cli-server-only"), probe("usage: not said", "root", cert="cli-no-eku"), probe("key usage without signature", "root", False, cert="cli-usage", ignore=("^error",)),
    probe("an authority as client", "root", False, cert="cli-ca-leaf", ignore=("^error",)), probe("issued by a leaf", "root", False, cert="cli-of-leaf.chain"),
    probe("an expired intermediate", "root", False, cert="cli-old-inter.chain"), probe("an expired intermediate, allowed", "inter-allowed", cert="cli-old-inter.chain", wanted={"status": 0}, why="the chain has no moment at which all of it was valid"),
    probe("an expired root", "old", False, cert="cli-old-root"), probe("an expired root, allowed", "old-allowed", cert="cli-old-root"),
    *[probe(f"a key of {kind}", "root", ok, cert=f"cli-{kind}", **more) for kind, ok, more in (
        ("p384", True, {}), ("rsa3072", True, {}), ("p521", False, MORE), ("ed25519", False, MORE), ("rsa1024", True, {"wanted": {"status": 0}, "why": "RSA below 2048 bits is not accepted"}))],
    probe("without basic constraints", "root", cert="cli-v-basic"), probe("an authority of RSA", "rsa-root", cert="cli-rsa-root"),
    *[probe(f"depth {depth}: {name}", f"depth{depth}", ok, cert=cert, **(LONG if depth == 10 else {})) for depth, name, cert, ok in (
        (0, "no intermediate", "cli", True), (0, "one intermediate", "cli-inter.chain", False), (1, "no intermediate", "cli", True), (1, "one intermediate", "cli-inter.chain", False),
        (1, "two intermediates", "cli-inter2.chain", False), (2, "one intermediate", "cli-inter.chain", True), (2, "two intermediates", "cli-inter2.chain", False), (3, "two intermediates", "cli-inter2.chain", True), (10, "eight intermediates", "cli-deep.chain", True))],
    stats("refused chains in statistics", "fail_verify", ignore=(r"root|depth10|inter-allowed",)),
])


def revocation(pki):
    pki.make("cli-revoked", "root", uri=[CART])
    pki.make("cli-inter-revoked", "inter", uri=[CART])
    pki.chain("cli-inter-revoked.chain", "cli-inter-revoked", "inter")
    pki.authority("bad-inter", "root")
    pki.make("cli-bad-inter", "bad-inter", uri=[CART])
    pki.chain("cli-bad-inter.chain", "cli-bad-inter", "bad-inter")
    pki.crl("root.crl", "root", ["cli-revoked", "bad-inter"])
    pki.crl("inter.crl", "inter", ["cli-inter-revoked"])
    pki.crl("bad-inter.crl", "bad-inter")
    pki.crl("old.crl", "root", start=-90, days=-1)
    pki.crl("foreign.crl", "foreign-root")
    pki.write("both.crl", "".join(open(pki.path(f"{name}.crl")).read() for name in ("root", "inter", "bad-inter")))
    pki.write("broken.crl", "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    pki.write("root-and-crl.pem", pki["root"].pem + open(pki.path("root.crl")).read())
    return pki


def revoking(crl, **more):
    return lambda pki: server(revocation(pki), ca="root", require=True, validation={"crl": {"filename": pki.path(crl)}, **more})


CRLS = fronts("tlsv-crl", {
    "root": revoking("root.crl"), "both": revoking("both.crl"), "leaf-root": revoking("root.crl", only_verify_leaf_cert_crl=True),
    "leaf-inter": revoking("inter.crl", only_verify_leaf_cert_crl=True), "old": revoking("old.crl"), "foreign": revoking("foreign.crl"),
    "old-allowed": revoking("old.crl", allow_expired_certificate=True), "untrusted": revoking("root.crl", trust_chain_verification="ACCEPT_UNTRUSTED"),
    "in-ca": lambda pki: server(revocation(pki), ca="root-and-crl.pem", require=True),
    "inter-ca": lambda pki: server(revocation(pki), ca="inter", require=True, validation={"crl": {"filename": pki.path("inter.crl")}}),
}, [
    probe("not revoked", "root", cert="cli"), probe("revoked", "root", False, cert="cli-revoked"), probe("no list of the intermediate", "root", False, cert="cli-inter.chain"),
    probe("lists of both", "both", cert="cli-inter.chain"), probe("lists of both: leaf revoked", "both", False, cert="cli-inter-revoked.chain"),
    probe("lists of both: intermediate revoked", "both", False, cert="cli-bad-inter.chain"), probe("leaf only: list of the root", "leaf-root", cert="cli"),
    probe("leaf only: revoked", "leaf-root", False, cert="cli-revoked"), probe("leaf only: no list of its issuer", "leaf-root", False, cert="cli-inter.chain"),
    probe("leaf only: list of the intermediate", "leaf-inter", cert="cli-inter.chain"), probe("leaf only: revoked by the intermediate", "leaf-inter", False, cert="cli-inter-revoked.chain"),
    probe("a list that is out of date", "old", False, cert="cli", ignore=("^error",)), probe("a list that is out of date, allowed", "old-allowed", cert="cli"), probe("a list of another authority", "foreign", False, cert="cli"),
    probe("accepted although revoked", "untrusted", cert="cli-revoked"), probe("a list among the authorities: not revoked", "in-ca", cert="cli"),
    probe("a list among the authorities: revoked", "in-ca", False, cert="cli-revoked"), probe("a trusted intermediate with its list", "inter-ca", False, cert="cli-inter", wanted={"status": 200}, why="the list of the trusted issuer decides; a trusted one needs none itself"),
    probe("a trusted intermediate with its list: revoked", "inter-ca", False, cert="cli-inter-revoked"),
    stats("revoked in statistics", "fail_verify", ignore=(r"inter-ca",)),
])


def bundles(pki):
    pki.authority("one-root", uri=["spiffe://one.test"])
    pki.authority("two-root", uri=["spiffe://two.test"])
    for name, issuer, uri in (("one", "one-root", "spiffe://one.test/a"), ("two", "two-root", "spiffe://two.test/b"), ("cross", "one-root", "spiffe://two.test/b"),
                              ("third", "one-root", "spiffe://three.test/c"), ("http", "one-root", "https://one.test/a"), ("bare", "one-root", "spiffe://one.test")):
        pki.make(f"spiffe-{name}", issuer, usage=["digital_signature"], uri=[uri])
    pki.make("spiffe-no-usage", "one-root", uri=["spiffe://one.test/a"])
    pki.make("spiffe-two-uris", "one-root", usage=["digital_signature"], uri=["spiffe://one.test/a", "spiffe://two.test/a"])
    pki.make("spiffe-uris-two", "one-root", usage=["digital_signature"], uri=["spiffe://two.test/a", "spiffe://one.test/a"])
    pki.make("spiffe-http-first", "one-root", usage=["digital_signature"], uri=["https://two.test/a", "spiffe://one.test/a"])
    pki.make("spiffe-none", "one-root", usage=["digital_signature"], dns=["a.one.test"])
    pki.make("spiffe-ca", "one-root", ca=True, uri=["spiffe://one.test/ca"])
    pki.make("spiffe-sign", "one-root", usage=["digital_signature", "key_cert_sign"], uri=["spiffe://one.test/sign"])
    pki.make("spiffe-expired", "one-root", start=-72, days=-1, usage=["digital_signature"], uri=["spiffe://one.test/a"])
    return pki


def spiffe(*domains, validation=None, **fields):
    def make(pki):
        bundles(pki)
        listed = [{"name": f"{name}.test", "trust_bundle": {"filename": pki.path(f"{name}-root.pem")}} for name in domains]
        validator = config.any_of("envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", trust_domains=listed, **fields)
        return server(pki, require=True, validation={
            "custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": validator}, **(validation or {})})
    return make


def jwk_bundle(pki):
    """A trust bundle map in the format of SPIFFE."""
    bundles(pki)
    def keys(name):
        return {"keys": [{"kty": "EC", "crv": "P-256", "use": "x509-svid", "x": "", "y": "", "x5c": [base64.b64encode(pki[name].der).decode()]}], "spiffe_sequence": 1}
    pki.write("bundles.json", json.dumps({"trust_domains": {"one.test": keys("one-root"), "two.test": keys("two-root")}}))
    validator = config.any_of("envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", trust_bundles={"filename": pki.path("bundles.json")})
    return server(pki, require=True, validation={"custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": validator}})


SPIFFE = fronts("tlsv-spiffe", {
    "one": spiffe("one"), "both": spiffe("one", "two"), "expired": spiffe("one", validation={"allow_expired_certificate": True}),
    "san": spiffe("one", "two", validation=san("URI", exact="spiffe://two.test/b")), "map": jwk_bundle,
    "ca-too": spiffe("one", validation={"max_verify_depth": 3}),
}, [
    # A key that may not sign: BoringSSL's alert is `illegal_parameter`, ours `certificate_unknown`.
    *[probe(f"{port}: {cert}", port, ok, cert=f"spiffe-{cert}", ignore=("^error",) if cert == "ca" else ()) for port, cert, ok in (
        ("one", "one", True), ("one", "two", False), ("one", "cross", False), ("one", "third", False), ("one", "http", False), ("one", "bare", False), ("one", "two-uris", True), ("one", "uris-two", False), ("one", "http-first", False), ("one", "no-usage", False),
        ("one", "none", False), ("one", "ca", False), ("one", "sign", False), ("one", "expired", False), ("both", "one", True), ("both", "two", True),
        ("both", "cross", False), ("expired", "expired", True), ("san", "two", True), ("san", "one", False), ("map", "one", True), ("map", "two", True), ("map", "cross", False),
        ("map", "third", False), ("ca-too", "one", True))],
    probe("one: no certificate", "one", False), probe("one: of another authority", "one", False, cert="cli"),
    # Schemes of more keys than BoringSSL's are asked for.
    s_client("one: which authorities are named", "one", cert="cli", ok=False, ignore=("^requested$",)),
    stats("SPIFFE in statistics", "fail_verify"),
])


def with_validation(ca="root", **fields):
    return lambda pki: server(revocation(pki), ca=ca, validation=fields)


CONFIG = configs("tlsv-verify-config", [
    accepted("a hash that is too short", with_validation(verify_certificate_hash=["abcd"]), False),
    accepted("a hash that is not hexadecimal", with_validation(verify_certificate_hash=["zz" * 32]), False),
    accepted("a key's hash in hexadecimal", with_validation(verify_certificate_spki=["ab" * 32]), False),
    accepted("a broken revocation list", with_validation(crl={"inline_string": "nothing"}), True, wanted={"accepted": False}, why="Envoy revokes nothing then"),
    accepted("an empty revocation list", with_validation(crl={"inline_string": ""}), True),
    accepted("a revocation list without authority", lambda pki: server(revocation(pki), validation={"crl": {"filename": pki.path("root.crl")}}), False),
    accepted("names without authority", lambda pki: server(pki, validation=san("DNS", exact="a")), False),
    accepted("expiry without authority", lambda pki: server(pki, validation={"allow_expired_certificate": True}), False),
    accepted("an authority that is not there", lambda pki: server(pki, ca="nowhere.pem"), False),
    accepted("an authority that is no certificate", lambda pki: server(pki, validation={"trusted_ca": {"inline_string": "nothing"}}), False),
    accepted("an empty authority", lambda pki: server(pki, validation={"trusted_ca": {"inline_string": ""}}), False),
    accepted("a leaf as authority", with_validation("cli"), True), accepted("a depth above 100", with_validation(max_verify_depth=101), False),
    accepted("a matcher without a type", with_validation(match_typed_subject_alt_names=[{"matcher": {"exact": "a"}}]), False),
    accepted("a matcher without a pattern", with_validation(match_typed_subject_alt_names=[{"san_type": "DNS"}]), False),
    accepted("another name without its identifier", with_validation(**san("OTHER_NAME", exact="a")), False),
    accepted("another name with a wrong identifier", with_validation(**san("OTHER_NAME", "1.x", exact="a")), False),
    accepted("a broken expression", with_validation(**san("DNS", **regex("("))), False),
    accepted("SPIFFE without a domain", spiffe(), True, wanted={"accepted": False}, why="nobody could be accepted"), accepted("SPIFFE with the same domain twice", spiffe("one", "one"), False),
    accepted("SPIFFE with names", spiffe("one", validation=san("URI", exact="spiffe://one.test/a")), True),
    accepted("an unknown validator", lambda pki: server(pki, validation={"custom_validator_config": {"name": "x", "typed_config": config.any_of("google.protobuf.Struct")}}), False),
    accepted("a transparency log", with_validation(require_signed_certificate_timestamp=True), True, wanted={"accepted": False}, why="Envoy ignores it"),
])

GROUPS = [REQUIRE, SANS, SEVERAL, PINS, CHAINS, CRLS, SPIFFE, CONFIG]
