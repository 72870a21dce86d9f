"""What a session returns is checked, whatever kind of transport it is of."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, PluginError, Reasoning, RunResult, Started
from runagent.transports import BaseSession, Capability, HttpRequest, HttpSession, MessageSession, Wants
from tests.support.peer import Peer, answers, chunked, opens_websocket, websocket_frame
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.transports import Address, AgentCall, Emit, Event, ResumePoint, Route
    from tests.support.peer import PeerConnection
    from tests.support.styles import Style

GOOD: list[Any] = [Started(), Chunk("Once")]


class OwnChunk(Chunk):  # type: ignore[misc]
    pass


NO_EVENTS = [
    ("text", "the text 'text'"),
    (b"bytes", "a value of type bytes"),
    (None, "None"),
    (3, "3"),
    ({"content": "x"}, "a value of type dict"),
    (Chunk, "a value of type StructMeta"),
    (OwnChunk("x"), "a value of type OwnChunk"),
    ([Chunk("x")], "a value of type list"),
    (ValueError("x"), "a value of type ValueError"),
]
NO_LISTS = [
    ("text", "the text 'text'"),
    ("", "the text ''"),
    (b"bytes", "a value of type bytes"),
    (None, "None"),
    (3, "3"),
    ((Chunk("x"),), "a value of type tuple"),
    ((Chunk(word) for word in "ab"), "a value of type generator"),
    ({0: Chunk("x")}, "a value of type dict"),
]

Session = Any
Returned = Any


def in_turn(returned: tuple[Returned, ...]) -> Callable[[], list[Event]]:
    """Return what gives each of these in turn, and goes on with the last one."""
    left = list(returned)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def http_session(*returned: Returned, at_end: Returned = ...) -> Session:
    given, ends = in_turn(returned), in_turn(([Completed()] if at_end is ... else at_end,))

    class OwnSession(HttpSession):
        reads = "text/plain"

        def make_request(self) -> HttpRequest:
            return HttpRequest("GET", "/", [])

        def open_body(self, content_type: str, charset: str) -> bool:
            return True

        def read_body(self, data: bytes) -> list[Event]:
            return given()

        def end_body(self, proven: bool) -> list[Event]:
            return ends()

    return OwnSession


def message_session(*returned: Returned) -> Session:
    given = in_turn(returned)

    class OwnSession(MessageSession):
        def make_target(self) -> str:
            return "/"

        def read_message(self, message: str | bytes) -> list[Event]:
            return given()

    return OwnSession


def base_session(*returned: Returned) -> Session:
    given = in_turn(returned)

    class OwnSession(BaseSession):
        def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
            super().__init__()
            self.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.answered = True

        def receive_data(self, data: bytes) -> list[Event]:
            return given()

        def receive_eof(self) -> list[Event]:
            self.wants = Wants.DONE
            return [Completed()]

    return OwnSession


SESSIONS = {"http": http_session, "message": message_session, "base": base_session}


def talks(connection: PeerConnection) -> None:
    opens_websocket(connection)
    connection.send(websocket_frame(b"first") + websocket_frame(b"bad"))
    connection.wait_gone()


PEERS = {
    "http": answers(chunked("text/plain", b"first", b"bad", Connection="close")),
    "message": talks,
    "base": answers(b"firstbad"),
}


class Library:
    name = "own"
    api_version = 1
    capabilities: frozenset[Capability] = frozenset()
    runs_on = frozenset({"asyncio", "trio"})

    def __init__(self, *batches: list[Any]) -> None:
        self.batches = batches

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        for batch in self.batches:
            await emit(*batch)


def failing(
    style: Style, peer: Any, transport: Any, read: Callable[[], object] = int
) -> tuple[list[Any], PluginError]:
    """Run a stream that fails; return its events and the error, which names the transport."""
    events: list[Any] = []

    async def scenario() -> PluginError:
        with Peer(peer) as there:
            client = style.client(
                "a", base_url=there.url, transport=transport, max_retries=3, retry_unsafe=True
            )
            stream = client.run_generic_stream("q")
            with pytest.raises(PluginError) as caught:  # noqa: PT012  # what came before has to stay
                async for event in stream.events():
                    events.append(event)
                    if isinstance(event, Chunk):
                        read()
            await style.settle()
            assert (1, "failed") == (len(stream.report.attempts), stream.report.outcome)
            return caught.value

    error: PluginError = style.run(scenario)
    assert "own" == error.plugin
    return events, error


def collect(
    style: Style, peer: Any, transport: Any, read: Callable[[], object] = int
) -> tuple[list[Any], PluginError]:
    """Run a stream that fails by what its transport returns; return its events and the error."""
    events, error = failing(style, peer, transport, read)
    assert "INVALID_EVENTS" == error.code
    assert "the transport 'own' returned something else than events" in error.message
    return events, error


@pytest.mark.parametrize("kind", SESSIONS)
@pytest.mark.parametrize(("bad", "described"), NO_EVENTS, ids=lambda value: str(value)[:20])
def test_something_in_place_of_an_event(style: Style, kind: str, bad: Any, described: str) -> None:
    returned = [*GOOD, Reasoning("hm"), bad, Chunk("too late")]
    events, error = collect(style, PEERS[kind], OwnTransport("own", SESSIONS[kind](returned)))
    assert [*GOOD, Reasoning("hm")] == events
    expected = "Chunk, Completed, Custom, Reasoning, Started, ToolCall"
    assert f"expected one of {expected}, not {described}" in error.message


@pytest.mark.parametrize("kind", SESSIONS)
@pytest.mark.parametrize(("bad", "described"), NO_LISTS, ids=lambda value: str(value)[:20])
def test_something_in_place_of_the_list(style: Style, kind: str, bad: Any, described: str) -> None:
    events, error = collect(style, PEERS[kind], OwnTransport("own", SESSIONS[kind](bad)))
    assert [] == events
    assert f"has to return a list of events, not {described}" in error.message


def step_by_step(read: threading.Event, times: int = 3) -> Callable[[PeerConnection], None]:
    """Return a peer that sends so many times, each time once the client has read what came before."""

    def peer(connection: PeerConnection) -> None:
        for _ in range(times - 1):
            connection.send(b"more")
            assert read.wait(10)
            read.clear()
        connection.send(b"more")

    return peer


# What holds one chunk and is no list is as good as one there.
@pytest.mark.parametrize(("bad", "described"), NO_LISTS[:5], ids=lambda value: str(value)[:20])
def test_something_in_place_of_a_list_behind_good_ones(style: Style, bad: Any, described: str) -> None:
    read = threading.Event()
    session = base_session(GOOD, [Chunk("more")], bad)
    events, error = collect(style, step_by_step(read), OwnTransport("own", session), read.set)
    assert [*GOOD, Chunk("more")] == events
    assert f"has to return a list of events, not {described}" in error.message


@pytest.mark.parametrize("reads", [1, 2, 20])
def test_something_in_place_of_the_bytes_to_send(style: Style, reads: int) -> None:
    read = threading.Event()

    class OwnSession(base_session(GOOD, [Chunk("more")])):  # type: ignore[misc]
        reads = 0

        def receive_data(self, data: bytes) -> list[Event]:
            self.reads += 1
            return super().receive_data(data)  # type: ignore[no-any-return]

        def data_to_send(self) -> Any:
            return "text" if self.reads == reads else super().data_to_send()

    events, error = failing(style, step_by_step(read, reads), OwnTransport("own", OwnSession), read.set)
    assert [*GOOD, *[Chunk("more")] * (reads - 1)] == events
    assert "data_to_send: expected bytes, found one of type str" in error.message


@pytest.mark.parametrize(("bad", "described"), NO_LISTS, ids=lambda value: str(value)[:20])
def test_something_in_place_of_the_last_events(style: Style, bad: Any, described: str) -> None:
    session = http_session([], at_end=bad)
    _, error = collect(style, PEERS["http"], OwnTransport("own", session))
    assert f"end_body has to return a list of events, not {described}" in error.message


@pytest.mark.parametrize("kind", SESSIONS)
@pytest.mark.parametrize("behind", [Chunk("more"), Completed(), Started()], ids=lambda e: type(e).__name__)
def test_an_event_behind_the_last_one(style: Style, kind: str, behind: Any) -> None:
    returned = [*GOOD, Completed(), behind]
    events, error = collect(style, PEERS[kind], OwnTransport("own", SESSIONS[kind](returned)))
    assert [*GOOD, Completed()] == events
    assert f"{type(behind).__name__} came behind Completed" in error.message


def test_a_result_in_a_stream(style: Style) -> None:
    session = http_session([Chunk("x")], at_end=[RunResult("all")])
    events, error = collect(style, PEERS["http"], OwnTransport("own", session))
    assert {Chunk} == set(map(type, events))
    assert "not a value of type RunResult" in error.message


@pytest.mark.parametrize(("bad", "described"), NO_EVENTS, ids=lambda value: str(value)[:20])
def test_a_library_that_hands_over_something_else(style: Style, bad: Any, described: str) -> None:
    events, error = collect(style, answers(b""), Library(GOOD, [Chunk("x"), bad], [Completed()]))
    assert GOOD == events
    assert f"not {described}" in error.message


def test_a_library_that_hands_over_an_event_behind_the_last_one(style: Style) -> None:
    events, error = collect(style, answers(b""), Library(GOOD, [Completed(), Chunk("more")]))
    assert GOOD == events
    assert "Chunk came behind the last event" in error.message


def test_a_library_that_goes_on_after_the_end(style: Style, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> list[Any]:
        client = style.client(
            "a", base_url="http://127.0.0.1:1", transport=Library([Completed()], [Chunk("x")])
        )
        events = [event async for event in client.run_generic_stream("q").events()]
        await style.settle()
        return events

    with caplog.at_level(logging.WARNING, "runagent"):
        assert [Completed()] == style.run(scenario)


def test_a_plain_run_without_its_result(style: Style) -> None:
    session = http_session([], at_end=[None])

    async def scenario() -> PluginError:
        with Peer(PEERS["http"]) as there, pytest.raises(PluginError) as caught:
            await style.client("a", base_url=there.url, transport=OwnTransport("own", session)).run_generic(
                "q"
            )
        return caught.value

    assert (
        "expected one of Chunk, Completed, Custom, Reasoning, RunResult, Started, ToolCall, not None"
        in str(style.run(scenario))
    )
