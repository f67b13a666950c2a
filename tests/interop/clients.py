"""Real clients through the proxy: curl, h2load, and grpcio as client and as server."""

import argparse
import asyncio
import concurrent.futures
import pathlib
import re
import shutil
import sys
import tempfile
import threading

import grpc

from harness import config
from harness.certs import Certs
from harness.config import says, to, vhost
from harness.ports import free_port
from harness.proxy import Proxy
from harness.verdicts import Checks

from differential.case import Env
from differential.runner import make_origin

METHOD = "/interop.Echo/"


class Echo(grpc.GenericRpcHandler):
    """Unary, both streams and failures, on raw bytes: no generated code is needed."""

    def service(self, details):
        handlers = {
            f"{METHOD}Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            f"{METHOD}Down": grpc.unary_stream_rpc_method_handler(self.down),
            f"{METHOD}Up": grpc.stream_unary_rpc_method_handler(self.up),
            f"{METHOD}Both": grpc.stream_stream_rpc_method_handler(self.both),
            f"{METHOD}Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            f"{METHOD}Slow": grpc.unary_unary_rpc_method_handler(self.slow),
        }
        return handlers.get(details.method)

    def unary(self, message, context):
        sent = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-seen", sent.get("x-asked", "")), ("x-seen-bin", sent.get("x-asked-bin", b""))))
        return message

    def down(self, message, context):
        yield from (message for _ in range(5))

    def up(self, messages, context):
        return b"".join(messages)

    def both(self, messages, context):
        yield from messages

    def fail(self, message, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "no: 100 % caf\u00e9")

    def slow(self, message, context):
        threading.Event().wait(3)
        return message


def bootstrap(env, grpc_port):
    def chain(**fields):
        routes = [vhost("v", ["*"], [to({"prefix": METHOD}, "grpc"), says({"prefix": "/direct"}, "direct"), to({"prefix": "/dead"}, "dead"), to({"prefix": "/"}, "a")])]
        return config.chain([config.hcm(routes, upgrade_configs=[{"upgrade_type": "websocket"}])], **fields)
    secure = config.downstream_tls(env.certs, alpn=("h2", "http/1.1"))
    listeners = [config.listener("plain", env.port("plain"), [chain()]), config.listener("tls", env.port("tls"), [chain(transport_socket=secure)])]
    breakers = {"circuit_breakers": {"thresholds": [{"max_connections": 5000, "max_pending_requests": 5000, "max_requests": 5000}]}}
    clusters = [config.cluster("a", env.origin("a").port, **breakers), config.cluster("dead", env.dead_port), config.cluster("grpc", grpc_port, h2=True)]
    return config.bootstrap(env.port("admin"), listeners, clusters)


async def output(*command, data=None):
    process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.PIPE if data else asyncio.subprocess.DEVNULL,
                                                   stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    out, _ = await asyncio.wait_for(process.communicate(data), 60)
    return process.returncode, out.decode("utf-8", "replace")


async def with_curl(checks, env):
    """curl in each protocol."""
    plain, tls = env.port("plain"), env.port("tls")
    ca = env.certs.crt("ca")
    write = "%{http_version} %{http_code} %{size_download}"
    runs = {
        "HTTP/1.1": (["--http1.1", f"http://127.0.0.1:{plain}/x"], "1.1 200 1"),
        "HTTP/2 with prior knowledge": (["--http2-prior-knowledge", f"http://127.0.0.1:{plain}/x"], "2 200 1"),
        "HTTP/1.1 over TLS": (["--http1.1", "--cacert", ca, "--resolve", f"a.test:{tls}:127.0.0.1", f"https://a.test:{tls}/x"], "1.1 200 1"),
        "HTTP/2 by ALPN": (["--http2", "--cacert", ca, "--resolve", f"a.test:{tls}:127.0.0.1", f"https://a.test:{tls}/x"], "2 200 1"),
        "TLS 1.2": (["--tls-max", "1.2", "--cacert", ca, "--resolve", f"a.test:{tls}:127.0.0.1", f"https://a.test:{tls}/x"], "2 200 1"),
        "a body of a megabyte over HTTP/2": (["--http2-prior-knowledge", "--data-binary", "@-", f"http://127.0.0.1:{plain}/x"], "2 200 1"),
        "a body of a megabyte with 100-continue": (["--http1.1", "-H", "Expect: 100-continue", "--data-binary", "@-", f"http://127.0.0.1:{plain}/x"], "1.1 200 1"),
        "a chunked upload": (["--http1.1", "-H", "Transfer-Encoding: chunked", "--data-binary", "@-", f"http://127.0.0.1:{plain}/x"], "1.1 200 1"),
        "HEAD": (["--head", f"http://127.0.0.1:{plain}/direct"], "1.1 200 0"),
        "a dead origin": ([f"http://127.0.0.1:{plain}/dead"], "1.1 503"),
    }
    for name, (arguments, wanted) in runs.items():
        data = b"m" * 1_000_000 if "@-" in arguments else None
        code, out = await output("curl", "-sS", "-o", "/dev/null", "-w", write, *arguments, data=data)
        checks.check(f"curl: {name}", "" if code == 0 and out.startswith(wanted) else f"exit {code}, {out[:200]}, wanted {wanted}")
    received = env.origin("a").seen
    lengths = [record["body"] for record in received if record["body"].startswith("1000000 bytes")]
    checks.check("curl: the uploads arrived whole", "" if len(lengths) == 3 and len(set(lengths)) == 1 else f"{lengths}")


async def with_h2load(checks, env):
    """h2load in each protocol; every request must succeed."""
    plain, tls = env.port("plain"), env.port("tls")
    runs = {
        "HTTP/1.1": ["--h1", "-n", "2000", "-c", "20", f"http://127.0.0.1:{plain}/direct"],
        "HTTP/1.1 to the origin": ["--h1", "-n", "2000", "-c", "20", f"http://127.0.0.1:{plain}/x"],
        "HTTP/2": ["-n", "5000", "-c", "5", "-m", "50", f"http://127.0.0.1:{plain}/direct"],
        "HTTP/2 to the origin": ["-n", "2000", "-c", "5", "-m", "50", f"http://127.0.0.1:{plain}/x"],
        "HTTP/2 over TLS": ["-n", "2000", "-c", "10", "-m", "20", f"https://127.0.0.1:{tls}/direct"],
    }
    for name, arguments in runs.items():
        code, out = await output("h2load", *arguments)
        count = arguments[arguments.index("-n") + 1]
        found = re.search(r"requests: (\d+) total, .*? (\d+) succeeded", out)
        good = code == 0 and found and found[2] == count and f"{count} 2xx" in out
        checks.check(f"h2load: {name}", "" if good else f"exit {code}: {out[-600:]}")


def with_grpc(checks, env):
    """grpcio through the proxy to grpcio, cleartext and TLS."""
    roots = pathlib.Path(env.certs.crt("ca")).read_bytes()
    channels = {
        "cleartext": grpc.insecure_channel(f"127.0.0.1:{env.port('plain')}"),
        "TLS": grpc.secure_channel(f"127.0.0.1:{env.port('tls')}", grpc.ssl_channel_credentials(roots), [("grpc.ssl_target_name_override", "a.test")]),
    }
    for kind, channel in channels.items():
        with channel:
            for name, problem in grpc_calls(channel):
                checks.check(f"grpcio over {kind}: {name}", problem)


def grpc_calls(channel):
    """(name, problem) of each sort of call."""
    unary = channel.unary_unary(f"{METHOD}Unary")
    answer, call = unary.with_call(b"hello", metadata=(("x-asked", "yes"), ("x-asked-bin", b"\0\xff")), timeout=10)
    trailers = dict(call.trailing_metadata())
    yield "a unary call", "" if answer == b"hello" else answer
    yield "metadata both ways", "" if trailers.get("x-seen") == "yes" and trailers.get("x-seen-bin") == b"\0\xff" else str(trailers)
    large = b"L" * 3_000_000
    yield "a message of 3 MB", "" if unary(large, timeout=20) == large else "it changed"
    yield "a stream down", "" if list(channel.unary_stream(f"{METHOD}Down")(b"d", timeout=10)) == [b"d"] * 5 else "it changed"
    yield "a stream up", "" if channel.stream_unary(f"{METHOD}Up")(iter([b"a", b"b", b"c"]), timeout=10) == b"abc" else "it changed"
    yield "a dialogue", dialogue(channel)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: unary(str(n).encode(), timeout=20), range(200)))
    yield "200 calls at once", "" if answers == [str(n).encode() for n in range(200)] else "they were mixed up"
    yield "a failure with its message", failure(lambda: channel.unary_unary(f"{METHOD}Fail")(b"", timeout=10), grpc.StatusCode.FAILED_PRECONDITION, "no: 100 % caf\u00e9")
    yield "an unknown method", failure(lambda: channel.unary_unary(f"{METHOD}None")(b"", timeout=10), grpc.StatusCode.UNIMPLEMENTED)
    yield "a deadline", failure(lambda: channel.unary_unary(f"{METHOD}Slow")(b"", timeout=0.5), grpc.StatusCode.DEADLINE_EXCEEDED)
    yield "a dead origin", failure(lambda: channel.unary_unary("/dead/Method")(b"", timeout=10), grpc.StatusCode.UNAVAILABLE)
    after = unary(b"after", timeout=10)
    yield "a call after the failures", "" if after == b"after" else str(after)


def dialogue(channel):
    """Each message is sent only when the one before came back: nothing may be held back."""
    back = threading.Semaphore(1)

    def messages():
        for number in range(10):
            if not back.acquire(timeout=5):
                return
            yield str(number).encode()

    seen = []
    for message in channel.stream_stream(f"{METHOD}Both")(messages(), timeout=20):
        seen.append(message)
        back.release()
    return "" if seen == [str(number).encode() for number in range(10)] else f"{len(seen)} messages came back"


def failure(call, code, text=None):
    try:
        call()
    except grpc.RpcError as error:
        if error.code() != code:
            return f"{error.code()}: {error.details()}"
        return "" if text is None or error.details() == text else f"message {error.details()!r}"
    return "it succeeded"


async def run(kind):
    checks = Checks("clients")
    with tempfile.TemporaryDirectory(prefix="clients-") as folder:
        certs = Certs(pathlib.Path(folder) / "certs")
        env = Env(kind, folder, certs)
        env.origins["a"] = await make_origin("a", "h1", certs).start()
        port = free_port()
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=[("grpc.max_receive_message_length", -1)])
        server.add_generic_rpc_handlers((Echo(),))
        assert server.add_insecure_port(f"127.0.0.1:{port}") == port
        server.start()
        env.proxy = Proxy(kind, bootstrap(env, port), folder, env.port("admin"))
        await env.proxy.start()
        try:
            for tool, suite in (("curl", with_curl), ("h2load", with_h2load)):
                if shutil.which(tool):
                    await suite(checks, env)
                else:
                    checks.check(tool, "it is not installed; use tests/interop/run")
            await asyncio.get_running_loop().run_in_executor(None, with_grpc, checks, env)
        finally:
            await env.proxy.stop(seconds=0)
            server.stop(None)
            await env.origin("a").stop()
            env.dead.close()
    return checks.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default="palanquin", choices=["palanquin", "envoy"])
    sys.exit(asyncio.run(run(parser.parse_args().proxy)))
