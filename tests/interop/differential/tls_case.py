"""Short forms for cases about TLS: many listeners in one bootstrap, each with a TLS context of its own.

Every listener answers by itself and tells in response headers what it knows about the connection, so that a handshake and what
the proxy made of it are compared at once.
"""

import asyncio
import re

from harness import client_tls, config, pki as pki_module
from harness.config import says, vhost
from harness.ports import free_port
from harness.proxy import envoy_binary, palanquin_binary

from differential.case import Case, Group

FACTS = ("DOWNSTREAM_PEER_URI_SAN", "DOWNSTREAM_PEER_DNS_SAN", "DOWNSTREAM_PEER_IP_SAN", "DOWNSTREAM_PEER_EMAIL_SAN", "DOWNSTREAM_PEER_SUBJECT",
         "DOWNSTREAM_PEER_ISSUER", "DOWNSTREAM_PEER_SERIAL", "DOWNSTREAM_PEER_FINGERPRINT_256", "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TLS_CIPHER",
         "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_LOCAL_DNS_SAN", "DOWNSTREAM_LOCAL_SUBJECT")
SERVER = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext"
CLIENT = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
INSPECTOR = {"name": "envoy.filters.listener.tls_inspector",
             "typed_config": config.any_of("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")}


def told(facts=FACTS):
    return {"response_headers_to_add": [
        {"header": {"key": "x-" + one.lower().replace("downstream_", "").replace("_", "-"), "value": f"%{one}%"}} for one in facts]}


def own(pki, name, **fields):
    """A certificate with its key, from files."""
    return {"certificate_chain": {"filename": pki.path(f"{name}.pem")}, "private_key": {"filename": pki.path(f"{name}.key")}, **fields}


def server(pki, *names, ca=None, require=None, validation=None, params=None, alpn=(), common=None, certificates=None, **fields):
    """A downstream TLS context; names are those of certificates."""
    shared = {"tls_certificates": certificates or [own(pki, name) for name in names or ("srv",)], **(common or {})}
    return socket(SERVER, pki, shared, ca, validation, params, alpn, require_client_certificate=require, **fields)


def client(pki, name=None, ca="root", validation=None, params=None, alpn=(), common=None, **fields):
    """An upstream TLS context."""
    shared = {**({"tls_certificates": [own(pki, name)]} if name else {}), **(common or {})}
    return socket(CLIENT, pki, shared, ca, validation, params, alpn, **fields)


def socket(kind, pki, shared, ca, validation, params, alpn, **fields):
    if ca or validation:
        trusted = {"trusted_ca": {"filename": pki.path(ca if "." in ca else f"{ca}.pem")}} if ca else {}
        shared["validation_context"] = {**trusted, **(validation or {})}
    if params:
        shared["tls_params"] = params
    if alpn:
        shared["alpn_protocols"] = list(alpn)
    fields = {name: value for name, value in fields.items() if value is not None}
    return {"name": "envoy.transport_sockets.tls", "typed_config": config.any_of(kind, common_tls_context=shared, **fields)}


def web(text="ok", facts=FACTS, **manager):
    return [config.hcm([vhost("v", ["*"], [says({"prefix": "/"}, text)])], told(facts), **manager)]


def fronts(name, sockets, cases, facts=FACTS, **manager):
    """A group with a listener per entry of `sockets`: a function of the PKI that gives a transport socket, or whole listener fields."""
    def build(env):
        pki = pki_module.of(env.certs)
        listeners = []
        for port, make in sockets.items():
            made = make(pki)
            if "typed_config" in made:
                made = {"filter_chains": [config.chain(web(facts=facts, **manager), transport_socket=made)]}
            chains = made.pop("filter_chains")
            listeners.append(config.listener(port, env.port(port), chains, **made))
        return config.bootstrap(env.port("admin"), listeners, [])
    return Group(name, cases, build=build, origins={})


def client_fields(env, cert=None, key=None, ca=None, **fields):
    pki = pki_module.of(env.certs)
    if cert:
        fields["cert"] = pki.path(cert if "." in cert else f"{cert}.pem")
        fields["key"] = pki.path(f"{key or cert.split('.')[0]}.key")
    if ca:
        fields["ca"] = pki.path(f"{ca}.pem")
    return fields


def probe(name, port, ok=True, sni="a.test", ignore=(), request=client_tls.REQUEST, **fields):
    """A handshake with a request; `ok` says what Envoy is known to do. Fields of the case beside those of the client."""
    outer = {key: fields.pop(key) for key in ("wanted", "why") if key in fields}

    async def action(env):
        made = client_tls.context(**client_fields(env, **fields))
        return await client_tls.connect(env.port(port), made, sni=sni, request=request, wait=not ok)

    return Case(name, action, 200 if ok else 0, ignore=ignore, **outer)


def s_client(name, port, *arguments, ok=True, ignore=(), cert=None, key=None, exact=False, **outer):
    """The same by `openssl s_client` with these arguments."""
    async def action(env):
        pki = pki_module.of(env.certs)
        own_files = ["-cert", pki.path(cert if "." in cert else f"{cert}.pem"), "-key", pki.path(f"{key or cert.split('.')[0]}.key")] if cert else []
        if cert and "." in cert:
            own_files += ["-cert_chain", pki.path(cert)]
        sni = [] if "-servername" in arguments or "-noservername" in arguments else ["-servername", "a.test"]
        return await client_tls.s_client(env.port(port), *sni, *own_files, *arguments)

    # Hints of lifetimes say how much is left: a second may pass between two answers.
    return Case(name, action, 200 if ok else 0, ignore=ignore if exact else (*ignore, "^lifetime"), **outer)


def stats(name, pattern, settle=0.3, **outer):
    """Counters that are not zero and whose names hold `pattern`; ports have names."""
    async def action(env):
        await asyncio.sleep(settle)
        _, _, body = await env.proxy.admin("GET", f"/stats?filter={pattern}")
        ports = {str(number): word for word, number in env.ports.items()}
        found = {}
        for line in body.splitlines():
            key, _, value = line.rpartition(": ")
            if value.isdigit() and value != "0":
                found[re.sub(r"127\.0\.0\.1_(\d+)", lambda m: ports.get(m[1], m[1]), key)] = value
        return {"stats": found, "responses": []}

    # Certificates are named by a hash, of files by another one than Envoy's, and connections that fail before HTTP are counted by Envoy.
    ignore = (r"certificate\.unnamed", r"downstream_cx_ssl_total", *outer.pop("ignore", ()))
    return Case(name, action, None, ignore=ignore, **outer)


def accepted(name, make, ok, **outer):
    """Whether a bootstrap with this TLS context is accepted; `make(pki)` gives a transport socket (of a listener or a cluster)."""
    async def action(env):
        made = make(pki_module.of(env.certs))
        upstream = made["typed_config"]["@type"].endswith("UpstreamTlsContext")
        main = config.listener("main", free_port(), [config.chain(web(), **({} if upstream else {"transport_socket": made}))])
        one = config.cluster("a", 1, **({"transport_socket": made} if upstream else {}))
        import json
        file = env.folder / "validate.yaml"
        file.write_text(json.dumps(config.bootstrap(free_port(), [main], [one])))
        command = [envoy_binary(), "--disable-hot-restart"] if env.kind == "envoy" else [palanquin_binary()]
        process = await asyncio.create_subprocess_exec(*command, "--mode", "validate", "-c", str(file), stdout=asyncio.subprocess.PIPE,
                                                       stderr=asyncio.subprocess.STDOUT)
        out, _ = await process.communicate()
        env.said = out.decode("utf-8", "replace")[-600:]
        return {"accepted": process.returncode == 0, "responses": [], "status": 200 if process.returncode == 0 else 400,
                **({"said": env.said} if SHOW_WORDS else {})}

    return Case(name, action, 200 if ok else 400, **outer)


SHOW_WORDS = False


def configs(name, cases):
    """A group of nothing but `accepted` cases."""
    def build(env):
        return config.bootstrap(env.port("admin"), [], [])
    return Group(name, cases, build=build, origins={})
