"""The programs of the cookbook that need no other package: run as they are printed, and what they promise."""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import AgentNotFoundError, AsyncRunAgentClient
from runagent_testing import FakeAgentServer, ending, gate, load_script, status
from tests.docs.pages import COOKBOOK, ROOT
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PATIENCE = 20.0  # seconds
LIMIT = 5
PROGRAMS = {
    match[1]: (page, example)
    for page in (COOKBOOK["ask-several"], COOKBOOK["worker"])
    for example in page.examples()
    if (match := re.match(r"# (\w+)\.py\n", example.text))
}
ASKS = [name for name in PROGRAMS if name.startswith("ask")]
RACES = [name for name in PROGRAMS if name.startswith("race")]
RUN: dict[str, Callable[[Any], Any]] = {
    "race_asyncio": lambda scenario: asyncio.run(scenario()),
    "race_trio": trio.run,
}


@pytest.fixture(autouse=True)
def service(server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the programs find the server."""
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)


def run(name: str, *, as_program: bool = True) -> dict[str, Any]:
    """Run a program of a page in this process; return its names."""
    page, example = PROGRAMS[name]
    namespace = {"__name__": "__main__" if as_program else name}
    exec(
        compile("\n" * (example.line - 1) + example.text, str(page.path), "exec", dont_inherit=True),
        namespace,
    )
    return namespace


def play(server: FakeAgentServer, page: str, folder: Path) -> None:
    """Play the agents that a page describes."""
    (folder / "agents.yaml").write_text(COOKBOOK[page].block("agents:"), encoding="utf-8")
    load_script(folder / "agents.yaml").apply(server)


@pytest.mark.parametrize("name", [*ASKS, *RACES])
def test_a_program_prints_what_the_page_shows(
    server: FakeAgentServer, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    play(server, "ask-several", tmp_path)
    run(name)
    assert PROGRAMS[name][1].output == capsys.readouterr().out


# One question for many


@pytest.mark.parametrize("name", ASKS)
def test_as_many_agents_answer_at_a_time_as_the_limit_allows(
    server: FakeAgentServer, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    together, lock = threading.Barrier(LIMIT), threading.Lock()
    active, most = 0, 0

    def answer(_: object) -> list[str]:
        nonlocal active, most
        with lock:
            active += 1
            most = max(most, active)
        together.wait(PATIENCE)
        with lock:
            active -= 1
        return ["An answer"]

    server.agent("*").responds(answer)
    run(name)
    assert (LIMIT, "20 answers\n") == (most, capsys.readouterr().out)
    assert {f"agent-{number}" for number in range(1, 21)} == {each.agent_id for each in server.requests}


# The first of two


@pytest.fixture(params=RACES)
def race(request: pytest.FixtureRequest, server: FakeAgentServer, tmp_path: Path) -> Callable[..., Any]:
    """Run a scenario that gets the function `fastest` of each race, and streams of two agents."""
    play(server, "ask-several", tmp_path)
    fastest = run(request.param)["fastest"]
    server.clear()

    def run_race(scenario: Callable[..., Any]) -> Any:
        async def begin() -> Any:
            streams = [AsyncRunAgentClient(name).run_generic_stream("q") for name in ("one", "two")]
            return await scenario(fastest(*streams))

        return RUN[request.param](begin)

    return run_race


def test_the_loser_is_free_while_the_winner_is_answering(
    server: FakeAgentServer, race: Callable[..., Any]
) -> None:
    door = gate("door")
    one = server.agent("one").reply(ending("stall"))

    def answer(_: object) -> list[Any]:
        one.wait_request()
        return ["Once", door, " upon"]

    server.agent("two").responds(answer)

    async def scenario(fastest: Any) -> list[Any]:
        stream, chunk = await fastest
        assert one.wait_request().wait_disconnected(0.5)
        door.open()
        return [chunk, *[each async for each in stream]]

    assert ["Once", " upon"] == race(scenario)


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_an_agent_that_fails_loses(
    server: FakeAgentServer, race: Callable[..., Any], order: tuple[str, str]
) -> None:
    failing, answering = order
    server.agent(failing).reply(status(404))
    server.agent(answering).reply("Once")

    async def scenario(fastest: Any) -> Any:
        stream, chunk = await fastest
        return stream.report.agent_id, chunk + await stream.text()

    assert (answering, "Once") == race(scenario)


def test_a_race_without_a_winner_raises(server: FakeAgentServer, race: Callable[..., Any]) -> None:
    server.agent("*").always(status(404))

    async def scenario(fastest: Any) -> Any:
        await fastest

    with pytest.raises(AgentNotFoundError):
        race(scenario)


# The worker


QUESTION = "Tell me a story"


def stored(folder: Path) -> tuple[str, bool]:
    """Return the answer that the database has, and whether it is whole."""
    with closing(sqlite3.connect(folder / "jobs.db")) as jobs:
        answer, done = jobs.execute("SELECT answer, done FROM jobs").fetchone() or ("", False)
        return answer, bool(done)


def start(folder: Path, url: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "worker.py", QUESTION]
    environment = {"PYTHONPATH": str(ROOT), "RUNAGENT_API_URL": url, "PATH": os.defpath}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def test_a_worker_that_is_killed_has_its_run_read_on_by_the_next(
    server: FakeAgentServer, tmp_path: Path
) -> None:
    door = gate("door")
    server.agent("storyteller").reply("Once", " upon", door, " a", " time")
    (tmp_path / "worker.py").write_text(PROGRAMS["worker"][1].text, encoding="utf-8")
    with killed_at_end(start(tmp_path, server.url)) as first:
        server.wait_request(timeout=PATIENCE)
        until = time.monotonic() + PATIENCE
        while not (tmp_path / "jobs.db").exists() or stored(tmp_path) != ("Once upon", False):
            assert time.monotonic() < until
            time.sleep(0.01)
        first.kill()
        assert "" == first.communicate(timeout=PATIENCE)[0]
    with killed_at_end(start(tmp_path, server.url)) as second:
        server.wait_request(2, timeout=PATIENCE)
        door.open()
        assert (
            COOKBOOK["worker"]
            .block("$ export")
            .endswith(f'story"\n{second.communicate(timeout=PATIENCE)[0]}')
        )
    assert ["POST", "GET"] == [each.method for each in server.requests]  # GET reads on
    assert ("Once upon a time", True) == stored(tmp_path)


class Death(BaseException):
    """The process ends here."""


class DyingJobs:
    """The database of a worker that dies before one of its statements."""

    def __init__(self, jobs: sqlite3.Connection, statements: int) -> None:
        self._jobs = jobs
        self._left = statements

    def execute(self, *statement: Any) -> sqlite3.Cursor:
        self._left -= 1
        if self._left < 0:
            raise Death
        return self._jobs.execute(*statement)


@pytest.mark.parametrize("statements", range(9))
def test_a_worker_may_die_between_any_two_statements(
    server: FakeAgentServer, statements: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.agent("storyteller").always("Once", " upon", " a", " time", write_gap=0.005)
    worker = run("worker", as_program=False)
    with closing(worker["jobs"]) as jobs:
        worker["jobs"] = DyingJobs(jobs, statements)
        with suppress(Death):
            worker["work"](QUESTION)
        worker["jobs"] = jobs
        assert "Once upon a time" == worker["work"](QUESTION)
    begun = [each.method for each in server.requests].count("POST")
    assert begun == (2 if statements == 2 else 1)  # the first handle had not been stored
