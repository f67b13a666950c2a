"""A raw HTTP/1 client: sends exactly the bytes of a case and notes everything that comes back, and whether the connection lives."""

import asyncio
import ssl as ssl_module

from harness.origin_h1 import hash_text


def parse_responses(data, methods, eof):
    """Reads as many responses as `data` holds. Returns (responses, count of final complete ones, rest)."""
    out, finals = [], 0
    methods = list(methods)
    while data:
        head_end = data.find(b"\r\n\r\n")
        if head_end < 0:
            break
        line, *fields = data[:head_end].decode("latin-1").split("\r\n")
        headers = [[part.strip(" \t") for part in (field.split(":", 1) + [""])[:2]] for field in fields]
        response = {"status_line": line, "status": status_of(line), "headers": headers, "body": "", "complete": True}
        out.append(response)
        rest = data[head_end + 4:]
        if 100 <= response["status"] < 200:
            data = rest
            if response["status"] == 101:
                response["body"] = rest.decode("latin-1")
                return out, finals + 1, b""
            continue
        method = methods.pop(0) if methods else "GET"
        body, data, complete = read_body(response, method, rest, eof)
        response["body"] = body.decode("latin-1") if len(body) < 2000 else f"{len(body)} bytes {hash_text(body)}"
        response["complete"] = complete
        if not complete:
            return out, finals, b""
        finals += 1
    return out, finals, data


def read_body(response, method, rest, eof):
    """(body, what follows, complete) by RFC 9112 §6.3."""
    named = {name.lower(): value for name, value in response["headers"]}
    if method == "HEAD" or response["status"] in (204, 304):
        return b"", rest, True
    if method == "CONNECT" and 200 <= response["status"] < 300:
        return rest, b"", True
    if "chunked" in named.get("transfer-encoding", ""):
        return read_chunks(response, rest)
    if "content-length" in named:
        length = int(named["content-length"])
        return rest[:length], rest[length:], len(rest) >= length
    return rest, b"", eof


def read_chunks(response, rest):
    body = b""
    while True:
        size, sep, after = rest.partition(b"\r\n")
        if not sep:
            return body, b"", False
        try:
            count = int(size.split(b";")[0], 16)
        except ValueError:
            return body, rest, False
        if count == 0:
            trailers = []
            while True:
                line, sep, after = after.partition(b"\r\n")
                if not sep:
                    return body, b"", False
                if not line:
                    break
                trailers.append(line.decode("latin-1"))
            if trailers:
                response["trailers"] = trailers
            return body, after, True
        if len(after) < count + 2:
            return body + after[:count], b"", False
        body += after[:count]
        rest = after[count + 2:]


def announces_close(data, methods):
    responses, _, _ = parse_responses(data, methods, False)
    named = [(name.lower(), value.lower()) for one in responses[-1:] for name, value in one["headers"]]
    return ("connection", "close") in named


def status_of(line):
    parts = line.split(" ")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else 0


async def exchange(port, steps, methods, expect=1, settle=0.15, seconds=8, tls=None, sni=None):
    """Sends `steps` and reads until `expect` final responses came and `settle` seconds passed, or the peer closed.

    A step is bytes, `("sleep", seconds)`, `("until", bytes)` (wait until the answer holds them), `"eof"` (half-close).
    """
    loop = asyncio.get_running_loop()
    try:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=sni if tls else None), seconds)
    except (OSError, ssl_module.SSLError, asyncio.TimeoutError) as error:
        return {"connect": type(error).__name__, "responses": [], "closed": True}
    data = bytearray()
    state = {"eof": False}
    news = asyncio.Event()

    async def pump():
        try:
            while part := await reader.read(65536):
                data.extend(part)
                news.set()
        except (OSError, ssl_module.SSLError) as error:
            state["error"] = type(error).__name__
        state["eof"] = True
        news.set()

    async def wait_for(condition, limit):
        end = loop.time() + limit
        while not condition() and not state["eof"]:
            news.clear()
            left = end - loop.time()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(news.wait(), left)
            except asyncio.TimeoutError:
                return

    task = asyncio.create_task(pump())
    try:
        for step in steps:
            if isinstance(step, bytes):
                try:
                    writer.write(step)
                    await writer.drain()
                except OSError:
                    break
            elif step == "eof":
                writer.write_eof()
            elif step[0] == "sleep":
                await asyncio.sleep(step[1])
            elif step[0] == "until":
                await wait_for(lambda: step[1] in data, 5)
        await wait_for(lambda: parse_responses(bytes(data), methods, False)[1] >= expect, seconds)
        if not state["eof"]:
            # Who announces a close may take its time over it (Envoy's delayed_close_timeout is 1 s).
            await wait_for(lambda: False, max(settle, 2.0) if announces_close(bytes(data), methods) else settle)
        closed = state["eof"]
        responses, _, rest = parse_responses(bytes(data), methods, closed)
    finally:
        task.cancel()
        writer.transport.abort()
        await asyncio.gather(task, return_exceptions=True)
    seen = {"responses": responses, "closed": closed}
    if rest:
        seen["unparsed"] = rest.decode("latin-1")[:400]
    return seen
