"""What a run sends, and the inputs that it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import RunAgentClient, ToolCall, ValidationError
from runagent_testing import MemoryNetwork
from tests.support.sessions import open_session

USER = {"role": "user", "parts": [{"text": "hi"}]}
CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def asked(
    input: Any, *, plain: bool = False, memory: MemoryNetwork | None = None, **options: Any
) -> MemoryNetwork:
    """Run an agent with an input; return the network that was asked."""
    network = MemoryNetwork() if memory is None else memory
    network.agent("m").always("Once").returns("Once")
    client = RunAgentClient(
        "m", base_url=network.url, network=network.blocking, transport="gemini", **options
    )
    assert "Once" == (client.run_generic(input) if plain else client.run_generic_stream(input).text())
    return network


@pytest.mark.parametrize(
    ("input", "body"),
    [
        ("hi", {"contents": [USER]}),
        (
            {"query": "hi", "parameters": {"generationConfig": {"temperature": 0}}},
            {"contents": [USER], "generationConfig": {"temperature": 0}},
        ),
        ({"contents": [USER], "safetySettings": []}, {"contents": [USER], "safetySettings": []}),
        (
            {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]},
            {"contents": [USER], "systemInstruction": {"parts": [{"text": "Be brief."}]}},
        ),
        (
            {"query": "hi", "tools": [{"name": "weather", "description": "d", "parameters": SCHEMA}]},
            {
                "contents": [USER],
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "weather", "description": "d", "parametersJsonSchema": SCHEMA}
                        ]
                    }
                ],
            },
        ),
        (
            {
                "query": [
                    {"type": "text", "text": "hi"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
                ]
            },
            {
                "contents": [
                    {
                        "role": "user",
                        "parts": [{"text": "hi"}, {"inlineData": {"mimeType": "image/png", "data": "AA=="}}],
                    }
                ]
            },
        ),
        (
            {"query": [{"type": "image_url", "image_url": "gs://a/b.png"}, {"inlineData": {"data": "AA=="}}]},
            {
                "contents": [
                    {
                        "role": "user",
                        "parts": [
                            {"fileData": {"fileUri": "gs://a/b.png"}},
                            {"inlineData": {"data": "AA=="}},
                        ],
                    }
                ]
            },
        ),
    ],
)
def test_the_input_in_the_terms_of_the_api(input: Any, body: dict[str, Any]) -> None:
    (exchange,) = asked(input).requests
    assert body == exchange.body
    assert "/v1beta/models/m:streamGenerateContent?alt=sse" == exchange.path


def test_a_tool_loop() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [CALL, ToolCall("c2", "clock", "")]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"sky": "blue"}'},
        {"role": "tool", "tool_call_id": "c2", "content": "noon"},
        {"role": "tool", "name": "look", "content": "there"},
    ]
    (exchange,) = asked({"messages": messages}).requests
    user, model, results = exchange.body["contents"]
    assert USER == user
    assert {
        "role": "model",
        "parts": [
            {"text": "Let me see."},
            {"functionCall": {"id": "c1", "name": "weather", "args": {"city": "Oslo"}}},
            {"functionCall": {"id": "c2", "name": "clock", "args": {}}},
        ],
    } == model
    assert [
        {"id": "c1", "name": "weather", "response": {"sky": "blue"}},
        {"id": "c2", "name": "clock", "response": {"result": "noon"}},
        {"name": "look", "response": {"result": "there"}},
    ] == [part["functionResponse"] for part in results["parts"]]


def test_a_plain_run_goes_elsewhere() -> None:
    (exchange,) = asked("hi", plain=True).requests
    assert ("/v1beta/models/m:generateContent", {"contents": [USER]}) == (exchange.path, exchange.body)


def test_another_path() -> None:
    options = {"stream_path": "/v1beta2/models/{agent_id}:streamGenerateContent?alt=sse"}
    (exchange,) = asked("hi", transport_options=options).requests
    assert exchange.path.startswith("/v1beta2/models/m:")


@pytest.mark.parametrize(
    ("base", "path"),
    [
        ("", "/v1beta"),
        ("/", "/v1beta"),
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/v1beta", "/v1beta"),
        ("/v1alpha/", "/v1alpha"),
        ("/proxy", "/proxy/v1beta"),
        ("/v1/publishers/google", "/v1/publishers/google"),
    ],
)
def test_the_version_of_the_base_url_is_asked_for_and_else_v1beta(base: str, path: str) -> None:
    session = open_session("gemini", base_url=f"http://h{base}", agent_id="m", input={"query": "hi"})
    assert f"POST {path}/models/m:streamGenerateContent?alt=sse HTTP/1.1" in session.data_to_send().decode()


def test_the_key_goes_into_its_field() -> None:
    memory = asked("hi", memory=MemoryNetwork(api_key="k1"), api_key="k1")
    assert "authorization" not in memory.requests[0].headers


@pytest.mark.parametrize(
    ("input", "problem"),
    [
        ({}, "nothing to answer"),
        ({"query": "hi", "session_id": "s1"}, "session_id: the Gemini API cannot carry it"),
        ({"resume": [{"id": "i1"}]}, "resume: the Gemini API cannot carry it"),
        ({"query": "hi", "contents": [USER]}, "contents and query or messages mean the same"),
        (
            {
                "messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}],
                "systemInstruction": {},
            },
            "mean the same",
        ),
        ({"messages": [{"role": "tool", "tool_call_id": "c9", "content": "x"}]}, "has no tool"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [ToolCall("c1", "f", "[]")]}]},
            "are not an object",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [ToolCall("c1", "f", "{")]}]},
            "the arguments of the call of 'f'",
        ),
    ],
)
def test_an_input_that_the_protocol_cannot_carry(input: Any, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        asked(input)
