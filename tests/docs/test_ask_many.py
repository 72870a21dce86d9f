"""The program of the page "Ask ten thousand questions": killed or refused, it asks no answered row again."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import FakeAgentServer, delay, done, status
from tests.docs.pages import COOKBOOK, ROOT
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 300
USAGE = {"total_tokens": 5}


class Program:
    """The program of the page in a folder with questions."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self._url = folder, url
        (folder / "ask_many.py").write_text(COOKBOOK["ask-many"].block("import asyncio"), encoding="utf-8")
        rows = ({"id": at, "question": f"question {at}"} for at in range(ROWS))
        (folder / "questions.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )

    def start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-W", "error", "ask_many.py"],
            cwd=self.folder,
            env={
                "PYTHONPATH": str(ROOT),
                "RUNAGENT_API_URL": self._url,
                "RUNAGENT_API_KEY": "right",
                "HOME": "/",
            },
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self) -> tuple[int, str]:
        """Run it to its end, and return its exit status and what it wrote to stderr."""
        with killed_at_end(self.start()) as process:
            _, errors = process.communicate(timeout=60)
        return process.returncode, errors

    def lines(self) -> list[str]:
        path = self.folder / "answers.jsonl"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def answers(self) -> list[dict[str, Any]]:
        return sorted(map(json.loads, self.lines()), key=lambda row: row["id"])


def row_of(exchange: Any) -> int:
    return int(exchange.body["query"].split()[-1])


def wait_lines(program: Program, process: subprocess.Popen[str], count: int) -> None:
    deadline = time.monotonic() + 30
    while len(program.lines()) < count:
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < deadline, f"there are no {count} answers"
        time.sleep(0.01)


@pytest.fixture
def program(tmp_path: Path, server: FakeAgentServer) -> Program:
    return Program(tmp_path, server.url)


def test_after_a_kill_it_asks_the_rows_without_an_answer_under_the_same_keys(
    program: Program, server: FakeAgentServer
) -> None:
    numbers, stuck = itertools.count(1), True  # it cannot end before it is killed

    def answer(exchange: Any) -> list[Any]:
        steps = [f"answer {row_of(exchange)}", done(usage=USAGE)]
        return [delay(600), *steps] if stuck and next(numbers) > ROWS // 2 else steps

    server.agent("your-agent-id").responds(answer)
    with killed_at_end(program.start()) as process:
        wait_lines(program, process, ROWS // 2)
        server.wait_request(ROWS // 2 + 100, timeout=30)
        process.kill()
    stuck = False
    first, written = list(server.requests), {row["id"] for row in program.answers()}
    assert (ROWS // 2, ROWS // 2 + 100) == (len(written), len(first))
    torn = json.dumps({"id": next(at for at in range(ROWS) if at not in written), "answer": "half"})
    with (program.folder / "answers.jsonl").open("a", encoding="utf-8") as answers:
        answers.write(torn[:-10])

    assert (0, "") == program.run()
    second = server.requests[len(first) :]
    assert set(range(ROWS)) - written == {row_of(exchange) for exchange in second}
    assert ROWS - len(written) == len(second)
    expected = [{"id": at, "answer": f"answer {at}", "usage": USAGE} for at in range(ROWS)]
    assert expected == program.answers()
    keys = {row_of(exchange): exchange.headers["idempotency-key"] for exchange in first}
    again = [exchange for exchange in second if row_of(exchange) in keys]
    assert 100 == len(again)
    assert all(keys[row_of(exchange)] == exchange.headers["idempotency-key"] for exchange in again)

    assert (0, "") == program.run()  # there is nothing left to ask
    assert len(first) + len(second) == len(server.requests)


def test_a_row_that_fails_is_reported_and_asked_at_the_next_start(
    program: Program, server: FakeAgentServer
) -> None:
    agent = server.agent("your-agent-id")
    agent.when(query="question 7").reply(status(422))
    agent.always("good")
    ended, errors = program.run()
    assert (1, ROWS - 1, True) == (ended, len(program.lines()), errors.startswith("7: "))
    assert (0, "") == program.run()
    assert (ROWS, ROWS + 1) == (len(program.answers()), len(server.requests))


def test_without_a_good_key_it_ends(program: Program) -> None:
    with FakeAgentServer(api_key="another") as server:
        server.agent("your-agent-id").always("good")
        ended, errors = Program(program.folder, server.url).run()
        assert (1, True, []) == (ended, "AuthenticationError" in errors, program.lines())
        assert len(server.requests) <= 100
