"""A batch of rows in, the same rows with answers, errors, token counts and attempts out."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from runagent_ray import STOP_ON, RunAgentBatch
from runagent_ray.columns import write_text

from runagent import ConfigurationError, NetworkError, RunAgentError
from runagent_testing import delay, done, ending, error, status
from tests.support.styles import TRANSPORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from runagent_testing import MemoryNetwork

USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
COUNTS = {"input": 2, "output": 3, "total": 5, "cached": None, "reasoning": None}


def make(memory: MemoryNetwork, **options: Any) -> RunAgentBatch:
    given: dict[str, Any] = {"base_url": memory.url, "network": memory.aio, "retry_delay": 0} | options
    return RunAgentBatch("writer", "question", "answer", **given)


def rows(questions: Sequence[Any]) -> dict[str, Any]:
    return {"id": list(range(len(questions))), "question": list(questions)}


async def ask(batch: RunAgentBatch, given: Mapping[str, Any]) -> dict[str, Any]:
    """Run one batch as Ray does, and close the client."""
    try:
        (answered,) = [part async for part in batch(given)]
    finally:
        await batch.aclose()
    return dict(answered)


def answered(memory: MemoryNetwork, *questions: Any, **options: Any) -> dict[str, Any]:
    return memory.run_asyncio(ask(make(memory, **options), rows(questions)))


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_rows_keep_their_order_and_their_columns(memory: MemoryNetwork, transport: str) -> None:
    agent = memory.agent("writer")
    agent.when(query="slow").always(delay(2), "the slow ", "one", done(usage=USAGE))
    agent.always("a quick one")
    given = {"name": ["x", "y", "z"], **rows(["slow", "a", "b"])}
    out = memory.run_asyncio(ask(make(memory, transport=transport), given))
    assert ["name", "id", "question", "answer", "error", "usage", "attempts"] == list(out)
    assert (given["name"], [0, 1, 2], given["question"]) == (out["name"], out["id"], out["question"])
    assert ["the slow one", "a quick one", "a quick one"] == out["answer"]
    assert [None, None, None] == out["error"]
    assert [COUNTS, None, None] == out["usage"]
    assert [1, 1, 1] == out["attempts"]


def test_a_batch_without_rows_gets_its_columns(memory: MemoryNetwork) -> None:
    assert [] == answered(memory)["answer"]
    assert 0 == len(memory.requests)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([status(422, code="TOO_LONG")], ("ValidationError", "TOO_LONG", 422, False, 1)),
        ([status(429)], ("RateLimitError", "RATE_LIMITED", 429, True, 3)),
        (["Once", error("OVERLOADED", "come back")], ("StreamError", "OVERLOADED", None, False, 1)),
        (["Once", ending("cut")], ("StreamTruncatedError", None, None, False, 1)),
    ],
)
def test_a_run_that_fails_becomes_an_error_of_its_row(
    memory: MemoryNetwork, steps: list[Any], expected: tuple[Any, ...]
) -> None:
    memory.agent("writer").when(query="bad").always(*steps)
    memory.agent("writer").always("good")
    out = answered(memory, "a", "bad", "b", resume=False, max_retries=2)
    assert ["good", None, "good"] == out["answer"]
    assert (None, None) == (out["error"][0], out["error"][2])
    found = out["error"][1]
    assert expected == (
        *(found[name] for name in ("type", "code", "status", "retryable")),
        out["attempts"][1],
    )
    assert found["message"]
    assert 32 == len(found["run_id"])


@pytest.mark.parametrize("given", [None, 7, {"query": float("nan")}])
def test_an_input_that_cannot_be_sent_is_an_error_of_its_row(memory: MemoryNetwork, given: Any) -> None:
    memory.agent("writer").always("good")
    out = answered(memory, given, "a")
    assert [None, "good"] == out["answer"]
    assert ("ValidationError", 422) == (out["error"][0]["type"], out["error"][0]["status"])
    assert [0, 1] == out["attempts"]


def test_a_count_that_no_column_can_hold_is_left_out(memory: MemoryNetwork) -> None:
    memory.agent("writer").always("good", done(usage=USAGE | {"total_tokens": 10**25}))
    assert [COUNTS | {"total": None}] == answered(memory, "a")["usage"]


def test_retries_and_resumptions_are_attempts(memory: MemoryNetwork) -> None:
    memory.agent("writer").reply(status(503)).reply("Once", ending("cut")).always("Once", " upon")
    out = answered(memory, "a")
    assert (["Once upon"], [3]) == (out["answer"], out["attempts"])


@pytest.mark.parametrize("number", [401, 403, 404])
def test_an_error_that_every_row_would_meet_fails_the_job(memory: MemoryNetwork, number: int) -> None:
    memory.agent("writer").when(query="bad").always(delay(1), status(number))
    memory.agent("writer").always("Once", delay(60), "upon")
    with pytest.raises(STOP_ON) as caught:
        answered(memory, "a", "bad", "b")
    assert number == getattr(caught.value, "status", None)
    assert caught.value.__context__ is None
    for exchange in memory.requests:  # the runs of the other rows are closed
        exchange.wait_done(timeout=5)
    assert ["client disconnected"] * 2 == [e.outcome for e in memory.requests if e.body["query"] != "bad"]


def test_other_errors_fail_the_job_if_that_is_asked_for(memory: MemoryNetwork) -> None:
    memory.on_connect("refuse", times=100)
    out = answered(memory, "a", max_retries=0)
    assert "NetworkError" == out["error"][0]["type"]
    with pytest.raises(NetworkError):
        answered(memory, "a", max_retries=0, stop_on=[*STOP_ON, NetworkError])


def test_a_plain_run_gives_its_result_as_text(memory: MemoryNetwork) -> None:
    memory.agent("writer").when(query="object").returns({"name": "Zoë", "of": [1, None]}, usage=USAGE)
    memory.agent("writer").returns("good")
    out = answered(memory, "object", "a", mode="invoke")
    assert ['{"name": "Zoë", "of": [1, null]}', "good"] == out["answer"]
    assert ([COUNTS, None], [1, 1]) == (out["usage"], out["attempts"])


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("a\ud83d", "a\ufffd"),
        ("\ud83d\ude00 \ude00", "\U0001f600 \ufffd"),
        ({"a": ["\ud83d"]}, '{"a": ["\ufffd"]}'),
        ("", ""),
        (None, "null"),
    ],
)
def test_half_a_surrogate_pair_in_an_answer_fails_no_job(result: Any, text: str) -> None:
    assert text == write_text(result)
    assert text == text.encode().decode()


def test_at_most_so_many_rows_run_at_the_same_time(memory: MemoryNetwork) -> None:
    memory.agent("writer").always(delay(1), "good")

    async def two_batches() -> float:
        batch, loop = make(memory, concurrency=3), asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(anext(batch(rows("abcde"))) for _ in range(2)))
        await batch.aclose()
        return loop.time() - began

    assert 4.0 == pytest.approx(memory.run_asyncio(two_batches()), abs=0.1)  # 10 rows, 3 at a time
    assert 3 == memory.connections


def test_cancelling_a_batch_closes_its_runs(memory: MemoryNetwork) -> None:
    memory.agent("writer").always("Once", delay(60), "upon")

    async def cancelled() -> None:
        batch = make(memory)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ask(batch, rows("abc")), 1)

    memory.run_asyncio(cancelled())
    for exchange in memory.requests:
        exchange.wait_done(timeout=5)
    assert ["client disconnected"] * 3 == [exchange.outcome for exchange in memory.requests]


def test_values_of_numpy_become_plain_ones(memory: MemoryNetwork) -> None:
    class Scalar:
        """Has the method that scalars and arrays of numpy have."""

        def __init__(self, value: Any) -> None:
            self.value = value

        def tolist(self) -> Any:
            return self.value

    memory.agent("writer").always("good")
    given = {"id": [Scalar(7)], "question": [{"query": "a", "parameters": {"of": Scalar([1, Scalar(2)])}}]}
    memory.run_asyncio(ask(make(memory), given))
    (exchange,) = memory.requests
    assert {"query": "a", "parameters": {"of": [1, 2]}} == exchange.body


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"id": [1]}, "the batch has no column 'question', only 'id'"),
        ({"question": ["a"]}, "the batch has no column 'id', only 'question'"),
        ({**rows("a"), "error": [None]}, "the batch has a column 'error' already; give another name"),
    ],
)
def test_columns_that_are_missing_or_taken_are_refused(
    memory: MemoryNetwork, given: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        memory.run_asyncio(ask(make(memory), given))
    assert 0 == len(memory.requests)


def test_a_batch_of_another_format_is_refused(memory: MemoryNetwork) -> None:
    with pytest.raises(TypeError, match="a batch of tuple: map_batches needs batch_format='pyarrow'"):
        memory.run_asyncio(ask(make(memory), (1, 2)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 0}, "concurrency: expected a whole number from 1, found 0"),
        ({"concurrency": 1.5}, "concurrency: expected a whole number from 1, found 1.5"),
        ({"mode": "chat"}, "mode: expected 'stream' or 'invoke', found 'chat'"),
        (
            {"error_column": "answer"},
            "two of the columns have the same name: answer, answer, usage, attempts",
        ),
        ({"transport": "telex"}, "telex"),
    ],
)
def test_arguments_are_checked_when_an_actor_starts(
    memory: MemoryNetwork, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make(memory, **options)


def test_columns_take_other_names(memory: MemoryNetwork) -> None:
    memory.agent("writer").always("good")
    names = {"error_column": "e", "usage_column": "u", "attempts_column": "n", "id_column": "row"}
    out = memory.run_asyncio(ask(make(memory, **names), {"row": [1], "question": ["a"]}))
    assert ["row", "question", "answer", "e", "u", "n"] == list(out)


def test_every_error_that_fails_a_job_is_one_of_the_library() -> None:
    assert all(issubclass(kind, RunAgentError) for kind in STOP_ON)
