"""The official client ``ollama``, in both styles, reads what the fake agent writes in its dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import RunAgentClient, RunAgentError, Timeouts
from runagent_testing import done, ending, error, raw, reasoning, status, tool_call
from tests.interop.peers import met
from tests.interop.programs import needs_environment
from tests.interop.protocols.readers import Reader, broken_streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer
    from tests.interop.protocols.readers import Read

pytestmark = [pytest.mark.interop, needs_environment("ollama"), met("ollama", "ollama", "client")]

HALF = raw(b'{"model": "m", "mess')
QUESTION: dict[str, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "hi"}]},
    "generate": {"prompt": "hi"},
}


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader("ollama", "secret") as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def manner(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(params=["chat", "generate"])
def api(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def read(reader: Reader, agents: FakeAgentServer, manner: str, api: str, **ask: Any) -> Read:
    return reader.read(agents.url, manner, api, **{"model": "m", "stream": True} | QUESTION[api] | ask)


def texts(seen: Read, api: str) -> list[str]:
    parts = [part["message"]["content"] if api == "chat" else part["response"] for part in seen.got]
    return [part for part in parts if part]


def test_a_stream(reader: Reader, agents: FakeAgentServer, manner: str, api: str) -> None:
    agents.agent("m").always(
        reasoning("hm"), "Once", " upon", done(usage={"input_tokens": 4, "output_tokens": 2})
    )
    seen = read(reader, agents, manner, api)
    assert (None, ["Once", " upon"]) == (seen.error, texts(seen, api))
    first, last = seen.got[0], seen.got[-1]
    assert "hm" == (first["message"] if api == "chat" else first)["thinking"]
    assert (True, "stop", 4, 2) == tuple(
        last[name] for name in ("done", "done_reason", "prompt_eval_count", "eval_count")
    )


def test_a_plain_answer(reader: Reader, agents: FakeAgentServer, manner: str, api: str) -> None:
    agents.agent("m").returns("Once")
    assert ["Once"] == texts(read(reader, agents, manner, api, stream=False), api)


def test_a_conversation_with_a_tool(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    agents.agent("m").reply(tool_call("weather", {"city": "Oslo"})).reply("It rains.").reply("Bye.")
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    messages = list(QUESTION["chat"]["messages"])
    called = read(reader, agents, manner, "chat", messages=messages, tools=tools).got[0]["message"]
    assert [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}] == called["tool_calls"]
    messages += [called, {"role": "tool", "tool_name": "weather", "content": "rain"}]
    assert ["It rains."] == texts(read(reader, agents, manner, "chat", messages=messages), "chat")
    messages += [{"role": "assistant", "content": "It rains."}, {"role": "user", "content": "Bye."}]
    assert ["Bye."] == texts(read(reader, agents, manner, "chat", messages=messages), "chat")
    assert 5 == len(agents.requests[-1].body["messages"])


def test_the_list_of_models(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    agents.agent("one")
    agents.agent("two")
    assert ["one", "two"] == reader.read(agents.url, manner, "models").got


@pytest.mark.parametrize("code", [400, 401, 404, 429, 500])
@pytest.mark.parametrize("stream", [True, False])
def test_a_refusal(
    reader: Reader, agents: FakeAgentServer, manner: str, api: str, stream: bool, code: int
) -> None:
    full = status(code, message="no room left")
    agents.agent("m").always(full).returns(full)
    seen = read(reader, agents, manner, api, stream=stream)
    assert seen.error is not None
    assert ([], "ResponseError", code) == (seen.got, seen.error["class"], seen.error["status"])
    assert f"no room left (status code: {code})" == seen.error["text"]


def test_an_error_in_the_stream(reader: Reader, agents: FakeAgentServer, manner: str, api: str) -> None:
    agents.agent("m").always("Once", error("busy", "no room left"))
    seen = read(reader, agents, manner, api)
    assert (["Once"], "ResponseError") == (texts(seen, api), seen.fails)
    assert seen.error is not None
    assert "no room left" in seen.error["text"]


# How a broken stream looks to the official client, and to ours.


BROKEN = {
    "a clean end, without the marker": ["Once", ending("no-done")],
    "a clean end, inside a line": ["Once", HALF, ending("no-done")],
    "FIN": ["Once", ending("cut")],
    "RST": ["Once", ending("reset")],
    "silence": ["Once", ending("stall")],
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_stream_is_shown_as_the_page_has_it(
    reader: Reader, agents: FakeAgentServer, manner: str, broken: str
) -> None:
    shown = broken_streams("ollama")
    assert list(BROKEN) == list(shown)
    theirs, ours = shown[broken]
    agents.agent("m").always(*BROKEN[broken])
    seen = read(reader, agents, manner, "chat", timeout=0.5)
    assert (["Once"], theirs) == (texts(seen, "chat"), seen.fails or "no error")
    client = RunAgentClient(
        "m", base_url=agents.url, transport="ollama", max_retries=0, timeout=Timeouts(idle=0.5)
    )
    with pytest.raises(RunAgentError) as caught:
        client.run_generic_stream("hi").text()
    assert ours == type(caught.value).__name__
