"""Protocols that nobody here speaks pass the kit, brought by a session and a dialect."""

from __future__ import annotations

import json
from urllib.parse import unquote

import pytest

from runagent import Chunk, Completed, ProtocolError, StreamError, StreamTruncatedError
from runagent.transports import (
    Capability,
    ChunkCount,
    HttpRequest,
    HttpSession,
    InvalidJSONError,
    MessageSession,
    SurrogateJoiner,
    Wants,
    decode_json,
    encode_json,
)
from runagent_testing.conformance import TransportConformance
from runagent_testing.dialects import PING, TEXT, Dialect, Format, RunMessage, RunRequest, frame
from tests.support.kit import in_short


class Words:
    """The messages of both protocols: ``[kind, value]``, with an index after it if chunks are counted."""

    def __init__(self, resume=None):
        self.count = ChunkCount(resume)
        self.texts = SurrogateJoiner()

    def events(self, session, text):
        try:
            kind, value, *place = decode_json(text)
        except (InvalidJSONError, TypeError, ValueError) as exc:
            session.fail(ProtocolError(f"no message: {exc}"))
            return []
        if kind == "end":
            session.finish()
            half = self.texts.flush()
            return [*([Chunk(half)] if half else []), Completed()]
        if kind != "chunk":
            session.fail(StreamError(str(value)))
            return []
        if fault := self.count.take(place[0] if place else None):
            session.fail(fault)
            return []
        value = self.texts.join(value) if isinstance(value, str) else value
        return [Chunk(value, *place)]


class TextFormat(Format):
    """One message after the other."""

    def __init__(self, write):
        self.write = write

    def start(self, run):
        return b""

    def chunk(self, step, index, id):
        index = step.index if step.index is not ... else index
        return self.write(["chunk", step.content, *([] if index is None else [index])])

    def error(self, step):
        return self.write(["error", step.message])

    def done(self, step, run, total_chunks):
        return self.write(["end", total_chunks])


# Lines over HTTP, where a broken stream can be resumed


class LineSession(HttpSession):
    expects = "text/x-lines"

    def make_request(self):
        place = 0 if self.resume is None else self.resume.next_index
        path = self.call.path(f"/lines/{{agent_id}}/from/{place}", "stream_path")
        return HttpRequest("PUT", path, self.call.request_headers(accept="text/x-lines"), b"{}")

    def open_body(self, content_type, charset):
        self.words = Words(self.resume)
        self.rest = b""
        return content_type == "text/x-lines"

    def read_body(self, data):
        events = []
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.check_size(line)
            if line and self.wants is Wants.READ:
                events += self.words.events(self, line)
                self.resume_point = None if self.words.texts.half else self.words.count.resume_point()
        self.check_size(self.rest)
        return events

    def check_size(self, line):
        from runagent import StreamLimitError

        limit = self.call.limits.max_event_bytes
        if len(line) > limit:
            self.fail(StreamLimitError("too long", limit_name="max_event_bytes", limit=limit))

    def end_body(self, proven):
        raise StreamTruncatedError("there is no end")


class LineTransport:
    name = "lines"
    api_version = 1
    capabilities = frozenset(
        {Capability.HEARTBEATS, Capability.RESUME, Capability.REUSE, Capability.STRUCTURED}
    )
    tunnels = False

    def open(self, call, route, resume):
        return LineSession(call, route, resume)


class Lines(TextFormat):
    content_type = "text/x-lines"
    heartbeat = b"\n"

    def __init__(self):
        super().__init__(lambda message: json.dumps(message).encode() + b"\n")


class LineDialect(Dialect):
    name = "lines"
    transports = ("lines",)

    def parse_request(self, request):
        parts = request.path.strip("/").split("/")
        if parts[0] != "lines":
            return None
        return RunRequest(agent_id=unquote(parts[1]), transport="lines", resume_from=int(parts[3]))

    def stream(self, run):
        return Lines()


class TestLines(TransportConformance):
    requirements = 1
    styles = in_short("trio")

    @pytest.fixture
    def transport(self):
        return LineTransport()

    @pytest.fixture
    def dialects(self):
        return [LineDialect()]


# Messages over a WebSocket, with a subprotocol


class TalkSession(MessageSession):
    subprotocols = ("talk.v1",)

    def make_target(self):
        return self.call.path("/talk/{agent_id}", "stream_path")

    def opened(self):
        self.words = Words()
        self.send_text(encode_json(self.call.input))

    def read_message(self, message):
        return self.words.events(self, message)


class TalkTransport:
    name = "talk"
    api_version = 1
    capabilities = frozenset({Capability.HEARTBEATS, Capability.STRUCTURED})
    tunnels = True

    def open(self, call, route, resume):
        return TalkSession(call, route, None)


class Talk(TextFormat):
    writes_frames = True
    heartbeat = frame(PING, b"")

    def __init__(self):
        super().__init__(lambda message: frame(TEXT, json.dumps(message).encode()))


class TalkDialect(Dialect):
    name = "talk"
    transports = ("talk",)

    def parse_request(self, request):
        path = request.path
        if not path.startswith("/talk/"):
            return None
        agent_id = unquote(path.removeprefix("/talk/"))
        return RunRequest(agent_id=agent_id, transport="talk", kind="websocket", subprotocol="talk.v1")

    def stream(self, run):
        return Talk()

    def parse_message(self, message, context):
        body = json.loads(message)
        return RunMessage(body=body, input=body)


class TestTalk(TransportConformance):
    requirements = 1
    styles = in_short("asyncio")

    @pytest.fixture
    def transport(self):
        return TalkTransport()

    @pytest.fixture
    def dialects(self):
        return [TalkDialect()]
