"""The life of a process as its operator sees it: commands, start, files that change, reload, end. Only for Palanquin: its answers are its own."""

import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import sys
import tempfile
import time

import hpack

from harness.config import TYPE, address, bootstrap, chain, cluster, endpoint, hcm, listener, says, to, vhost
from harness.origin_h1 import Origin, reply
from harness.ports import free_port
from harness.proxy import Proxy, palanquin_binary, simple_request
from harness.verdicts import Checks

LISTENER = "envoy.config.listener.v3.Listener"
CLUSTER = "envoy.config.cluster.v3.Cluster"
ROUTES = "envoy.config.route.v3.RouteConfiguration"
ENDPOINTS = "envoy.config.endpoint.v3.ClusterLoadAssignment"


class Load:
    """Asks one address steadily over connections that are kept open as long as the proxy allows."""

    def __init__(self, port, clients=3):
        self.port, self.ok, self.failed = port, 0, []
        self.tasks = [asyncio.create_task(self.client()) for _ in range(clients)]

    async def client(self):
        writer = None
        while True:
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(b"GET /load HTTP/1.1\r\nhost: a\r\n\r\n")
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(int(length.split(b":")[1]))
                if not head.startswith(b"HTTP/1.1 200"):
                    raise ValueError(head.split(b"\r\n")[0].decode())
                self.ok += 1
                if b"connection: close" in head.lower():
                    writer.close()
                    writer = None
            except (OSError, EOFError, ValueError, asyncio.TimeoutError, StopIteration) as error:
                self.failed.append(f"{type(error).__name__} {error}")
                writer = None
            await asyncio.sleep(0.005)

    def lost(self):
        """The problem since the last call, if there is one."""
        ok, failed = self.ok, self.failed
        self.ok, self.failed = 0, []
        if failed:
            return f"{len(failed)} of {ok + len(failed)} requests failed: {sorted(set(failed))}"
        return None if ok else "no request was answered"

    def stop(self):
        for task in self.tasks:
            task.cancel()


async def until(ask, seconds=8):
    """Asks until the answer is true; the problem is the last answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            answer = await ask()
        except (OSError, EOFError, ValueError, IndexError, asyncio.TimeoutError) as error:
            answer = f"{type(error).__name__}: {error}"
        if answer is None:
            return None
        if time.monotonic() > deadline:
            return answer
        await asyncio.sleep(0.02)


def expect(port, status=200, body=None, path="/"):
    """A question for `until`: whether the answer is this one."""
    async def ask():
        got, _, text = await simple_request(port, "GET", path)
        return None if got == status and body in (None, text) else f"got {got} {text!r}"
    return ask


def refused(port):
    async def ask():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return None
        writer.close()
        return "still accepts"
    return ask


def replace(path, text):
    """Writes beside it and renames, as operators should and editors do."""
    fresh = path.with_suffix(".fresh")
    fresh.write_text(text if isinstance(text, str) else json.dumps(text))
    os.replace(fresh, path)


def discovery(kind, *resources):
    return {"version_info": str(time.monotonic_ns()), "resources": [{"@type": TYPE + kind, **one} for one in resources]}


def answering(name, port, text, **fields):
    """A listener that answers with a text."""
    return listener(name, port, [chain([hcm([vhost("all", ["*"], [says({"prefix": "/"}, text)])], **fields)])])


async def command(*arguments, folder):
    process = await asyncio.create_subprocess_exec(
        palanquin_binary(), *arguments, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    return process.returncode, output.decode()


async def h2_frames(port):
    """One GET over HTTP/2 and the frames that come back until the proxy closes: (type, flags, payload)."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    fields = hpack.Encoder().encode([(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")])
    frame = lambda kind, flags, stream, payload=b"": struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 5, 1, fields))
    frames = []
    with contextlib.suppress(EOFError, OSError):
        while True:
            head = await asyncio.wait_for(reader.readexactly(9), 5)
            payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
            frames.append((head[3], head[4], payload))
            if head[3] in (4, 6) and not head[4] & 1:
                writer.write(frame(head[3], 1, 0, payload if head[3] == 6 else b""))
    writer.close()
    return frames


@contextlib.asynccontextmanager
async def running(folder, config, admin, *flags, concurrency=2):
    proxy = Proxy("palanquin", config, folder, admin, concurrency, flags)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop(seconds=0)


async def commands(checks, folder):
    good = folder / "good.json"
    port = free_port()
    good.write_text(json.dumps(bootstrap(free_port(), [answering("main", port, "file")], [cluster("a", 1)])))
    bad = folder / "bad.json"
    bad.write_text(json.dumps(bootstrap(free_port(), [answering("main", port, "x")], [{"name": "a", "type": "EDS"}]), indent=1))
    for name, arguments in (("--mode validate", ["-c", str(good), "--mode", "validate"]), ("check", ["check", str(good)])):
        code, text = await command(*arguments, folder=folder)
        checks.check(f"{name} accepts a good file", code != 0 and text or None)
    for name, arguments in (("--mode validate", ["-c", str(bad), "--mode", "validate"]), ("check", ["check", str(bad)])):
        code, text = await command(*arguments, folder=folder)
        says_where = "bad.json:" in text and "static_resources.clusters[0].eds_cluster_config" in text
        checks.check(f"{name} refuses a bad file and says where", None if code == 1 and says_where else f"{code} {text}")
    admin = free_port()
    merged = json.dumps({"admin": {"address": address(admin)}, "node": {"id": "merged"}})
    async with running(folder, good.read_text(), admin, "--config-yaml", merged) as proxy:
        _, _, text = await proxy.admin("GET", "/server_info")
        checks.check("--config-yaml is merged over the file", None if json.loads(text)["node"]["id"] == "merged" else text)
        checks.check("the file's listener serves beside it", await until(expect(port, body="file")))
    taken = socket.create_server(("127.0.0.1", 0))
    code, text = await command(
        "-c", str(good), "--config-yaml", json.dumps(bootstrap(free_port(), [answering("second", taken.getsockname()[1], "x")], [])),
        folder=folder)
    taken.close()
    told = code == 1 and "second" in text and "cannot bind" in text
    checks.check("a static listener that cannot be bound ends the start", None if told else f"{code} {text}")


async def files(checks, folder):
    """Listeners, clusters, routes and endpoints from files that are replaced under load."""
    a, b = await Origin("a").start(), await Origin("b").start()
    ports = [free_port() for _ in range(3)]
    admin = free_port()
    path = {name: folder / f"{name}.json" for name in ("lds", "cds", "eds", "rds", "rds2")}
    watched = lambda name: {"path_config_source": {"path": str(path[name])}}
    eds = lambda name: {"name": name, "type": "EDS", "connect_timeout": "1s", "eds_cluster_config": {"eds_config": watched("eds")}}
    load_of = lambda name, *ports: {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint(port) for port in ports]}]}
    table = lambda name, cluster: {"name": name, "virtual_hosts": [vhost("all", ["*"], [to({"prefix": "/"}, cluster)])]}
    served = lambda name, port, routes, file: listener(name, port, [chain([hcm([], rds={
        "route_config_name": routes, "config_source": watched(file)})])])
    main = served("main", ports[0], "routes", "rds")
    path["eds"].write_text(json.dumps(discovery(ENDPOINTS, load_of("one", a.port))))
    path["cds"].write_text(json.dumps(discovery(CLUSTER, eds("one"))))
    path["rds"].write_text(json.dumps(discovery(ROUTES, table("routes", "one"))))
    path["rds2"].write_text(json.dumps(discovery(ROUTES, table("more", "two"))))
    path["lds"].write_text(json.dumps(discovery(LISTENER, main)))
    config = {"node": {"id": "f", "cluster": "f"}, "admin": {"address": address(admin)},
              "dynamic_resources": {"lds_config": watched("lds"), "cds_config": watched("cds")}}
    async with running(folder, config, admin) as proxy:
        checks.check("resources from files serve", await until(expect(ports[0], body="a")))
        load = Load(ports[0])
        replace(path["eds"], discovery(ENDPOINTS, load_of("one", b.port)))
        checks.check("endpoints of a file change", await until(expect(ports[0], body="b")))
        replace(path["cds"], discovery(CLUSTER, eds("one"), eds("two")))
        replace(path["eds"], discovery(ENDPOINTS, load_of("one", b.port), load_of("two", a.port)))
        replace(path["lds"], discovery(LISTENER, main, served("extra", ports[1], "more", "rds2")))
        checks.check("a new listener reads a routes file of its own", await until(expect(ports[1], body="a")))
        replace(path["rds"], discovery(ROUTES, table("routes", "two")))
        checks.check("routes of a file change", await until(expect(ports[0], body="a")))
        replace(path["rds2"], discovery(ROUTES, table("more", "one")))
        checks.check("a file that came later is watched, too", await until(expect(ports[1], body="b")))
        replace(path["rds"], "this: [is no")
        await asyncio.sleep(0.4)
        checks.check("a broken file changes nothing", await until(expect(ports[0], body="a")))
        replace(path["lds"], discovery(LISTENER, main))
        checks.check("a listener that is in the file no longer goes", await until(refused(ports[1])))
        replace(path["lds"], discovery(LISTENER, served("main", ports[2], "routes", "rds")))
        checks.check("a listener moves to another address", await until(expect(ports[2], body="a")))
        replace(path["lds"], discovery(LISTENER, main))
        checks.check("and back", await until(expect(ports[0], body="a")))
        load.lost()
        for number in range(20):
            text = f"s{number}"
            fresh = table("routes", "two")
            fresh["response_headers_to_add"] = [{"header": {"key": "x-n", "value": text}}]
            replace(path["rds"], discovery(ROUTES, fresh))
            await asyncio.sleep(0.08)
        checks.check("changes of files lose no request", load.lost())
        load.stop()
        _, _, dump = await proxy.admin("GET", "/config_dump")
        checks.check("/config_dump shows what came from files", None if '"name": "routes"' in dump else dump[:300])
    await a.stop()
    await b.stop()


async def reload(checks, folder):
    """The bootstrap itself is replaced under load."""
    ports = [free_port() for _ in range(3)]
    admin = free_port()
    config = lambda *listeners: bootstrap(admin, list(listeners), [])
    async with running(folder, config(answering("main", ports[0], "1")), admin) as proxy:
        checks.check("the bootstrap's listener serves", await until(expect(ports[0], body="1")))
        load = Load(ports[0])
        for text in ("2", "3", "4", "5"):
            replace(proxy.config, config(answering("main", ports[0], text)))
            checks.check(f"reload {text} takes effect", await until(expect(ports[0], body=text)))
        replace(proxy.config, config(answering("main", ports[0], "6"), answering("extra", ports[1], "extra")))
        checks.check("a reload adds a listener", await until(expect(ports[1], body="extra")))
        bad = config(answering("main", ports[0], "7"))
        bad["static_resources"]["clusters"] = [{"name": "broken", "type": "EDS"}]
        replace(proxy.config, bad)
        await asyncio.sleep(0.5)
        checks.check("a bad reload changes nothing", await until(expect(ports[0], body="6")))
        checks.check("and says so", None if "last good one serves" in proxy.log.read_text() else proxy.tail())
        replace(proxy.config, config(answering("main", ports[0], "8")))
        checks.check("a good reload after it takes effect", await until(expect(ports[0], body="8")))
        checks.check("what it lacks is gone", await until(refused(ports[1])))
        replace(proxy.config, config(answering("renamed", ports[0], "9")))
        checks.check("a listener of another name takes the address", await until(expect(ports[0], body="9")))
        checks.check("reloads lose no request", load.lost())
        load.stop()
        replace(proxy.config, config(answering("renamed", ports[2], "10")))
        checks.check("a listener moves", await until(expect(ports[2], body="10")))
        checks.check("its old address is closed", await until(refused(ports[0])))


async def ending(checks, folder):
    origin = await Origin("a").start()
    port, admin = free_port(), free_port()
    config = bootstrap(admin, [listener("main", port, [chain([hcm([vhost("all", ["*"], [to({"prefix": "/"}, "a")])])])])],
                       [cluster("a", origin.port)])

    async def ended(proxy, seconds):
        began = time.monotonic()
        try:
            await asyncio.wait_for(proxy.process.wait(), seconds + 5)
        except asyncio.TimeoutError:
            return f"still runs after {seconds + 5} s"
        took = time.monotonic() - began
        return None if took < seconds and proxy.process.returncode == 0 else f"{proxy.process.returncode} after {took:.2f} s"

    async with running(folder, config, admin) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        proxy.process.send_signal(signal.SIGTERM)
        checks.check("SIGTERM ends an idle process at once, kept connections or not", await ended(proxy, 1))
        writer.close()

    async with running(folder, config, admin) as proxy:
        origin.script.append([("sleep", 0.6), *reply(body=b"late")])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.sleep(0.2)
        origin.script.append([("sleep", 0.6), *reply(body=b"late")])
        h2 = asyncio.create_task(h2_frames(port))
        await asyncio.sleep(0.2)
        proxy.process.send_signal(signal.SIGTERM)
        checks.check("a draining process accepts no more", await until(refused(port), 2))
        answer = await asyncio.wait_for(reader.read(), 5)
        whole = answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"late") and b"connection: close" in answer.lower()
        checks.check("a request in flight is finished, and the connection closed", None if whole else repr(answer))
        frames = await h2
        whole = b"".join(payload for kind, _, payload in frames if kind == 0) == b"late"
        checks.check("over HTTP/2 it is, and GOAWAY comes", None if whole and any(kind == 7 for kind, _, _ in frames) else repr(frames))
        checks.check("then the process ends", await ended(proxy, 1))
        writer.close()

    async with running(folder, config, admin, "--drain-time-s", "1") as proxy:
        origin.script.append([("sleep", 8), *reply()])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.sleep(0.2)
        proxy.process.send_signal(signal.SIGTERM)
        checks.check("--drain-time-s is the longest that it takes", await ended(proxy, 2))
        writer.close()

    async with running(folder, config, admin) as proxy:
        origin.script.append([("sleep", 8), *reply()])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n")
        await asyncio.sleep(0.2)
        proxy.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        proxy.process.send_signal(signal.SIGTERM)
        checks.check("a second SIGTERM does not wait", await ended(proxy, 1))
        writer.close()
    await origin.stop()


async def workers(checks, folder):
    """What all workers share."""
    origin = await Origin("a").start()
    port, admin = free_port(), free_port()
    limited = cluster("a", origin.port, circuit_breakers={"thresholds": [{"max_requests": 3, "max_pending_requests": 100}]})
    config = bootstrap(admin, [listener("main", port, [chain([hcm([vhost("all", ["*"], [to({"prefix": "/"}, "a")])])])])], [limited])
    async with running(folder, config, admin, concurrency=4):
        origin.script.extend([("sleep", 0.7), *reply()] for _ in range(24))
        answers = await asyncio.gather(*(simple_request(port, "GET", "/") for _ in range(24)))
        passed = sum(1 for status, _, _ in answers if status == 200)
        checks.check("workers share the breakers of a cluster", None if passed == 3 else f"{passed} of 24 requests passed, 3 may")
    await origin.stop()


async def run():
    checks = Checks("lifecycle")
    for suite in (commands, files, reload, ending, workers):
        with tempfile.TemporaryDirectory(prefix="lifecycle-") as folder:
            await suite(checks, pathlib.Path(folder))
    return checks.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--proxy", default="palanquin", choices=["palanquin"])
    parser.parse_args()
    sys.exit(asyncio.run(run()))
