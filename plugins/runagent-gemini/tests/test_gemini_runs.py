"""Runs over the transport, as the registry finds it, in every style, and the dialect on its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from runagent import (
    AgentNotFoundError,
    AuthenticationError,
    Chunk,
    RateLimitError,
    Reasoning,
    StreamError,
    StreamTruncatedError,
    ToolCall,
)
from runagent_testing import (
    FakeAgentServer,
    custom,
    delay,
    done,
    ending,
    error,
    gate,
    reasoning,
    status,
    tool_call,
)

if TYPE_CHECKING:
    from tests.support.styles import Style

USAGE = {"promptTokenCount": 4, "candidatesTokenCount": 2, "totalTokenCount": 7, "thoughtsTokenCount": 1}
ASK = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.fixture(autouse=True)
def chosen_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "gemini")


def client(style: Style, server: FakeAgentServer, **options: Any) -> Any:
    return style.client("m", **{"base_url": server.url, "retry_delay": 0.001, **options})


def test_a_stream(style: Style, server: FakeAgentServer) -> None:
    steps = [
        reasoning("Hm."),
        "Once",
        delay(0.01),
        " upon",
        tool_call("look", {"at": "x"}, id="c1"),
    ]
    server.agent("m").always(*steps, done(usage=USAGE, stop_reason="MAX_TOKENS"))

    async def scenario() -> tuple[list[Any], Any]:
        stream = client(style, server).run_generic_stream("hi")
        return [event async for event in stream.events()], stream.report.tokens

    events, tokens = style.run(scenario)
    call = ToolCall("c1", "look", '{"at": "x"}', 0)
    assert [Reasoning("Hm."), Chunk("Once"), Chunk(" upon"), call] == events[1:-1]
    assert (USAGE, "MAX_TOKENS") == (events[-1].usage, events[-1].stop_reason)
    assert (4, 2, 7, None, 1) == (tokens.input, tokens.output, tokens.total, tokens.cached, tokens.reasoning)


def test_a_plain_run(style: Style, server: FakeAgentServer) -> None:
    server.agent("m").returns("Once", usage=USAGE)

    async def scenario() -> Any:
        return await client(style, server).run_generic_with_metadata("hi")

    result = style.run(scenario)
    assert ("Once", USAGE) == (result.result, result.usage)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (error("UNAVAILABLE", "full"), StreamError),
        (ending("cut"), StreamTruncatedError),
        (ending("no-done"), StreamTruncatedError),
        (ending("reset"), StreamTruncatedError),
    ],
)
def test_how_runs_fail(style: Style, server: FakeAgentServer, step: Any, kind: type[StreamError]) -> None:
    server.agent("m").always("Once", step)

    async def scenario() -> StreamError:
        with pytest.raises(kind) as caught:
            await client(style, server).run_generic_stream("hi").text()
        return caught.value

    assert "Once" == style.run(scenario).partial_text


def test_a_refused_run_is_repeated_after_the_delay(style: Style, server: FakeAgentServer) -> None:
    server.agent("m").reply(status(429, retry_after=0.02)).reply(status(503)).reply("Once")

    async def scenario() -> tuple[str, list[float]]:
        stream = client(style, server).run_generic_stream("hi")
        return await stream.text(), [attempt.waited_seconds for attempt in stream.report.attempts]

    text, waits = style.run(scenario)
    assert ("Once", 3, True) == (text, len(waits), max(waits) >= 0.02)


def test_the_delay_in_the_details_counts(style: Style, server: FakeAgentServer) -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "100s"}]
    body = {"error": {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": details}}
    server.agent("m").always(status(429, body=body))

    async def scenario() -> Any:
        with pytest.raises(RateLimitError) as caught:
            await client(style, server, max_retries=0).run_generic_stream("hi").text()
        return caught.value

    refused = style.run(scenario)
    assert (100.0, "RESOURCE_EXHAUSTED") == (refused.retry_after, refused.code)


def test_a_wrong_key_is_asked_for_again(style: Style) -> None:
    keys = iter(["old", "new", "old", "old"])
    with FakeAgentServer(api_key="new") as server:
        server.agent("m").always("Once")

        async def scenario() -> tuple[str, AuthenticationError]:
            async with client(style, server, api_key=lambda: next(keys)) as user:
                text = await user.run_generic_stream("hi").text()
                with pytest.raises(AuthenticationError, match="not valid") as caught:
                    await user.run_generic_stream("hi").text()
                return text, caught.value

        text, refused = style.run(scenario)
    assert ("Once", 400, "INVALID_ARGUMENT") == (text, refused.status, refused.code)


def test_an_unknown_model(style: Style, server: FakeAgentServer) -> None:
    async def scenario() -> None:
        for run in (client(style, server).run_generic, client(style, server).run_generic_stream("hi").text):
            with pytest.raises(AgentNotFoundError, match="models/m is not found"):
                await (run("hi") if run.__name__ == "run_generic" else run())

    style.run(scenario)


def test_runs_share_a_connection_and_closing_frees_the_service(style: Style, server: FakeAgentServer) -> None:
    server.agent("m").reply("x").reply("x").reply("a", gate("never opened")).returns("y")

    async def scenario() -> None:
        user = client(style, server)
        for _ in range(2):
            assert await user.run_generic_stream("hi").text() == "x"
            assert await user.run_generic("hi") == "y"
        assert server.connections == 1
        async with user.run_generic_stream("hi") as stream:
            assert await stream.__anext__() == "a"

    style.run(scenario)
    assert server.requests[-1].wait_disconnected(5)


# The dialect


def ask(server: FakeAgentServer, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    """Return the status and the body of an answer."""
    data = None if body is None else json.dumps(body).encode()
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urlopen(Request(server.url + path, data, fields), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


@pytest.mark.parametrize("prefix", ["/v1", "/v1beta", "/proxy/v1beta/publishers/google"])
def test_a_stream_on_the_wire(server: FakeAgentServer, prefix: str) -> None:
    server.agent("m 1").always("Once", tool_call("f", '{\n"a": 1}'), custom("groundingMetadata", {"a": 1}))
    code, text = ask(server, f"{prefix}/models/m%201:streamGenerateContent?alt=sse", ASK)
    pieces = [json.loads(line.removeprefix("data: ")) for line in text.split("\r\n\r\n")[:-1]]
    first = [piece["candidates"][0] for piece in pieces]
    assert (200, {"text": "Once"}) == (code, first[0]["content"]["parts"][0])
    assert {"functionCall": {"name": "f", "args": {"a": 1}}} == first[1]["content"]["parts"][0]
    assert ({"a": 1}, "STOP") == (first[2]["groundingMetadata"], first[3]["finishReason"])
    assert {"query": "hi"} == server.requests[0].input


def test_models(server: FakeAgentServer) -> None:
    server.agent("m")
    code, text = ask(server, "/v1/models", x_goog_api_key="k")
    assert (200, ["models/m"]) == (code, [model["name"] for model in json.loads(text)["models"]])
    assert 200 == ask(server, "/v1/models/m", x_goog_api_key="k")[0]


@pytest.mark.parametrize(
    ("path", "body", "problem"),
    [
        (":streamGenerateContent", ASK, "add ?alt=sse"),
        (":streamGenerateContent?alt=sse", {}, "contents are not specified"),
    ],
)
def test_an_invalid_request(server: FakeAgentServer, path: str, body: Any, problem: str) -> None:
    server.agent("m").always("Once")
    code, text = ask(server, f"/v1/models/m{path}", body)
    assert (400, "INVALID_ARGUMENT") == (code, json.loads(text)["error"]["status"])
    assert problem in text


@pytest.mark.parametrize("step", [tool_call("f", "[]"), tool_call("f", "{"), custom("state", 1)])
def test_steps_that_the_protocol_cannot_carry(server: FakeAgentServer, step: Any) -> None:
    server.agent("m").always("Once", step)
    assert 500 == ask(server, "/v1/models/m:streamGenerateContent?alt=sse", ASK)[0]
