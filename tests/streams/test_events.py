"""Events: what they are made of, and that only chunks are content."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, Custom, Reasoning, Started, ToolCall
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
