"""The base of protocol plugins: what events mean, how streams end, and errors in broken ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    Chunk,
    Completed,
    Custom,
    ProtocolError,
    Reasoning,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
)
from runagent.transports import (
    ContentSession,
    EventStreamSession,
    HttpRequest,
    LineStreamSession,
    NDJSONDecoder,
    Step,
    post_json,
)
from tests.support.peer import chunked, http, ndjson, sse
from tests.support.sessions import Seen, feed, open_session
from tests.support.small_stack import on_a_small_stack

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import AgentCall, Event, ResumePoint, Route, ServerSentEvent, StepAnswer


class Meanings(ContentSession):
    """What the words of a small protocol mean, whatever carries them."""

    end_marker = "the word bye"

    def make_request(self) -> HttpRequest:
        path = self.call.path("/words/{agent_id}", "stream_path")
        return post_json(self.call, path, self.call.input, accept=self.expects, headers=[("X-Words", "1")])

    def mean(self, word: dict[str, Any], events: list[Event]) -> None:
        match word:
            case {"hello": run}:
                self.begin(events, session_id=word.get("session"), invocation_id=run)
            case {"text": str(text)}:
                self.add_text(text, events)
            case {"thought": str(text)}:
                self.add_reasoning(text, events, id=word.get("id"))
            case {"state": value}:
                self.add_custom("state", value, events)
            case {"bye": reason}:
                self.complete(events, stop_reason=reason, usage=word.get("usage"), interrupts=[{"id": "i"}])
            case {"ask": str(path)}:
                self.follow(self.ask(path))
            case {"bad": _}:
                raise ProtocolError("a bad word")
            case _:
                self.leave_out("an unknown word", json.dumps(word))

    def ask(self, path: str) -> Generator[Step, StepAnswer, list[Event]]:
        answer = yield Step(HttpRequest("GET", path, self.call.request_headers(accept="*/*")))
        return [Completed(stop_reason=answer.json()["status"])]


class Events(EventStreamSession, Meanings):
    def take(self, event: ServerSentEvent, events: list[Event]) -> None:
        self.mean(json.loads(event.data), events)


class Lines(LineStreamSession, Meanings):
    def take(self, line: dict[str, Any], events: list[Event]) -> None:
        self.mean(line, events)


class Transport:
    api_version = 1
    capabilities = frozenset[Any]()
    tunnels = False

    def __init__(self, name: str, session: type[Meanings]) -> None:
        self.name = name
        self.session = session

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Meanings:
        return self.session(call, route, resume)


def events_of(*words: Any, end: bool = True) -> bytes:
    return sse(*(f"data: {json.dumps(word)}\n\n".encode() for word in words), end=end)


def lines_of(*words: Any, end: bool = True) -> bytes:
    return ndjson(*words, end=end)


WIRES = {"events": (Transport("events", Events), events_of), "lines": (Transport("lines", Lines), lines_of)}


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> Any:
    return WIRES[request.param]


def read(wire: Any, *words: Any, step: int = 1 << 30, end: bool = True, **fields: Any) -> Seen:
    transport, write = wire
    return feed(open_session(transport, **fields), write(*words, end=end), step=step, eof=True)


def test_the_meanings_of_items(wire: Any, step: int) -> None:
    seen = read(
        wire,
        {"hello": "r1", "session": "s1"},
        {"hello": "r2"},
        {"thought": "hm", "id": 5},
        {"text": "Once"},
        {"text": ""},
        {"state": [1]},
        {"what": 1},
        {"bye": "stop", "usage": {"total_tokens": 3}},
        {"text": "too late"},
        step=step,
    )
    assert [
        Started(session_id="s1", invocation_id="r1"),
        Reasoning("hm"),
        Chunk("Once"),
        Custom("state", [1]),
        Completed(stop_reason="stop", usage={"total_tokens": 3}, interrupts=[{"id": "i"}]),
    ] == seen.events
    assert (None, {"an unknown word": 1}) == (seen.error, seen.session.ignored)
    assert {"total_tokens": 3} == seen.session.usage
    assert '"{"what": 1}"' == getattr(seen.session, "last_ignored")  # noqa: B009  # of BaseSession


def test_halves_of_characters_are_joined_apart_and_flushed_at_the_end(wire: Any, step: int) -> None:
    half, other = "\ud83d", "\ude00"
    seen = read(
        wire,
        *({"text": "a" + half}, {"thought": half}, {"text": other}, {"thought": other}),
        *({"text": half}, {"bye": "stop"}),
        step=step,
    )
    assert [
        Chunk("a"),
        Chunk("\N{GRINNING FACE}"),
        Reasoning("\N{GRINNING FACE}"),
        Chunk("\ufffd"),
    ] == seen.events[:-1]


def test_half_a_character_is_known_to_be_kept(wire: Any) -> None:
    seen = read(wire, {"text": "\ud83d"}, end=False)
    assert isinstance(seen.session, ContentSession)
    assert seen.session.keeps_half
    assert not read(wire, {"text": "x"}, {"thought": "y"}, end=False).session.keeps_half  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", [True, False], ids=["clean end", "cut"])
def test_an_end_without_the_marker_is_a_truncation(wire: Any, end: bool, step: int) -> None:
    seen = read(wire, {"text": "Once"}, end=end, step=step)
    assert (["Once"], StreamTruncatedError) == (seen.contents, type(seen.error))
    assert not end or "the stream ended without the word bye" in str(seen.error)


def test_events_before_a_fault_are_kept_and_nothing_comes_after_it(wire: Any, step: int) -> None:
    seen = read(wire, {"text": "Once"}, {"bad": 1}, {"text": "x"}, {"bye": "stop"}, step=step)
    assert ([Chunk("Once")], ProtocolError) == (seen.events, type(seen.error))


def test_steps_follow_an_item_and_nothing_behind_it_is_taken(wire: Any) -> None:
    transport, write = wire
    answer = write({"text": "Once"}, {"ask": "/status"}, {"text": "x"}, {"bye": "stop"})
    seen = feed(open_session(transport), answer)
    assert b"GET /status" in seen.sent + seen.session.data_to_send()
    assert [Chunk("Once")] == seen.events
    assert [Completed(stop_reason="ok")] == seen.session.receive_data(http(200, {"status": "ok"}))


def test_what_is_kept_of_one_item_is_bounded(wire: Any) -> None:
    seen = read(wire, {"text": "x"}, {"text": "y" * 200}, limits={"max_event_bytes": 100})
    assert (["x"], StreamLimitError) == (seen.contents, type(seen.error))


def test_the_request_has_the_usual_fields_and_those_of_the_protocol(wire: Any) -> None:
    sent = open_session(wire[0], api_key="k", headers=(("x-words", "2"),)).data_to_send().decode()
    assert sent.startswith("POST /words/a HTTP/1.1\r\n")
    assert {"Authorization: Bearer k", "Content-Type: application/json", "x-words: 2"} <= set(
        sent.splitlines()
    )
    assert "X-Words" not in sent
    assert sent.endswith('{"query":"x"}')


@pytest.mark.parametrize(
    ("error", "message", "fields"),
    [
        ({"error": "it broke"}, "it broke", (None, None)),
        ({"error": {"message": "no", "code": "E1", "retry_after": 2}}, "no", ("E1", 2.0)),
        ({"type": "error", "error": {"type": "api_error", "message": "no"}}, "no", ("api_error", None)),
        ({"type": "error", "message": "no"}, "no", (None, None)),
        ({"error": True}, "the agent reported an error without a message", (None, None)),
    ],
)
def test_a_line_or_a_named_event_is_the_service_s_error(
    error: Any, message: str, fields: Any, step: int
) -> None:
    named = sse(b'data: {"text": "x"}\n\n', ("error", error), b'data: {"bye": ""}\n\n')
    line = ndjson({"text": "x"}, error, {"bye": ""})
    for name, answer in (("events", named), ("lines", line)):
        seen = feed(open_session(WIRES[name][0]), answer, step=step)
        assert (["x"], StreamError, message) == (seen.contents, type(seen.error), seen.error.message)
        assert fields == (seen.error.code, seen.error.retry_after)


@pytest.mark.parametrize("text", ["it broke", '["it broke"]', "{"])
def test_a_named_event_is_an_error_whatever_is_in_it(text: str) -> None:
    seen = feed(open_session(WIRES["events"][0]), sse(f"event: error\ndata: {text}\n\n".encode()))
    assert (StreamError, text) == (type(seen.error), seen.error.message)


@pytest.mark.parametrize(
    ("rest", "kind", "message"),
    [
        (b'{"error": "no memory"}\n', StreamError, "no memory"),
        (b'{\n"error":\n"no memory"\n}\n', StreamError, "no memory"),
        (b'ok then\n{"error": "no memory"}\n', StreamError, "no memory"),
        (b'event: error\ndata: {"message": "no memory"}', StreamError, "no memory"),
        (b'data: {"error": "no memory"}', StreamError, "no memory"),
        (b'event: error\ndata: {"message": "no mem', StreamTruncatedError, "chunked"),
        (b"[" * 50_000 + b"\n", ProtocolError, "a line of the stream that is no field"),
        (b"nothing to see\n", StreamTruncatedError, "chunked"),
    ],
)
@on_a_small_stack
def test_an_error_is_found_in_what_an_event_stream_leaves(
    rest: bytes, kind: type, message: str, step: int
) -> None:
    answer = sse(b'data: {"text": "x"}\n\n', rest, end=False)
    seen = feed(open_session(WIRES["events"][0]), answer, step=step, eof=True)
    assert (["x"], kind) == (seen.contents, type(seen.error))
    assert message in seen.error.message or kind is StreamTruncatedError


def test_lines_that_are_no_fields_are_counted_and_the_last_is_shown() -> None:
    seen = feed(open_session(WIRES["events"][0]), sse(b"one\ntwo\n", end=False), eof=True)
    assert {"a line that is no field": 2} == seen.session.ignored
    assert '"two"' == getattr(seen.session, "last_ignored")  # noqa: B009  # of BaseSession


@pytest.mark.parametrize(
    ("last", "kind", "contents"),
    [
        (b'{"bye": "stop"}', None, ["x"]),
        (b'{"text": "y"}', StreamTruncatedError, ["x", "y"]),
        (b'{"error": "no memory"}', StreamError, ["x"]),
        (b'{"bye": "st', StreamTruncatedError, ["x"]),
        (b"bye", ProtocolError, ["x"]),
        (b"[1]", ProtocolError, ["x"]),
    ],
)
def test_the_last_line_may_lack_its_end(last: bytes, kind: Any, contents: Any, step: int) -> None:
    answer = ndjson({"text": "x"}, last)
    seen = feed(open_session(WIRES["lines"][0]), answer, step=step)
    assert (contents, kind) == (seen.contents, None if seen.error is None else type(seen.error))


def test_an_error_is_found_in_a_last_line_that_was_cut_off_behind_it() -> None:
    answer = ndjson({"text": "x"}, b'{"error": "no memory"}', end=False)
    assert "no memory" == feed(open_session(WIRES["lines"][0]), answer, eof=True).error.message


def test_another_content_type_is_refused(wire: Any) -> None:
    seen = feed(open_session(wire[0]), http(200, "Once", content_type="text/html"))
    assert isinstance(seen.error, ProtocolError)


class Framed(Meanings):
    """Another framing: the base alone."""

    expects = "application/x-framed"

    def open_body(self, content_type: str, charset: str) -> bool:
        self.framing = NDJSONDecoder()
        return content_type == self.expects

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        self.take_each(self.framing.feed(data), events)
        return events

    def take(self, item: Any, events: list[Event]) -> None:
        self.mean(item, events)


def test_a_session_with_another_framing_has_the_same_base(step: int) -> None:
    answer = chunked("application/x-framed", b'{"text": "x"}\n', b'{"bye": "stop"}\n')
    seen = feed(open_session(Transport("framed", Framed)), answer, step=step)
    assert (["x"], None) == (seen.contents, seen.error)
    assert Completed(stop_reason="stop", interrupts=[{"id": "i"}]) == seen.events[-1]


class Strict(Framed):
    """A framing whose generator raises at a frame that it refuses."""

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        self.take_each(self.frames(data), events)
        return events

    def frames(self, data: bytes) -> Generator[Any, None, None]:
        for frame in self.framing.feed(data):
            if "large" in frame:
                raise StreamLimitError("too large", limit_name="max_event_bytes", limit=1)
            yield frame


def test_an_error_that_the_framing_raises_comes_after_the_events_before_it(step: int) -> None:
    answer = chunked("application/x-framed", b'{"text": "x"}\n', b'{"large": 1}\n')
    seen = feed(open_session(Transport("strict", Strict)), answer, step=step)
    assert (["x"], "max_event_bytes") == (seen.contents, seen.error.limit_name)
