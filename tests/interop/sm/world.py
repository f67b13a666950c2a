"""One Palanquin with the listeners and clusters of a topic, and an origin behind it."""

import asyncio
import pathlib
import time

from harness import config
from harness.config import any_of
from harness.origin_h1 import Origin
from harness.ports import free_port
from harness.proxy import Proxy, StartError

TLS = "envoy.extensions.transport_sockets.tls.v3."
LOG = ("%DOWNSTREAM_TLS_VERSION%|%DOWNSTREAM_TLS_CIPHER%|%DOWNSTREAM_PEER_URI_SAN%|%DOWNSTREAM_PEER_SUBJECT%|%DOWNSTREAM_PEER_ISSUER%|"
       "%DOWNSTREAM_PEER_FINGERPRINT_256%|%REQ(:PATH)%\n")


def common_context(pki, certs, ca=None, crl=None, params=None, alpn=(), validation=None):
    """`CommonTlsContext` with several certificates, each by its name in the folder."""
    common = {"tls_certificates": [certificate(pki, name) for name in certs]} if certs else {}
    if params:
        common["tls_params"] = params
    if alpn:
        common["alpn_protocols"] = list(alpn)
    if ca:
        common["validation_context"] = {"trusted_ca": {"filename": ca}, **(validation or {})}
    if crl:
        common["validation_context"] |= {"crl": {"filename": crl}, "only_verify_leaf_cert_crl": True}
    return common


def certificate(pki, name):
    """A certificate and its key; `(NAME, KEY)` pairs what does not belong together."""
    name, key = name if isinstance(name, tuple) else (name, name)
    chain = pki.path(name) if name.endswith(".pem") else pki.crt(name)
    return {"certificate_chain": {"filename": chain}, "private_key": {"filename": pki.key(key.removesuffix(".pem"))}}


def downstream(pki, certs, require=False, **common):
    context = {"common_tls_context": common_context(pki, certs, **common)}
    if require:
        context["require_client_certificate"] = True
    return {"name": "envoy.transport_sockets.tls", "typed_config": any_of(TLS + "DownstreamTlsContext", **context)}


def upstream(pki, certs=(), ca=None, sni="localhost", **common):
    sans = {"match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": "localhost"}}]}
    context = {"common_tls_context": common_context(pki, certs, ca=ca or pki.crt("ca"), validation=sans, **common), "sni": sni}
    return {"name": "envoy.transport_sockets.tls", "typed_config": any_of(TLS + "UpstreamTlsContext", **context)}


def sm_params(suite=None, group=None):
    """`TlsParameters` for TLS 1.3 with SM names."""
    params = {"tls_maximum_protocol_version": "TLSv1_3"}
    if suite:
        params["cipher_suites"] = [suite]
    if group:
        params["ecdh_curves"] = [group]
    return params


class World:
    """Listeners and clusters are named first; inside `async with` they run."""

    def __init__(self, pki, folder, name):
        self.pki, self.name = pki, name
        self.folder = pathlib.Path(folder) / name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports, self.listeners, self.clusters = {}, [], []
        self.log = self.folder / "access.log"
        self.origin = Origin("origin")
        self.peers = []
        self.proxy = None

    def listen(self, name, transport_socket=None, policy=None, match=None, inspect=True):
        """A listener that answers from the origin; `/to/CLUSTER` goes to that cluster instead."""
        chain = {"transport_socket": transport_socket} if transport_socket else {}
        if policy:
            chain["metadata"] = {"filter_metadata": {"palanquin.sm": {"policy": policy}}}
        if match:
            chain["filter_chain_match"] = match
        self.listeners.append((name, chain, inspect))
        self.ports[name] = free_port()
        return self.ports[name]

    def cluster(self, name, port, transport_socket):
        # A Java peer loads its classes in its first handshake.
        self.clusters.append(config.cluster(name, port, transport_socket=transport_socket, connect_timeout="20s"))

    def _bootstrap(self, admin):
        routes = [config.to({"prefix": f"/to/{one['name']}/"}, one["name"], route={"timeout": "25s"}) for one in self.clusters]
        routes.append(config.to({"prefix": "/"}, "origin"))
        inspector = {"name": "envoy.filters.listener.tls_inspector",
                     "typed_config": any_of("envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector")}
        listeners = []
        for name, chain, inspect in self.listeners:
            http = config.hcm([config.vhost("all", ["*"], routes)], stat_prefix=name, forward_client_cert_details="SANITIZE_SET",
                              set_current_client_cert_details={"uri": True, "subject": True},
                              access_log=[config.file_log(self.log, log_format={"text_format_source": {"inline_string": LOG}})])
            fields = {"listener_filters": [inspector]} if inspect else {}
            listeners.append(config.listener(name, self.ports[name], [config.chain([http], **chain)], stat_prefix=name, **fields))
        clusters = [config.cluster("origin", self.origin.port), *self.clusters]
        return config.bootstrap(admin, listeners, clusters)

    async def __aenter__(self):
        await self.origin.start()
        admin = free_port()
        self.proxy = Proxy("palanquin", self._bootstrap(admin), self.folder, admin)
        try:
            await self.proxy.start()
        except StartError:
            await self.origin.stop()
            raise
        return self

    async def __aexit__(self, *_):
        await self.proxy.stop(seconds=0)
        await self.origin.stop()
        for peer in self.peers:
            await peer.stop()

    async def stat(self, name):
        """A counter; one that does not exist is 0."""
        _, _, body = await self.proxy.admin("GET", f"/stats?filter=^{name}$")
        for line in body.splitlines():
            key, _, value = line.partition(": ")
            if key == name and value.isdigit():
                return int(value)
        return 0

    async def stat_grows(self, name, before=0, seconds=3):
        """Empty when the counter is more than it was."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if await self.stat(name) > before:
                return ""
            await asyncio.sleep(0.02)
        return f"{name} stays at {before}"

    async def log_line(self, path, seconds=3):
        """The fields of the log line of a request, by its path."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.log.read_text().splitlines() if self.log.exists() else []
            for line in lines:
                if line.endswith(f"|{path}"):
                    return line.split("|")[:-1]
            await asyncio.sleep(0.02)
        return None

    def seen(self, path):
        """The headers that the origin got with a request."""
        for record in self.origin.seen:
            if record["line"].split(" ")[1] == path:
                return {name.lower(): value for name, value in record["headers"]}
        return None
