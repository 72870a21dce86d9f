"""Streams that are resumed by an ordered id or by a snapshot, from end to end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentNotFoundError, ConfigurationError, ProtocolError, StreamTruncatedError
from runagent._call import NOT_RESUMED
from tests.retries.attempts import BUSY, Outcome, run
from tests.support.peer import Peer, answers, http, sse
from tests.support.resumable import TaskTransport, ThreadTransport

if TYPE_CHECKING:
    from tests.support.styles import Style

Message = dict[str, Any]


def thread(*events: tuple[str | None, Message], end: bool = False) -> bytes:
    """Answer with events and their ids; ``end`` is the agent's good end."""
    lines = [(f"id: {id_}\n" if id_ else "") + f"data: {json.dumps(message)}\n\n" for id_, message in events]
    lines += ['data: {"end": true}\n\n'] if end else []
    return sse("".join(lines).encode(), end=end)


def text(place: int, content: str | None = None) -> tuple[str, Message]:
    return f"{1000 + place // 2}-{place}", {"text": f"{place} " if content is None else content}


def read_thread(style: Style, *replies: bytes, **options: Any) -> tuple[Outcome, list[Any]]:
    """Run; return the outcome, and the method and ``Last-Event-ID`` of each request."""
    with Peer(*map(answers, replies)) as peer:
        outcome = run(style, peer, transport=ThreadTransport(), **{"retry_delay": 0, **options})
        return outcome, [(r.line.split(" ")[0], r.headers.get("last-event-id")) for r in peer.requests]


def test_a_broken_stream_goes_on_behind_its_last_id(style: Style) -> None:
    parts = [thread(*map(text, range(at, at + 2)), end=at == 4) for at in (0, 2, 4)]
    outcome, requests = read_thread(style, *parts, max_retries=1)
    assert ([f"{i} " for i in range(6)], None) == (outcome.chunks, outcome.error)
    assert [("POST", None), ("GET", "1000-1"), ("GET", "1001-3")] == requests
    assert (3, 6, "completed") == (
        len(outcome.report.attempts),
        outcome.report.chunks,
        outcome.report.outcome,
    )


@pytest.mark.parametrize("again", [[0, 1, 2], [1, 2], [], [None]], ids=["all", "the last", "none", "no id"])
def test_without_proof_of_the_place_nothing_is_given(style: Style, again: list[int | None]) -> None:
    events = [(None, {"text": "?"}) if at is None else text(at) for at in again]
    outcome, requests = read_thread(
        style, thread(text(0), text(1)), thread(*events, end=bool(again)), max_retries=1
    )
    assert ["0 ", "1 "] == outcome.chunks
    assert 2 == len(requests)
    expected = (ProtocolError, NOT_RESUMED) if again else (StreamTruncatedError, None)
    assert expected == (type(outcome.error), outcome.error.code)


def test_a_repeat_behind_the_proof_is_an_error(style: Style) -> None:
    outcome, _ = read_thread(style, thread(text(0)), thread(text(2), text(1), end=True))
    assert (["0 ", "2 "], ProtocolError) == (outcome.chunks, type(outcome.error))
    assert "1000-1" in str(outcome.error)


def test_the_end_alone_needs_no_id(style: Style) -> None:
    outcome, requests = read_thread(style, thread(text(0)), thread(end=True))
    assert (["0 "], None, 2) == (outcome.chunks, outcome.error, len(requests))


def test_a_tool_call_that_is_cut_in_two_comes_whole(style: Style) -> None:
    first, last = ("5-1", {"tool": "f("}), ("5-2", {"tool": ")", "last": True})
    outcome, requests = read_thread(
        style, thread(("4-1", {"text": "a"}), first), thread(first, last, end=True)
    )
    assert (["a", "<f()>"], None) == (outcome.chunks, outcome.error)
    assert ("GET", "4-1") == requests[1]


def test_half_an_emoji_is_never_lost(style: Style) -> None:
    half, other = text(1, "b\ud83d"), text(2, "\ude00c")
    outcome, requests = read_thread(style, thread(text(0, "a"), half), thread(other, end=True))
    assert (["a", "b"], StreamTruncatedError) == (outcome.chunks, type(outcome.error))
    assert 1 == len(requests)


def test_a_stream_that_breaks_before_its_first_content_is_resumed(style: Style) -> None:
    for resume in (True, "trust"):
        outcome, requests = read_thread(style, thread(("7-1", {})), thread(text(0), end=True), resume=resume)
        assert (["0 "], None) == (outcome.chunks, outcome.error)
        assert [("POST", None), ("GET", "7-1")] == requests
        assert 2 == len(outcome.report.attempts)


def test_refusals_of_a_resumption(style: Style) -> None:
    outcome, requests = read_thread(style, thread(("7-1", {})), BUSY, thread(text(0), end=True))
    assert (["0 "], None, ("GET", "7-1")) == (outcome.chunks, outcome.error, requests[2])
    outcome, requests = read_thread(style, thread(("7-1", {})), http(404, {"error": "gone"}))
    assert (StreamTruncatedError, AgentNotFoundError) == (type(outcome.error), type(outcome.error.__cause__))
    assert 2 == len(requests)


@pytest.mark.parametrize(
    ("options", "attempts"),
    [({"resume": False}, 1), ({"max_retries": 0}, 1), ({"max_resumes": 0}, 1), ({"max_resumes": 2}, 3)],
)
def test_the_bounds_of_resuming(style: Style, options: dict[str, Any], attempts: int) -> None:
    parts = [thread(text(at)) for at in range(5)]
    outcome, requests = read_thread(style, *parts, **options)
    assert attempts == len(requests) == len(outcome.report.attempts)
    assert ([f"{at} " for at in range(attempts)], StreamTruncatedError) == (
        outcome.chunks,
        type(outcome.error),
    )


def test_an_agent_without_ids_is_not_resumed(style: Style) -> None:
    outcome, requests = read_thread(style, thread((None, {"text": "a"})), thread(text(0), end=True))
    assert (["a"], StreamTruncatedError, 1) == (outcome.chunks, type(outcome.error), len(requests))


def test_with_trust_the_first_event_needs_no_id(style: Style) -> None:
    replies = thread(text(0)), thread((None, {"text": "b"}), end=True)
    outcome, requests = read_thread(style, *replies, resume="trust")
    assert (["0 ", "b"], None, ("GET", "1000-0")) == (outcome.chunks, outcome.error, requests[1])


@pytest.mark.parametrize("transport", [ThreadTransport(), TaskTransport()], ids=lambda each: each.name)
def test_a_call_begins_behind_an_index_only(style: Style, transport: Any) -> None:
    async def scenario(url: str) -> None:
        async with style.client("a", base_url=url, transport=transport) as client:
            await client.run_generic_stream("x", resume_after=3).text()

    with Peer(answers(http(500))) as peer, pytest.raises(ConfigurationError, match="resume_after") as raised:
        style.run(lambda: scenario(peer.url))
    assert ("NO_RESUME", []) == (raised.value.code, peer.requests)


# By a snapshot


def task(*pieces: Any) -> Message:
    return {"task": {"id": "t1", "artifacts": [artifact(*pieces)["artifact"]] if pieces else []}}


def artifact(*pieces: Any) -> Message:
    parts = [{"text": piece} if isinstance(piece, str) else {"data": piece} for piece in pieces]
    return {"artifact": {"id": "a", "parts": parts}}


def task_event(message: Message) -> bytes:
    return f"data: {json.dumps(message)}\n\n".encode()


COMPLETED = {"state": "completed"}


def read_task(style: Style, *replies: list[Message], **options: Any) -> tuple[Outcome, list[str]]:
    bodies = [sse(*map(task_event, each), end=COMPLETED in each) for each in replies]
    with Peer(*map(answers, bodies)) as peer:
        outcome = run(style, peer, transport=TaskTransport(), **{"retry_delay": 0, **options})
        return outcome, [request.target for request in peer.requests]


def test_a_snapshot_gives_only_what_is_new(style: Style) -> None:
    outcome, requests = read_task(
        style,
        [task(), artifact("0 ", "1 "), artifact({"n": 2})],
        [task("0 1 ", {"n": 2}, "3 "), artifact("4 ")],
        [task("0 ", "1 ", {"n": 2}, "3 4 5 "), artifact("6 "), COMPLETED],
        max_retries=1,
    )
    assert (["0 ", "1 ", {"n": 2}, "3 ", "4 ", "5 ", "6 "], None) == (outcome.chunks, outcome.error)
    assert ["/message:stream", "/tasks/t1:subscribe", "/tasks/t1:subscribe"] == requests
    assert (3, 7) == (len(outcome.report.attempts), outcome.report.chunks)


def test_a_task_that_is_known_is_subscribed_to_before_its_first_content(style: Style) -> None:
    outcome, requests = read_task(style, [task()], [task(), artifact("a"), COMPLETED])
    assert (["a"], None) == (outcome.chunks, outcome.error)
    assert ["/message:stream", "/tasks/t1:subscribe"] == requests


@pytest.mark.parametrize(
    "again",
    [[task("0 ")], [task("0 x")], [task()], [task({"n": 1})], [artifact("2 ")]],
    ids=["shorter", "changed", "empty", "a value", "no snapshot"],
)
@pytest.mark.parametrize("resume", [True, "trust"])
def test_a_snapshot_that_differs_is_an_error(style: Style, again: list[Message], resume: Any) -> None:
    replies = [task(), artifact("0 ", "1 ")], [*again, COMPLETED]
    outcome, requests = read_task(style, *replies, resume=resume)
    assert (["0 ", "1 "], ProtocolError) == (outcome.chunks, type(outcome.error))
    assert (NOT_RESUMED, 2) == (outcome.error.code, len(requests))


def test_a_stream_that_breaks_before_its_snapshot_is_resumed_at_the_same_place(style: Style) -> None:
    outcome, requests = read_task(
        style, [task(), artifact("0 ")], [], [task("0 ", "1 "), COMPLETED], max_retries=2
    )
    assert (["0 ", "1 "], None, 3) == (outcome.chunks, outcome.error, len(requests))


def test_a_run_that_is_begun_again_and_not_resumed_begins_whole(style: Style) -> None:
    replies = sse(task_event(task()), end=False), b"", sse(*map(task_event, [task("a"), COMPLETED]))
    with Peer(*map(answers, replies)) as peer:
        outcome = run(style, peer, transport=TaskTransport(), resume=False, retry_unsafe=True, retry_delay=0)
        assert ["/message:stream"] * 3 == [request.target for request in peer.requests]
    assert (["a"], None) == (outcome.chunks, outcome.error)


def test_the_parts_of_an_answer_have_a_limit(style: Style) -> None:
    outcome, _ = read_task(
        style,
        [task(), artifact("0 "), {"artifact": {"id": "b", "parts": [{"text": "x"}]}}],
        transport_options={"max_snapshot_parts": 1},
    )
    assert (["0 "], "max_snapshot_parts") == (outcome.chunks, outcome.error.limit_name)
