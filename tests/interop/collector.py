"""Spans as a real OpenTelemetry collector receives them: parents and children, attributes, context honoured, collector away."""

import argparse
import asyncio
import pathlib
import re
import sys
import tempfile

from harness import client_h1, config
from harness.certs import Certs
from harness.config import any_of, says, to, vhost
from harness.origin_h1 import reply
from harness.ports import free_port
from harness.proxy import HERE, Proxy
from harness.verdicts import Checks

from differential.case import Env, request
from differential.runner import make_origin

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CONTEXT = ("traceparent", f"00-{TRACE}-{PARENT}-01")

CONFIG = """
receivers: {{ otlp: {{ protocols: {{ grpc: {{ endpoint: "127.0.0.1:{port}" }} }} }} }}
exporters: {{ debug: {{ verbosity: detailed, sampling_initial: 1000000 }} }}
service:
  telemetry: {{ metrics: {{ level: none }} }}
  pipelines: {{ traces: {{ receivers: [otlp], exporters: [debug] }} }}
"""


class Collector:
    """The collector's process, and the spans it printed."""

    def __init__(self, folder, port):
        self.folder, self.port = pathlib.Path(folder), port
        self.log = self.folder / "collector.log"
        self.process = None

    async def start(self):
        path = self.folder / "collector.yaml"
        path.write_text(CONFIG.format(port=self.port))
        with open(self.log, "ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                str(HERE / ".cache/collector"), "--config", f"file:{path}", stdout=log, stderr=asyncio.subprocess.STDOUT)
        for _ in range(400):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                return self
            except OSError:
                await asyncio.sleep(0.05)
        raise RuntimeError(f"the collector does not listen: {self.log.read_text()[-500:]}")

    async def stop(self):
        if self.process and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def spans(self):
        """Every span so far."""
        return parse(self.log.read_text(errors="replace")) if self.log.exists() else []

    async def wait(self, condition, seconds=15):
        """The spans as soon as `condition(spans)` holds, or after the time."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            spans = self.spans()
            if condition(spans) or loop.time() > end:
                return spans
            await asyncio.sleep(0.1)


def parse(text):
    """Spans of the debug exporter's detailed text."""
    spans, resource, section = [], {}, None
    for line in text.splitlines():
        stripped = line.strip()
        if line.startswith("ResourceSpans"):
            resource, section = {}, None
        elif stripped.startswith("Resource attributes:"):
            section = resource
        elif re.match(r"Span #\d+", stripped):
            spans.append({"resource": resource, "attributes": {}})
            section = None
        elif stripped == "Attributes:" and spans:
            section = spans[-1]["attributes"]
        elif (found := re.match(r"-> ([^:]+(?::[^:]+)?): (\w+)\((.*)\)$", stripped)) and section is not None:
            section[found[1]] = found[3]
        elif (found := re.match(r"(Trace ID|Parent ID|ID|Name|Kind|Status code|TraceState)\s*: ?(.*)$", stripped)) and spans:
            spans[-1][found[1]] = found[2]
    return spans


def bootstrap(env, port):
    tracing = {"random_sampling": {"value": 100}, "spawn_upstream_span": True, "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": any_of(
        "envoy.config.trace.v3.OpenTelemetryConfig", grpc_service={"envoy_grpc": {"cluster_name": "collector"}, "timeout": "1s"}, service_name="interop")}}
    routes = [says({"prefix": "/direct"}, "ok"), to({"prefix": "/dead"}, "dead"), to({"prefix": "/"}, "a")]
    main = config.listener("main", env.port("main"), [config.chain([config.hcm([vhost("v", ["*"], routes)], tracing=tracing)])])
    return config.bootstrap(env.port("admin"), [main], [config.cluster("a", env.origin("a").port), config.cluster("dead", env.dead_port),
                                                       config.cluster("collector", port, h2=True)])


def of_path(spans, path):
    """Server and client spans of the requests whose URL or path ends in `path`."""
    traces = {span["Trace ID"] for span in spans if any(value.split("?")[0].endswith(path) for key, value in span["attributes"].items()
                                                        if key in ("http.url", "url.full", "url.path", "http.target"))}
    mine = [span for span in spans if span["Trace ID"] in traces]
    return [span for span in mine if span["Kind"] == "Server"], [span for span in mine if span["Kind"] == "Client"]


async def ask(env, path, headers=(), script=None):
    env.origin("a").script = script or []
    env.origin("a").seen = []
    seen = await client_h1.exchange(env.port("main"), [request(path, [("user-agent", "interop/1"), *headers])], ["GET"], settle=0)
    return seen["responses"][0]["status"] if seen["responses"] else 0, env.origin("a").seen


def attribute(span, *names):
    """The value under the first of these names: Envoy's, or the later semantic convention's."""
    return next((span["attributes"][name] for name in names if name in span["attributes"]), None)


async def checks_of(checks, env, collector):
    await ask(env, "/fresh")
    spans = await collector.wait(lambda spans: len(of_path(spans, "/fresh")[0] + of_path(spans, "/fresh")[1]) >= 2)
    servers, clients = of_path(spans, "/fresh")
    checks.check("a server and a client span arrive", "" if (len(servers), len(clients)) == (1, 1) else f"{len(servers)} and {len(clients)}: {spans}")
    if len(servers) == 1 and len(clients) == 1:
        server, client = servers[0], clients[0]
        sent = dict(env.origin("a").seen[0]["headers"]).get("traceparent", "")
        checks.check("a new trace has no parent", server["Parent ID"])
        checks.check("the client span is the server span's child", "" if client["Parent ID"] == server["ID"] else f"{client} {server}")
        checks.check("the origin got the client span as parent", "" if sent == f"00-{client['Trace ID']}-{client['ID']}-01" else sent)
        checks.check("the service has its name", "" if server["resource"].get("service.name") == "interop" else str(server["resource"]))
        for what, value, names in (("method", "GET", ("http.method", "http.request.method")), ("status", "200", ("http.status_code", "http.response.status_code")),
                                   ("user agent", "interop/1", ("user_agent", "user_agent.original")), ("cluster", "a", ("upstream_cluster", "upstream_cluster.name"))):
            got = attribute(server, *names)
            checks.check(f"the server span has the {what}", "" if got == value else f"{got}: {server['attributes']}")

    _, seen = await ask(env, "/continued", [CONTEXT, ("tracestate", "foo=1")])
    spans = await collector.wait(lambda spans: len(of_path(spans, "/continued")[0]) >= 1 and len(of_path(spans, "/continued")[1]) >= 1)
    servers, clients = of_path(spans, "/continued")
    good = len(servers) == 1 and (servers[0]["Trace ID"], servers[0]["Parent ID"]) == (TRACE, PARENT)
    checks.check("a client's context is continued", "" if good else str(servers))
    got = dict(seen[0]["headers"]) if seen else {}
    checks.check("the origin gets the same trace and state", "" if got.get("traceparent", "").split("-")[1:2] == [TRACE] and "foo=1" in got.get("tracestate", "") else str(got))

    _, seen = await ask(env, "/unsampled", [("traceparent", f"00-{TRACE}-{PARENT}-00")])
    await ask(env, "/after-unsampled")
    spans = await collector.wait(lambda spans: of_path(spans, "/after-unsampled")[0])
    checks.check("an unsampled context makes no span", "" if not any(span["attributes"].get("http.url", "").endswith("/unsampled") for span in spans) else "a span came")
    checks.check("an unsampled context stays unsampled", "" if seen and dict(seen[0]["headers"]).get("traceparent", "").endswith("-00") else str(seen))

    await ask(env, "/failing", script=[reply("500 Oops")])
    status, _ = await ask(env, "/dead")
    spans = await collector.wait(lambda spans: of_path(spans, "/failing")[0] and of_path(spans, "/dead")[0])
    for path in ("/failing", "/dead"):
        servers, _ = of_path(spans, path)
        checks.check(f"a span of {path} is an error", "" if servers and servers[0]["Status code"] == "Error" else str(servers))

    before = len([span for span in collector.spans() if span["Kind"] == "Server"])
    count = 600
    await client_h1.exchange(env.port("main"), [request("/many") * count], ["GET"] * count, expect=count, settle=0, seconds=20)
    spans = await collector.wait(lambda spans: len([span for span in spans if span["Kind"] == "Server"]) >= before + count, 20)
    got = len([span for span in spans if span["Kind"] == "Server"]) - before
    checks.check("600 requests are 600 server spans", "" if got == count else f"{got}")
    ids = [span["ID"] for span in spans]
    checks.check("all span ids differ", "" if len(ids) == len(set(ids)) else f"{len(ids) - len(set(ids))} are double")

    await collector.stop()
    statuses = [(await ask(env, "/away"))[0] for _ in range(30)]
    checks.check("requests go on without a collector", "" if set(statuses) == {200} else str(statuses))
    await collector.start()

    async def spans_again():
        for _ in range(100):
            await ask(env, "/back")
            if of_path(await collector.wait(lambda spans: of_path(spans, "/back")[0], 0.4), "/back")[0]:
                return ""
        return "none within 40 s"
    checks.check("spans come again when the collector is back", await spans_again())


async def run(kind):
    checks = Checks("collector")
    with tempfile.TemporaryDirectory(prefix="collector-") as folder:
        certs = Certs(pathlib.Path(folder) / "certs")
        env = Env(kind, folder, certs)
        env.origins["a"] = await make_origin("a", "h1", certs).start()
        collector = await Collector(folder, free_port()).start()
        env.proxy = Proxy(kind, bootstrap(env, collector.port), folder, env.port("admin"))
        await env.proxy.start()
        try:
            await checks_of(checks, env, collector)
        finally:
            await env.proxy.stop(seconds=0)
            await collector.stop()
            await env.origin("a").stop()
            env.dead.close()
    return checks.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default="palanquin", choices=["palanquin", "envoy"])
    sys.exit(asyncio.run(run(parser.parse_args().proxy)))
