"""`accepted()`: a point between connecting and the first chunk at which the service has taken the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    RateLimitError,
    StreamError,
    ValidationError,
)
from runagent_testing import FakeAgentServer, ending, error, gate, head, status
from tests.support.peer import Peer, answers, http, sse

if TYPE_CHECKING:
    from tests.support.styles import Style

SOON = 0.5  # seconds


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (status(401), AuthenticationError),
        (status(404), AgentNotFoundError),
        (status(422), ValidationError),
        (status(429, retry_after=7), RateLimitError),
        (status(503), AgentServerError),
    ],
    ids=["401", "404", "422", "429", "503"],
)
def test_a_refusal_is_raised_before_any_chunk(
    style: Style, transport: str, refusal: Any, kind: type[AgentError], server: FakeAgentServer
) -> None:
    server.agent("a").always(refusal)

    async def scenario() -> Any:
        client = style.client("a", base_url=server.url, transport=transport, max_retries=0)
        stream = client.run_generic_stream("q")
        with pytest.raises(kind) as first:
            await stream.accepted()
        with pytest.raises(kind) as again:
            await stream.accepted()
        assert (str(first.value), first.value.run_id) == (str(again.value), again.value.run_id)
        return first.value

    found = style.run(scenario)
    if kind is RateLimitError:
        assert 7 == found.retry_after
    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    ("refusal", "kind", "status"),
    [
        (error("INVALID_API_KEY", "who are you?"), AuthenticationError, 401),
        (error("AGENT_NOT_FOUND", "no such agent"), AgentNotFoundError, 404),
        (error("VALIDATION_ERROR", "no such input"), ValidationError, 422),
        (error("RATE_LIMITED", "too fast", retry_after=7), RateLimitError, 429),
        (error("SERVICE_UNAVAILABLE", "too many runs"), AgentServerError, 503),
    ],
    ids=["401", "404", "422", "429", "503"],
)
def test_a_websocket_may_refuse_by_its_first_message(
    style: Style, refusal: Any, kind: type[AgentError], status: int, server: FakeAgentServer
) -> None:
    server.agent("a").always(head(start=False), refusal)

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport="websocket", max_retries=0)
        stream = client.run_generic_stream("q")
        for _ in range(2):
            with pytest.raises(kind, match=refusal.message) as refused:
                await stream.accepted()
            assert (status, refusal.code) == (refused.value.status, refused.value.code)
            assert refusal.retry_after == getattr(refused.value, "retry_after", None)

    style.run(scenario)
    assert 1 == len(server.requests)


def test_a_function_may_refuse_by_the_first_message(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").responds(lambda _: iter([head(start=False), error("RATE_LIMITED", "too fast")]))

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport="websocket", max_retries=0)
        with pytest.raises(RateLimitError, match="too fast"):
            await client.run_generic_stream("q")

    style.run(scenario)


@pytest.mark.parametrize("code", ["RATE_LIMITED", "SERVICE_UNAVAILABLE"])
def test_a_refusal_by_message_is_retried_if_it_is_of_the_moment(
    style: Style, code: str, server: FakeAgentServer
) -> None:
    server.agent("a").reply(head(start=False), error(code, "later")).always("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport="websocket", retry_delay=0.001)
        stream = await client.run_generic_stream("q")
        assert (1, "x") == (stream.report.retries, await stream.text())

    style.run(scenario)


@pytest.mark.parametrize("begin", [head(start=False), head()], ids=["before the start", "after it"])
def test_an_error_of_a_run_is_no_refusal(
    style: Style, transport: str, begin: Any, server: FakeAgentServer
) -> None:
    code = "BROKEN" if begin == head(start=False) and transport == "websocket" else "RATE_LIMITED"
    server.agent("a").always(begin, error(code, "no more"))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        with pytest.raises(StreamError, match="no more"):
            await stream.text()

    style.run(scenario)
    assert 1 == len(server.requests)


def test_a_run_that_thinks_is_accepted_at_the_head_of_its_answer(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    thinks = gate("thinks")
    server.agent("a").always(head(), thinks, "x", "y")

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        await stream.accepted()
        assert 0 == stream.report.chunks
        await stream.accepted()
        thinks.open()
        assert ["x", "y"] == [chunk async for chunk in stream]
        await stream.accepted()

    style.run(scenario)
    assert 1 == len(server.requests)


def test_an_event_that_came_is_kept_for_the_reader(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> list[Any]:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        await stream.accepted()
        return [event async for event in stream.events()]

    assert ["x", "y"] == [event.content for event in style.run(scenario) if hasattr(event, "content")]


def test_leaving_after_it_frees_an_agent_that_has_sent_nothing(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always(head(), ending("stall"))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        await stream.accepted()
        await stream.aclose()
        assert await style.in_thread(server.requests[0].wait_disconnected, SOON)

    style.run(scenario)


def test_retries_before_it_are_part_of_the_wait(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").reply(status(503)).always("x")

    async def scenario() -> str:
        client = style.client("a", base_url=server.url, transport=transport, retry_delay=0.001)
        stream = client.run_generic_stream("q")
        await stream.accepted()
        assert 1 == stream.report.retries
        text: str = await stream.text()
        return text

    assert "x" == style.run(scenario)


def test_a_refusal_after_it_is_a_broken_stream(style: Style) -> None:
    cut = sse(end=False)
    with Peer(answers(cut), answers(http(401, {}))) as peer:

        async def scenario() -> None:
            client = style.client("a", base_url=peer.url, retry_unsafe=True, retry_delay=0.001)
            stream = client.run_generic_stream("q")
            await stream.accepted()
            with pytest.raises(StreamError) as broken:
                await stream.text()
            assert isinstance(broken.value.__cause__, AuthenticationError)

        style.run(scenario)


def test_a_run_that_fails_after_its_head_is_no_refusal(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("x", error("BROKEN", "no more"))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        await stream.accepted()
        with pytest.raises(StreamError, match="no more"):
            await stream.text()
        await stream.accepted()

    style.run(scenario)


def test_awaiting_a_stream_returns_it_once_it_is_accepted(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").reply("x").always(status(404))

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport)
        stream = await client.run_generic_stream("q")
        assert "x" == await stream.text()
        with pytest.raises(AgentNotFoundError):
            await client.run_generic_stream("q")

    style.run(scenario)


def test_a_stream_that_was_closed_before_is_never_accepted(style: Style, server: FakeAgentServer) -> None:
    async def scenario() -> None:
        stream = style.client("a", base_url=server.url).run_generic_stream("q")
        await stream.aclose()
        with pytest.raises(RuntimeError, match="is over"):
            await stream.accepted()

    style.run(scenario)
    assert [] == server.requests
