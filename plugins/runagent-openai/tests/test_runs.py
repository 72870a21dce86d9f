"""Runs over the transport, as the registry finds it, in every style, on sockets and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentNotFoundError,
    Completed,
    RateLimitError,
    RunAgentClient,
    StreamError,
    StreamTruncatedError,
    Timeouts,
)
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    delay,
    done,
    ending,
    error,
    gate,
    heartbeat,
    status,
)

if TYPE_CHECKING:
    from tests.support.styles import Style

USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}


@pytest.fixture(params=["chat", "responses"])
def api(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(autouse=True)
def chosen_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "openai")


def client(style: Style, server: FakeAgentServer, api: str, **options: Any) -> Any:
    settings = {"base_url": server.url, "transport_options": {"openai_api": api}, "retry_delay": 0.001}
    return style.client("m", **settings | options)


def test_a_stream(style: Style, server: FakeAgentServer, api: str) -> None:
    server.agent("m").always("Once", delay(0.01), heartbeat(), " upon", CALL, done(usage=USAGE))

    async def scenario() -> list[Any]:
        return [e async for e in client(style, server, api).run_generic_stream("hi").events()]

    events = style.run(scenario)
    contents = [event.content for event in events[1:-1]]
    assert ["Once", " upon"] == contents[:2]
    assert "weather" in str(contents[2])
    assert isinstance(events[-1], Completed)
    assert USAGE == events[-1].usage


def test_a_plain_run(style: Style, server: FakeAgentServer, api: str) -> None:
    server.agent("m").returns("Once", usage=USAGE)

    async def scenario() -> Any:
        return await client(style, server, api).run_generic_with_metadata("hi")

    result = style.run(scenario)
    assert ("Once", 6) == (result.result, result.tokens_used)


@pytest.mark.parametrize(
    ("steps", "kind", "text"),
    [
        (["Once", error("busy", "full")], StreamError, "Once"),
        (["Once", {"type": "refusal", "refusal": "no"}], StreamError, "Once"),
        (["Once", ending("cut")], StreamTruncatedError, "Once"),
        (["Once", ending("no-done")], StreamTruncatedError, "Once"),
        (["Once", ending("reset")], StreamTruncatedError, "Once"),
        ([status(429, retry_after=100)], RateLimitError, None),
    ],
)
def test_how_runs_fail(
    style: Style, server: FakeAgentServer, api: str, steps: list[Any], kind: type, text: str | None
) -> None:
    server.agent("m").always(*steps)

    async def scenario() -> BaseException:
        with pytest.raises(kind) as caught:
            await client(style, server, api).run_generic_stream("hi").text()
        return caught.value

    assert text == getattr(style.run(scenario), "partial_text", None)


def test_a_refused_run_is_tried_again(style: Style, server: FakeAgentServer, api: str) -> None:
    server.agent("m").reply(status(503)).always("Once")

    async def scenario() -> tuple[str, int]:
        stream = client(style, server, api).run_generic_stream("hi")
        return await stream.text(), stream.report.retries

    assert ("Once", 1) == style.run(scenario)


def test_an_unknown_model(style: Style, server: FakeAgentServer, api: str) -> None:
    async def scenario() -> None:
        with pytest.raises(AgentNotFoundError):
            await client(style, server, api).run_generic("hi")

    style.run(scenario)


def test_runs_share_a_connection(style: Style, server: FakeAgentServer, api: str) -> None:
    server.agent("m").always("x").returns("y")

    async def scenario() -> None:
        user = client(style, server, api)
        for _ in range(3):
            assert await user.run_generic_stream("hi").text() == "x"
            assert await user.run_generic("hi") == "y"

    style.run(scenario)
    assert server.connections == 1


def test_closing_a_stream_frees_the_server(style: Style, server: FakeAgentServer, api: str) -> None:
    server.agent("m").always("a", gate("never opened"))

    async def scenario() -> None:
        async with client(style, server, api).run_generic_stream("hi") as stream:
            assert await stream.__anext__() == "a"

    style.run(scenario)
    assert server.requests[-1].wait_disconnected(5)


def test_a_run_in_memory_takes_no_time(api: str) -> None:
    network = MemoryNetwork()
    network.agent("m").always("Once", delay(3600), " upon")
    user = RunAgentClient(
        "m",
        base_url=network.url,
        network=network.blocking,
        transport_options={"openai_api": api},
        timeout=Timeouts(idle=4000),
    )
    assert "Once upon" == user.run_generic_stream("hi").text()
