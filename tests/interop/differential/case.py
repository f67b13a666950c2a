"""What a case is, and the short forms in which the files under `cases/` write them.

A group is one bootstrap with the cases that run against it, in order, on fresh connections. A case has an action (send
these bytes, open these streams, or a function), what the origins answer meanwhile (`script`), the status Envoy is known
to answer (so that a case that tests nothing is noticed), and, where Palanquin deviates from Envoy on purpose, the
`wanted` answer, which then replaces the comparison.
"""

import dataclasses
import pathlib
from typing import Any, Callable

from harness import client_h1, client_h2, config
from harness.ports import free_port, refusing_port


@dataclasses.dataclass
class Case:
    name: str
    action: Callable
    status: int | None = None
    script: dict = dataclasses.field(default_factory=dict)
    wanted: Any = None
    why: str = ""
    log_lines: int = 0
    ignore: tuple = ()


@dataclasses.dataclass
class Group:
    """`origins` maps a name to its kind: `h1`, `h2`, `h1-tls`, `h1-mtls`, `h2-tls`, `h2-mtls`, or a function that makes one.

    `skipped` says why the cases do not run unless the group is asked for by name; they are counted all the same.
    """

    name: str
    cases: list
    vhosts: Any = None
    build: Callable | None = None
    origins: dict = dataclasses.field(default_factory=lambda: {"a": "h1"})
    hcm: dict = dataclasses.field(default_factory=dict)
    clusters: dict = dataclasses.field(default_factory=dict)
    route_config: dict = dataclasses.field(default_factory=dict)
    listener: dict = dataclasses.field(default_factory=dict)
    extra: dict = dataclasses.field(default_factory=dict)
    flags: tuple = ()
    has_log: bool = False
    skipped: str = ""

    def bootstrap(self, env):
        """The bootstrap of this group for one side."""
        if self.build:
            return self.build(env)
        vhosts = self.vhosts(env) if callable(self.vhosts) else self.vhosts
        manager = self.hcm(env) if callable(self.hcm) else self.hcm
        main = config.listener("main", env.port("main"), [config.chain([config.hcm(vhosts, self.route_config, **manager)])],
                               **self.listener)
        return config.bootstrap(env.port("admin"), [main], self.all_clusters(env), **self.extra)

    def all_clusters(self, env):
        """A cluster per origin, with the group's own fields, and one named `dead` that refuses connections."""
        out = []
        for name, kind in self.origins.items():
            fields = dict(self.clusters.get(name, {}))
            if kind.startswith("h2") and "http_options" not in fields:
                fields["h2"] = True
            out.append(config.cluster(name, env.origin(name).port, **fields))
        known = {one["name"] for one in out}
        if "dead" not in known:
            out.append(config.cluster("dead", env.dead_port, **self.clusters.get("dead", {})))
        if "empty" not in known:
            out.append(config.cluster("empty"))
        return out


class Env:
    """One side of a group: its ports, origins, certificates, folder and proxy."""

    def __init__(self, kind, folder, certs):
        self.kind = kind
        self.folder = pathlib.Path(folder)
        self.certs = certs
        self.ports = {}
        self.origins = {}
        self.proxy = None
        self.dead, self.dead_port = refusing_port()
        self.log_path = self.folder / "access.log"
        self.log_read = 0

    def port(self, name):
        if name not in self.ports:
            self.ports[name] = free_port()
        return self.ports[name]

    def origin(self, name):
        return self.origins[name]

    def names(self):
        """Port number to name, for making both sides' observations equal."""
        known = {port: name for name, port in self.ports.items()}
        known.update({origin.port: f"origin-{name}" for name, origin in self.origins.items()})
        known[self.dead_port] = "dead"
        return known


def request(path="/", headers=(), host="a.test", method="GET", version="HTTP/1.1", body=None):
    """The bytes of a request."""
    lines = [f"{method} {path} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if isinstance(body, (bytes, str)):
        body = body.encode() if isinstance(body, str) else body
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


def get(name, path="/", headers=(), status=200, host="a.test", method="GET", version="HTTP/1.1", body=None, port="main",
        script=None, **fields):
    """One ordinary HTTP/1 request."""
    return raw(name, request(path, headers, host, method, version, body), status, methods=[method], port=port, script=script,
               **fields)


def raw(name, steps, status=200, expect=1, methods=None, port="main", script=None, settle=0.15, seconds=8, **fields):
    """Raw bytes on one connection."""
    steps = [steps] if isinstance(steps, bytes) else list(steps)
    if methods is None:
        first = next((step for step in steps if isinstance(step, bytes)), b"")
        methods = [first.split(b" ")[0].decode("latin-1")] * expect

    async def action(env):
        return await client_h1.exchange(env.port(port), steps, methods, expect, settle, seconds)

    return Case(name, action, status, scripted(script), **fields)


def tls(name, context, steps=None, status=200, sni="a.test", port="main", script=None, expect=1, **fields):
    """An HTTP/1 request over TLS; `context` makes the client's SSL context from the certificates."""
    data = request() if steps is None else steps
    data = [data] if isinstance(data, bytes) else data

    async def action(env):
        return await client_h1.exchange(env.port(port), data, ["GET"] * expect, expect, tls=context(env.certs), sni=sni)

    return Case(name, action, status, scripted(script), **fields)


def h2(name, requests, status=200, port="main", script=None, together=True, context=None, sni="a.test", **fields):
    """Streams on one HTTP/2 connection."""
    requests = [requests] if isinstance(requests, dict) else list(requests)

    async def action(env):
        secure = context(env.certs) if context else None
        return await client_h2.exchange(env.port(port), requests, together=together, tls=secure, sni=sni)

    return Case(name, action, status, scripted(script), **fields)


def custom(name, action, status=None, script=None, **fields):
    """Whatever `action(env)` observes."""
    return Case(name, action, status, scripted(script), **fields)


def scripted(script):
    """A list is for origin `a`; each element is one answer."""
    if script is None:
        return {}
    return script if isinstance(script, dict) else {"a": script}
