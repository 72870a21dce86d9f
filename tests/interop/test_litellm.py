"""The transport ``openai`` and a server that nobody here wrote, over both endpoints, in every style."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AuthenticationError,
    Chunk,
    Completed,
    RateLimitError,
    StreamError,
    ToolCall,
    ValidationError,
)
from runagent_testing import done, ending, error, gate, heartbeat, status
from tests.interop.litellm import STORY, LiteLLM
from tests.interop.peers import met
from tests.interop.programs import Port, needs_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style

pytestmark = [pytest.mark.interop, needs_environment("litellm"), met("openai", "litellm", "server")]

USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


@pytest.fixture(scope="module")
def litellm(shared_agents: FakeAgentServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteLLM]:
    with Port() as port, LiteLLM(tmp_path_factory.mktemp("litellm"), shared_agents.url, port) as running:
        yield running


@pytest.fixture(params=["chat", "responses"])
def api(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["chat relayed", "responses relayed", "responses rebuilt"])
def behind(request: pytest.FixtureRequest) -> tuple[str, str]:
    """An endpoint, and a model behind LiteLLM: passed on, or converted from the other endpoint."""
    api, model = request.param.split()
    return api, model


@pytest.fixture(autouse=True)
def chosen_by_the_environment_alone(
    monkeypatch: pytest.MonkeyPatch, litellm: LiteLLM, agents: FakeAgentServer
) -> None:
    """Configure everything by variables; what LiteLLM keeps open to the agents is dropped after each test."""
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "openai")
    monkeypatch.setenv("RUNAGENT_API_URL", f"{litellm.url}/v1")
    monkeypatch.setenv("RUNAGENT_API_KEY", litellm.key)


def client(style: Style, api: str, model: str, **options: Any) -> Any:
    return style.client(model, transport_options={"openai_api": api}, max_retries=0, **options)


def streamed(api: str) -> str:
    return "storyteller" if api == "chat" else "retold"


def test_a_stream(style: Style, api: str) -> None:
    async def scenario() -> list[Any]:
        return [e async for e in client(style, api, streamed(api)).run_generic_stream("hi").events()]

    events = style.run(scenario)
    assert STORY == "".join(event.content for event in events[1:-1])
    last = events[-1]
    assert isinstance(last, Completed)
    reason = "stop" if api == "chat" else "completed"
    assert (True, reason) == (last.proven, (last.metadata or {})["finish_reason"])
    assert 0 < (last.usage or {})["total_tokens"]


def test_a_connection_serves_streams_one_after_another(style: Style, api: str) -> None:
    async def scenario() -> None:
        user = client(style, api, streamed(api))
        for _ in range(100):  # the last bytes of an answer may come too late, and mostly do for some styles
            stream = user.run_generic_stream("hi")
            assert await stream.text() == STORY
            if stream.report.attempts[-1].reused:
                return
        pytest.fail("no connection was used twice")

    style.run(scenario)


def test_a_plain_run(style: Style, api: str) -> None:
    async def scenario() -> Any:
        return await client(style, api, "storyteller").run_generic_with_metadata({"query": "hi", "seed": 1})

    result = style.run(scenario)
    assert STORY == result.result
    assert 0 < result.tokens_used


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize(
    ("model", "options", "kind", "problem"),
    [
        ("storyteller", {"api_key": "sk-wrong"}, AuthenticationError, "not known"),
        ("nobody", {}, ValidationError, "Invalid model name"),
    ],
)
def test_a_refusal(
    style: Style, api: str, plain: bool, model: str, options: Any, kind: type[Exception], problem: str
) -> None:
    async def scenario() -> None:
        user = client(style, api, model, **options)
        with pytest.raises(kind, match=problem):
            await (user.run_generic("hi") if plain else user.run_generic_stream("hi").text())

    style.run(scenario)


def test_a_limit(style: Style) -> None:
    async def scenario() -> None:
        with pytest.raises(RateLimitError, match="mock rate limit"):
            await client(style, "chat", "limited").run_generic_stream("hi").text()

    style.run(scenario)


# The agents behind it speak through the dialect: LiteLLM reads that, and the transport reads LiteLLM.


def test_tool_calls_and_usage(style: Style, behind: tuple[str, str], agents: FakeAgentServer) -> None:
    agents.agent("relayed").always("Well", heartbeat(), CALL, done(usage=USAGE)).returns(CALL)

    async def scenario() -> tuple[list[Any], Any]:
        user = client(style, *behind)
        return [e async for e in user.run_generic_stream("hi").events()], await user.run_generic("hi")

    events, result = style.run(scenario)
    (text,) = (event.content for event in events if isinstance(event, Chunk))
    (call,) = (event for event in events if isinstance(event, ToolCall))
    assert ("Well", "weather", {"city": "Oslo"}) == (text, call.name, json.loads(call.arguments))
    assert 6 == events[-1].usage["total_tokens"]
    assert "weather" in str(result)


@pytest.mark.parametrize("step", [error("busy", "no room left"), ending("cut"), ending("reset")])
def test_what_fails_behind_it(
    style: Style, behind: tuple[str, str], agents: FakeAgentServer, step: Any
) -> None:
    begun = gate("begun")
    agents.agent("relayed").always("Well", " then", begun, step, writes="per-step")

    async def scenario() -> None:
        async with client(style, *behind).run_generic_stream("hi") as stream:
            assert "Well".startswith(await stream.__anext__())
            begun.open()
            with pytest.raises(StreamError):
                await stream.text()

    style.run(scenario)


def test_what_is_refused_behind_it(style: Style, behind: tuple[str, str], agents: FakeAgentServer) -> None:
    agents.agent("relayed").always(status(429, message="slow down"))

    async def scenario() -> None:
        with pytest.raises(RateLimitError, match="slow down"):
            await client(style, *behind).run_generic_stream("hi").text()

    style.run(scenario)


def test_an_answer_that_is_cut(style: Style, behind: tuple[str, str], agents: FakeAgentServer) -> None:
    agents.agent("relayed").always("Well", done(metadata={"finish_reason": "length"}))

    async def scenario() -> Any:
        return [e async for e in client(style, *behind).run_generic_stream("hi").events()][-1]

    expected = "length" if behind[0] == "chat" else "max_output_tokens"
    assert expected == style.run(scenario).metadata["finish_reason"]


def test_closing_a_stream_frees_the_agent(
    style: Style, behind: tuple[str, str], agents: FakeAgentServer
) -> None:
    agents.agent("relayed").always("Well", " then", gate("never opened"), writes="per-step")

    async def scenario() -> None:
        async with client(style, *behind).run_generic_stream("hi") as stream:
            assert "Well".startswith(await stream.__anext__())

    style.run(scenario)
    assert agents.requests[-1].wait_disconnected(10)
