"""Compressed answers of which a few bytes mean much work: other tasks run in between, and nothing is lost."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
import trio

from runagent import Chunk, Completed, RunTimeoutError, StreamTruncatedError, Timeouts
from runagent.transports import Wants
from tests.support.peer import Peer, answers, chunked, reads_some_then
from tests.support.sessions import feed, open_session
from tests.support.styles import Style

TYPES = {"sse": "text/event-stream", "chunked": "application/x-ndjson"}
READ = 64 * 1024


def event(transport: str, kind: str, **fields: Any) -> bytes:
    if transport == "sse":
        return f"event: {kind}\ndata: {json.dumps(fields)}\n\n".encode()
    return json.dumps({"type": kind, **fields}).encode() + b"\n"


def coded(transport: str, *events: bytes, end: bool = True) -> bytes:
    """Write a compressed answer that is as a whole one read."""
    answer = chunked(TYPES[transport], gzip.compress(b"".join(events), 9), content_encoding="gzip", end=end)
    assert len(answer) < READ
    return answer


def block(transport: str, kind: str) -> bytes:
    """Write 500 events that are not all alike: more repetitive ones would exceed the ratio of compression."""
    return b"".join(event(transport, kind, content=f"{number:03}") for number in range(500))


def chunks(transport: str, count: int) -> bytes:
    return block(transport, "chunk") * (count // 500)


async def collect(stream: Any, received: list[str]) -> None:
    async for chunk in stream:
        received.append(chunk)  # noqa: PERF401 - what came before the error counts


@pytest.mark.parametrize("transport", TYPES)
def test_a_session_looks_at_a_coded_body_in_turns(transport: str) -> None:
    session = open_session(transport)
    session.data_to_send()
    turns = [session.receive_data(coded(transport, chunks(transport, 60_000), event(transport, "done")))]
    while session.wants is Wants.TURN:
        turns.append(session.go_on())
    events = [each for turn in turns for each in turn]
    contents = [f"{number % 500:03}" for number in range(60_000)]
    assert contents == [each.content for each in events if isinstance(each, Chunk)]
    assert isinstance(events[-1], Completed)
    assert len(turns) > 2
    assert max(map(len, turns)) < 45_000  # as many as a mebibyte holds, which may come of any few bytes
    assert Wants.DONE is session.wants
    assert session.reusable


@pytest.mark.parametrize("transport", TYPES)
def test_the_rest_of_an_answer_counts_once_its_turn_has_come(transport: str) -> None:
    last = event(transport, "error", error="the last word")
    seen = feed(open_session(transport), coded(transport, chunks(transport, 60_000), last), eof=True)
    assert (60_000, "the last word") == (len(seen.contents), seen.error.message)


@pytest.mark.parametrize("transport", TYPES)
def test_all_of_a_coded_stream_comes_and_the_connection_is_kept(style: Style, transport: str) -> None:
    answer = coded(transport, chunks(transport, 60_000), event(transport, "done"))

    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, transport=transport)
        for _ in range(2):
            assert 180_000 == len(await client.run_generic_stream("x").text())
        await client.aclose()

    with Peer(answers(answer, answer)) as peer:
        style.run(scenario)
    assert 1 == peer.connections


@pytest.mark.parametrize("transport", TYPES)
def test_what_has_arrived_comes_before_the_end_of_the_connection(style: Style, transport: str) -> None:
    answer = coded(transport, chunks(transport, 60_000), end=False)

    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, transport=transport, max_retries=0, resume=False)
        received: list[str] = []
        with pytest.raises(StreamTruncatedError):
            await collect(client.run_generic_stream("x"), received)
        assert 60_000 == len(received)
        await client.aclose()

    with Peer(reads_some_then(answer, lambda _: None)) as peer:
        style.run(scenario)


@pytest.mark.parametrize("name", ["asyncio", "trio"])
@pytest.mark.parametrize("transport", TYPES)
def test_other_tasks_run_while_a_coded_body_is_looked_at(name: str, transport: str) -> None:
    style = Style(name)
    pause = trio.lowlevel.checkpoint if name == "trio" else lambda: asyncio.sleep(0)
    turns, over = 0, False

    async def others() -> None:
        nonlocal turns
        while not over:
            turns += 1
            await pause()

    async def scenario() -> int:
        nonlocal over
        stream = client.run_generic_stream("x")
        await stream.accepted()
        before = turns
        with pytest.raises(StreamTruncatedError):
            await stream.text()
        over = True
        return turns - before

    # Nothing but unknown events: there is no event that a reader could wait for in between.
    answer = coded(transport, event(transport, "start"), block(transport, "mood") * 400, end=False)
    with Peer(reads_some_then(answer, lambda _: None)) as peer:
        client = style.client("a", base_url=peer.url, transport=transport, max_retries=0)
        assert style.run(lambda: style.beside(scenario, others)) >= 5


def test_a_limit_ends_the_run_between_two_turns(style: Style) -> None:
    answer = coded("sse", block("sse", "mood") * 400, end=False)

    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, max_retries=0, timeout=Timeouts(total=0.05))
        stream = client.run_generic_stream("x")
        with pytest.raises(RunTimeoutError, match="'total'"):
            await stream.text()
        seen.append(sum(stream.report.ignored.values()))
        await client.aclose()

    seen: list[int] = []
    with Peer(reads_some_then(answer, lambda connection: connection.wait_gone())) as peer:
        style.run(scenario)
    assert seen[0] < 200_000
