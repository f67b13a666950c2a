"""Our own certificates: which one is shown, OCSP responses, forms of keys, sessions, and what hurts a handshake."""

import asyncio


from cryptography import x509
from cryptography.hazmat.primitives import serialization

from harness import client_tls, config, pki as pki_module

from differential.case import Case
from differential.tls_case import INSPECTOR, accepted, configs, fronts, own, probe, s_client, server, stats, web


def shown(pki):
    """Certificates to choose between."""
    for kind in ("p256", "rsa2048"):
        short = kind[:3]
        pki.make(f"a-{short}", "root", kind=kind, dns=["a.test"], subject=f"a-{short}")
        pki.make(f"b-{short}", "root", kind=kind, dns=["b.test"], subject=f"b-{short}")
    pki.make("wild", "root", dns=["*.wild.test"], subject="wild")
    pki.make("wild-deep", "root", dns=["*.deep.wild.test"], subject="wild-deep")
    pki.make("both-names", "root", dns=["one.test", "*.two.test"], subject="both-names")
    pki.make("by-cn", "root", subject="cn.test")
    pki.make("p384", "root", kind="p384", dns=["p384.test"], subject="p384")
    pki.make("ip-name", "root", ip=["127.0.0.1"], subject="ip-name")
    pki.make("late", "root", start=-72, days=-1, dns=["late.test"], subject="late")
    pki.make("soon", "root", start=12, days=3, dns=["soon.test"], subject="soon")
    pki.make("client-only", "root", eku=[pki_module.CLIENT_AUTH], dns=["c.test"], subject="client-only")
    pki.make("of-inter", "inter", dns=["a.test"], subject="of-inter")
    pki.chain("of-inter.chain", "of-inter", "inter")
    return pki


def several(*names, **fields):
    return lambda pki: server(shown(pki), *names, **fields)


def long_chain(pki):
    shown(pki)
    return server(pki, certificates=[{"certificate_chain": {"filename": pki.path("of-inter.chain")}, "private_key": {"filename": pki.path("of-inter.key")}}])


CHOICE = fronts("tlsc-choice", {
    "names": several("a-p25", "b-p25", "wild", "wild-deep", "both-names", "by-cn"), "kinds": several("a-rsa", "a-p25"), "kinds-other": several("a-p25", "a-rsa"),
    "mixed": several("a-rsa", "b-p25", "b-rsa"), "scan": several("a-rsa", "b-p25", full_scan_certs_on_sni_mismatch=True), "no-scan": several("a-rsa", "b-p25"),
    "p384": several("p384"), "late": several("late"), "soon": several("soon"), "client-only": several("client-only"), "chain": long_chain, "ip": several("ip-name", "a-p25"),
}, [
    *[probe(f"names: {sni or 'none'}", "names", sni=sni) for sni in ("a.test", "b.test", "x.wild.test", "x.deep.wild.test", "y.x.wild.test", "wild.test",
                                                                     "one.test", "x.two.test", "two.test", "cn.test", "else.test", "")],
    *[probe(f"{port}: {what}", port, max_version="1.2", ciphers=ciphers) for port in ("kinds", "kinds-other") for what, ciphers in (
        ("both", None), ("RSA only", "aRSA+ECDHE+AESGCM"), ("ECDSA only", "aECDSA+AESGCM"))],
    probe("kinds: TLS 1.3", "kinds"), probe("kinds-other: TLS 1.3", "kinds-other"),
    s_client("kinds: TLS 1.3, RSA only", "kinds", "-sigalgs", "RSA-PSS+SHA256", "-tls1_3"), s_client("kinds: TLS 1.3, ECDSA only", "kinds", "-sigalgs", "ECDSA+SHA256", "-tls1_3"),
    s_client("kinds: no curve of the certificate", "kinds", "-tls1_2", "-groups", "X25519"),
    probe("mixed: a name with one kind", "mixed", sni="a.test"), probe("mixed: a name with one kind, other suites", "mixed", False, sni="a.test", max_version="1.2", ciphers="aECDSA+AESGCM"),
    probe("mixed: b, RSA only", "mixed", sni="b.test", max_version="1.2", ciphers="aRSA+ECDHE+AESGCM"), probe("mixed: b", "mixed", sni="b.test"),
    probe("mixed: else", "mixed", sni="else.test"), probe("mixed: else, ECDSA only", "mixed", False, sni="else.test", max_version="1.2", ciphers="aECDSA+AESGCM"),
    probe("scan: else", "scan", sni="else.test"), probe("scan: else, ECDSA only", "scan", sni="else.test", max_version="1.2", ciphers="aECDSA+AESGCM"),
    probe("no-scan: else", "no-scan", sni="else.test"), probe("no-scan: none, ECDSA only", "no-scan", sni="", max_version="1.2", ciphers="aECDSA+AESGCM"),
    probe("p384: shown", "p384"), s_client("p384: to who takes P-256 only", "p384", "-sigalgs", "ECDSA+SHA256", ok=False),
    probe("expired: shown all the same", "late"), probe("not yet valid: shown all the same", "soon"), probe("for clients only: shown all the same", "client-only"),
    s_client("a chain is sent", "chain"), probe("an address as name", "ip", sni=""), stats("which were shown", "ssl.handshake", ignore=(r"kinds",)),
])


def stapled(pki):
    for name in ("st-good", "st-old", "st-none", "st-other", "st-revoked", "st-open"):
        pki.make(name, "root", dns=[f"{name}.test"], subject=name)
    pki.make("st-must", "root", dns=["st-must.test"], subject="st-must", extra=[(x509.TLSFeature([x509.TLSFeatureType.status_request]), False)])
    pki.ocsp("good.der", "st-good")
    pki.ocsp("old.der", "st-old", start=-90, days=-1)
    pki.ocsp("revoked.der", "st-revoked", status="revoked")
    pki.ocsp("open.der", "st-open", next_update=False)
    pki.ocsp("must.der", "st-must")
    pki.write("garbage.der", b"\x30\x03nothing")
    return pki


def with_staples(policy, *pairs):
    def make(pki):
        stapled(pki)
        certificates = [own(pki, name, **({"ocsp_staple": {"filename": pki.path(f"{staple}.der")}} if staple else {})) for name, staple in pairs]
        return server(pki, certificates=certificates, **({"ocsp_staple_policy": policy} if policy else {}))
    return make


POLICIES = {"default": None, "lenient": "LENIENT_STAPLING", "strict": "STRICT_STAPLING", "must": "MUST_STAPLE"}
STATES = {"good": ("st-good", "good"), "old": ("st-old", "old"), "none": ("st-none", None), "revoked": ("st-revoked", "revoked"), "open": ("st-open", "open")}
REFUSED = {("strict", "old"), ("must", "old"), ("must", "none"), ("strict", "open"), ("must", "open")}
STAPLES = fronts("tlsc-staples", {
    **{f"{policy}-{state}": with_staples(POLICIES[policy], STATES[state]) for policy in POLICIES for state in STATES if (policy, state) != ("must", "none")},
    "must-ext": with_staples(None, ("st-must", "must")), "two": with_staples("STRICT_STAPLING", ("st-old", "old"), ("st-good", "good")),
}, [
    case for policy in POLICIES for state in STATES if (policy, state) != ("must", "none") for case in (
        s_client(f"{policy}, {state}: asked", f"{policy}-{state}", "-status", ok=(policy, state) not in REFUSED),
        s_client(f"{policy}, {state}: not asked", f"{policy}-{state}"))
] + [s_client("must-ext: asked", "must-ext", "-status"), s_client("must-ext: not asked", "must-ext"), s_client("good: TLS 1.2", "strict-good", "-status", "-tls1_2"),
     s_client("old: TLS 1.2", "strict-old", "-status", "-tls1_2", ok=False), s_client("two: the first has an old one", "two", "-status", "-noservername"),
     s_client("two: the second by name", "two", "-status", "-servername", "st-good.test"), stats("stapling in statistics", "ocsp")])

STAPLE_CONFIG = configs("tlsc-staple-config", [
    accepted("a response for another certificate", with_staples(None, ("st-other", "good")), False), accepted("no response", with_staples(None, ("st-other", "garbage")), False),
    accepted("MUST_STAPLE without a response", with_staples("MUST_STAPLE", ("st-none", None)), False),
    accepted("MUST_STAPLE with a response", with_staples("MUST_STAPLE", ("st-good", "good")), True),
    accepted("an old response", with_staples("MUST_STAPLE", ("st-old", "old")), True),
    accepted("a certificate that must have one, without", with_staples(None, ("st-must", None)), False),
])


def forms(pki):
    """One key in many forms."""
    one = pki["srv-rsa"]
    form = serialization.PrivateFormat
    pki.write("pkcs1.key", one.key_pem(form=form.TraditionalOpenSSL))
    pki.write("sec1.key", pki["srv"].key_pem(form=form.TraditionalOpenSSL))
    pki.write("locked.key", one.key_pem("secret"))
    pki.write("locked-old.key", one.key_pem("secret", form=form.TraditionalOpenSSL))
    pki.write("junk-before.pem", "some words\n" + one.pem)
    pki.write("key-in-chain.pem", one.pem + one.key_pem())
    pki.write("twice.pem", one.pem + one.pem)
    pki.p12("open.p12", "srv-rsa")
    pki.p12("locked.p12", "srv-rsa", "secret", chain=["root"])
    for kind in ("ed25519", "p521", "p384", "rsa1024", "rsa3072"):
        pki.make(f"own-{kind}", "root", kind=kind, dns=["a.test"])
    pki.make("own-v-old", "root", start=-72, days=-1, dns=["a.test"])
    return pki


def given(chain="srv-rsa.pem", key="srv-rsa.key", **fields):
    def make(pki):
        forms(pki)
        one = {"certificate_chain": {"filename": pki.path(chain)}} if chain else {}
        if key:
            one["private_key"] = {"filename": pki.path(key)}
        return server(pki, certificates=[{**one, **{name: value(pki) if callable(value) else value for name, value in fields.items()}}])
    return make


def password(text):
    return {"inline_string": text}


KEY_CONFIG = configs("tlsc-key-config", [
    accepted("PKCS#8", given(), True), accepted("PKCS#1", given(key="pkcs1.key"), True), accepted("SEC1", given("srv.pem", "sec1.key"), True),
    accepted("a key of another certificate", given(key="srv.key"), False), accepted("a key of another RSA certificate", given(key="cli-rsa.key"), False),
    accepted("no key", given(key=None), False), accepted("no certificate", given(chain=None), False), accepted("a file that is missing", given(chain="nowhere.pem"), False),
    accepted("a key file that is missing", given(key="nowhere.key"), False), accepted("a key in place of a certificate", given(chain="srv-rsa.key"), False),
    accepted("a certificate in place of a key", given(key="srv-rsa.pem"), False), accepted("words before the certificate", given("junk-before.pem"), True),
    accepted("the key behind the certificate", given("key-in-chain.pem"), True), accepted("the certificate twice", given("twice.pem"), True),
    accepted("encrypted with its password", given(key="locked.key", password=password("secret")), True),
    accepted("encrypted with a wrong password", given(key="locked.key", password=password("wrong")), False), accepted("encrypted without a password", given(key="locked.key"), False),
    accepted("a password that is not needed", given(password=password("secret")), True),
    accepted("PKCS#12", given(None, None, pkcs12=lambda pki: {"filename": pki.path("open.p12")}), True, wanted={"accepted": False}, why="PKCS#12 is not read yet; the message says what to do"),
    accepted("PKCS#12 with its password", given(None, None, pkcs12=lambda pki: {"filename": pki.path("locked.p12")}, password=password("secret")), True, wanted={"accepted": False}, why="PKCS#12 is not read yet"),
    accepted("PKCS#12 with a wrong password", given(None, None, pkcs12=lambda pki: {"filename": pki.path("locked.p12")}, password=password("wrong")), False),
    accepted("inline", lambda pki: server(pki, certificates=[{"certificate_chain": {"inline_string": pki["srv"].pem}, "private_key": {"inline_string": pki["srv"].key_pem()}}]), True),
    accepted("a key of Ed25519", given("own-ed25519.pem", "own-ed25519.key"), True),
    accepted("a key of P-521", given("own-p521.pem", "own-p521.key"), True), accepted("a key of P-384", given("own-p384.pem", "own-p384.key"), True),
    accepted("RSA with 1024 bits", given("own-rsa1024.pem", "own-rsa1024.key"), False), accepted("RSA with 3072 bits", given("own-rsa3072.pem", "own-rsa3072.key"), True),
    accepted("an expired certificate", given("own-v-old.pem", "own-v-old.key"), True),
    accepted("no certificate at all", lambda pki: server(pki, common={"tls_certificates": []}), False),
    accepted("the same key type twice", lambda pki: server(forms(pki), "srv-rsa", "own-rsa3072"), True), accepted("two ECDSA certificates", lambda pki: server(forms(pki), "srv", "own-p384"), True),
    accepted("a ticket key of 80 bytes", lambda pki: server(pki, session_ticket_keys={"keys": [{"filename": pki.write("t80.key", bytes(range(80)))}]}), True),
    accepted("a ticket key of 48 bytes", lambda pki: server(pki, session_ticket_keys={"keys": [{"filename": pki.write("t48.key", bytes(48))}]}), False),
    accepted("a ticket key of 81 bytes", lambda pki: server(pki, session_ticket_keys={"keys": [{"filename": pki.write("t81.key", bytes(81))}]}), False),
    accepted("no ticket keys", lambda pki: server(pki, session_ticket_keys={"keys": []}), False),
    accepted("a session timeout of zero", lambda pki: server(pki, session_timeout="0s"), True), accepted("a session timeout below zero", lambda pki: server(pki, session_timeout="-1s"), False),
    accepted("a session timeout with a fraction", lambda pki: server(pki, session_timeout="1.5s"), True),
    accepted("a session timeout that is too long", lambda pki: server(pki, session_timeout="4294967296s"), False),
])

FORMS = fronts("tlsc-forms", {"pkcs1": given(key="pkcs1.key"), "sec1": given("srv.pem", "sec1.key"), "locked": given(key="locked.key", password=password("secret")),
                              "p521": given("own-p521.pem", "own-p521.key"),
                              "twice": given("twice.pem")}, [
    *[probe(f"{port} serves", port) for port in ("pkcs1", "sec1", "locked", "p521")],
    probe("p521 serves TLS 1.2", "p521", max_version="1.2"), s_client("the certificate twice is sent twice", "twice"),
])


def keyed(pki, first, *others):
    names = [pki.write(f"ticket-{at}.key", bytes([at]) * 80) for at in (first, *others)]
    return {"session_ticket_keys": {"keys": [{"filename": name} for name in names]}}


RESUME_PORTS = {
    "default": lambda pki: server(pki), "no-tickets": lambda pki: server(pki, disable_stateless_session_resumption=True),
    "no-stateful": lambda pki: server(pki, disable_stateful_session_resumption=True),
    "neither": lambda pki: server(pki, disable_stateless_session_resumption=True, disable_stateful_session_resumption=True),
    "short": lambda pki: server(pki, session_timeout="2s"), "zero": lambda pki: server(pki, session_timeout="0s"), "long": lambda pki: server(pki, session_timeout="100000s"),
    "keys-12": lambda pki: server(pki, **keyed(pki, 1, 2)), "keys-21": lambda pki: server(pki, **keyed(pki, 2, 1)), "keys-1": lambda pki: server(pki, **keyed(pki, 1)), "keys-3": lambda pki: server(pki, **keyed(pki, 3)),
    "keys-rsa": lambda pki: server(pki, "srv-rsa", **keyed(pki, 1)), "mutual": lambda pki: server(pki, ca="root", require=True),
    "mutual-keys": lambda pki: server(pki, ca="root", require=True, **keyed(pki, 1)), "alpn": lambda pki: server(pki, alpn=["http/1.1"]),
}


def resume(name, first, second=None, pause=0.0, version=None, tickets=True, sni="a.test", sni2=None, cert=None, cert2=False, **fields):
    """Two connections, the second with the session of the first."""
    async def action(env):
        pki = pki_module.of(env.certs)
        files = {"cert": pki.path(f"{cert}.pem"), "key": pki.path(f"{cert}.key")} if cert else {}
        made = client_tls.context(min_version=version, max_version=version, tickets=tickets, **files)
        kept = []
        one = await client_tls.connect(env.port(first), made, sni=sni, keep=kept)
        await asyncio.sleep(pause)
        two = await client_tls.connect(env.port(second or first), made, sni=sni2 or sni, session=kept[0] if kept else None)
        return {"first": {key: one.get(key) for key in ("reused", "version", "error")}, **two}
    return Case(name, action, 200, **fields)


RESUME = fronts("tlsc-resume", RESUME_PORTS, [
    case for version in ("1.2", "1.3") for case in (
        *[resume(f"{port}: TLS {version}", port, version=version) for port in ("default", "no-tickets", "no-stateful", "neither", "zero", "long", "keys-1", "keys-12", "alpn")],
        resume(f"short: at once, TLS {version}", "short", version=version), resume(f"short: too late, TLS {version}", "short", version=version, pause=4.2),
        resume(f"keys: the second opens, TLS {version}", "keys-12", "keys-21", version=version), resume(f"keys: not known, TLS {version}", "keys-1", "keys-3", version=version),
        resume(f"keys: another certificate, TLS {version}", "keys-1", "keys-rsa", version=version), resume(f"keys: another listener, TLS {version}", "keys-1", "keys-12", version=version),
        resume(f"another listener without keys, TLS {version}", "default", "long", version=version), resume(f"another server name, TLS {version}", "default", version=version, sni2="b.test", wanted=lambda seen: [] if not seen["reused"] else ["resumed"],
               why="a session is of one server name (RFC 8446 4.6.1)"),
        resume(f"mutual: with a certificate, TLS {version}", "mutual", version=version, cert="cli"), resume(f"mutual-keys: with a certificate, TLS {version}", "mutual-keys", version=version, cert="cli"),
        resume(f"to a stricter listener, TLS {version}", "keys-1", "mutual-keys", version=version, cert="cli"),
    )
] + [
    *[resume(f"{port}: session ids", port, version="1.2", tickets=False) for port in ("default", "no-tickets", "no-stateful", "neither", "keys-1")],
    *[s_client(f"{port}: hint of TLS {version}", port, f"-tls1_{version[2]}", exact=True) for port in ("default", "short", "long", "zero") for version in ("1.2", "1.3")],
    stats("sessions in statistics", "session_reused", ignore=(r"default",)),
])

GROUPS = [CHOICE, STAPLES, STAPLE_CONFIG, KEY_CONFIG, FORMS, RESUME]
