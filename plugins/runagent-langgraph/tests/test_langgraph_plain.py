"""Plain runs: the text or the state at the end, its tokens, and how a run has failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentError, RunAgentClient, RunResult, StreamError, ValidationError, answer
from runagent_testing import FakeAgentServer, MemoryNetwork, error, status

if TYPE_CHECKING:
    from tests.support.styles import Style

USAGE = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}
CALL = {"name": "weather", "args": {"city": "Oslo"}, "id": "c1"}


def human(text: str) -> dict[str, Any]:
    return {"type": "human", "content": text}


def ai(content: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "ai", "id": "m1", "content": content, **fields}


@pytest.fixture
def memory() -> MemoryNetwork:
    return MemoryNetwork()


def run(memory: MemoryNetwork, given: Any = "hi", **options: Any) -> RunResult:
    with RunAgentClient(
        "chat",
        base_url=memory.url,
        network=memory.blocking,
        transport="langgraph",
        transport_options=options,
        max_retries=0,
    ) as client:
        return client.run_generic_with_metadata(given)


def test_the_text_and_the_tokens(style: Style, server: FakeAgentServer) -> None:
    server.agent("chat").returns("Once", usage=USAGE)

    async def scenario() -> tuple[RunResult, RunResult]:
        user = style.client("chat", base_url=server.url, transport="langgraph")
        first = await user.run_generic_with_metadata("hi")
        return first, await user.run_generic_with_metadata("hi", session_id=first.metadata["thread_id"])

    first, second = style.run(scenario)
    assert ("Once", "Once", USAGE) == (first.result, second.result, first.usage)
    assert first.report is not None
    assert 6 == first.report.tokens.total
    assert 1 == len({exchange.path for exchange in server.requests})
    assert first.metadata["thread_id"] == second.metadata["thread_id"]
    assert ["POST /threads"] == [f"{e.method} {e.path}" for e in server.other_requests if e.method == "POST"]


def test_what_is_sent(memory: MemoryNetwork) -> None:
    memory.agent("chat").returns("Once")
    options = {"langgraph_config": {"tags": ["a"]}, "langgraph_stream_mode": "values"}
    run(memory, {"query": "hi", "turns": 3, "session_id": "t1"}, **options)
    (exchange,) = memory.requests
    state = {"messages": [{"role": "user", "content": "hi"}], "turns": 3}
    assert "/threads/t1/runs/wait" == exchange.path
    assert {"assistant_id": "chat", "config": {"tags": ["a"]}, "input": state} == exchange.body
    run(memory, {"resume": [answer({"id": "i1"}, "yes")], "session_id": "t1"})
    assert {"resume": {"i1": "yes"}} == memory.requests[1].body["command"]


OLD = [human("old"), ai("Long ago", usage_metadata=USAGE), human("hi")]


@pytest.mark.parametrize(
    ("state", "text", "total"),
    [
        ({"messages": [*OLD, ai("Once", usage_metadata=USAGE)], "turns": 2}, "Once", 6),
        ({"messages": [*OLD, ai([{"type": "thinking", "thinking": "Hm."}, "On", "ce"])]}, "Once", None),
        (
            {
                "messages": [
                    *OLD,
                    ai("", tool_calls=[CALL], usage_metadata=USAGE),
                    ai("", usage_metadata=USAGE),
                ]
            },
            "",
            12,
        ),
        ({"messages": [*OLD, ai("Once", tool_calls=[CALL], usage_metadata=USAGE)]}, None, 6),
        ({"messages": [*OLD, ai(["Once", {"type": "image_url", "image_url": "x"}])]}, None, None),
        ({"messages": OLD}, None, None),
        ({"messages": [*OLD, ai("Once")], "__interrupt__": [{"id": "i1", "value": "May I?"}]}, None, None),
        ({"messages": "none", "turns": 1}, None, None),
        ({}, None, None),
    ],
)
def test_the_state_unless_the_end_is_a_text(
    state: dict[str, Any], text: str | None, total: int | None, memory: MemoryNetwork
) -> None:
    memory.agent("chat").returns(state)
    result = run(memory)
    assert (state if text is None else text) == result.result
    assert (state, total) == ((result.metadata or {})["state"], (result.usage or {}).get("total_tokens"))


@pytest.mark.parametrize("state", [{"messages": [ai("Once")]}, {"__interrupt__": [{"id": "i1"}]}])
@pytest.mark.parametrize("ended", ["success", "interrupted", "error", "timeout", "running", None])
def test_the_status_decides(state: dict[str, Any], ended: str | None, memory: MemoryNetwork) -> None:
    memory.agent("chat").returns(state)
    found = status(404) if ended is None else status(200, body={"status": ended})
    memory.on_request("GET /threads/*/runs/*", found)
    fails = ended in ("error", "timeout") or (ended == "interrupted" and "messages" in state)
    if not fails:
        assert ("Once" if "messages" in state else state) == run(memory).result
        return
    with pytest.raises(StreamError) as caught:
        run(memory)
    assert ("CANCELLED" if ended == "interrupted" else str(ended).upper()) == caught.value.code


def test_a_graph_that_fails(memory: MemoryNetwork) -> None:
    memory.agent("chat").returns(error("ValueError", "the node is broken"))
    with pytest.raises(AgentError, match="the node is broken") as caught:
        run(memory)
    assert "ValueError" == caught.value.code


@pytest.mark.parametrize("session", ["..", 7])
def test_an_invalid_thread(session: Any, memory: MemoryNetwork) -> None:
    with pytest.raises(ValidationError):
        run(memory, {"query": "hi", "session_id": session})
    assert not memory.requests
