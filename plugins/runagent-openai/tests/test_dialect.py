"""The fake agent in this dialect, read by the official client over both endpoints, in both styles."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import openai
import pytest

from runagent_testing import FakeAgentServer, delay, done, ending, error, heartbeat, status

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
REFUSAL = {"type": "refusal", "refusal": "I cannot."}
ASKED = [{"role": "user", "content": "hi"}]


class Reader:
    """The official client, over either endpoint, in either style; answers are plain data."""

    def __init__(self, api: str, style: str, url: str, key: str = "secret") -> None:
        self.api = api
        self.style = style
        self.options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": key, "max_retries": 0}

    def stream(self, model: str) -> Any:
        """All events of a stream."""
        return self._run(model, stream=True)

    def plain(self, model: str) -> Any:
        """One whole answer."""
        return self._run(model)

    def _run(self, model: str, **options: Any) -> Any:
        question: dict[str, Any] = {"messages": ASKED} if self.api == "chat" else {"input": "hi"}
        if self.style == "async":
            return asyncio.run(self._ask_async(model, question | options))
        return self._ask(model, question | options)

    def _ask(self, model: str, asked: dict[str, Any]) -> Any:
        with openai.OpenAI(**self.options) as client:
            endpoint: Any = client.chat.completions if self.api == "chat" else client.responses
            answer = endpoint.create(model=model, **asked)
            return list(answer) if "stream" in asked else answer

    async def _ask_async(self, model: str, asked: dict[str, Any]) -> Any:
        async with openai.AsyncOpenAI(**self.options) as client:
            endpoint: Any = client.chat.completions if self.api == "chat" else client.responses
            answer = await endpoint.create(model=model, **asked)
            return [event async for event in answer] if "stream" in asked else answer


@pytest.fixture(params=["sync", "async"])
def style(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def chat(style: str, server: FakeAgentServer) -> Reader:
    return Reader("chat", style, server.url)


@pytest.fixture
def responses(style: str, server: FakeAgentServer) -> Reader:
    return Reader("responses", style, server.url)


@pytest.fixture(params=["chat", "responses"])
def either(request: pytest.FixtureRequest, style: str, server: FakeAgentServer) -> Reader:
    return Reader(request.param, style, server.url)


def test_a_chat_completion_is_streamed(chat: Reader, server: FakeAgentServer) -> None:
    server.agent("m").always("Once", delay(0.01), heartbeat(), " upon", CALL, done(usage=USAGE))
    chunks = chat.stream("m")
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "Once upon" == "".join(choice.delta.content or "" for choice in choices)
    calls = [call for choice in choices for call in choice.delta.tool_calls or ()]
    assert ("c1", "weather", 0) == (calls[0].id, calls[0].function.name, calls[0].index)
    assert {"city": "Oslo"} == json.loads("".join(call.function.arguments for call in calls))
    assert ("tool_calls", USAGE) == (
        choices[-1].finish_reason,
        chunks[-1].usage.model_dump(exclude_none=True),
    )


def test_a_response_is_streamed(responses: Reader, server: FakeAgentServer) -> None:
    server.agent("m").always("Once", delay(0.01), heartbeat(), " upon", CALL, done(usage=USAGE))
    events = responses.stream("m")
    assert list(range(len(events))) == [event.sequence_number for event in events]
    assert ["Once", " upon"] == [e.delta for e in events if e.type == "response.output_text.delta"]
    last = events[-1].response
    assert ("response.completed", "Once upon", 6) == (
        events[-1].type,
        last.output_text,
        last.usage.total_tokens,
    )
    call = last.output[1]
    assert ("c1", "weather", '{"city": "Oslo"}') == (call.call_id, call.name, call.arguments)
    assert call.arguments == "".join(e.delta for e in events if "arguments.delta" in e.type)


def test_a_refusal_is_streamed(chat: Reader, responses: Reader, server: FakeAgentServer) -> None:
    server.agent("m").always("Well", REFUSAL)
    deltas = [choice.delta for chunk in chat.stream("m") for choice in chunk.choices]
    assert ["I cannot."] == [delta.refusal for delta in deltas if delta.refusal]
    parts = [part for item in responses.stream("m")[-1].response.output for part in item.content]
    assert ["output_text", "refusal"] == [part.type for part in parts]
    assert ("Well", "I cannot.") == (parts[0].text, parts[1].refusal)


def test_an_answer_may_be_cut(chat: Reader, responses: Reader, server: FakeAgentServer) -> None:
    server.agent("m").always("Once", done(metadata={"finish_reason": "length"}))
    assert "length" == chat.stream("m")[-1].choices[0].finish_reason
    last = responses.stream("m")[-1]
    assert ("response.incomplete", "max_output_tokens") == (
        last.type,
        last.response.incomplete_details.reason,
    )


def test_plain_runs(chat: Reader, responses: Reader, server: FakeAgentServer) -> None:
    server.agent("m").returns("Once", usage=USAGE)
    completion, response = chat.plain("m"), responses.plain("m")
    assert ("Once", "stop", 6) == (
        completion.choices[0].message.content,
        completion.choices[0].finish_reason,
        completion.usage.total_tokens,
    )
    assert ("Once", "completed", 6) == (response.output_text, response.status, response.usage.total_tokens)


def test_plain_runs_call_and_refuse(chat: Reader, responses: Reader, server: FakeAgentServer) -> None:
    server.agent("m").returns(CALL)
    (call,) = chat.plain("m").choices[0].message.tool_calls
    server.agent("m").returns([CALL, CALL])
    items = responses.plain("m").output
    assert ("weather", ["weather", "weather"]) == (call.function.name, [item.name for item in items])
    server.agent("m").returns(REFUSAL)
    assert "I cannot." == chat.plain("m").choices[0].message.refusal
    assert "I cannot." == responses.plain("m").output[0].content[0].refusal


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        (status(401), openai.AuthenticationError, "invalid_api_key"),
        (status(429, retry_after=1), openai.RateLimitError, "rate_limit_exceeded"),
        (status(400, code="bad_value", message="no"), openai.BadRequestError, "bad_value"),
        (status(503, message="full"), openai.InternalServerError, None),
    ],
)
def test_errors_before_the_stream(
    either: Reader, server: FakeAgentServer, step: Any, kind: type[openai.APIStatusError], code: str | None
) -> None:
    server.agent("m").always(step)
    with pytest.raises(kind) as caught:
        either.stream("m")
    assert code == caught.value.code


def test_an_unknown_model(either: Reader) -> None:
    with pytest.raises(openai.NotFoundError, match="does not exist") as caught:
        either.stream("nobody")
    assert "model_not_found" == caught.value.code


def test_a_wrong_key(style: str) -> None:
    with FakeAgentServer(api_key="right") as server, pytest.raises(openai.AuthenticationError):
        Reader("chat", style, server.url, key="wrong").plain("m")


def test_an_error_in_the_stream(chat: Reader, responses: Reader, server: FakeAgentServer) -> None:
    server.agent("m").always("Once", error("busy", "no room left"))
    with pytest.raises(openai.APIError, match="no room left") as caught:
        chat.stream("m")
    assert "busy" == caught.value.code
    last = responses.stream("m")[-1]  # an event for this client, no exception
    assert ("error", "busy", "no room left") == (last.type, last.code, last.message)


def test_a_connection_that_breaks(either: Reader, server: FakeAgentServer) -> None:
    server.agent("m").always("Once", ending("cut"))
    with pytest.raises(openai.APIConnectionError):
        either.stream("m")


def test_what_was_asked_is_the_input_of_every_other_transport(
    either: Reader, server: FakeAgentServer
) -> None:
    server.agent("m").returns("x")
    either.plain("m")
    asked = server.requests[-1]
    assert ("m", {"query": "hi"}, "openai") == (asked.agent_id, asked.input, asked.dialect)


def test_a_question_without_a_question(server: FakeAgentServer) -> None:
    server.agent("m").returns("x")
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="x", max_retries=0) as client:
        with pytest.raises(openai.BadRequestError, match="messages"):
            client.post("/chat/completions", cast_to=object, body={"model": "m"})
        with pytest.raises(openai.NotFoundError):
            client.post("/chat/completions", cast_to=object, body=[])


@pytest.fixture
def client(server: FakeAgentServer) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="secret", max_retries=0) as client:
        yield client


def test_the_agents_are_listed_as_models(client: openai.OpenAI, server: FakeAgentServer) -> None:
    assert [] == list(client.models.list())
    for name in ("small", "meta/large"):
        server.agent(name)
    models = list(client.models.list())
    assert ["small", "meta/large"] == [model.id for model in models]
    assert [("model", "fake-agent")] * 2 == [(model.object, model.owned_by) for model in models]
    assert models == [client.models.retrieve(model.id) for model in models]
    assert [] == server.requests
    assert {"openai"} == {exchange.dialect for exchange in server.other_requests}
    server.check()


def test_an_unknown_model_is_not_found(client: openai.OpenAI, server: FakeAgentServer) -> None:
    server.agent("small")
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("smal")
    assert "model_not_found" == caught.value.code
    with pytest.raises(AssertionError, match="'small'"):
        server.check()
    server.clear()


def test_models_need_the_key(style: str) -> None:
    with FakeAgentServer(api_key="right") as server:
        server.agent("small")
        for key, found in (("right", ["small"]), ("wrong", openai.AuthenticationError)):
            options: dict[str, Any] = {"base_url": f"{server.url}/v1", "api_key": key, "max_retries": 0}
            assert found == _listed(style, options)


def _listed(style: str, options: dict[str, Any]) -> Any:
    async def listed() -> list[str]:
        async with openai.AsyncOpenAI(**options) as client:
            return [model.id async for model in client.models.list()]

    try:
        if style == "async":
            return asyncio.run(listed())
        with openai.OpenAI(**options) as client:
            return [model.id for model in client.models.list()]
    except openai.AuthenticationError as refused:
        return type(refused)


def test_a_list_of_models_may_fail(client: openai.OpenAI, server: FakeAgentServer) -> None:
    server.on_request("GET /v1/models", status(429, retry_after=1))
    with pytest.raises(openai.RateLimitError) as caught:
        client.models.list()
    assert "rate_limit_exceeded" == caught.value.code
