"""What a run sends, and the inputs and options that it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import ConfigurationError, RunAgentClient, ValidationError
from runagent_testing import MemoryNetwork

ANSWER = {"id": "i1", "status": "resolved", "payload": {"ok": True}}
USER = {"role": "user", "content": "hi"}
MODES = ["messages-tuple", "updates"]
SENT = {"assistant_id": "a", "stream_mode": MODES, "stream_resumable": True}


def asked(input: Any, memory: MemoryNetwork | None = None, **options: Any) -> MemoryNetwork:
    """Run an agent with an input; return the network that was asked."""
    network = MemoryNetwork() if memory is None else memory
    network.agent("a").always("Once")
    client = RunAgentClient(
        "a", base_url=network.url, network=network.blocking, transport="langgraph", **options
    )
    assert "Once" == client.run_generic_stream(input).text()
    return network


@pytest.mark.parametrize(
    ("input", "body"),
    [
        ("hi", {"input": {"messages": [USER]}}),
        ({"query": "hi", "topic": "rain"}, {"input": {"topic": "rain", "messages": [USER]}}),
        (
            {"messages": [USER, {"role": "ai", "content": "yes"}]},
            {"input": {"messages": [USER, {"role": "ai", "content": "yes"}]}},
        ),
        ({"topic": "rain"}, {"input": {"topic": "rain"}}),
        ({"resume": [ANSWER], "session_id": "t 1"}, {"command": {"resume": {"i1": {"ok": True}}}}),
    ],
)
def test_the_input_is_the_state_of_the_graph(input: Any, body: dict[str, Any]) -> None:
    (exchange,) = asked(input).requests
    assert SENT | body == exchange.body


def test_options_become_fields_of_the_request() -> None:
    options = {
        "langgraph_stream_mode": ["values", "messages-tuple"],
        "langgraph_stream_subgraphs": True,
        "langgraph_config": {"recursion_limit": 3},
        "langgraph_context": {"user": "u1"},
    }
    (exchange,) = asked("hi", transport_options=options).requests
    sent = {name: exchange.body[name.removeprefix("langgraph_")] for name in options}
    assert options == sent


def test_a_session_is_a_thread_that_exists() -> None:
    memory = asked({"query": "hi", "session_id": "a/b"})
    assert ["/threads/a%2Fb/runs/stream"] == [exchange.path for exchange in memory.requests]
    assert ["GET"] == [exchange.method for exchange in memory.other_requests]


def test_the_key_goes_into_its_field() -> None:
    memory = asked("hi", MemoryNetwork(api_key="k1"), api_key="k1")
    everything = [*memory.requests, *memory.other_requests]
    assert 3 == len(everything)
    assert all("authorization" not in exchange.headers for exchange in everything)


@pytest.mark.parametrize(
    ("input", "problem"),
    [
        ({"query": "hi", "tools": [{"name": "t"}]}, "tools: LangGraph cannot carry it"),
        ({"query": "hi", "resume": [ANSWER]}, "answers to interrupts go alone"),
        ({"resume": [{**ANSWER, "status": "cancelled"}]}, "cannot carry the status cancelled"),
        ({"query": "hi", "session_id": ".."}, "is not the id of a thread"),
        ({"query": "hi", "session_id": 7}, "session_id"),
    ],
)
def test_an_input_that_the_protocol_cannot_carry(input: Any, problem: str) -> None:
    memory = MemoryNetwork()
    memory.agent("a")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking, transport="langgraph")
    with pytest.raises(ValidationError, match=problem):
        client.run_generic_stream(input).text()
    assert [] == [*memory.requests, *memory.other_requests]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"langgraph_stream_modes": "values"}, "did you mean 'langgraph_stream_mode'"),
        ({"langgraph_stream_mode": 7}, "langgraph_stream_mode"),
        ({"langgraph_config": "fast"}, "langgraph_config"),
        ({"langgraph_path": "/x"}, "unknown 'langgraph_path'"),
    ],
)
def test_an_invalid_option(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        asked("hi", transport_options=options)
