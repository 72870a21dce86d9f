"""Kept connections that die: only what provably did not reach the agent is repeated, and once."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentError, NetworkError, RunAgentError, StreamTruncatedError
from runagent._net.pool import IdleConnection
from tests.retries.attempts import DONE, chunk, run
from tests.support.peer import Peer, PeerConnection, answers, http, ndjson, sse

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

PLAIN = http(200, {"success": True, "data": "0 "})
GOOD = {
    "sse": sse(chunk(0), DONE),
    "chunked": ndjson({"type": "chunk", "content": "0 "}, {"type": "done"}),
    "plain": PLAIN,
}
TOO_LATE = http(408, connection="close")


@pytest.fixture(params=GOOD)
def kind(request: pytest.FixtureRequest) -> str:
    """A stream over each transport that keeps connections, and a plain run."""
    name: str = request.param
    return name


def ask(style: Style, peer: Peer, kind: str, *, text: str = "x", **options: Any) -> tuple[Any, Any]:
    """Make a run that is answered, and another one; return the report and the error of that one."""

    async def scenario() -> tuple[Any, Any]:
        transport = "sse" if kind == "plain" else kind
        client = style.client("a", base_url=peer.url, transport=transport, **options)
        await last_of(client, kind, "x")
        return await last_of(client, kind, text)

    found: tuple[Any, Any] = style.run(scenario)
    return found


async def last_of(client: Any, kind: str, text: str) -> tuple[Any, Any]:
    report = None
    try:
        if kind == "plain":
            assert await client.run_generic(text) == "0 "
        else:
            stream = client.run_generic_stream(text)
            report = stream.report
            assert await stream.text() == "0 "
    except RunAgentError as error:
        return report, error
    return report, None


def takes_it_and(leave: Callable[[PeerConnection], Any], good: bytes) -> Callable[[PeerConnection], None]:
    """Answer one request, read the next one as a whole, and leave."""

    def act(connection: PeerConnection) -> None:
        answers(good)(connection)
        if connection.read_request() is not None:
            leave(connection)

    return act


def close(connection: PeerConnection) -> None:
    """End the connection with a FIN, which closing does if all was read."""


def reset(connection: PeerConnection) -> None:
    connection.reset()


def half_close(connection: PeerConnection) -> None:
    connection.socket.shutdown(socket.SHUT_WR)
    connection.wait_gone()


@pytest.mark.parametrize("leave", [close, reset, half_close])
@pytest.mark.parametrize("max_retries", [0, 3])
def test_an_agent_that_has_taken_the_request_is_not_asked_again(
    style: Style, kind: str, leave: Callable[[PeerConnection], Any], max_retries: int
) -> None:
    with Peer(takes_it_and(leave, GOOD[kind])) as peer:
        report, error = ask(style, peer, kind, max_retries=max_retries)
        assert (2, 1) == (len(peer.requests), peer.connections)
    assert (NetworkError, {"RESET", "NO_ANSWER"}) == (type(error), {"RESET", "NO_ANSWER"} | {error.code})
    assert report is None or [True] == [attempt.reused for attempt in report.attempts]


def keeps(opened: threading.Event, act: Callable[[PeerConnection], Any]) -> Callable[[PeerConnection], None]:
    """Answer one request, its end only once all connections are open; then go on as the act does."""

    def keeping(connection: PeerConnection) -> None:
        connection.read_request()
        whole, cut = GOOD["sse"], len(sse(chunk(0), end=False))
        connection.send(whole[:cut])
        assert opened.wait(10)
        connection.send(whole[cut:])
        act(connection)

    return keeping


def with_many_kept(
    style: Style, act: Callable[[PeerConnection], Any], *others: Any, kept: int, text: str = "x"
) -> tuple[Peer, Any, Any]:
    """Make a run while so many connections are kept, all of which go on as the act does."""
    opened = threading.Event()

    async def scenario() -> tuple[Any, Any]:
        async with style.client("a", base_url=peer.url, max_retries=0) as client:
            streams = [client.run_generic_stream("x") for _ in range(kept)]
            for stream in streams:
                await anext(stream)
            opened.set()
            for stream in streams:
                await stream.text()
            return await last_of(client, "sse", text)

    with Peer(*[keeps(opened, act)] * kept, *others) as peer:
        return peer, *style.run(scenario)


def test_nor_over_any_other_kept_connection(style: Style) -> None:
    def takes_it_and_closes(connection: PeerConnection) -> None:
        connection.read_request()

    peer, report, error = with_many_kept(style, takes_it_and_closes, kept=10)
    assert (11, 10) == (len(peer.requests), peer.connections)
    assert (NetworkError, 1) == (type(error), len(report.attempts))


def test_but_it_is_if_the_caller_allows_it_inside_max_retries(style: Style, kind: str) -> None:
    with Peer(takes_it_and(close, GOOD[kind]), answers(b"")) as peer:
        _, error = ask(style, peer, kind, max_retries=2, retry_unsafe=True, retry_delay=0)
        assert 4 == len(peer.requests)
    assert isinstance(error, NetworkError)


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have the peer leave right after the client has looked whether its kept connection is in order."""

    class Meanwhile:
        def __init__(self) -> None:
            self.looked, self.left = threading.Event(), threading.Event()

        def act(self, connection: PeerConnection) -> None:
            """Answer one request, and close as soon as the next one is about to be sent."""
            answers(GOOD[self.kind])(connection)
            assert self.looked.wait(10)
            connection.socket.close()
            self.left.set()

        kind = "sse"

    meanwhile, looks = Meanwhile(), IdleConnection.refresh

    def refresh(idle: IdleConnection[Any]) -> bool:
        good = looks(idle)
        meanwhile.looked.set()
        assert meanwhile.left.wait(10)
        return good

    monkeypatch.setattr(IdleConnection, "refresh", refresh)
    return meanwhile


def test_a_reset_behind_the_end_proves_that_the_request_was_not_read(
    style: Style, kind: str, meanwhile: Any, waits: list[Any]
) -> None:
    meanwhile.kind = kind
    with Peer(meanwhile.act, answers(GOOD[kind])) as peer:
        report, error = ask(style, peer, kind, max_retries=0, max_resumes=0)
        assert (2, 2) == (len(peer.requests), peer.connections)
    assert (None, []) == (error, waits)
    if report is not None:
        assert [True, False] == [attempt.reused for attempt in report.attempts]
        assert report.attempts[0].error is not None


def test_the_repeat_is_the_only_one_of_its_run(style: Style, meanwhile: Any) -> None:
    with Peer(meanwhile.act, answers(b"")) as peer:
        report, error = ask(style, peer, "sse")
        assert (2, 2) == (len(peer.requests), peer.connections)
    assert (NetworkError, [True, False]) == (type(error), [attempt.reused for attempt in report.attempts])


def test_a_request_that_could_not_be_sent_as_a_whole_is_repeated_over_a_new_connection(style: Style) -> None:
    def reads_a_part(connection: PeerConnection) -> None:
        if connection.socket.recv(1000):
            connection.reset()

    peer, report, error = with_many_kept(
        style, reads_a_part, answers(GOOD["sse"]), kept=3, text="x" * 20_000_000
    )
    assert (4, 4) == (len(peer.requests), peer.connections)
    assert (None, [True, False]) == (error, [attempt.reused for attempt in report.attempts])


def test_a_peer_that_no_longer_waits_for_a_request_gets_it_over_a_new_connection(
    style: Style, kind: str
) -> None:
    with Peer(answers(GOOD[kind], TOO_LATE), answers(GOOD[kind])) as peer:
        report, error = ask(style, peer, kind, max_retries=1)
        assert 2 == peer.connections
    assert error is None
    assert report is None or [True, False] == [attempt.reused for attempt in report.attempts]


@pytest.mark.parametrize(
    ("acts", "max_retries"),
    [
        ([answers(GOOD["sse"], TOO_LATE)], 0),
        ([answers(GOOD["sse"], http(408))], 3),
        ([answers(GOOD["sse"], TOO_LATE), answers(TOO_LATE)], 3),
    ],
    ids=["no retries", "goes on listening", "twice"],
)
def test_but_a_request_timeout_is_final_otherwise(style: Style, acts: Any, max_retries: int) -> None:
    with Peer(*acts) as peer:
        _, error = ask(style, peer, "sse", max_retries=max_retries)
        assert len(acts) == peer.connections
    assert (AgentError, 408) == (type(error), error.status)


def test_a_kept_connection_that_ended_meanwhile_is_not_used(style: Style) -> None:
    closed = threading.Event()

    def answers_and_closes(connection: PeerConnection) -> None:
        answers(GOOD["sse"])(connection)
        connection.socket.close()
        closed.set()

    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, max_retries=0)
        for _ in range(3):
            assert (await last_of(client, "sse", "x"))[1] is None
            assert await style.wait(closed)
            closed.clear()

    with Peer(answers_and_closes) as peer:
        style.run(scenario)
        assert 3 == peer.connections


def test_a_kept_connection_that_answers_something_is_not_replaced(style: Style) -> None:
    def act(connection: PeerConnection) -> None:
        answers(sse(chunk(0), DONE))(connection)
        connection.read_request()
        connection.send(b"HTTP/1.1 2")

    with Peer(act) as peer:
        outcome = run(style, peer, times=2)
        assert 1 == peer.connections
    assert type(outcome.error) is StreamTruncatedError
