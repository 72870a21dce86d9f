"""Ray Data runs an agent over rows: a job that was killed goes on, one that cannot work fails."""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import FakeAgentServer, delay, done, status
from tests.interop.programs import needs_environment
from tests.interop.ray_jobs import ROWS, Jobs, run_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.interop, needs_environment("ray")]

USAGE = {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5}
COUNTS = {"input": 2, "output": 3, "total": 5, "cached": None, "reasoning": None}
TEXTS = ("type", "code", "message", "run_id", "request_id")
TYPES = {
    "id": "int32",
    "question": "struct<query: string>",
    "answer": "string",
    "error": f"struct<{': string, '.join(TEXTS)}: string, status: int64, retryable: bool>",
    "usage": "struct<input: int64, output: int64, total: int64, cached: int64, reasoning: int64>",
    "attempts": "int64",
}


@pytest.fixture
def server() -> Iterator[FakeAgentServer]:
    with FakeAgentServer(api_key="right") as server:
        yield server


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
        yield Jobs(tmp_path, scratch)


def row_of(exchange: Any) -> int:
    return int(exchange.body["query"].split()[-1])


def answer(row: int) -> list[Any]:
    return [status(422)] if row % 100 == 7 else [f"answer {row}", done(usage=USAGE)]


def test_a_job_that_was_killed_asks_what_was_not_written_and_loses_nothing(
    jobs: Jobs, server: FakeAgentServer
) -> None:
    # A scope for each job: requests of the first may be read after it was killed.
    first, second = server.scope("first"), server.scope("second")
    numbers = itertools.count(1)

    def answer_some(exchange: Any) -> list[Any]:
        stuck = next(numbers) > 650  # the job cannot end before it is killed
        return [delay(600 if stuck else 0.002), *answer(row_of(exchange))]

    first.agent("writer").responds(answer_some)
    second.agent("writer").responds(lambda exchange: answer(row_of(exchange)))
    process = jobs.start("ask.py", first.url)
    try:
        jobs.wait_blocks(process, 2)
    finally:
        jobs.kill(process)
    written = {row["id"] for row in jobs.rows(jobs.checkpoints())}
    keys = {row_of(exchange): exchange.headers["idempotency-key"] for exchange in first.requests}
    assert 200 <= len(written) < ROWS

    ended, log = jobs.run("ask.py", second.url)
    assert 0 == ended, log
    asked = Counter(map(row_of, second.requests))
    assert set() == written & asked.keys()
    assert (ROWS, 1) == (len(written | asked.keys()), max(asked.values()))

    rows = jobs.rows(jobs.written("job-1/answers"))
    failed = list(range(7, ROWS, 100))
    assert list(range(ROWS)) == [row["id"] for row in rows]
    assert [None if at in failed else f"answer {at}" for at in range(ROWS)] == [row["answer"] for row in rows]
    assert ["ValidationError"] * len(failed) == [
        row["error"]["type"] for row in rows if row["error"] is not None
    ]
    assert [COUNTS] * (ROWS - len(failed)) == [row["usage"] for row in rows if row["usage"] is not None]
    assert {1} == {row["attempts"] for row in rows}

    again = [exchange for exchange in second.requests if row_of(exchange) in keys]
    assert keys.keys() - written == {row_of(exchange) for exchange in again}  # begun, but not written
    assert again
    assert all(keys[row_of(exchange)] == exchange.headers["idempotency-key"] for exchange in again)

    ended, log = jobs.run("failed.py", second.url)
    assert 0 == ended, log
    assert [{"id": at, "question": f"question {at}"} for at in failed] == jobs.rows(jobs.written("again"))


def test_a_job_without_a_good_key_fails_and_writes_no_row(jobs: Jobs, server: FakeAgentServer) -> None:
    server.agent("writer").always("good")
    jobs.environment["RUNAGENT_API_KEY"] = "wrong"
    ended, log = jobs.run("ask.py", server.url)
    assert 0 != ended
    assert "AuthenticationError" in log
    assert ([], []) == (jobs.checkpoints(), jobs.written("job-1/answers"))


def test_columns_have_types_that_do_not_depend_on_the_rows(server: FakeAgentServer) -> None:
    agent = server.agent("writer")
    agent.when(query="good").always("good", done(usage=USAGE))
    agent.when(query="bad").always(status(422))
    agent.always("good")
    seen = run_program("ray_batches.py", server.url)
    good, bad = seen["arrow"]
    assert (7, {"query": "good"}, "good", None, COUNTS, 1) == tuple(good.values())
    error = bad.pop("error")
    assert (None, {"query": "bad"}, None, None, 1) == tuple(bad.values())
    assert ("ValidationError", 422, False) == tuple(error[name] for name in ("type", "status", "retryable"))
    assert TYPES == seen["types"]
    assert seen["same types"]
    numpy = seen["numpy"]
    assert (["0", "1"], ["good", "bad"]) == (numpy["id"], numpy["question"])
    assert (["[0. 0. 0.]"] * 2, ["good", "None"], ["1", "1"]) == (
        numpy["vector"],
        numpy["answer"],
        numpy["attempts"],
    )
