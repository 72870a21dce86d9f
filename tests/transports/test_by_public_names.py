"""A transport written with the public names alone, as a third party has to: resuming, plain runs, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, ProtocolError, StreamError, StreamTruncatedError, TransportError
from runagent._plugins.registry import create_plugin_manager
from runagent.transports import (
    Capability,
    ChunkCount,
    HttpRequest,
    HttpSession,
    InvalidJSONError,
    InvokeSession,
    NDJSONDecoder,
    ResumePoint,
    SurrogateJoiner,
    decode_json,
    encode_json,
    quote,
)
from tests.support.peer import Peer, answers, chunked, http

if TYPE_CHECKING:
    from runagent.transports import AgentCall, Event, RegisterTransport, Route
    from tests.support.styles import Style


class TicksSession(HttpSession):
    """Reads ``{"n": 0, "text": "…"}`` a line, the last of them with ``"end": true``."""

    expects = "application/x-ticks"

    def make_request(self) -> HttpRequest:
        start = self.resume.next_index if self.resume else 0
        path = self.call.path(f"/ticks/{{agent_id}}?from={start}", "stream_path")
        return HttpRequest("POST", path, self.call.request_headers(accept=self.expects), encode_json({}))

    def open_body(self, content_type: str, charset: str) -> bool:
        self.lines = NDJSONDecoder(max_line_bytes=self.call.limits.max_event_bytes)
        self.count = ChunkCount(self.resume)
        self.joiner = SurrogateJoiner()
        return content_type == self.expects

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for tick in self.lines.feed(data):
            if not isinstance(tick, dict):
                self.fail(ProtocolError(f"no tick: {quote(repr(tick))}"))
                return events
            if fault := self.count.take(tick["n"]):
                self.fail(fault)
                return events
            events.append(Chunk(self.joiner.join(tick["text"]), tick["n"]))
            if tick.get("end"):
                events.append(Completed())
                self.finish()
                return events
        self.resume_point = None if self.joiner.half else self.count.resume_point()
        if self.lines.error is not None:
            self.fail(self.lines.error)
        return events

    def end_body(self, proven: bool) -> list[Event]:
        raise StreamTruncatedError("the ticks ended early")


class SumSession(InvokeSession):
    """A plain run whose answer is the documented one, at another address."""

    def make_request(self) -> HttpRequest:
        return HttpRequest("POST", "/sum", self.call.request_headers(accept="application/json"), b"{}")


class Ticks:
    name = "ticks"
    api_version = 1
    capabilities = frozenset({Capability.INVOKE, Capability.RESUME, Capability.REUSE})
    tunnels = False

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
        return (SumSession if call.mode == "invoke" else TicksSession)(call, route, resume)


def ticks(*values: dict[str, Any], end: bool = True) -> bytes:
    return chunked("application/x-ticks", *(encode_json(value) + b"\n" for value in values), end=end)


FIRST, SECOND, LAST = {"n": 0, "text": "a"}, {"n": 1, "text": "b"}, {"n": 2, "text": "c", "end": True}


def read(style: Style, *replies: bytes) -> tuple[str, list[str]]:
    """Return the text of a stream, and the requests that it took."""

    async def scenario(url: str) -> str:
        client = style.client("a", base_url=url, transport=Ticks(), retry_delay=0)
        text: str = await client.run_generic_stream("x").text()
        await client.aclose()
        return text

    with Peer(*(answers(reply) for reply in replies)) as peer:
        return style.run(lambda: scenario(peer.url)), [request.target for request in peer.requests]


class ForgetfulSession(TicksSession):
    def open_body(self, content_type: str, charset: str) -> bool:  # type: ignore[return]
        super().open_body(content_type, charset)


class LaxSession(TicksSession):
    def read_body(self, data: bytes) -> list[Event]:
        self.fail("no" + " error")  # type: ignore[arg-type]
        return []


@pytest.mark.parametrize(
    ("session", "complaint"),
    [
        (ForgetfulSession, r"ForgetfulSession\.open_body returned None: return True or False"),
        (LaxSession, r"fail takes a RunAgentError, .*not 'no error'"),
    ],
)
def test_what_an_author_forgets_is_reported(style: Style, session: Any, complaint: str) -> None:
    class Forgetful(Ticks):
        def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
            return session(call, route, resume)  # type: ignore[no-any-return]

    async def scenario(url: str) -> None:
        async with style.client("a", base_url=url, transport=Forgetful()) as client:
            await client.run_generic_stream("x").text()

    with Peer(answers(ticks(LAST))) as peer, pytest.raises(TypeError, match=complaint):
        style.run(lambda: scenario(peer.url))


def test_a_stream(style: Style) -> None:
    assert ("abc", ["/ticks/a?from=0"]) == read(style, ticks(FIRST, SECOND, LAST))


def test_a_broken_stream_goes_on_where_it_broke(style: Style) -> None:
    text, requests = read(style, ticks(FIRST, SECOND, end=False), ticks(LAST))
    assert ("abc", ["/ticks/a?from=0", "/ticks/a?from=2"]) == (text, requests)


def test_an_answer_that_goes_on_elsewhere_is_not_spliced(style: Style) -> None:
    with pytest.raises(StreamError, match="did not resume at chunk 2 but at 0"):
        read(style, ticks(FIRST, SECOND, end=False), ticks(FIRST), http(500))


@pytest.mark.parametrize("bad", [ticks(FIRST, LAST), chunked("application/x-ticks", b"1\n"), http(200, "x")])
def test_what_breaks_the_protocol_is_a_transport_error(style: Style, bad: bytes) -> None:
    with pytest.raises(TransportError):
        read(style, bad)


def test_a_plain_run(style: Style) -> None:
    async def scenario(url: str) -> Any:
        client = style.client("a", base_url=url, transport=Ticks())
        result = await client.run_generic("x")
        await client.aclose()
        return result

    with Peer(answers(http(200, {"result": 3}))) as peer:
        assert 3 == style.run(lambda: scenario(peer.url))


def test_a_module_registers_it_through_the_hook() -> None:
    from runagent import hookimpl

    class Plugin:
        @hookimpl
        def runagent_register_transports(self, register: RegisterTransport) -> None:
            register(Ticks())

    offered: list[Any] = []
    create_plugin_manager(offered.append).register(Plugin())
    assert ["ticks"] == [transport.name for transport in offered]


def test_what_is_no_json_is_an_error() -> None:
    assert {"a": [1]} == decode_json(encode_json({"a": [1]}))
    with pytest.raises(InvalidJSONError, match="not JSON"):
        decode_json(b"{")
