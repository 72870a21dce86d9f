"""Events: what they are made of, and that only chunks are content."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, Chunk, Completed, Custom, Reasoning, RunAgentClient, Started, ToolCall
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    chunk,
    custom,
    done,
    ending,
    reasoning,
    tool_call,
)
from tests.support.peer import Peer, answers, chunked
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from runagent import StreamEvent
    from runagent.transports import Event
    from tests.support.styles import Style

EVENTS: list[StreamEvent] = [
    Started(session_id="s", invocation_id="i", message="hello"),
    Reasoning("hm", "r1"),
    Chunk("Once"),
    ToolCall("c1", "weather", '{"city": "Oslo"}', 0),
    Custom("state", {"step": 1}),
    Chunk({"value": [1, None]}, 1, "e1"),
    Completed(usage={"total_tokens": 1}, stop_reason="stop", interrupts=[{"id": "x"}], metadata={"a": 1}),
]


class EveryEventSession(LettersSession):
    def read_body(self, data: bytes) -> list[Event]:
        return [event for event in EVENTS if not isinstance(event, Completed)]

    def end_body(self, proven: bool) -> list[Event]:
        return [EVENTS[-1]]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy])
def test_events_pickle_and_copy_and_are_no_work_for_the_collector(event: Any, copied: Any) -> None:
    assert event == copied(event)
    assert not gc.is_tracked(event)
    with pytest.raises(AttributeError):
        setattr(event, event.__struct_fields__[0], None)


def test_only_chunks_are_content(style: Style) -> None:
    async def scenario() -> tuple[list[Any], str, list[StreamEvent]]:
        with Peer(answers(chunked("text/plain", b"x", Connection="close"))) as peer:
            client = style.client("a", base_url=peer.url, transport=OwnTransport(session=EveryEventSession))
            contents = [content async for content in client.run_generic_stream("q")]
            text = await client.run_generic_stream("q").text()
            return contents, text, [event async for event in client.run_generic_stream("q").events()]

    assert (["Once", {"value": [1, None]}], 'Once{"value":[1,null]}', EVENTS) == style.run(scenario)


STEPS = [
    reasoning("h\xe4m"),
    chunk("Once"),
    tool_call("weather", {"city": "Troms\xf8"}, id="c1", index=0),
    custom("state", {"step": [1, None]}),
    reasoning("\N{GRINNING FACE}", id="r2"),
    chunk({"type": "custom"}),
    tool_call("now", ""),
    custom("ping"),
    done(stop_reason="tool_calls", interrupts=[{"id": "i1"}]),
]
SENT = [
    Reasoning("h\xe4m"),
    "Once",
    ToolCall("c1", "weather", '{"city": "Troms\xf8"}', 0),
    Custom("state", {"step": [1, None]}),
    Reasoning("\N{GRINNING FACE}", "r2"),
    {"type": "custom"},
    ToolCall(None, "now"),
    Custom("ping"),
]


@pytest.mark.parametrize("where", ["socket", "memory"])
@pytest.mark.parametrize("writes", ["merged", "per-step"])
def test_the_fake_agent_sends_them_over_every_transport(
    style: Style, transport: str, where: str, writes: str
) -> None:
    async def collect(host: FakeAgentServer | MemoryNetwork, **options: Any) -> list[StreamEvent]:
        host.agent("a").always(*STEPS, writes=writes)
        client = style.client("a", base_url=host.url, transport=transport, **options)
        return [event async for event in client.run_generic_stream("q").events()]

    async def scenario() -> list[StreamEvent]:
        if where == "memory":
            memory = MemoryNetwork()
            networks: dict[str, Any] = {"sync": memory.blocking, "trio": memory.trio}
            return await collect(memory, network=networks.get(style.name, memory.aio))
        with FakeAgentServer() as server:
            return await collect(server)

    first, *events, last = style.run(scenario)
    assert isinstance(first, Started)
    assert SENT == [event.content if isinstance(event, Chunk) else event for event in events]
    assert ("tool_calls", [{"id": "i1"}]) == (last.stop_reason, last.interrupts)


@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_a_resumed_run_of_the_fake_agent_has_each_of_them_once(
    style: Style, server: FakeAgentServer, transport: str
) -> None:
    call = tool_call("pay", {"euro": 1})
    script = [chunk("a"), reasoning("x"), chunk("b"), call, chunk("c"), custom("d")]
    server.agent("a").reply(*script[:3], ending("cut"))
    server.agent("a").reply(*script)

    async def scenario() -> list[Any]:
        client = style.client("a", base_url=server.url, transport=transport, retry_delay=0)
        events = [event async for event in client.run_generic_stream("q").events()]
        return [event.content if isinstance(event, Chunk) else event for event in events[1:-1]]

    expected = ["a", Reasoning("x"), "b", ToolCall(None, "pay", '{"euro": 1}'), "c", Custom("d")]
    assert expected == style.run(scenario)


@pytest.mark.parametrize(
    "step", [reasoning("x"), tool_call("f"), custom("c")], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("chunks", [1, 1000], ids=["short", "long"])
def test_a_format_without_a_place_for_a_step_refuses_the_script(step: Any, chunks: int) -> None:
    memory = MemoryNetwork()
    memory.agent("a").always(*["x"] * chunks, step)
    headers = {"Accept": "text/plain"}
    client = RunAgentClient(
        "a", base_url=memory.url, transport="chunked", network=memory.blocking, headers=headers
    )
    with pytest.raises(
        AgentServerError, match=r"Text, .*, cannot carry a step (reasoning|tool_call|custom)\("
    ):
        client.run_generic_stream("q").text()
