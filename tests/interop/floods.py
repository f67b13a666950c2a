"""Floods of HTTP/2 that took other proxies down, in raw frames (design: CVE-2023-44487 and its like).

After each the process lives, its memory has not grown by 32 MB, a bystander was served meanwhile, and the attacking connection
was ended or cost little. Some have bounds of their own, as how much of it reached the origin.
"""

import argparse
import asyncio
import os
import pathlib
import socket
import struct
import sys
import tempfile
import threading
import time

from harness import config
from harness.certs import Certs
from harness.config import says, to, vhost
from harness.proxy import Proxy, simple_request
from harness.verdicts import Checks

from differential.case import Env

MEMORY = 32 << 20
BYSTANDER_SECONDS = 0.5
ORIGIN_REQUESTS = 1500
STREAMS = 1024  # the default of Envoy's max_concurrent_streams
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 1, 4, 8, 32
CANCEL = struct.pack(">I", 8)


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def number(value, bits, first=0):
    """An HPACK integer with a prefix of `bits`."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytes([first | most])
    value -= most
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def literal(name, value, first=0):
    """A field without indexing (0), never indexed (16) or with indexing (64)."""
    name, value = name.encode(), value.encode()
    return bytes([first]) + number(len(name), 7) + name + number(len(value), 7) + value


def block(path="/origin", method="GET", *more):
    """The header block of a request, from the static table and literals."""
    own = b"\x82" if method == "GET" else b"\x83"
    at = b"\x04" + number(len(path), 7) + path.encode()
    return own + b"\x86" + at + b"\x01" + number(6, 7) + b"a.test" + b"".join(more)


def headers(stream, data, flags=END_STREAM | END_HEADERS):
    return frame(HEADERS, flags, stream, data)


class Client:
    """A connection that writes what it is told; what comes back is thrown away by a thread, or not read at all."""

    def __init__(self, port, reads=True, window=65_535):
        self.socket = socket.socket()
        if not reads:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.ended = threading.Event()
        self.sent = 0
        self.send(PREFACE + frame(SETTINGS, payload=struct.pack(">HI", 4, window)))
        if reads:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            while self.socket.recv(1 << 16):
                pass
        except OSError:
            pass
        self.ended.set()

    def send(self, data, seconds=10):
        """False once the proxy has ended the connection, or takes no more."""
        self.socket.settimeout(seconds)
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        self.sent += len(data)
        return not self.ended.is_set()

    def close(self):
        self.socket.close()


class Origin:
    """Answers each request after `delay`; counts what arrived and what was there at once."""

    def __init__(self):
        self.seen = self.now = self.most = 0
        self.delay = 0.05

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def _serve(self, reader, writer):
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                self.seen += 1
                self.now += 1
                self.most = max(self.most, self.now)
                try:
                    # a client that goes away ends the wait
                    await asyncio.wait_for(reader.read(1), self.delay)
                    return
                except asyncio.TimeoutError:
                    pass
                finally:
                    self.now -= 1
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


# --- the floods: each is given a port and returns when the connection ended or everything was sent

def many(port, make, total, batch=500, pause=0.0, seconds=6, prologue=b"", **fields):
    """Sends `make(i)` for each i below `total`, in batches, until the proxy ends the connection or the time is over."""
    client = Client(port, **fields)
    client.send(prologue)
    end = time.monotonic() + seconds
    for start in range(0, total, batch):
        left = end - time.monotonic()
        if left <= 0 or not client.send(b"".join(make(i) for i in range(start, min(total, start + batch))), left):
            break
        time.sleep(pause)
    return client


def odd(i):
    return 2 * i + 1


def rapid_reset(port):
    data = block()
    return many(port, lambda i: headers(odd(i), data) + frame(RST_STREAM, 0, odd(i), CANCEL), 400_000)


def reset_in_bursts(port):
    data = block()

    def burst(i):
        streams = [odd(100 * i + j) for j in range(100)]
        return b"".join(headers(s, data) for s in streams) + b"".join(frame(RST_STREAM, 0, s, CANCEL) for s in streams)
    return many(port, burst, 4_000, batch=1)


def reset_after_a_while(port):
    """The streams reach the origin before they are reset."""
    data = block()
    client = Client(port)
    for i in range(100):
        streams = [odd(100 * i + j) for j in range(100)]
        if not client.send(b"".join(headers(s, data) for s in streams)):
            break
        time.sleep(0.03)
        if not client.send(b"".join(frame(RST_STREAM, 0, s, CANCEL) for s in streams)):
            break
    return client


def made_you_reset(second, method="GET", flags=END_STREAM | END_HEADERS, more=b""):
    """A stream that breaks a rule, so that the proxy resets it."""
    data = block("/origin", method, more)

    def flood(port):
        return many(port, lambda i: headers(odd(i), data, flags) + second(odd(i)), 100_000, batch=100)
    return flood


def continuations(part):
    def flood(port):
        start = headers(1, block(), END_STREAM)
        return many(port, lambda i: frame(CONTINUATION, 0, 1, part), 400_000, batch=50, prologue=start)
    return flood


def open_stream():
    return headers(1, block("/origin", "POST"), END_HEADERS)


def empty_data(port):
    return many(port, lambda i: frame(DATA, 0, 1), 3_000_000, batch=5_000, prologue=open_stream())


def padding_only(port):
    return many(port, lambda i: frame(DATA, PADDED, 1, b"\xff" + bytes(255)), 400_000, batch=500, prologue=open_stream())


def unread(one):
    def flood(port):
        return many(port, lambda i: one, 2_000_000, batch=5_000, reads=False)
    return flood


def unread_answers(port):
    """Answers nobody reads, with all the window there is."""
    data = block("/large")
    return many(port, lambda i: headers(odd(i), data), 20_000, batch=200, reads=False, window=(1 << 31) - 1,
                prologue=frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", (1 << 31) - 1 - 65_535)))


def big_block(data):
    """One block as HEADERS and CONTINUATIONs of 16 KiB, on as many streams as the connection lives."""
    def make(i):
        parts = [data[at:at + 16_384] for at in range(0, len(data), 16_384)]
        out = headers(odd(i), parts[0], END_STREAM | (END_HEADERS if len(parts) == 1 else 0))
        for at, part in enumerate(parts[1:], 2):
            out += frame(CONTINUATION, END_HEADERS if at == len(parts) else 0, odd(i), part)
        return out

    def flood(port):
        return many(port, make, 50, batch=1)
    return flood


def hpack_bomb(port):
    entry = literal("x", "b" * 4_000, 64)
    first = headers(1, block("/direct", "GET", entry))
    bomb = block("/direct", "GET", b"\xbe" * 16_000)
    return many(port, lambda i: headers(odd(i + 1), bomb), 200, batch=1, prologue=first)


def half_sent(port):
    clients = []
    for _ in range(50):
        client = Client(port)
        client.send(headers(1, block("/direct", "GET", literal("x", "c" * 12_000)), END_STREAM))
        client.send(frame(CONTINUATION, 0, 1, literal("y", "d" * 15_000)))
        clients.append(client)
    time.sleep(0.5)
    for client in clients[1:]:
        client.close()
    return clients[0]


def trailers_without_end(port):
    data = block("/origin", "POST")
    trailers = literal("x-t", "1")
    return many(port, lambda i: headers(odd(i), data, END_HEADERS) + frame(DATA, 0, odd(i), b"x") + headers(odd(i), trailers, END_HEADERS),
                20_000, batch=50)


SELF = struct.pack(">IB", 1, 15)
OVERFLOW = struct.pack(">I", (1 << 31) - 1)
FLOODS = {
    "rapid reset": rapid_reset,
    "rapid reset in bursts": reset_in_bursts,
    "resets of streams that reached the origin": reset_after_a_while,
    "WINDOW_UPDATE of 0": made_you_reset(lambda s: frame(WINDOW_UPDATE, 0, s, bytes(4))),
    "WINDOW_UPDATE beyond the limit": made_you_reset(lambda s: frame(WINDOW_UPDATE, 0, s, OVERFLOW)),
    "DATA after END_STREAM": made_you_reset(lambda s: frame(DATA, 0, s, b"x")),
    "HEADERS after END_STREAM": made_you_reset(lambda s: headers(s, block())),
    "PRIORITY of a wrong length": made_you_reset(lambda s: frame(PRIORITY, 0, s, bytes(4))),
    "PRIORITY on itself": made_you_reset(lambda s: frame(PRIORITY, 0, s, struct.pack(">IB", s, 15))),
    "a body longer than its length": made_you_reset(
        lambda s: frame(DATA, END_STREAM, s, b"hello"), "POST", END_HEADERS, literal("content-length", "1")),
    "empty CONTINUATIONs": continuations(b""),
    "small CONTINUATIONs": continuations(literal("x", "y")),
    "CONTINUATIONs of 8 KB": continuations(literal("x", "y" * 8_000)),
    "CONTINUATIONs never indexed": continuations(literal("x", "y" * 1_000, 16)),
    "empty DATA": empty_data,
    "DATA of padding": padding_only,
    "PING, answers unread": unread(frame(PING, 0, 0, bytes(8))),
    "SETTINGS, answers unread": unread(frame(SETTINGS)),
    "answers unread": unread_answers,
    "20,000 cookie crumbs": big_block(block("/origin", "GET", literal("cookie", "a=1") * 20_000)),
    "20,000 indexed cookie crumbs": big_block(block("/origin", "GET", literal("cookie", "a=1", 64), b"\xbe" * 20_000)),
    "20,000 Hosts": big_block(block("/origin", "GET", literal("host", "a.test") * 20_000)),
    "a field of 300 KB": big_block(block("/origin", "GET", literal("x", "y" * 300_000))),
    "5,000 fields": big_block(block("/origin", "GET", *(literal(f"x-{n}", "1") for n in range(5_000)))),
    "an HPACK bomb": hpack_bomb,
    "half-sent blocks": half_sent,
    "trailers without END_STREAM": trailers_without_end,
}


def resident(pid):
    """Resident memory in bytes."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def served(port):
    """The beginning of the answer to a request on a new connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /direct HTTP/1.1\r\nhost: a.test\r\n\r\n")
        return await reader.readexactly(12)
    finally:
        writer.close()


async def judge(name, flood, env, origin, port):
    """Runs a flood beside a bystander and returns what was wrong."""
    pid = env.proxy.process.pid
    before, used, seen = resident(pid), cpu_seconds(pid), origin.seen
    origin.most = origin.now
    running = asyncio.create_task(asyncio.to_thread(flood, port))
    most, slowest, problems = before, 0.0, []
    while not running.done():
        began = time.monotonic()
        try:
            answer = await asyncio.wait_for(served(port), 5)
            if answer != b"HTTP/1.1 200":
                problems.append(f"a bystander was answered {answer}")
        except (OSError, EOFError, ValueError, asyncio.TimeoutError) as error:
            problems.append(f"a bystander was not served: {error!r}")
            break
        slowest = max(slowest, time.monotonic() - began)
        most = max(most, resident(pid))
        await asyncio.sleep(0.02)
    client = await running
    await asyncio.sleep(0.3)
    if env.proxy.process.returncode is not None:
        return [f"the process ended with {env.proxy.process.returncode}: {env.proxy.tail()}"]
    most = max(most, resident(pid))
    ended, reached, work = client.ended.is_set(), origin.seen - seen, cpu_seconds(pid) - used
    client.close()
    if most - before > MEMORY:
        problems.append(f"memory grew by {(most - before) >> 20} MB")
    if slowest > BYSTANDER_SECONDS:
        problems.append(f"a bystander waited {slowest:.2f} s")
    if reached > ORIGIN_REQUESTS:
        problems.append(f"{reached} requests reached the origin")
    if origin.most > STREAMS:
        problems.append(f"{origin.most} requests were at the origin at once")
    if env.verbose:
        print(f"{name}: ended {ended}, sent {client.sent >> 10} KB, +{(most - before) >> 10} KB, {work:.2f} s of work, "
              f"origin {reached}, at once {origin.most}, slowest {slowest:.3f} s", flush=True)
    return problems


def bootstrap(env, origin):
    routes = [vhost("v", ["*"], [says({"prefix": "/direct"}, "ok"), says({"prefix": "/large"}, "l" * 4_000), to({"prefix": "/"}, "a")])]
    listeners = [config.listener("main", env.port("main"), [config.chain([config.hcm(routes)])])]
    breakers = {"circuit_breakers": {"thresholds": [{"max_connections": 5000, "max_pending_requests": 5000, "max_requests": 5000}]}}
    return config.bootstrap(env.port("admin"), listeners, [config.cluster("a", origin.port, **breakers)])


async def main(options):
    checks = Checks("floods")
    with tempfile.TemporaryDirectory(prefix="floods-") as folder:
        env = Env(options.proxy, folder, Certs(pathlib.Path(folder) / "certs"))
        env.verbose = options.verbose
        origin = await Origin().start()
        for name, flood in FLOODS.items():
            if options.only and options.only not in name:
                continue
            # a process for each: memory of one flood must not hide that of the next
            env.proxy = Proxy(options.proxy, bootstrap(env, origin), folder, env.port("admin"))
            await env.proxy.start()
            try:
                await simple_request(env.port("main"), "GET", "/direct")
                checks.check(name, "; ".join(await judge(name, flood, env, origin, env.port("main"))))
            finally:
                await env.proxy.stop(0)
    return checks.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--proxy", choices=["envoy", "palanquin"], default="palanquin")
    parser.add_argument("--only", help="floods whose name has these words")
    parser.add_argument("-v", "--verbose", action="store_true", help="tell what each cost")
    sys.exit(asyncio.run(main(parser.parse_args())))
