"""A report has each fact as soon as the run knows it, and keeps it however the run ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import StreamError, StreamTimeoutError, Timeouts
from runagent_testing import FakeAgentServer, ending, gate, head
from tests.support.peer import Peer, says, sse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.styles import Style


async def leave_it(stream: Any) -> None:
    await stream.aclose()


async def break_off(stream: Any) -> None:
    async with stream:
        async for _ in stream:
            break


async def let_it_time_out(stream: Any) -> None:
    with pytest.raises(StreamTimeoutError):
        await stream.text()


@pytest.mark.parametrize("end", [leave_it, break_off, let_it_time_out])
def test_status_and_request_id_are_there_from_the_first_chunk_on(
    style: Style, transport: str, server: FakeAgentServer, end: Callable[[Any], Awaitable[None]]
) -> None:
    silence = ending("stall") if end is let_it_time_out else gate("never")
    server.agent("a").always(head(headers={"X-Request-Id": "r-1"}), "x", "y", silence)

    async def scenario() -> None:
        client = style.client(
            "a", base_url=server.url, transport=transport, timeout=Timeouts(idle=0.2), resume=False
        )
        stream = client.run_generic_stream("q")
        report = stream.report
        assert (None, None) == (report.status, report.request_id)
        await anext(stream)
        found = (report.status, report.request_id)
        await end(stream)
        assert found == (report.status, report.request_id)
        assert found == ((101, report.request_id) if transport == "websocket" else (200, "r-1"))
        assert found[1]
        assert ("failed" if end is let_it_time_out else "closed") == report.outcome

    style.run(scenario)


def test_what_was_ignored_is_counted_also_in_a_run_that_was_left(style: Style) -> None:
    answer = sse(("mood", {}), ("mood", {}), ("chunk", {"content": "x"}), end=False)

    async def scenario() -> Any:
        stream = style.client("a", base_url=peer.url).run_generic_stream("q")
        await anext(stream)
        await stream.aclose()
        return stream.report

    with Peer(says(answer)) as peer:
        assert 2 == sum(style.run(scenario).ignored.values())


def test_a_stream_that_nobody_holds_any_more_has_told_it_all(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x", gate("never"))

    async def scenario() -> Any:
        stream = style.client("a", base_url=server.url).run_generic_stream("q")
        await anext(stream)
        report = stream.report
        del stream
        return report

    report = style.run(scenario)
    assert (200, "closed", 1) == (report.status, report.outcome, len(report.attempts))
    assert not isinstance(report.attempts[0].error, StreamError)
