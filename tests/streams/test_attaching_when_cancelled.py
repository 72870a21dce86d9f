"""Handles of streams whose reader was cancelled: another one misses nothing, and gets nothing twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runagent import Chunk
from runagent._run.async_stream import EVENTS_PER_CHECKPOINT
from tests.support.cancelling import cancelled_at
from tests.support.lasting import Service, client_of, serving
from tests.support.styles import Style

if TYPE_CHECKING:
    from tests.support.cancelling import Moment
    from tests.support.peer import Peer


@pytest.mark.parametrize("wait", range(1, 5))
@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("asyncio", "waiting"),
        ("asyncio", "woken"),
        ("uvloop", "waiting"),
        ("uvloop", "woken"),
        ("trio", "waiting"),
    ],
)
def test_a_step_that_is_cancelled_hands_nothing_out(name: str, moment: Moment, wait: int) -> None:
    """Behind so many events that the step lets other tasks run first."""
    style, texts = Style(name), [str(number) for number in range(EVENTS_PER_CHECKPOINT + 8)]
    service = Service(*texts, pause=EVENTS_PER_CHECKPOINT - 1, cut=EVENTS_PER_CHECKPOINT + 1)

    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")
            events = stream.events()
            handed = [await anext(events) for _ in range(EVENTS_PER_CHECKPOINT)]
            service.resume.set()

            async def step() -> None:
                handed.append(await anext(events))

            await cancelled_at(wait, step, name, moment)
            handle = stream.handle
            await stream.aclose()
            rest = [content async for content in client.attach(handle)]
            assert texts == [event.content for event in handed if isinstance(event, Chunk)] + rest

    with serving(service) as peer:
        style.run(lambda: scenario(peer))
