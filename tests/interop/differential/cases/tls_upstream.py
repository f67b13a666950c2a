"""TLS towards origins: what we offer, what we accept, what is told about it when it fails."""

import asyncio
import ssl
import struct

from harness import client_h1, config, pki as pki_module
from harness.config import hcm, to, vhost

from differential.case import Case, Group, request
from differential.tls_case import client, stats

# Not UPSTREAM_TLS_GROUP: rustls does not keep it in sessions of TLS 1.2 (docs/tls.md).
TOLD = ("UPSTREAM_PEER_CERT", "UPSTREAM_PEER_CERT_V_START", "UPSTREAM_PEER_CERT_V_END", "UPSTREAM_LOCAL_URI_SAN", "UPSTREAM_LOCAL_DNS_SAN", "UPSTREAM_LOCAL_IP_SAN",
        "UPSTREAM_TLS_VERSION", "UPSTREAM_TLS_CIPHER", "UPSTREAM_PEER_SUBJECT", "UPSTREAM_PEER_ISSUER", "UPSTREAM_PEER_URI_SAN", "UPSTREAM_PEER_DNS_SAN",
        "UPSTREAM_TRANSPORT_FAILURE_REASON", "RESPONSE_FLAGS", "RESPONSE_CODE_DETAILS")


def parse_hello(record):
    """What a ClientHello offers, in its order."""
    body = record[5:]
    at = 4 + 2 + 32
    at += 1 + body[at]
    count = struct.unpack_from("!H", body, at)[0]
    suites = [f"{number:04x}" for number in struct.unpack_from(f"!{count // 2}H", body, at + 2)]
    at += 2 + count
    at += 1 + body[at]
    end = at + 2 + struct.unpack_from("!H", body, at)[0]
    at += 2
    found = {}
    while at < end:
        kind, length = struct.unpack_from("!HH", body, at)
        found[kind] = body[at + 4:at + 4 + length]
        at += 4 + length

    def shorts(kind, skip):
        data = found.get(kind, b"")[skip:]
        return [f"{number:04x}" for number in struct.unpack(f"!{len(data) // 2}H", data)]
    alpn, names, data = [], found.get(16, b"")[2:], found.get(0, b"")
    while names:
        alpn.append(names[1:1 + names[0]].decode())
        names = names[1 + names[0]:]
    return {"suites": [one for one in suites if one != "00ff"], "groups": shorts(10, 2), "schemes": shorts(13, 2), "versions": shorts(43, 1), "alpn": alpn,
            "sni": data[5:].decode() if data else None, "status": 5 in found, "tickets": 35 in found}


class Origin:
    """An HTTP/1 origin over TLS that notes hellos and what it agreed on; `mode` breaks it on purpose."""

    def __init__(self, mode="tls", context=None):
        self.mode, self.context, self.seen = mode, context, []

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self.server.close()

    def settle(self):
        self.seen = []

    async def serve(self, reader, writer):
        try:
            await asyncio.wait_for(self.talk(reader, writer), 10)
        except (OSError, EOFError, asyncio.TimeoutError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def talk(self, reader, writer):
        if self.mode == "silent":
            await reader.read()
            return
        head = await reader.readexactly(5)
        first = head + await reader.readexactly(int.from_bytes(head[3:5], "big"))
        if self.mode == "close":
            return
        if self.mode == "hello":
            self.seen.append(parse_hello(first))
            return
        if self.mode == "garbage":
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            return
        if self.mode.startswith("alert"):
            writer.write(bytes([21, 3, 3, 0, 2, 2, int(self.mode[5:])]))
            await writer.drain()
            return
        await self.over_tls(first, reader, writer)

    async def over_tls(self, first, reader, writer):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        engine = self.context.wrap_bio(incoming, outgoing, server_side=True)
        incoming.write(first)
        note = {}
        self.seen.append(note)

        async def step(call):
            while True:
                try:
                    result = call()
                    writer.write(outgoing.read())
                    return result
                except ssl.SSLWantReadError:
                    writer.write(outgoing.read())
                    await writer.drain()
                    part = await reader.read(65536)
                    if not part:
                        raise EOFError from None
                    incoming.write(part)
                except ssl.SSLError as error:
                    note["error"] = error.reason
                    writer.write(outgoing.read())
                    raise
        await step(engine.do_handshake)
        peer = engine.getpeercert(True)
        note.update(version=engine.version(), cipher=engine.cipher()[0], alpn=engine.selected_alpn_protocol(), reused=engine.session_reused, certificate=bool(peer))
        data = b""
        while True:
            data += await step(lambda: engine.read(65536))
            while b"\r\n\r\n" in data:
                _, _, data = data.partition(b"\r\n\r\n")
                engine.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + (b"Connection: close\r\n" if self.mode == "once" else b"") + b"\r\nok")
                writer.write(outgoing.read())
                await writer.drain()
                if self.mode == "once":
                    engine_close(engine)
                    writer.write(outgoing.read())
                    return


def engine_close(engine):
    try:
        engine.unwrap()
    except ssl.SSLError:
        pass


def origin_context(pki, name="o-ok", chain=None, low=None, high=None, ciphers=None, curve=None, alpn=(), ca=None, tickets=True):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.set_ciphers(ciphers or "ALL:@SECLEVEL=0")
    made.minimum_version = getattr(ssl.TLSVersion, low or "TLSv1_2")
    made.maximum_version = getattr(ssl.TLSVersion, high or "TLSv1_3")
    made.load_cert_chain(pki.path(chain or f"{name}.pem"), pki.path(f"{name}.key"))
    if curve:
        made.set_ecdh_curve(curve)
    if alpn:
        made.set_alpn_protocols(list(alpn))
    if ca:
        made.verify_mode = ssl.CERT_REQUIRED
        made.load_verify_locations(pki.path(f"{ca}.pem"))
    return made


def prepared(certs):
    pki = pki_module.of(certs)
    spiffe = ["spiffe://mesh.test/ns/shop/sa/origin"]
    pki.make("o-ok", "root", dns=["origin.test", "*.wild.test"], uri=spiffe, ip=["127.0.0.1"], subject="CN=o-ok,O=Interop")
    pki.make("o-rsa", "root", kind="rsa2048", dns=["origin.test"])
    pki.make("o-late", "root", start=-72, days=-1, dns=["origin.test"])
    pki.make("o-foreign", "foreign-root", dns=["origin.test"])
    pki.make("o-inter", "inter", dns=["origin.test"])
    pki.chain("o-inter.chain", "o-inter", "inter")
    pki.make("o-client", "root", eku=[pki_module.CLIENT_AUTH], dns=["origin.test"])
    pki.make("o-usage", "root", kind="rsa2048", usage=["key_encipherment"], dns=["origin.test"])
    pki.make("o-self", dns=["origin.test"])
    pki.make("o-cn", "root", subject="origin.test")
    pki.make("o-revoked", "root", dns=["origin.test"])
    pki.crl("o.crl", "root", ["o-revoked"])
    return pki


def names(kind, **match):
    return {"match_typed_subject_alt_names": [{"san_type": kind, "matcher": match}]}


# Each entry: the origin's mode, what its context is made of, the cluster's transport socket, and the status that Envoy answers.
CASES = {
    "plain": ("tls", {}, {"sni": "origin.test"}, 200), "no sni": ("tls", {}, {}, 200), "no validation": ("tls", {"name": "o-self"}, {"ca": None}, 200),
    "untrusted": ("tls", {"name": "o-foreign"}, {}, 503), "self-signed": ("tls", {"name": "o-self"}, {}, 503), "expired": ("tls", {"name": "o-late"}, {}, 503),
    "expired, allowed": ("tls", {"name": "o-late"}, {"validation": {"allow_expired_certificate": True}}, 200),
    "untrusted, accepted": ("tls", {"name": "o-foreign"}, {"validation": {"trust_chain_verification": "ACCEPT_UNTRUSTED"}}, 200),
    "an intermediate is sent": ("tls", {"name": "o-inter", "chain": "o-inter.chain"}, {}, 200), "an intermediate is missing": ("tls", {"name": "o-inter"}, {}, 503),
    "usage of clients": ("tls", {"name": "o-client"}, {}, 503), "key usage without signature": ("tls", {"name": "o-usage"}, {}, 503),
    "revoked": ("tls", {"name": "o-revoked"}, {"validation": lambda pki: {"crl": {"filename": pki.path("o.crl")}}}, 503), "not revoked": ("tls", {}, {"validation": lambda pki: {"crl": {"filename": pki.path("o.crl")}}}, 200),
    "TLS 1.3 only": ("tls", {"low": "TLSv1_3"}, {}, 503), "TLS 1.3 only, allowed": ("tls", {"low": "TLSv1_3"}, {"params": {"tls_maximum_protocol_version": "TLSv1_3"}}, 200),
    "TLS 1.2 only": ("tls", {"high": "TLSv1_2"}, {}, 200), "TLS 1.2 only, refused": ("tls", {"high": "TLSv1_2"}, {"params": {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}}, 503),
    "both, up to 1.3": ("tls", {}, {"params": {"tls_maximum_protocol_version": "TLSv1_3"}}, 200),
    "RSA": ("tls", {"name": "o-rsa"}, {}, 200), "AES-256 only": ("tls", {"high": "TLSv1_2", "ciphers": "AES256+AESGCM+ECDHE"}, {}, 200), "CBC only": ("tls", {"name": "o-rsa", "high": "TLSv1_2", "ciphers": "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"}, {}, 503),
    "chacha only": ("tls", {"high": "TLSv1_2", "ciphers": "CHACHA20"}, {}, 200), "a suite that is not ours": ("tls", {"high": "TLSv1_2", "ciphers": "AES256+AESGCM+ECDHE"}, {"params": {"cipher_suites": ["ECDHE-ECDSA-AES128-GCM-SHA256"]}}, 503),
    "P-384 only": ("tls", {"curve": "secp384r1"}, {}, 503), "P-384 only, allowed": ("tls", {"curve": "secp384r1"}, {"params": {"ecdh_curves": ["P-384", "P-256"]}}, 200), "P-256 only": ("tls", {"curve": "prime256v1"}, {}, 200),
    "ALPN agreed": ("tls", {"alpn": ["http/1.1"]}, {"alpn": ["h2", "http/1.1"]}, 200), "ALPN not shared": ("tls", {"alpn": ["foo"]}, {"alpn": ["http/1.1"]}, 200),
    "name exact": ("tls", {}, {"validation": names("DNS", exact="origin.test")}, 200), "name by wildcard": ("tls", {}, {"validation": names("DNS", exact="x.wild.test")}, 200),
    "name another": ("tls", {}, {"validation": names("DNS", exact="else.test")}, 503), "name only as common name": ("tls", {"name": "o-cn"}, {"validation": names("DNS", exact="origin.test")}, 503),
    "uri": ("tls", {}, {"validation": names("URI", prefix="spiffe://mesh.test/")}, 200), "uri another": ("tls", {}, {"validation": names("URI", exact="spiffe://mesh.test/other")}, 503), "ip": ("tls", {}, {"validation": names("IP_ADDRESS", exact="127.0.0.1")}, 200),
    "hash": ("tls", {}, {"validation": lambda pki: {"verify_certificate_hash": [pki["o-ok"].sha256()]}}, 200), "hash of another": ("tls", {}, {"validation": lambda pki: {"verify_certificate_hash": [pki["cli"].sha256()]}}, 503),
    "pin without authority": ("tls", {"name": "o-self"}, {"ca": None, "validation": lambda pki: {"verify_certificate_spki": [pki["o-self"].spki()]}}, 200),
    "auto validation": ("tls", {}, {"sni": "origin.test", "auto_sni_san_validation": True}, 200), "auto validation, another name": ("tls", {}, {"sni": "else.test", "auto_sni_san_validation": True}, 503),
    "auto validation, wildcard": ("tls", {}, {"sni": "y.wild.test", "auto_sni_san_validation": True}, 200), "auto validation without a name": ("tls", {}, {"auto_sni_san_validation": True}, 200),
    "auto validation over matchers": ("tls", {}, {"sni": "origin.test", "auto_sni_san_validation": True, "validation": names("DNS", exact="else.test")}, 200),
    "mutual": ("tls", {"ca": "root"}, {"name": "cli"}, 200), "mutual without": ("tls", {"ca": "root"}, {}, 503), "mutual, TLS 1.3": ("tls", {"ca": "root"}, {"name": "cli", "params": {"tls_maximum_protocol_version": "TLSv1_3"}}, 200),
    "mutual without, TLS 1.3": ("tls", {"ca": "root"}, {"params": {"tls_maximum_protocol_version": "TLSv1_3"}}, 503), "mutual, not trusted": ("tls", {"ca": "root"}, {"name": "cli-foreign"}, 503),
    "mutual, RSA": ("tls", {"ca": "root"}, {"name": "cli-rsa"}, 200), "closes": ("close", None, {}, 503), "says nothing": ("silent", None, {}, 503), "cleartext": ("garbage", None, {}, 503),
    "alert 40": ("alert40", None, {}, 503), "alert 70": ("alert70", None, {}, 503), "alert 48": ("alert48", None, {}, 503), "alert 112": ("alert112", None, {}, 503), "alert 80": ("alert80", None, {}, 503),
    "alert 42": ("alert42", None, {}, 503), "alert 116": ("alert116", None, {}, 503), "alert 120": ("alert120", None, {}, 503),
    "hello": ("hello", None, {"sni": "origin.test"}, 503), "hello up to 1.3": ("hello", None, {"params": {"tls_maximum_protocol_version": "TLSv1_3"}, "sni": "Origin.Test"}, 503),
    "hello with ALPN": ("hello", None, {"alpn": ["h2", "http/1.1"]}, 503), "hello with curves": ("hello", None, {"params": {"ecdh_curves": ["P-384", "X25519"], "tls_maximum_protocol_version": "TLSv1_3"}}, 503),
    "hello with suites": ("hello", None, {"params": {"cipher_suites": ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]}}, 503),
    "hello with schemes": ("hello", None, {"params": {"signature_algorithms": ["rsa_pss_rsae_sha256", "ecdsa_secp256r1_sha256"]}}, 503), "hello to an address": ("hello", None, {"sni": "127.0.0.1"}, 503),
    "resumed": ("once", {}, {"sni": "origin.test"}, 200), "resumed, TLS 1.3": ("once", {}, {"sni": "origin.test", "params": {"tls_maximum_protocol_version": "TLSv1_3"}}, 200),
    "resumed by id": ("once", {"tickets": False, "high": "TLSv1_2"}, {"sni": "origin.test"}, 200), "never resumed": ("once", {}, {"sni": "origin.test", "max_session_keys": 0}, 200),
}
TWICE = {name for name in CASES if name.startswith(("resumed", "never"))}
# What a client offers beyond what decides a handshake: rustls asks for OCSP responses, tells its versions also when there is one, and offers more schemes.
TASTE = (r"schemes", r"suites", r"tickets", r"status$", r"versions")
# Where we differ, and why: fields of the case beside those that its name gives it.
WORDS = (r"error$", r"log\[0\]$", r"response-code-details$", r"transport-failure-reason$")
APART = {
    # webpki does not tell a self-signed certificate from one of an unknown issuer.
    "self-signed": {"ignore": WORDS},
    # We tell the server by an alert (RFC 8446 §6.2), which it notes; BoringSSL's client closes without a word.
    "key usage without signature": {"ignore": (r"error$", r"^origins?\[0\]$")},
    "auto validation without a name": {"wanted": {"status": 503}, "why": "there is no name to check the server by; Envoy checks nothing then"},
    # A connection that dies before it answers: what its handshake agreed on is told only with a response.
    "mutual without, TLS 1.3": {"ignore": (r"error$", r"log\[0\]$", r"x-upstream-(peer|tls)-")},
    # An address is no server name (RFC 6066 §3); rustls sends none.
    "hello to an address": {"ignore": (*TASTE, r"sni$")},
}


# A name that is not there to be checked; an alert that comes after our side of the handshake, which Envoy counts as a failed one; and the curve of
# the first handshake, which rustls does not remember for a session of TLS 1.2 that is resumed.
UNCOUNTED = (r"resumed(-by-id)?\.ssl\.curves", r"auto-validation-without-a-name", r"mutual-without-TLS-1\.3\.ssl\.connection_error")


def slug(name):
    return name.replace(" ", "-").replace(",", "")


def build(env):
    pki = prepared(env.certs)
    clusters = []
    for name, (_, _, fields, _) in CASES.items():
        fields = dict(fields)
        if callable(fields.get("validation")):
            fields["validation"] = fields["validation"](pki)
        one = config.cluster(slug(name), env.origin(slug(name)).port, transport_socket=client(pki, fields.pop("name", None), fields.pop("ca", "root"), **fields),
                             connect_timeout="1s")
        clusters.append(one)
    routes = [to({"prefix": f"/{slug(name)}/"}, slug(name)) for name in CASES]
    headers = {"response_headers_to_add": [{"header": {"key": "x-" + one.lower().replace("_", "-"), "value": f"%{one}%"}} for one in TOLD]}
    log = {"access_log": [config.file_log(env.log_path, log_format={"text_format_source": {"inline_string": "|".join(f"%{one}%" for one in TOLD) + "\n"}})]}
    listeners = [config.listener("main", env.port("main"), [config.chain([hcm([vhost("v", ["*"], routes)], headers, **log)])])]
    return config.bootstrap(env.port("admin"), listeners, clusters)


def one_case(name, status):
    async def action(env):
        origin = env.origin(slug(name))
        made = CASES[name][1]
        origin.mode, origin.seen = CASES[name][0], []
        origin.context = origin_context(prepared(env.certs), **made) if made is not None else None
        seen = {}
        for _ in range(2 if name in TWICE else 1):
            seen = await client_h1.exchange(env.port("main"), [request(f"/{slug(name)}/")], ["GET"], 1)
            await asyncio.sleep(0.1)
        seen["origin"] = list(origin.seen)
        return seen
    return Case(name, action, status, log_lines=2 if name in TWICE else 1, **{"ignore": TASTE if name.startswith("hello") else (r"error$",), **APART.get(name, {})})


UPSTREAM = Group("tlsu-origin", [one_case(name, status) for name, (_, _, _, status) in CASES.items()] + [stats("statistics of clusters", "ssl", ignore=UNCOUNTED)],
                 build=build, origins={slug(name): Origin for name in CASES}, has_log=True)

GROUPS = [UPSTREAM]
