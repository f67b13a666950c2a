"""An HTTP/2 client: sends the streams of a case over one connection and notes every header, DATA byte, reset and GOAWAY."""

import asyncio
import ssl as ssl_module

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from harness.origin_h1 import hash_text


def request(path="/", method="GET", authority="a.test", headers=(), body=None, trailers=None, scheme="http", pseudo=None):
    """One stream to send. `pseudo` replaces the pseudo-header fields; `body` is bytes or a list (one DATA frame each)."""
    if pseudo is None:
        pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return {"headers": [*pseudo, *headers], "body": body, "trailers": trailers}


async def exchange(port, requests, seconds=8, settle=0.1, tls=None, sni=None, together=True):
    """Opens the streams (all at once, or one after the other) and reads until each ended."""
    try:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection("127.0.0.1", port, ssl=tls, server_hostname=sni if tls else None), seconds)
    except (OSError, ssl_module.SSLError, asyncio.TimeoutError) as error:
        return {"connect": type(error).__name__, "responses": [], "closed": True}
    alpn = writer.get_extra_info("ssl_object")
    connection = h2.connection.H2Connection(h2.config.H2Configuration(
        client_side=True, header_encoding="latin-1", validate_inbound_headers=False, validate_outbound_headers=False,
        normalize_outbound_headers=False))
    session = _Session(connection, reader, writer)
    try:
        connection.initiate_connection()
        await session.flush()
        task = asyncio.create_task(session.read())
        waves = [requests] if together else [[one] for one in requests]
        for wave in waves:
            streams = [await session.open(one) for one in wave]
            await session.wait(lambda streams=streams: all(session.done(stream) for stream in streams), seconds)
        await session.wait(lambda: session.closed, settle)
    finally:
        writer.transport.abort()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    seen = {"responses": [session.streams[stream] for stream in sorted(session.streams)], "closed": session.closed}
    for one in seen["responses"]:
        one["body"] = one["body"] if len(one["body"]) < 2000 else f"{len(one['body'])} bytes {hash_text(one['body'].encode('latin-1'))}"
    if session.goaway is not None:
        seen["goaway"] = session.goaway
    if alpn is not None:
        seen["alpn"] = alpn.selected_alpn_protocol()
    return seen


class _Session:
    def __init__(self, connection, reader, writer):
        self.h2, self.reader, self.writer = connection, reader, writer
        self.streams, self.closed, self.goaway = {}, False, None
        self.news = asyncio.Event()

    async def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.writer.write(data)
            try:
                await self.writer.drain()
            except OSError:
                self.closed = True

    async def open(self, one):
        stream = self.h2.get_next_available_stream_id()
        self.streams[stream] = {"status": 0, "headers": [], "body": "", "ended": False}
        body, trailers = one["body"], one["trailers"]
        parts = [] if body is None else [body] if isinstance(body, bytes) else list(body)
        try:
            self.h2.send_headers(stream, one["headers"], end_stream=not parts and not trailers)
            for index, part in enumerate(parts):
                if isinstance(part, tuple):
                    await self.flush()
                    await asyncio.sleep(part[1])
                    continue
                last = index == len(parts) - 1 and not trailers
                await self.send(stream, part, last)
            if trailers:
                self.h2.send_headers(stream, trailers, end_stream=True)
        except h2.exceptions.ProtocolError as error:
            self.streams[stream]["client_error"] = type(error).__name__
        await self.flush()
        return stream

    async def send(self, stream, data, last):
        if not data:
            self.h2.send_data(stream, b"", end_stream=last)
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                await self.flush()
                before = self.h2.local_flow_control_window(stream)
                await self.wait(lambda: self.h2.local_flow_control_window(stream) > before or self.done(stream), 5)
                if self.h2.local_flow_control_window(stream) <= 0:
                    return
                continue
            part, data = data[:room], data[room:]
            self.h2.send_data(stream, part, end_stream=last and not data)
            await self.flush()

    def done(self, stream):
        one = self.streams[stream]
        return one["ended"] or "reset" in one or self.closed

    async def wait(self, condition, seconds):
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not condition() and not self.closed:
            self.news.clear()
            left = end - loop.time()
            if left <= 0:
                return
            try:
                await asyncio.wait_for(self.news.wait(), left)
            except asyncio.TimeoutError:
                return

    async def read(self):
        try:
            while data := await self.reader.read(65536):
                for event in self.h2.receive_data(data):
                    self.handle(event)
                await self.flush()
                self.news.set()
        except (OSError, ssl_module.SSLError):
            pass
        except h2.exceptions.ProtocolError as error:
            self.goaway = f"peer broke the protocol: {type(error).__name__}"
        self.closed = True
        self.news.set()

    def handle(self, event):
        stream = getattr(event, "stream_id", None)
        one = self.streams.get(stream)
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code)
        if one is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            headers = [list(pair) for pair in event.headers]
            one["status"] = int(dict(map(tuple, headers)).get(":status", 0))
            one["headers"] = headers
        elif isinstance(event, h2.events.InformationalResponseReceived):
            one.setdefault("interim", []).append([list(pair) for pair in event.headers])
        elif isinstance(event, h2.events.DataReceived):
            one["body"] += event.data.decode("latin-1")
            self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            one["trailers"] = [list(pair) for pair in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            one["ended"] = True
        elif isinstance(event, h2.events.StreamReset):
            one["reset"] = int(event.error_code)
