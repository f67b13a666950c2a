"""A scripted HTTP/2 origin (prior knowledge, or TLS with ALPN), on the same terms as the HTTP/1 one.

An answer is a dict: `headers` (without `:status`), `status`, `body` (bytes or list of bytes, one DATA frame each), `trailers`,
`interim` (list of statuses sent before), `delay` (seconds), `reset` (error code instead of an answer, or after the body when
`after_body` is true), `goaway` (true: say GOAWAY at once), `early` (answer at the head), `trailers_only`.
"""

import asyncio
import ssl

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings


class Origin2:
    """One listening HTTP/2 origin."""

    def __init__(self, name, tls=None, settings=None):
        self.name = name
        self.tls = tls
        self.settings = settings or {}
        self.script = []
        self.seen = []
        self.connections = 0
        self.server = None
        self.port = None
        self._tasks = set()

    async def start(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def stop(self):
        self.server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def settle(self):
        """Nothing to do: a stream that is held does not hold the connection."""

    async def _serve(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            await _Connection(self, reader, writer).run()
        except (OSError, ssl.SSLError, h2.exceptions.ProtocolError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()


class _Connection:
    def __init__(self, origin, reader, writer):
        self.origin, self.reader, self.writer = origin, reader, writer
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_inbound_headers=False, validate_outbound_headers=False,
            normalize_outbound_headers=False))
        self.records = {}
        self.answers = {}
        self.credit = asyncio.Event()
        self.children = set()

    async def run(self):
        self.h2.initiate_connection()
        if self.origin.settings:
            self.h2.update_settings(self.origin.settings)
        await self.flush()
        try:
            while data := await self.reader.read(65536):
                for event in self.h2.receive_data(data):
                    self.handle(event)
                await self.flush()
        finally:
            for child in self.children:
                child.cancel()

    async def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.writer.write(data)
            await self.writer.drain()

    def handle(self, event):
        if isinstance(event, h2.events.RequestReceived):
            headers = [list(pair) for pair in event.headers]
            record = {"origin": self.origin.name, "headers": headers, "body": "", "complete": False}
            self.origin.seen.append(record)
            self.records[event.stream_id] = record
            answer = self.origin.script.pop(0) if self.origin.script else {
                "headers": [("x-origin", self.origin.name), ("content-length", str(len(self.origin.name)))],
                "body": self.origin.name.encode()}
            self.answers[event.stream_id] = answer
            if answer.get("early"):
                self.spawn(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            self.records[event.stream_id]["body"] += event.data.decode("latin-1")
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.records[event.stream_id]["trailers"] = [list(pair) for pair in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            self.records[event.stream_id]["complete"] = True
            if not self.answers[event.stream_id].get("early"):
                self.spawn(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            record = self.records.get(event.stream_id)
            if record is not None:
                record["reset"] = int(event.error_code)
        elif isinstance(event, h2.events.WindowUpdated):
            self.credit.set()

    def spawn(self, stream):
        child = asyncio.create_task(self.answer(stream, self.answers[stream]))
        self.children.add(child)
        child.add_done_callback(self.children.discard)

    async def answer(self, stream, answer):
        try:
            if answer.get("delay"):
                await asyncio.sleep(answer["delay"])
            if "reset" in answer and not answer.get("after_body"):
                self.h2.reset_stream(stream, answer["reset"])
                await self.flush()
                return
            for status in answer.get("interim", ()):
                self.h2.send_headers(stream, [(":status", str(status))])
            head = [(":status", str(answer.get("status", 200))), *answer.get("headers", ())]
            parts = answer.get("body", b"")
            parts = [parts] if isinstance(parts, bytes) else list(parts)
            trailers = answer.get("trailers")
            empty = not any(parts)
            self.h2.send_headers(stream, head, end_stream=empty and not trailers and "reset" not in answer)
            for index, part in enumerate(parts):
                last = index == len(parts) - 1 and not trailers and "reset" not in answer
                if part:
                    await self.send(stream, part, last)
            if trailers:
                self.h2.send_headers(stream, trailers, end_stream=True)
            if "reset" in answer:
                await self.flush()
                await asyncio.sleep(0.05)
                self.h2.reset_stream(stream, answer["reset"])
            if answer.get("goaway"):
                self.h2.close_connection(last_stream_id=stream)
            await self.flush()
            if answer.get("goaway"):
                self.writer.close()
        except (OSError, h2.exceptions.ProtocolError):
            pass

    async def send(self, stream, data, last):
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.credit.clear()
                await self.flush()
                await self.credit.wait()
                continue
            part, data = data[:room], data[room:]
            self.h2.send_data(stream, part, end_stream=last and not data)
            await self.flush()
