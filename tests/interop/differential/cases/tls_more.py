"""What a request is told of its client (XFCC), TLS beside cleartext, clients that break the rules, and what logs say of failures."""

import asyncio

from harness import client_h1, client_tls, config, pki as pki_module
from harness.config import hcm, says, to, vhost

from differential.case import Case, Group, get, request
from differential.tls_case import INSPECTOR, fronts, probe, server, stats, web

OLD = "By=spiffe://x;Hash=00;URI=spiffe://fake"
CLIENTS = {"cli": "cli", "inter": "cli-inter.chain", "rsa": "cli-rsa", "rich": "x-rich", "quoted": "x-quoted", "two": "x-two", "bare": "x-bare", "none": None}
MODES = ("SANITIZE", "FORWARD_ONLY", "APPEND_FORWARD", "SANITIZE_SET", "ALWAYS_FORWARD_ONLY")
DETAILS = {"all": {"subject": True, "cert": True, "chain": True, "dns": True, "uri": True}, "nothing": {}, "subject": {"subject": True}, "cert": {"cert": True}, "chain": {"chain": True},
           "dns": {"dns": True}, "uri": {"uri": True}}


def rich(pki):
    pki.make("x-rich", "root", subject=[("CN", "rich"), ("OU", "Shop"), ("O", "Inter, op"), ("L", "Town"), ("C", "DE"), ("emailAddress", "x@y.test")],
             dns=["one.test", "two.test"], uri=["spiffe://mesh.test/rich"], ip=["10.1.2.3"], email=["x@y.test"])
    pki.make("x-quoted", "root", subject=[("O", 'quo"ted\\; =,+<>#'), ("CN", " spaced ünïcode ")], uri=["spiffe://mesh.test/a,b;c=d"])
    pki.make("x-two", "root", uri=["spiffe://mesh.test/one", "spiffe://mesh.test/two"], dns=["a.test"])
    pki.make("x-bare", "root", subject="bare")
    pki.make("x-srv", "root", dns=["a.test"], uri=["spiffe://mesh.test/srv1", "spiffe://mesh.test/srv2"])
    pki.make("x-srv-bare", "root", dns=["a.test"])
    return pki


def xfcc_build(env):
    pki = rich(pki_module.of(env.certs))
    routes = [to({"prefix": "/"}, "a")]
    listeners = []
    for port, mode, details, *more in PORTS:
        manager = {"forward_client_cert_details": mode, "set_current_client_cert_details": details}
        made = server(pki, *(more or ("srv",)), ca="root")
        listeners.append(config.listener(port, env.port(port), [config.chain([hcm([vhost("v", ["*"], routes)], **manager)], transport_socket=made)]))
    clear = {"forward_client_cert_details": "ALWAYS_FORWARD_ONLY"}
    listeners.append(config.listener("clear-always", env.port("clear-always"), [config.chain([hcm([vhost("v", ["*"], routes)], **clear)])]))
    clear = {"forward_client_cert_details": "APPEND_FORWARD"}
    listeners.append(config.listener("clear-append", env.port("clear-append"), [config.chain([hcm([vhost("v", ["*"], routes)], **clear)])]))
    return config.bootstrap(env.port("admin"), listeners, Group("x", []).all_clusters(env))


PORTS = [(mode.lower().replace("_", "-"), mode, {"subject": True, "uri": True, "dns": True}) for mode in MODES]
PORTS += [(f"details-{name}", "SANITIZE_SET", fields) for name, fields in DETAILS.items()]
PORTS += [("append-all", "APPEND_FORWARD", DETAILS["all"]), ("two-names", "SANITIZE_SET", {"uri": True}, "x-srv"), ("no-name", "SANITIZE_SET", {"uri": True}, "x-srv-bare")]


def told_case(name, port, who, headers=(), version=None):
    async def action(env):
        pki = rich(pki_module.of(env.certs))
        file = CLIENTS[who]
        files = {"cert": pki.path(file if "." in file else f"{file}.pem"), "key": pki.path(f"{file.split('.')[0]}.key")} if file else {}
        made = client_tls.context(max_version=version, **files)
        return await client_h1.exchange(env.port(port), [request(headers=headers)], ["GET"], 1, tls=made, sni="a.test")
    return Case(name, action, 200)


XFCC = Group("tlsx-xfcc", [
    case for mode in MODES for port in [mode.lower().replace("_", "-")] for case in (
        told_case(f"{mode}: nothing said", port, "cli"), told_case(f"{mode}: something said", port, "cli", [("x-forwarded-client-cert", OLD)]),
        told_case(f"{mode}: said twice", port, "cli", [("x-forwarded-client-cert", OLD), ("x-forwarded-client-cert", "Hash=11")]),
        told_case(f"{mode}: no certificate", port, "none"), told_case(f"{mode}: no certificate, something said", port, "none", [("x-forwarded-client-cert", OLD)]),
        told_case(f"{mode}: empty", port, "cli", [("x-forwarded-client-cert", "")]))
] + [told_case(f"{name}: {who}", f"details-{name}", who) for name in DETAILS for who in ("cli", "rich", "two", "bare", "quoted")] + [
    told_case("chain: an intermediate", "details-chain", "inter"), told_case("all: an intermediate", "details-all", "inter"), told_case("all: RSA, TLS 1.2", "details-all", "rsa", version="1.2"),
    told_case("append all: rich", "append-all", "rich", [("x-forwarded-client-cert", OLD)]), told_case("two names of ours", "two-names", "cli"), told_case("no name of ours", "no-name", "cli"),
    get("cleartext, ALWAYS_FORWARD_ONLY", headers=[("x-forwarded-client-cert", OLD)], port="clear-always"), get("cleartext, APPEND_FORWARD", headers=[("x-forwarded-client-cert", OLD)], port="clear-append"),
], build=xfcc_build)

ALL_FACTS = ("DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_IP_SAN", "DOWNSTREAM_PEER_EMAIL_SAN", "DOWNSTREAM_PEER_OTHERNAME_SAN", "DOWNSTREAM_PEER_SUBJECT",
             "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_PEER_FINGERPRINT_1", "DOWNSTREAM_PEER_CERT", "DOWNSTREAM_PEER_CERT_V_START",
             "DOWNSTREAM_PEER_CERT_V_END", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", "DOWNSTREAM_PEER_CHAIN_SERIALS", "DOWNSTREAM_TLS_VERSION",
             "DOWNSTREAM_TLS_CIPHER", "DOWNSTREAM_TLS_GROUP", "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_IP_SAN", "DOWNSTREAM_LOCAL_EMAIL_SAN",
             "DOWNSTREAM_LOCAL_OTHERNAME_SAN", "DOWNSTREAM_LOCAL_SUBJECT", "DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", "DOWNSTREAM_PEER_ISSUER_SERIAL")


def formatted(pki):
    rich(pki)
    pki.make("x-other", "root", other=[(pki_module.UPN, "user@corp.test")], uri=["urn:x"])
    return server(pki, ca="root", alpn=["h2", "http/1.1"])


FORMATS = fronts("tlsx-formats", {"main": formatted}, [
    *[probe(f"{who}", "main", cert=cert) for who, cert in (("a usual certificate", "cli"), ("a rich certificate", "x-rich"), ("odd characters", "x-quoted"), ("another name", "x-other"),
                                                          ("a chain", "cli-inter.chain"), ("two intermediates", "cli-inter2.chain"), ("none", None))],
    probe("TLS 1.2", "main", cert="cli", max_version="1.2", ciphers="ECDHE+AESGCM"), probe("TLS 1.2 with P-256", "main", cert="cli", max_version="1.2", ciphers="ECDHE+AESGCM", curve="prime256v1"),
], facts=ALL_FACTS)


def spiffe(pki):
    pki.make("x-svid", "root", usage=["digital_signature"], uri=["spiffe://mesh.test/a"])
    domain = {"name": "mesh.test", "trust_bundle": {"filename": pki.path("root.pem")}}
    validator = config.any_of("envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig", trust_domains=[domain])
    return server(pki, validation={"custom_validator_config": {"name": "envoy.tls.cert_validator.spiffe", "typed_config": validator}})


def both_trusted(pki):
    return server(pki, validation={"trusted_ca": {"inline_string": pki["inter"].pem + pki["root"].pem}})


UNTRUSTED = {"trust_chain_verification": "ACCEPT_UNTRUSTED"}
ISSUERS = fronts("tlsx-issuers", {
    "leaf": lambda pki: server(pki, ca="cli"), "inter": lambda pki: server(pki, ca="inter"), "both": both_trusted, "spiffe": spiffe, "none": lambda pki: server(pki),
    "accept-bad": lambda pki: server(pki, ca="foreign-root", validation=UNTRUSTED), "accept-good": lambda pki: server(pki, ca="root", validation=UNTRUSTED),
}, [
    probe("the leaf itself is trusted", "leaf", cert="cli"), probe("the intermediate is trusted", "inter", cert="cli-inter.chain"), probe("intermediate and root are trusted", "both", cert="cli-inter.chain"),
    probe("a trusted intermediate is not presented", "both", cert="cli-inter"), probe("nobody trusted, accepted", "accept-bad", cert="cli"), probe("trusted, all accepted", "accept-good", cert="cli"),
    probe("a SPIFFE bundle", "spiffe", cert="x-svid"), probe("nothing is verified", "none", cert="cli"),
], facts=ALL_FACTS)


def beside(pki):
    """TLS, mutual TLS and cleartext on one port."""
    return {"filter_chains": [
        config.chain(web("mutual"), filter_chain_match={"transport_protocol": "tls", "application_protocols": ["istio", "istio-http/1.1"]},
                     transport_socket=server(pki, ca="root", require=True, alpn=["istio-http/1.1"])),
        config.chain(web("tls"), filter_chain_match={"transport_protocol": "tls"}, transport_socket=server(pki, alpn=["http/1.1"])),
        config.chain(web("clear"), filter_chain_match={"transport_protocol": "raw_buffer"}),
    ], "listener_filters": [INSPECTOR], "listener_filters_timeout": "1s"}


def policies(pki):
    """Names with policies of their own on one port, some of which a client may share a connection for."""
    rich(pki)
    return {"filter_chains": [
        config.chain(web("strict"), filter_chain_match={"server_names": ["strict.test"]}, transport_socket=server(pki, ca="root", require=True, alpn=["h2", "http/1.1"])),
        config.chain(web("open"), filter_chain_match={"server_names": ["open.test", "*.open.test"]}, transport_socket=server(pki, alpn=["h2", "http/1.1"])),
        config.chain(web("rest"), transport_socket=server(pki, "srv-rsa", alpn=["http/1.1"])),
    ], "listener_filters": [INSPECTOR]}


def raw(name, port, make, seconds=3, eof=False, **outer):
    """Bytes from a function of the environment; what came back."""
    async def action(env):
        made = client_tls.context()
        return await asyncio.to_thread(client_tls.raw, env.port(port), make(made), seconds, eof)
    return Case(name, action, 0, **outer)


def pieces(name, port, cut, ok=True, pause=0.0, **fields):
    async def action(env):
        return await asyncio.to_thread(client_tls.in_pieces, env.port(port), client_tls.context(**fields), cut, "a.test", pause)
    return Case(name, action, 200 if ok else 0)


def records_of(size):
    """The hello in records of `size` bytes."""
    def cut(flight):
        body = flight[5:]
        return [b"".join(b"\x16\x03\x01" + len(body[at:at + size]).to_bytes(2, "big") + body[at:at + size] for at in range(0, len(body), size))]
    return cut


def singly(flight):
    return [flight[at:at + 1] for at in range(len(flight))]


def timed(pki):
    return {"filter_chains": [config.chain(web(), transport_socket=server(pki), transport_socket_connect_timeout="0.5s")]}


CLOSED = {"wanted": lambda seen: [] if seen["how"] != "open" else [f"left open: {seen}"], "why": "Envoy closes without a word; an alert says why (RFC 8446 6.2)"}
PEERS = fronts("tlsx-peers", {"tls": lambda pki: server(pki), "mutual": lambda pki: server(pki, ca="root", require=True), "clear": lambda pki: {"filter_chains": [config.chain(web())]},
                              "beside": beside, "timed": timed, "policies": policies}, [
    raw("cleartext to TLS", "tls", lambda made: b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", **CLOSED), raw("garbage to TLS", "tls", lambda made: bytes(range(256)), **CLOSED),
    raw("TLS to cleartext", "clear", lambda made: client_tls.hello(made)),
    raw("half a hello, then the end", "tls", lambda made: client_tls.hello(made)[:100], eof=True), raw("nothing, then the end", "tls", lambda made: b"", eof=True),
    raw("half a hello, then nothing", "timed", lambda made: client_tls.hello(made)[:100]), raw("nothing at all", "timed", lambda made: b""),
    raw("a hello, then nothing", "timed", lambda made: client_tls.hello(made), wanted=CLOSED["wanted"], why="the handshake is given up"),
    raw("application data first", "tls", lambda made: b"\x17\x03\x03\x00\x05hello", **CLOSED),
    raw("an alert first", "tls", lambda made: b"\x15\x03\x03\x00\x02\x02\x28"), raw("a record that is too long", "tls", lambda made: b"\x16\x03\x01\xff\xff" + bytes(100), **CLOSED),
    raw("a hello of SSL 2", "tls", lambda made: b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + bytes(40), **CLOSED), raw("an empty record", "tls", lambda made: b"\x16\x03\x01\x00\x00", eof=True, **CLOSED),
    pieces("the hello in single bytes", "tls", singly), pieces("the hello in records of 50 bytes", "tls", records_of(50)), pieces("the hello in records of one byte", "tls", records_of(1)),
    pieces("in records of 50 bytes to the inspector", "beside", records_of(50)), pieces("in single bytes to the inspector", "beside", singly),
    pieces("in records of 20 bytes to names", "policies", records_of(20)),
    probe("beside: TLS", "beside"), probe("beside: TLS with http/1.1", "beside", alpn=["http/1.1"]), probe("beside: mesh with a certificate", "beside", alpn=["istio-http/1.1", "istio"], cert="cli"),
    probe("beside: mesh without a certificate", "beside", False, alpn=["istio-http/1.1"]), get("beside: cleartext", port="beside"),
    get("beside: cleartext with HTTP/1.0", port="beside", version="HTTP/1.0", status=426), raw("beside: one byte, then nothing", "beside", lambda made: b"\x16", ignore=("how",)),
    raw("beside: a byte of cleartext, then the end", "beside", lambda made: b"G", eof=True, wanted=lambda seen: [] if seen["how"] != "open" else [str(seen)], why="both close; Envoy resets"),
    probe("policies: strict without a certificate", "policies", False, sni="strict.test"), probe("policies: strict with one", "policies", sni="strict.test", cert="cli"),
    probe("policies: open", "policies", sni="open.test"), probe("policies: below open", "policies", sni="x.open.test"), probe("policies: deeper below open", "policies", sni="x.y.open.test"),
    probe("policies: else", "policies", sni="else.test"), probe("policies: none", "policies", sni=""), probe("policies: in capitals", "policies", sni="STRICT.test", cert="cli"),
    probe("policies: open, but the host of strict", "policies", sni="open.test", request=client_tls.REQUEST.replace(b"a.test", b"strict.test")),
    stats("broken peers in statistics", "connection_error|no_filter_chain|connect_timeout|fail_verify", ignore=(r"tls\.ssl\.connection_error",)),
])


def redirects(pki):
    routes = [says({"prefix": "/"}, "ok")]
    hosts = [vhost("all", ["all.test"], routes, require_tls="ALL"), vhost("outside", ["outside.test"], routes, require_tls="EXTERNAL_ONLY"), vhost("none", ["*"], routes)]
    return hosts


def tls_required(env):
    pki = pki_module.of(env.certs)
    listeners = []
    for port, manager, secure in (("edge", {"use_remote_address": True}, None), ("inner", {}, None), ("edge-tls", {"use_remote_address": True}, server(pki)), ("trusting", {"use_remote_address": True, "xff_num_trusted_hops": 1}, None)):
        chain = config.chain([hcm(redirects(pki), **manager)], **({"transport_socket": secure} if secure else {}))
        listeners.append(config.listener(port, env.port(port), [chain]))
    return config.bootstrap(env.port("admin"), listeners, [])


def over_tls(name, host, status):
    async def action(env):
        return await client_tls.connect(env.port("edge-tls"), client_tls.context(), request=client_tls.REQUEST.replace(b"a.test", host))
    return Case(name, action, status)


REQUIRED = Group("tlsx-required", [
    get(f"{port}: {host}, {said or 'nothing'} said", "/path?q=1", headers=[("x-forwarded-proto", said)] if said else [], host=f"{host}.test", status=status, port=port)
    for port, host, said, status in (
        ("edge", "all", None, 301), ("edge", "all", "https", 301), ("edge", "outside", None, 301), ("edge", "none", None, 200), ("inner", "all", None, 301), ("inner", "all", "https", 200),
        ("inner", "outside", None, 301), ("trusting", "all", "https", 200), ("trusting", "all", "http", 301))
] + [over_tls("over TLS: all", b"all.test", 200), over_tls("over TLS: outside", b"outside.test", 200), over_tls("over TLS: with a port", b"all.test:8443", 200)], build=tls_required, origins={})

FAILED = ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", "RESPONSE_FLAGS", "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_PEER_SUBJECT", "FILTER_CHAIN_NAME", "REQUESTED_SERVER_NAME", "CONNECTION_TERMINATION_DETAILS")


def logged(env):
    pki = rich(pki_module.of(env.certs))
    log = {"access_log": [config.file_log(env.log_path, log_format={"text_format_source": {"inline_string": "|".join(f"%{one}%" for one in FAILED) + "\n"}})]}
    listeners = []
    for port, made in (("tls", server(pki)), ("mutual", server(pki, ca="root", require=True)), ("only13", server(pki, params={"tls_minimum_protocol_version": "TLSv1_3"})),
                       ("rsa256", server(pki, "srv-rsa", params={"cipher_suites": ["ECDHE-RSA-AES256-GCM-SHA384"], "tls_maximum_protocol_version": "TLSv1_2"}))):
        listeners.append(config.listener(port, env.port(port), [config.chain(web(), name=f"chain-{port}", transport_socket=made)], **log))
    return config.bootstrap(env.port("admin"), listeners, [])


def logs(name, port, ok, **fields):
    one = probe(name, port, ok, ignore=(r"^error",), **fields)
    one.log_lines = 1
    return one


def logs_raw(name, port, make, eof=False):
    one = raw(name, port, make, eof=eof, ignore=(r"records", r"how"))
    one.log_lines = 1
    return one


LOGS = Group("tlsx-logs", [
    logs("a handshake that succeeds", "tls", True), logs("mutual that succeeds", "mutual", True, cert="cli"), logs("no certificate", "mutual", False), logs("no certificate, TLS 1.2", "mutual", False, max_version="1.2"),
    logs("another authority", "mutual", False, cert="cli-foreign"), logs("an expired certificate", "mutual", False, cert="cli-expired"), logs("a version that is too low", "only13", False, max_version="1.2"),
    logs("no suite in common", "rsa256", False, ciphers="ECDHE+AES128", max_version="1.2"), logs("TLS 1.1", "tls", False, min_version="1.1", max_version="1.1"),
    logs("a client that does not trust us", "tls", False, ca="foreign-root"),
    logs_raw("cleartext", "tls", lambda made: b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"), logs_raw("other cleartext", "tls", lambda made: b"SSH-2.0-x\r\n"), logs_raw("an alert", "tls", lambda made: b"\x15\x03\x03\x00\x02\x02\x28"),
    logs_raw("the end", "tls", lambda made: b"", eof=True), logs_raw("half a hello", "tls", lambda made: client_tls.hello(made)[:100], eof=True),
], build=logged, origins={}, has_log=True, skipped="access logs of listeners are not written; a configuration that has one is warned about")

GROUPS = [XFCC, FORMATS, ISSUERS, PEERS, REQUIRED, LOGS]
