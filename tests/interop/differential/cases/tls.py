"""TLS on both sides: who must show a certificate, which chain serves a name, what the origin is told about the peer."""

from harness import config
from harness.config import says, to, vhost

from differential.case import Group, get, h2, request, tls
from harness.client_h2 import request as h2_request

HCM_TLS = "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"
INSPECTOR = {"name": "envoy.filters.listener.tls_inspector", "typed_config": config.any_of(HCM_TLS)}
CART = "spiffe://mesh.test/ns/shop/sa/cart"


def nobody(certs):
    return certs.client()


def client(certs):
    return certs.client("client")


def other(certs):
    return certs.client("other")


def foreign(certs):
    return certs.client("foreign")


def verifying(certs):
    return certs.client(check=True)


def over_h2(certs):
    return certs.client("client", alpn=("h2",))


def group(name, socket, cases, manager=None, **fields):
    """A group whose main listener has one TLS chain."""
    def build(env):
        routes = [says({"prefix": "/direct"}, "ok"), to({"prefix": "/"}, "a")]
        chain = config.chain([config.hcm([vhost("v", ["*"], routes)], **(manager or {}))], transport_socket=socket(env.certs))
        one = Group(name, [], **fields)
        return config.bootstrap(env.port("admin"), [config.listener("main", env.port("main"), [chain])], one.all_clusters(env))
    return Group(name, cases, build=build, **fields)


def san(**match):
    return {"match_typed_subject_alt_names": [{"san_type": "URI", "matcher": match}]}


PLAIN = group("tls-server", lambda certs: config.downstream_tls(certs, alpn=("h2", "http/1.1")), [
    tls("a request over TLS", verifying),
    tls("no SNI", nobody, sni=""),
    tls("a direct response over TLS", nobody, request("/direct")),
    tls("a certificate that nobody asked for", client),
    h2("ALPN chooses HTTP/2", h2_request("/direct", scheme="https"), context=lambda certs: certs.client(alpn=("h2", "http/1.1"))),
    h2("HTTP/2 over TLS to the origin", h2_request("/x", scheme="https"), context=lambda certs: certs.client(alpn=("h2",))),
    tls("no ALPN is HTTP/1", lambda certs: certs.client(alpn=())),
    tls("an unknown ALPN is HTTP/1", lambda certs: certs.client(alpn=("foo",))),
    get("cleartext on a TLS port", status=0, seconds=2, wanted=lambda seen: [] if seen["closed"] and not seen["responses"] else [str(seen)],
        why="no HTTP is answered; unlike Envoy the TLS alert of RFC 8446 6.2 says why the connection ends"),
])
MUTUAL = group("tls-mutual", lambda certs: config.downstream_tls(certs, ca="ca", require=True, alpn=("h2", "http/1.1")), [
    tls("a client of our authority", client),
    tls("no certificate", nobody, status=0),
    tls("a client of another authority", foreign, status=0),
    h2("HTTP/2 with a certificate", h2_request("/x", scheme="https"), context=over_h2),
])
OPTIONAL = group("tls-optional", lambda certs: config.downstream_tls(certs, ca="ca"), [
    tls("a certificate may be shown", client),
    tls("none may be shown", nobody),
    tls("a wrong one may not be shown", foreign, status=0),
])
SANS = group("tls-san", lambda certs: config.downstream_tls(certs, ca="ca", require=True, validation=san(exact=CART)), [
    tls("the identity that is allowed", client),
    tls("another identity of our authority", other, status=0),
])
SAN_PREFIX = group("tls-san-prefix", lambda certs: config.downstream_tls(certs, ca="ca", require=True, validation=san(prefix="spiffe://mesh.test/ns/shop/")), [
    tls("an identity with the prefix", other),
])
SAN_DNS = group("tls-san-dns", lambda certs: config.downstream_tls(certs, ca="ca", require=True, validation={
    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "cart.shop.test"}}]}), [
    tls("a DNS name that is allowed", client),
    tls("no such DNS name", other, status=0),
])
TLS12 = group("tls-versions", lambda certs: _versions(certs, "TLSv1_3", "TLSv1_3"), [
    tls("TLS 1.3", nobody),
    tls("TLS 1.2 is refused", lambda certs: _at_most(certs, "TLSv1_2"), status=0),
])
TLS_OLD = group("tls-only-12", lambda certs: _versions(certs, "TLSv1_2", "TLSv1_2"), [
    tls("TLS 1.2", nobody),
])


def _versions(certs, low, high):
    socket = config.downstream_tls(certs)
    socket["typed_config"]["common_tls_context"]["tls_params"] = {"tls_minimum_protocol_version": low, "tls_maximum_protocol_version": high}
    return socket


def _at_most(certs, version):
    import ssl
    context = certs.client()
    context.maximum_version = getattr(ssl.TLSVersion, version)
    return context


XFCC_CLIENT = [("x-forwarded-client-cert", "By=spiffe://x;URI=spiffe://fake")]


def xfcc(mode, cases, **manager):
    details = {"subject": True, "uri": True, "dns": True}
    return group(f"xfcc-{mode.lower().replace('_', '-')}", lambda certs: config.downstream_tls(certs, ca="ca"), cases,
                 {"forward_client_cert_details": mode, "set_current_client_cert_details": details, **manager})


XFCC = [
    xfcc("SANITIZE", [tls("SANITIZE removes a client's", client, request(headers=XFCC_CLIENT))]),
    xfcc("FORWARD_ONLY", [tls("FORWARD_ONLY keeps it over mutual TLS", client, request(headers=XFCC_CLIENT)),
                          tls("FORWARD_ONLY without a certificate", nobody, request(headers=XFCC_CLIENT))]),
    xfcc("APPEND_FORWARD", [tls("APPEND_FORWARD appends", client, request(headers=XFCC_CLIENT)), tls("APPEND_FORWARD alone", client),
                            tls("APPEND_FORWARD without a certificate", nobody, request(headers=XFCC_CLIENT))]),
    xfcc("SANITIZE_SET", [tls("SANITIZE_SET replaces", client, request(headers=XFCC_CLIENT)), tls("SANITIZE_SET alone", client),
                          tls("SANITIZE_SET without a certificate", nobody, request(headers=XFCC_CLIENT)),
                          tls("SANITIZE_SET with another identity", other)]),
    xfcc("ALWAYS_FORWARD_ONLY", [tls("ALWAYS_FORWARD_ONLY keeps it", nobody, request(headers=XFCC_CLIENT))]),
]
XFCC_FULL = group("xfcc-chain", lambda certs: config.downstream_tls(certs, ca="ca"), [tls("certificate and chain are told", client)], {
    "forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": {"cert": True, "chain": True, "uri": True}})
XFCC_BARE = group("xfcc-hash", lambda certs: config.downstream_tls(certs, ca="ca"), [tls("only the hash is told", client)], {
    "forward_client_cert_details": "SANITIZE_SET"})

FORMATS = {"uri": "%DOWNSTREAM_PEER_URI_SAN%", "local-uri": "%DOWNSTREAM_LOCAL_URI_SAN%", "subject": "%DOWNSTREAM_PEER_SUBJECT%",
           "version": "%DOWNSTREAM_TLS_VERSION%", "sni": "%REQUESTED_SERVER_NAME%", "dns": "%DOWNSTREAM_PEER_DNS_SAN%",
           "fingerprint": "%DOWNSTREAM_PEER_FINGERPRINT_256%", "issuer": "%DOWNSTREAM_PEER_ISSUER%", "serial": "%DOWNSTREAM_PEER_SERIAL%"}
TOLD = group("tls-formatters", lambda certs: config.downstream_tls(certs, ca="ca"), [
    # %REQUESTED_SERVER_NAME% is the SNI even without a TLS inspector; Envoy leaves it empty then.
    tls("what formatters say of a peer", client, ignore=(r"x-sni",)), tls("what formatters say without a peer", nobody, ignore=(r"x-sni",)),
], {"route_config": {"request_headers_to_add": [{"header": {"key": f"x-{name}", "value": value}} for name, value in FORMATS.items()]}})


def chains(env):
    """Chains by server name, by application protocol, and one for cleartext."""
    def web(text):
        return [config.hcm([vhost("v", ["*"], [says({"prefix": "/"}, text)])])]
    server = config.downstream_tls(env.certs, alpn=("h2", "http/1.1"))
    main = config.listener("main", env.port("main"), [
        config.chain(web("exact"), filter_chain_match={"server_names": ["a.test"]}, transport_socket=server),
        config.chain(web("wildcard"), filter_chain_match={"server_names": ["*.wild.test"]}, transport_socket=server),
        config.chain(web("mutual"), filter_chain_match={"server_names": ["mutual.test"]},
                     transport_socket=config.downstream_tls(env.certs, ca="ca", require=True)),
        config.chain(web("any tls"), filter_chain_match={"transport_protocol": "tls"}, transport_socket=server),
        config.chain(web("cleartext"), filter_chain_match={"transport_protocol": "raw_buffer"}),
    ], listener_filters=[INSPECTOR])
    strict = config.listener("strict", env.port("strict"), [
        config.chain(web("only"), filter_chain_match={"server_names": ["only.test"]}, transport_socket=server)], listener_filters=[INSPECTOR])
    fallback = config.listener("fallback", env.port("fallback"), [
        config.chain(web("named"), filter_chain_match={"server_names": ["named.test"]}, transport_socket=server)],
        default_filter_chain=config.chain(web("default")), listener_filters=[INSPECTOR])
    return config.bootstrap(env.port("admin"), [main, strict, fallback], [])


SNI = Group("tls-sni", build=chains, origins={}, cases=[
    tls("an exact server name", nobody, sni="a.test"),
    tls("a server name in capitals", nobody, sni="A.TEST"),
    tls("a wildcard server name", nobody, sni="x.wild.test"),
    tls("a deeper wildcard server name", nobody, sni="x.y.wild.test"),
    tls("any other server name", nobody, sni="else.test"),
    tls("no server name", nobody, sni=""),
    tls("a name whose chain wants a certificate", nobody, sni="mutual.test", status=0),
    tls("a name whose chain gets a certificate", client, sni="mutual.test"),
    get("cleartext beside TLS"),
    tls("no chain matches", nobody, sni="else.test", port="strict", status=0),
    get("no chain matches cleartext", port="strict", status=0, seconds=2),
    get("the default chain", port="fallback"),
    tls("the named chain beside a default one", nobody, sni="named.test", port="fallback"),
])


def upstream(name, kind, socket, cases, **fields):
    def build(env):
        one = Group(name, [], origins={"a": kind}, clusters={"a": {"transport_socket": socket(env.certs), **fields}})
        main = config.listener("main", env.port("main"), [config.chain([config.hcm([vhost("v", ["*"], [to({"prefix": "/"}, "a")])])])])
        return config.bootstrap(env.port("admin"), [main], one.all_clusters(env))
    return Group(name, cases, build=build, origins={"a": kind})


UPSTREAM = [
    upstream("upstream-tls", "h1-tls", lambda certs: config.upstream_tls(certs, sni="origin.test"), [get("TLS to the origin")]),
    upstream("upstream-tls-h2", "h2-tls", lambda certs: config.upstream_tls(certs, alpn=("h2",), sni="origin.test"), [
        get("HTTP/2 over TLS to the origin"), h2("HTTP/2 all the way", h2_request("/x"))]),
    upstream("upstream-mutual", "h1-mtls", lambda certs: config.upstream_tls(certs, "client", sni="origin.test"), [get("our certificate is shown")]),
    upstream("upstream-mutual-missing", "h1-mtls", lambda certs: config.upstream_tls(certs, sni="origin.test"), [
        get("the origin wants a certificate we lack", status=503, ignore=(r"body$", r"content-length"))]),
    upstream("upstream-untrusted", "h1-tls", lambda certs: config.upstream_tls(certs, ca="foreign-ca", sni="origin.test"), [
        get("an origin of another authority is 503", status=503, ignore=(r"body$", r"content-length"))]),
    upstream("upstream-san", "h1-tls", lambda certs: config.upstream_tls(certs, sni="origin.test", validation={
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "origin.test"}}]}), [get("the origin's name is checked")]),
    upstream("upstream-san-wrong", "h1-tls", lambda certs: config.upstream_tls(certs, sni="origin.test", validation={
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "else.test"}}]}), [
        get("another name is 503", status=503, ignore=(r"body$", r"content-length"))]),
    upstream("upstream-cleartext", "h1", lambda certs: config.upstream_tls(certs, sni="origin.test"), [
        get("a cleartext origin behind TLS is 503", status=503, ignore=(r"body$", r"content-length"))]),
]

GROUPS = [PLAIN, MUTUAL, OPTIONAL, SANS, SAN_PREFIX, SAN_DNS, TLS12, TLS_OLD, *XFCC, XFCC_FULL, XFCC_BARE, TOLD, SNI, *UPSTREAM]
