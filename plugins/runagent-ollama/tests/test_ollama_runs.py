"""Runs over the transport, as the registry finds it, in every style, against the fake agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    Chunk,
    Custom,
    Reasoning,
    RunAgentClient,
    StreamError,
    StreamTruncatedError,
    ToolCall,
    ValidationError,
)
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    custom,
    done,
    ending,
    error,
    reasoning,
    status,
    tool_call,
)

if TYPE_CHECKING:
    from tests.support.styles import Style


@pytest.fixture(autouse=True)
def chosen_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "ollama")


@pytest.fixture(params=["chat", "generate"])
def api(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def client(style: Style, server: FakeAgentServer, api: str, **options: Any) -> Any:
    settings = {"base_url": server.url, "transport_options": {"ollama_api": api}, "retry_delay": 0.001}
    return style.client("m", **settings | options)


def in_memory(memory: MemoryNetwork, **options: Any) -> RunAgentClient:
    return RunAgentClient("m", base_url=memory.url, network=memory.blocking, max_retries=0, **options)


def test_a_stream(style: Style, server: FakeAgentServer, api: str) -> None:
    usage = {"input_tokens": 4, "output_tokens": 2}  # as other protocols name them
    server.agent("m").always(reasoning("hm"), "Once", custom("logprobs", [1]), " upon", done(usage=usage))

    async def scenario() -> tuple[list[Any], Any]:
        stream = client(style, server, api).run_generic_stream("hi")
        return [e async for e in stream.events()], stream.report

    events, report = style.run(scenario)
    assert [Reasoning("hm"), Chunk("Once"), Custom("logprobs", [1]), Chunk(" upon")] == events[1:-1]
    assert ("stop", 4, 2) == (events[-1].stop_reason, report.tokens.input, report.tokens.output)


def test_a_conversation_of_three_turns_with_a_tool(style: Style, server: FakeAgentServer) -> None:
    agent = server.agent("m")
    agent.reply("Let me see.", tool_call("weather", {"city": "Oslo"})).reply("It rains.").reply(
        "You are welcome."
    )
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    tools = [{"name": "weather", "parameters": {"type": "object"}}]

    async def turn() -> Any:
        asked = {"messages": messages, "tools": tools}
        result = await client(style, server, "chat").run_generic_stream(asked).result()
        messages.append({"role": "assistant", "content": result.text, "tool_calls": result.tool_calls})
        return result

    async def scenario() -> list[str]:
        first = await turn()
        (call,) = first.tool_calls
        assert ToolCall(None, "weather", '{"city":"Oslo"}', 0) == call
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "rain"})
        second = await turn()
        messages.append({"role": "user", "content": "Thanks."})
        return [first.text, second.text, (await turn()).text]

    assert ["Let me see.", "It rains.", "You are welcome."] == style.run(scenario)
    assert {"role": "tool", "content": "rain", "tool_name": "weather"} == server.requests[-1].body[
        "messages"
    ][2]


def test_a_plain_run(style: Style, server: FakeAgentServer, api: str) -> None:
    server.agent("m").returns("Once", usage={"eval_count": 2})

    async def scenario() -> Any:
        return await client(style, server, api).run_generic_with_metadata("hi")

    result = style.run(scenario)
    assert ("Once", {"eval_count": 2}) == (result.result, result.usage)


@pytest.mark.parametrize(
    ("steps", "kind", "text"),
    [
        (["Once", error("busy", "full")], StreamError, "Once"),
        (["Once", ending("cut")], StreamTruncatedError, "Once"),
        (["Once", ending("no-done")], StreamTruncatedError, "Once"),
        ([status(500)], AgentServerError, None),
        ([status(401)], AuthenticationError, None),
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


def test_what_the_fake_agent_refuses(api: str) -> None:
    memory = MemoryNetwork(api_key="k")
    options: dict[str, Any] = {"transport_options": {"ollama_api": api}, "api_key": "k"}
    with pytest.raises(AgentNotFoundError, match="model 'm' not found"):
        in_memory(memory, **options).run_generic("hi")
    memory.agent("m")
    with pytest.raises(AuthenticationError, match="unauthorized"):
        in_memory(memory, **options | {"api_key": "other"}).run_generic("hi")


def test_a_request_without_its_question_is_refused() -> None:
    memory = MemoryNetwork()
    memory.agent("m")
    path = {"transport_options": {"ollama_api": "chat", "invoke_path": "/api/generate"}}
    with pytest.raises(ValidationError, match="missing or invalid field: prompt"):
        in_memory(memory, **path).run_generic("hi")


@pytest.mark.parametrize(("api", "arguments"), [("chat", "[1]"), ("generate", "{}")])
def test_a_tool_call_that_the_protocol_cannot_carry_is_refused(api: str, arguments: str) -> None:
    memory = MemoryNetwork()
    memory.agent("m").always("x", tool_call("f", arguments))
    options: dict[str, Any] = {"transport_options": {"ollama_api": api}}
    with pytest.raises(AgentServerError, match="only /api/chat has tool calls"):
        in_memory(memory, **options).run_generic_stream("q").text()


def test_a_plain_answer_may_be_a_message() -> None:
    memory = MemoryNetwork()
    call = {"function": {"name": "f", "arguments": {}}}
    message = {"role": "assistant", "content": "", "tool_calls": [call]}
    memory.agent("m").returns(message)
    assert message == in_memory(memory).run_generic("q")
