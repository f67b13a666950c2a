"""A scripted HTTP/1 origin: records what it was sent, byte for byte, and answers what the case says.

An answer is a list of steps, carried out in order once the request has been read whole:
bytes (written), `("sleep", seconds)`, `"close"`, `"reset"`, `"hold"` (wait until the peer closes), `"echo"` (copy raw bytes
back until the peer closes), `"early"` (as first step: answer at the end of the head, before the body is read).
"""

import asyncio
import socket
import struct


def reply(status="200 OK", headers=(), body=b"ok"):
    """A plain answer with a length."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), f"content-length: {len(body)}"]
    return ["\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body]


class Origin:
    """One listening origin. `script` is consumed answer by answer; when it is empty the origin names itself."""

    def __init__(self, name, tls=None):
        self.name = name
        self.tls = tls
        self.script = []
        self.seen = []
        self.connections = 0
        self.server = None
        self.port = None
        self._tasks = set()
        self._busy = set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls, limit=1 << 22)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self.server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def settle(self):
        """Drops connections that are still within an answer (held, echoing, asleep), so that no later request meets them in a pool."""
        for task in list(self._busy):
            task.cancel()

    async def _serve(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            # The proxy went away within a message; the record shows how far it came.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        line, *fields = head[:-4].decode("latin-1").split("\r\n")
        headers = [[part.strip() for part in field.split(":", 1)] for field in fields]
        record = {"origin": self.name, "line": line, "headers": headers, "body": "", "complete": False}
        self.seen.append(record)
        steps = list(self.script.pop(0)) if self.script else self._default(line)
        task = asyncio.current_task()
        self._busy.add(task)
        try:
            return await self._answer(reader, writer, headers, record, steps)
        finally:
            self._busy.discard(task)

    async def _answer(self, reader, writer, headers, record, steps):
        early = bool(steps) and steps[0] == "early"
        if early:
            steps.pop(0)
        else:
            await self._body(reader, headers, record)
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif isinstance(step, tuple):
                await asyncio.sleep(step[1])
            elif step == "close":
                return False
            elif step == "reset":
                reset(writer)
                return False
            elif step == "hold":
                await reader.read(-1)
                return False
            elif step == "echo":
                await self._echo(reader, writer, record)
                return False
        if early:
            await self._body(reader, headers, record)
        return True

    def _default(self, line):
        body = b"" if line.startswith("HEAD ") else self.name.encode()
        return [b"HTTP/1.1 200 OK\r\nx-origin: %s\r\ncontent-length: %d\r\n\r\n%s"
                % (self.name.encode(), len(self.name), body)]

    async def _body(self, reader, headers, record):
        named = {name.lower(): value for name, value in headers}
        body = b""
        try:
            if "chunked" in named.get("transfer-encoding", "").lower():
                while True:
                    size = int((await reader.readline()).split(b";")[0], 16)
                    if size == 0:
                        break
                    body += await reader.readexactly(size)
                    record["body"] = body.decode("latin-1")
                    await reader.readexactly(2)
                trailers = []
                while (line := (await reader.readline()).strip()):
                    trailers.append(line.decode("latin-1"))
                if trailers:
                    record["trailers"] = trailers
            elif "content-length" in named:
                left = int(named["content-length"])
                while left:
                    part = await reader.read(min(left, 65536))
                    if not part:
                        raise asyncio.IncompleteReadError(body, None)
                    body += part
                    left -= len(part)
                    record["body"] = body.decode("latin-1")
            record["complete"] = True
        finally:
            text = body.decode("latin-1")
            record["body"] = text if len(text) < 2000 else f"{len(text)} bytes {hash_text(body)}"

    async def _echo(self, reader, writer, record):
        received = b""
        while part := await reader.read(65536):
            received += part
            record["raw"] = received.decode("latin-1")
            writer.write(part)
            await writer.drain()
        # A half-closed peer still gets our end.
        if writer.can_write_eof():
            writer.write_eof()


def reset(writer):
    """Closes with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def hash_text(data):
    """A short fingerprint, so that long bodies compare without being printed."""
    import hashlib
    return hashlib.sha256(data).hexdigest()[:12]
