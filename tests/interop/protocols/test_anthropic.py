"""The official client ``anthropic``, in both styles, reads what the fake agent writes in its dialect."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import RunAgentClient, RunAgentError, Timeouts
from runagent_testing import custom, done, ending, error, heartbeat, raw, reasoning, status, tool_call
from tests.interop.peers import met
from tests.interop.programs import needs_environment
from tests.interop.protocols.readers import Reader, broken_streams

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer
    from tests.interop.protocols.readers import Read

pytestmark = [pytest.mark.interop, needs_environment("anthropic"), met("anthropic", "anthropic", "client")]

USAGE = {"input_tokens": 4, "output_tokens": 2}
ASK: dict[str, Any] = {"model": "m", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}
HALF = raw(b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "del')


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader("anthropic", "secret") as running:
        yield running


@pytest.fixture(params=["sync", "async"])
def manner(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def read(reader: Reader, agents: FakeAgentServer, manner: str, do: str, **ask: Any) -> Read:
    return reader.read(agents.url, manner, do, **(ASK | ask if do != "models" else ask))


def test_a_stream(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    search = {"id": "s1", "name": "web_search", "input": {"query": "x"}}
    agents.agent("m").always(
        *(reasoning("hm"), "Once", heartbeat(), " upon", tool_call("weather", {"city": "Oslo"}, id="t1")),
        *(custom("server_tool_use", search), done(usage=USAGE, stop_reason="tool_use")),
    )
    events = read(reader, agents, manner, "events")
    assert events.error is None
    assert ["message_start", "message_delta", "message_stop"] == [
        event["type"] for event in events.got if event["type"].startswith("message")
    ]
    message = read(reader, agents, manner, "message")
    text, whole = message.got
    thought, said, call, server_call = whole["content"]
    assert ("Once upon", "Once upon", "tool_use") == (text, said["text"], whole["stop_reason"])
    assert ("hm", True) == (thought["thinking"], bool(thought["signature"]))
    assert ("t1", "weather", {"city": "Oslo"}) == (call["id"], call["name"], call["input"])
    assert ("server_tool_use", {"query": "x"}) == (server_call["type"], server_call["input"])
    assert USAGE == {name: whole["usage"][name] for name in USAGE}


def test_a_plain_message(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    agents.agent("m").returns("Once", usage=USAGE)
    (message,) = read(reader, agents, manner, "plain").got
    assert ("Once", "end_turn", 2) == (
        message["content"][0]["text"],
        message["stop_reason"],
        message["usage"]["output_tokens"],
    )


def test_a_conversation_with_a_tool(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    agents.agent("m").reply(tool_call("weather", {}, id="t1")).reply("It rains.").reply("You are welcome.")
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    messages = list(ASK["messages"])
    for more in ([{"type": "tool_result", "tool_use_id": "t1", "content": "rain"}], "Thanks.", None):
        _, whole = read(reader, agents, manner, "message", messages=messages, tools=tools).got
        messages += [{"role": "assistant", "content": whole["content"]}, {"role": "user", "content": more}]
    assert "You are welcome." == whole["content"][0]["text"]
    assert 5 == len(agents.requests[-1].body["messages"])


def test_the_key_and_the_list_of_models(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    agents.agent("one")
    agents.agent("two")
    assert ["one", "two"] == read(reader, agents, manner, "models").got
    (request,) = agents.other_requests
    assert "Bearer secret" == request.raw_headers["authorization"]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        (400, "BadRequestError"),
        (401, "AuthenticationError"),
        (404, "NotFoundError"),
        (429, "RateLimitError"),
        (500, "InternalServerError"),
        (529, "OverloadedError"),
    ],
)
@pytest.mark.parametrize("do", ["events", "plain"])
def test_a_refusal(
    reader: Reader, agents: FakeAgentServer, manner: str, do: str, code: int, shown: str
) -> None:
    full = status(code, message="no room left")
    agents.agent("m").always(full).returns(full)
    seen = read(reader, agents, manner, do)
    assert seen.error is not None
    assert ([], shown, code) == (seen.got, seen.error["class"], seen.error["status"])
    assert "no room left" in seen.error["text"]


def test_an_error_in_the_stream(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    agents.agent("m").always("Once", error("overloaded_error", "no room left"))
    seen = read(reader, agents, manner, "events")
    assert seen.error is not None
    assert "APIStatusError" == seen.error["class"]
    assert "no room left" in seen.error["text"]
    assert "Once" in json.dumps(seen.got)


def test_a_refusal_of_the_model(reader: Reader, agents: FakeAgentServer, manner: str) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "No."}
    agents.agent("m").always("Well", done(stop_reason="refusal", metadata={"stop_details": details}))
    _, whole = read(reader, agents, manner, "message").got
    assert ("refusal", "No.") == (whole["stop_reason"], whole["stop_details"]["explanation"])


# How a broken stream looks to the official client, and to ours.


BROKEN = {
    "a clean end, without the marker": ["Once", ending("no-done")],
    "a clean end, inside an event": ["Once", HALF, ending("no-done")],
    "FIN": ["Once", ending("cut")],
    "RST": ["Once", ending("reset")],
    "silence": ["Once", ending("stall")],
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_stream_is_shown_as_the_page_has_it(
    reader: Reader, agents: FakeAgentServer, manner: str, broken: str
) -> None:
    shown = broken_streams("anthropic")
    assert list(BROKEN) == list(shown)
    theirs, ours = shown[broken]
    agents.agent("m").always(*BROKEN[broken])
    seen = read(reader, agents, manner, "events", timeout=0.5)
    assert theirs == (seen.fails or "no error")
    assert "Once" in json.dumps(seen.got)
    client = RunAgentClient(
        "m", base_url=agents.url, transport="anthropic", max_retries=0, timeout=Timeouts(idle=0.5)
    )
    with pytest.raises(RunAgentError) as caught:
        client.run_generic_stream("hi").text()
    assert ours == type(caught.value).__name__
