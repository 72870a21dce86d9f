"""Runs over the transport, as the registry finds it, in every style, on sockets and in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    Chunk,
    Completed,
    Custom,
    RateLimitError,
    Reasoning,
    RunAgentClient,
    StreamError,
    StreamTruncatedError,
    Timeouts,
    ToolCall,
)
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    custom,
    delay,
    done,
    ending,
    error,
    gate,
    heartbeat,
    reasoning,
    status,
    tool_call,
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
    assert [Chunk("Once"), Chunk(" upon"), ToolCall("c1", "weather", "{}", 0)] == events[1:-1]
    assert isinstance(events[-1], Completed)
    assert USAGE == events[-1].usage


def test_the_fake_agent_sends_reasoning_and_calls(style: Style, server: FakeAgentServer, api: str) -> None:
    steps = [reasoning("hm", id="r1"), tool_call("weather", {"city": "Oslo"}, id="c1"), tool_call("now")]
    server.agent("m").always("Once", *steps, " upon", done(usage=USAGE, stop_reason="length"))

    async def scenario() -> list[Any]:
        return [e async for e in client(style, server, api).run_generic_stream("hi").events()]

    events = style.run(scenario)
    of_chat = api == "chat"
    assert ["Once", " upon"] == [event.content for event in events if isinstance(event, Chunk)]
    assert [Reasoning("hm", None if of_chat else "r1")] == [e for e in events if isinstance(e, Reasoning)]
    calls = [event for event in events if isinstance(event, ToolCall)]
    assert [("c1", "weather", '{"city": "Oslo"}', 0), (calls[1].id, "now", "{}", 1)] == [
        (call.id, call.name, call.arguments, call.index) for call in calls
    ]
    assert ("length" if of_chat else "max_output_tokens") == events[-1].stop_reason


def test_a_custom_event_is_one_of_responses(style: Style, server: FakeAgentServer) -> None:
    name = "response.web_search_call.searching"
    server.agent("m").always(custom(name, {"item_id": "ws_1"}), "x")

    async def scenario() -> list[Any]:
        stream = client(style, server, "responses").run_generic_stream("hi")
        return [e async for e in stream.events() if isinstance(e, Custom)]

    (event,) = style.run(scenario)
    assert (name, "ws_1") == (event.name, event.value["item_id"])


@pytest.mark.parametrize(("api", "value"), [("chat", {}), ("responses", "no object")])
def test_a_custom_event_that_the_protocol_cannot_carry_is_refused(api: str, value: Any) -> None:
    memory = MemoryNetwork()
    memory.agent("m").always("x", custom("state", value))
    options = {"openai_api": api}
    client = RunAgentClient("m", base_url=memory.url, network=memory.blocking, transport_options=options)
    with pytest.raises(AgentServerError, match=r"cannot carry a step custom\(|is an object: custom\("):
        client.run_generic_stream("q").text()


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


@pytest.mark.parametrize(
    ("code", "field", "attempts"), [(500, "true", 2), (409, "true", 2), (503, "false", 1)]
)
def test_the_server_decides_whether_a_refused_run_is_tried_again(
    style: Style, server: FakeAgentServer, api: str, code: int, field: str, attempts: int
) -> None:
    again = {"X-Should-Retry": field, "Retry-After-Ms": "1.5"}
    server.agent("m").always(status(code, message="no", headers=again))

    async def scenario() -> Any:
        with pytest.raises(AgentError) as caught:
            await client(style, server, api, max_retries=1).run_generic_stream("hi").text()
        return caught.value

    error = style.run(scenario)
    assert (code, field == "true", 0.0015) == (error.status, error.retryable, error.retry_after)
    waited = [attempt.waited_seconds for attempt in error.report.attempts]
    assert [0.0015, 0.0][-attempts:] == waited


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
