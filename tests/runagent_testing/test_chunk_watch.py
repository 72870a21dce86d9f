"""What follows an answer finds each chunk once, when the last byte of it has been sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runagent_testing import MemoryNetwork, delay, every, gate, heartbeat, repeat
from runagent_testing._control.progress import ChunkWatch, waits_for
from runagent_testing._internal.redaction import Secrets
from runagent_testing._journal.record import numbers_of
from runagent_testing._render.plan import Write
from tests.runagent_testing.players import client_of
from tests.runagent_testing.raw_client import stream

STEPS = ("a", delay(0.01), "b", "c", heartbeat(), {"d": 1}, "e", delay(0.0), "f")


def played(**options):
    """Return the exchange of an answer that was played."""
    memory = MemoryNetwork()
    memory.agent("a").always(*STEPS, **options)
    with client_of(memory) as client:
        client.send(stream("a"))
        client.until(b"0\r\n\r\n")
    return memory.requests[0]


def half_of(exchange, moves_done) -> Any:
    """Return what there was of an exchange after some moves."""
    return SimpleNamespace(
        plan=exchange.plan,
        steps=exchange.steps,
        outcome="running",
        secrets=Secrets(),
        moves_done=moves_done,
    )


@pytest.mark.parametrize("stride", [1, 2, 7])
@pytest.mark.parametrize("gap", [0.0, 0.001])
@pytest.mark.parametrize("writes", ["merged", "per-step", every(3), every(50)])
def test_each_chunk_is_found_once_it_was_sent(writes, gap, stride):
    exchange = played(writes=writes, write_gap=gap)
    moves = list(exchange.plan.known)
    last = {
        number: at for at, move in enumerate(moves) if isinstance(move, Write) for number in numbers_of(move)
    }
    contents = {
        number: step.content for number, step in enumerate(exchange.steps) if hasattr(step, "content")
    }
    half = half_of(exchange, 0)
    watch, seen = ChunkWatch(half), []
    for done in [*range(0, len(moves), stride), len(moves)]:
        half.moves_done = done
        seen += watch.look()
        assert [content for number, content in contents.items() if last[number] < done] == seen
        assert len(seen) == watch.sent
    assert ["a", "b", "c", {"d": 1}, "e", "f"] == seen


def test_what_an_answer_waits_for_is_a_gate_or_a_time():
    exchange = played()
    half = half_of(exchange, 1)
    assert {"seconds": 0.01} == waits_for(half)
    half.outcome = "done"
    assert waits_for(half) is None


def test_an_answer_that_waits_at_an_open_gate_waits_no_longer():
    door = gate("door")
    door.open()
    memory = MemoryNetwork()
    memory.agent("a").always("x", door, "y")
    with client_of(memory) as client:
        client.send(stream("a"))
        client.until(b"0\r\n\r\n")
    half = half_of(memory.requests[0], 1)
    assert waits_for(half) is None
    door.close()
    assert {"gate": "door"} == waits_for(half)


def test_the_chunks_of_repetitions_are_found():
    memory = MemoryNetwork()
    memory.agent("a").always("x", repeat("y", delay(0.01), times=3), "z")
    with client_of(memory) as client:
        client.send(stream("a"))
        client.until(b"0\r\n\r\n")
    assert ["x", "y", "y", "y", "z"] == ChunkWatch(memory.requests[0]).look()


def test_the_gates_of_repetitions_are_found():
    memory = MemoryNetwork()
    memory.agent("a").always("x", repeat("y", gate("door"), times=3))
    assert ["door"] == list(memory.gates)
