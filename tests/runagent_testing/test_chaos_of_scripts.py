"""Whatever an agent's script is: no run under chaos ends well with another text than the script's."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from runagent import RunAgentError
from runagent_testing import (
    MemoryNetwork,
    chunk,
    custom,
    delay,
    done,
    ending,
    error,
    heartbeat,
    reasoning,
    tool_call,
)
from tests.runagent_testing.faulty import OVERSIZED, client

TRIES_AGAIN: dict[str, Any] = {"max_retries": 2, "retry_unsafe": True, "retry_delay": 0.01}
STEPS: tuple[Any, ...] = (
    "a",
    "bb",
    "ç🦊",
    3,
    None,
    {"k": 1},
    chunk([1]),
    reasoning("hm"),
    tool_call("f"),
    custom("n", 1),
)
STEPS += ("c", "d", delay(0.01), heartbeat(), chunk("q", id="own"))
ENDS: tuple[tuple[Any, ...], ...] = ((), (), (error("X", "y"),), (ending("cut"),), (ending("no-done"),))
ENDS += ((done(usage={"total_tokens": 3}),),)
SCRIPTS, RUNS = 8, 6


def shown(memory, transport):
    """Return what a run delivers, None if it raises."""
    with client(memory, transport, **TRIES_AGAIN) as a_client:
        try:
            return list(a_client.run_generic_stream("x"))
        except RunAgentError:
            return None


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
@pytest.mark.parametrize("seed", range(4))
def test_what_a_run_under_chaos_delivers_is_the_script(transport, seed):
    random = Random(seed)
    met = 0
    for _ in range(SCRIPTS):
        steps = (*random.choices(STEPS, k=random.randrange(6)), *random.choice(ENDS))
        options: dict[str, Any] = {"indexed": random.random() < 0.7, "ids": random.random() < 0.3}
        options["resume"] = random.choice(["honour", "honour", "refuse", "fake"])
        memory = MemoryNetwork()
        memory.agent("a").always(*steps, **options)
        whole = shown(memory, transport)
        memory.chaos(0.7, seed=seed, without=OVERSIZED)
        assert all(shown(memory, transport) in (whole, None) for _ in range(RUNS))
        met += sum(exchange.fault is not None for exchange in memory.requests)
    assert SCRIPTS * RUNS / 2 < met
