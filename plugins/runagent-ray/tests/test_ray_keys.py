"""The idempotency key of a row: the same whenever it is asked again, and of no other row."""

from __future__ import annotations

from typing import Any

import pytest
from runagent_ray import RunAgentBatch
from runagent_ray.rows import derive_key

from runagent_testing import MemoryNetwork, ending, status


def keys_of(
    memory: MemoryNetwork, *, agent: str = "writer", row: Any = 7, given: Any = "a", job: str = ""
) -> Any:
    """Ask one row by a new client, as an actor does after a crash, and return the keys of its requests."""
    memory.agent(agent)
    before = len(memory.requests)

    async def ask() -> None:
        batch = RunAgentBatch(
            agent, "q", "a", job=job, base_url=memory.url, network=memory.aio, retry_delay=0
        )
        async for _ in batch({"id": [row], "q": [given]}):
            pass
        await batch.aclose()

    memory.run_asyncio(ask())
    return [exchange.headers["idempotency-key"] for exchange in memory.requests[before:]]


def test_a_row_that_is_asked_again_has_the_same_key() -> None:
    memory = MemoryNetwork()
    memory.agent("writer").always("good")
    assert keys_of(memory) == keys_of(memory)
    assert 32 == len(keys_of(memory)[0])


@pytest.mark.parametrize("other", [{"agent": "poet"}, {"row": 8}, {"given": "b"}, {"job": "second"}])
def test_anything_else_has_another_key(other: dict[str, Any]) -> None:
    memory = MemoryNetwork()
    for agent in ("writer", "poet"):
        memory.agent(agent).always("good")
    assert keys_of(memory) != keys_of(memory, **other)


def test_retries_repeat_it_and_resumptions_do_not() -> None:
    memory = MemoryNetwork()
    memory.agent("writer").reply(status(503)).reply("Once", ending("cut")).always("Once", " upon")
    first, retried, resumed = keys_of(memory)
    assert (first, f"{first}-1") == (retried, resumed)


@pytest.mark.parametrize("row", ["a/b", "ключ", b"\xff", 7.5, None, ("a", 1), "x" * 100_000])
def test_any_id_makes_a_key_that_a_header_can_carry(row: Any) -> None:
    assert derive_key("", "writer", row, "a").isalnum()


def test_texts_that_meet_make_different_keys() -> None:
    assert derive_key("a", "bc", 1, "q") != derive_key("ab", "c", 1, "q")
