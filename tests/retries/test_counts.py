"""How often an agent is asked, and after which waits: bounds that neither progress nor the peer moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, ConfigurationError, StreamTruncatedError
from runagent._run.policy import RetryPolicy
from tests.retries.attempts import BUSY, DONE, chunk, run
from tests.support.peer import Peer, PeerConnection, answers, ndjson, sse

if TYPE_CHECKING:
    from tests.support.styles import Style

NO_WAIT: dict[str, Any] = {"max_retry_wait": 0}


def cuts_behind_each_chunk(kind: str, before: bytes = b": hello\n\n") -> Any:
    """Answer every request with the chunk that it asks for, and cut the connection behind it."""

    def act(connection: PeerConnection) -> None:
        request = connection.read_request()
        if request is None:
            return
        index = request.json.get("parameters", {}).get("resume_from_index", 0)
        if kind == "sse":
            connection.send(sse(before, chunk(index), end=False))
        else:
            connection.send(ndjson({"type": "chunk", "content": "x", "index": index}, end=False))

    return act


@pytest.mark.parametrize("kind", ["sse", "chunked"])
@pytest.mark.parametrize(("max_retries", "max_resumes"), [(3, 4), (1, 1), (3, 0), (0, 4)])
def test_a_stream_that_breaks_behind_each_chunk_is_resumed_max_resumes_times(
    style: Style, kind: str, max_retries: int, max_resumes: int
) -> None:
    options: dict[str, Any] = {"max_retries": max_retries, "max_resumes": max_resumes, "transport": kind}
    with Peer(cuts_behind_each_chunk(kind)) as peer:
        outcome = run(style, peer, **options, **NO_WAIT)
        asked = len(peer.requests)
    assert 1 + (max_resumes if max_retries else 0) == asked == len(outcome.report.attempts)
    assert (StreamTruncatedError, asked) == (type(outcome.error), outcome.error.chunks_received)
    resumed = asked > 1
    assert resumed == (f"resumed {asked - 1} times" in str(outcome.error))


def test_ten_resumptions_are_the_default(style: Style) -> None:
    with Peer(cuts_behind_each_chunk("sse")) as peer:
        run(style, peer, **NO_WAIT)
        assert 11 == len(peer.requests)


@pytest.mark.parametrize("before", [b": hello\n\n", b"retry: 0\n\n"], ids=["", "retry: 0"])
def test_waits_before_resumptions_grow_whatever_the_peer_asks_for(style: Style, before: bytes) -> None:
    with Peer(cuts_behind_each_chunk("sse", before)) as peer:
        outcome = run(style, peer, max_resumes=3)
        assert 4 == len(peer.requests)
    assert [0.1, 0.2, 0.4, 0.0] == [attempt.waited_seconds for attempt in outcome.report.attempts]


def test_the_shortest_wait_doubles_up_to_the_longest() -> None:
    policy, cut = RetryPolicy(max_wait=2.0, max_resumes=10**6, max_retries=10**6), StreamTruncatedError("cut")
    assert [0.1, 0.2, 0.4, 0.8, 1.6, 2.0] == [policy.wait(1, cut, 0.0, resumes=n) for n in range(1, 7)]
    assert 2.0 == policy.wait(1, cut, 0.0, resumes=10**6)
    busy = AgentServerError("busy", status=503, retry_after=0.0)
    assert (0.0, 0.8) == (policy.wait(1, busy, None), policy.wait(1, busy, None, resumes=4))


def test_a_call_may_bring_its_own_numbers(style: Style) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, max_resumes=5, **NO_WAIT)
        for numbers in ({"max_resumes": 1}, {"max_retries": 0}, {}):
            with pytest.raises(StreamTruncatedError):
                await client.run_generic_stream("x", **numbers).text()
        with pytest.raises(ConfigurationError, match="argument max_resumes: expected a whole number"):
            client.run_generic_stream("x", max_resumes=-1)

    with Peer(cuts_behind_each_chunk("sse")) as peer:
        style.run(scenario)
        assert 2 + 1 + 6 == len(peer.requests)


@pytest.mark.parametrize(("max_retries", "asked"), [(0, 1), (1, 2)])
def test_so_may_a_plain_run(style: Style, max_retries: int, asked: int) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, max_retries=5, retry_delay=0)
        with pytest.raises(AgentServerError):
            await client.run_generic("x", max_retries=max_retries)

    with Peer(answers(BUSY)) as peer:
        style.run(scenario)
        assert asked == len(peer.requests)


def test_retries_before_the_first_chunk_count_no_resumption(style: Style) -> None:
    acts = [answers(BUSY)] * 3 + [answers(sse(chunk(0), end=False))] + [answers(BUSY)] * 2
    with Peer(*acts, answers(sse(chunk(1), DONE))) as peer:
        outcome = run(style, peer, max_retries=3, max_resumes=3, **NO_WAIT)
        assert 7 == len(peer.requests)
    assert (["0 ", "1 "], None) == (outcome.chunks, outcome.error)
