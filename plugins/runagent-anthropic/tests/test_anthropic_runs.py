"""Runs over the transport, as the registry finds it, in every style, and the requests that ask for no run."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    AuthenticationError,
    Chunk,
    Completed,
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
    heartbeat,
    reasoning,
    status,
    tool_call,
)

if TYPE_CHECKING:
    from tests.support.styles import Style

USAGE = {"input_tokens": 4, "output_tokens": 2}
SEARCH: dict[str, Any] = {"id": "s1", "name": "web_search", "input": {"query": "x"}}


@pytest.fixture(autouse=True)
def chosen_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "anthropic")


def client(style: Style, server: FakeAgentServer, **options: Any) -> Any:
    return style.client("m", **{"base_url": server.url, "retry_delay": 0.001} | options)


def events_of(events: list[Any], kind: Any) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def in_memory(memory: MemoryNetwork, **options: Any) -> RunAgentClient:
    return RunAgentClient("m", base_url=memory.url, network=memory.blocking, max_retries=0, **options)


def test_a_stream(style: Style, server: FakeAgentServer) -> None:
    server.agent("m").always(
        *(reasoning("hm"), "Once", heartbeat(), " upon", tool_call("weather", {"city": "Oslo"}, id="t1")),
        *(custom("server_tool_use", SEARCH), tool_call("now"), done(usage=USAGE, stop_reason="tool_use")),
    )

    async def scenario() -> list[Any]:
        return [e async for e in client(style, server).run_generic_stream("hi").events()]

    started, *events, end = style.run(scenario)
    thinking, call, search, now = events_of(events, Custom | ToolCall)
    assert [Reasoning("hm"), Chunk("Once"), Chunk(" upon")] == [
        event for event in events if isinstance(event, Reasoning | Chunk)
    ]
    assert ("thinking", "hm") == (thinking.name, thinking.value["thinking"])
    assert ToolCall("t1", "weather", '{"city": "Oslo"}', 0) == call
    assert Custom("server_tool_use", {"type": "server_tool_use", **SEARCH}) == search
    assert ("now", "{}", 1) == (now.name, now.arguments, now.index)
    assert isinstance(end, Completed)
    assert (USAGE, "tool_use", started.invocation_id) == (end.usage, end.stop_reason, end.metadata["id"])  # type: ignore[index]


def test_a_plain_run(style: Style, server: FakeAgentServer) -> None:
    server.agent("m").returns("Once", usage=USAGE)

    async def scenario() -> Any:
        return await client(style, server).run_generic_with_metadata("hi")

    result = style.run(scenario)
    assert ("Once", USAGE, "end_turn") == (result.result, result.usage, result.metadata["stop_reason"])
    assert result.request_id.startswith("req_")


def test_a_conversation_of_three_turns_with_a_tool(style: Style, server: FakeAgentServer) -> None:
    agent = server.agent("m")
    agent.reply("Let me see.", tool_call("weather", {"city": "Oslo"}, id="t1"))
    agent.reply("It rains.").reply("You are welcome.")
    tools = [{"name": "weather", "parameters": {"type": "object"}}]
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]

    async def turn() -> Any:
        result = (
            await client(style, server).run_generic_stream({"messages": messages, "tools": tools}).result()
        )
        messages.append({"role": "assistant", "content": result.text, "tool_calls": result.tool_calls})
        return result

    async def scenario() -> list[str]:
        first = await turn()
        (call,) = first.tool_calls
        messages.append({"role": "tool", "tool_call_id": call.id, "content": "rain"})
        second = await turn()
        messages.append({"role": "user", "content": "Thanks."})
        return [first.text, second.text, (await turn()).text]

    assert ["Let me see.", "It rains.", "You are welcome."] == style.run(scenario)
    sent = server.requests[-1].body["messages"]
    assert ["user", "assistant", "user", "assistant", "user"] == [message["role"] for message in sent]
    assert [{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}] == sent[2]["content"]


@pytest.mark.parametrize(
    ("steps", "kind", "text"),
    [
        (["Once", error("overloaded_error", "full")], StreamError, "Once"),
        (["Once", done(stop_reason="refusal")], StreamError, "Once"),
        (["Once", ending("cut")], StreamTruncatedError, "Once"),
        (["Once", ending("no-done")], StreamTruncatedError, "Once"),
        ([status(529)], AgentServerError, None),
        ([status(401)], AuthenticationError, None),
    ],
)
def test_how_runs_fail(
    style: Style, server: FakeAgentServer, steps: list[Any], kind: type, text: str | None
) -> None:
    server.agent("m").always(*steps)

    async def scenario() -> BaseException:
        with pytest.raises(kind) as caught:
            await client(style, server, max_retries=0).run_generic_stream("hi").text()
        return caught.value

    assert text == getattr(style.run(scenario), "partial_text", None)


@pytest.mark.parametrize(
    "refusal",
    [[status(529)], [status(429, retry_after=0)], [error("overloaded_error", "full")]],
    ids=["529", "429", "the first event"],
)
def test_an_overloaded_service_is_asked_again(
    style: Style, server: FakeAgentServer, refusal: list[Any]
) -> None:
    server.agent("m").reply(*refusal).always("Once")

    async def scenario() -> tuple[str, int]:
        stream = client(style, server).run_generic_stream("hi")
        return await stream.text(), stream.report.retries

    assert ("Once", 1) == style.run(scenario)


def test_an_unknown_model() -> None:
    with pytest.raises(AgentNotFoundError, match="model: m"):
        in_memory(MemoryNetwork()).run_generic("hi")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"max_tokens": "many"}, "max_tokens: Input should be a valid int"),
        ({"max_tokens": None}, "max_tokens: Field"),
    ],
)
def test_an_invalid_request_is_refused_as_the_service_does(given: Any, problem: str) -> None:
    memory = MemoryNetwork()
    memory.agent("m")
    with pytest.raises(ValidationError, match=problem) as caught:
        in_memory(memory).run_generic({"query": "hi", **given})
    assert ("invalid_request_error", 400) == (caught.value.code, caught.value.status)


@pytest.mark.parametrize("field", [{"x-api-key": "k"}, {"Authorization": "Bearer k"}])
def test_the_key_may_come_in_either_field(field: dict[str, str]) -> None:
    memory = MemoryNetwork(api_key="k")
    memory.agent("m").always("Once")
    assert "Once" == in_memory(memory, headers=field).run_generic_stream("hi").text()
    with pytest.raises(AuthenticationError, match="invalid x-api-key"):
        in_memory(memory, api_key="other").run_generic_stream("hi").text()


def test_a_custom_event_is_an_object() -> None:
    memory = MemoryNetwork()
    memory.agent("m").always("x", custom("state", "no object"))
    with pytest.raises(AgentServerError, match=r"a content block is an object: custom\("):
        in_memory(memory).run_generic_stream("q").text()


def test_a_plain_answer_of_blocks() -> None:
    memory = MemoryNetwork()
    use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    memory.agent("m").returns([use])
    result = in_memory(memory).run_generic_with_metadata("q")
    assert ([use], "tool_use") == (result.result, (result.metadata or {})["stop_reason"])


def get(server: FakeAgentServer, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.rpartition(":")[2]), timeout=10)
    try:
        connection.request(
            "GET", path, headers={name.replace("_", "-"): text for name, text in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def test_the_agents_are_listed_as_models_for_clients_of_this_protocol(server: FakeAgentServer) -> None:
    server.agent("one")
    server.agent("two")
    code, listed = get(server, "/v1/models?limit=20", anthropic_version="2023-06-01")
    assert (200, ["one", "two"], "one", "two", False) == (
        code,
        [model["id"] for model in listed["data"]],
        listed["first_id"],
        listed["last_id"],
        listed["has_more"],
    )
    assert (200, "model") == (
        get(server, "/v1/models/one", anthropic_version="x")[0],
        get(server, "/v1/models/one", anthropic_version="x")[1]["type"],
    )
    assert (404, "not_found_error") == (
        get(server, "/v1/models/three", anthropic_version="x")[0],
        get(server, "/v1/models/three", anthropic_version="x")[1]["error"]["type"],
    )
    assert "list" == get(server, "/v1/models")[1]["object"]  # of another protocol with the same path
