"""The observer of the page on plugins, over hundreds of runs at once: each line belongs to its run."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import trio

import runagent
from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError, RunReport
from runagent_testing import FakeAgentServer, delay, done, ending, error, status
from tests.docs.pages import DOCS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import pytest

RUNS = 204  # 17 of each kind, for each way to run it
USAGE = {"input_tokens": 7, "total_tokens": 10}

# What an agent does, and what the line of its run has to show of it.
AGENTS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "good": (
        ("x", delay(0.05), "y", done(usage=USAGE)),
        {"outcome": "completed", "status": 200, "tokens": 10, "attempts": [(None, 200)]},
    ),
    "refuses": (
        (status(401),),
        {"outcome": "failed", "status": 401, "tokens": None, "attempts": [("AuthenticationError", 401)]},
    ),
    "busy": (
        (status(503),),
        {"outcome": "failed", "status": 503, "tokens": None, "attempts": [("AgentServerError", 503)] * 2},
    ),
    "fails": (
        ("x", error("NO_ROOM", "no room")),
        {"outcome": "failed", "status": 200, "tokens": None, "attempts": [("StreamError", 200)]},
    ),
    "breaks": (
        ("x", ending("close-delimited-cut")),
        {"outcome": "failed", "status": 200, "tokens": None, "attempts": [("StreamTruncatedError", 200)]},
    ),
}
TRANSPORTS = ("sse", "chunked", "websocket")
NAMES = [f"{agent}-{transport}" for agent in AGENTS for transport in TRANSPORTS]


def example() -> Any:
    """Return the class of the page's example."""
    (source,) = (text.text for text in DOCS["observers"].examples() if "class RunLog" in text.text)
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom | ast.ClassDef)]
    namespace: dict[str, Any] = {}
    exec(compile(tree, "docs/observers.md", "exec"), namespace)  # its definitions; it is not run
    return namespace["RunLog"]


@contextlib.contextmanager
def agents() -> Iterator[str]:
    with FakeAgentServer() as server:
        for name in NAMES:
            script, _ = AGENTS[name.partition("-")[0]]
            server.agent(name).always(*script)
        yield server.url


def options(name: str, url: str) -> dict[str, Any]:
    return {
        "base_url": url,
        "transport": name.partition("-")[2],
        "max_retries": 1,
        "retry_delay": 0,
        "resume": False,
    }


def run_in_threads(url: str, count: int) -> list[RunReport]:
    clients = {name: RunAgentClient(name, **options(name, url)) for name in NAMES}

    def run(number: int) -> RunReport:
        stream = clients[NAMES[number % len(NAMES)]].run_generic_stream("x")
        with contextlib.suppress(RunAgentError):
            stream.text()
        return stream.report

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


async def run_in_tasks(url: str, count: int, gather: Callable[..., Awaitable[Any]]) -> list[RunReport]:
    clients = {name: AsyncRunAgentClient(name, **options(name, url)) for name in NAMES}
    reports: list[RunReport] = []

    async def run(number: int) -> None:
        stream = clients[NAMES[number % len(NAMES)]].run_generic_stream("x")
        with contextlib.suppress(RunAgentError):
            await stream.text()
        reports.append(stream.report)

    await gather(run, count)
    for client in clients.values():
        await client.aclose()
    return reports


async def with_asyncio(run: Callable[[int], Awaitable[None]], count: int) -> None:
    await asyncio.gather(*map(run, range(count)))


async def with_trio(run: Callable[[int], Awaitable[None]], count: int) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(run, number)


def test_every_line_of_two_hundred_runs_at_once_belongs_to_its_run(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "runagent.run")
    lines: list[dict[str, Any]] = []
    reports: list[RunReport] = []
    count = RUNS // 3

    def asyncio_runs(url: str) -> list[RunReport]:
        return asyncio.run(run_in_tasks(url, count, with_asyncio))

    def trio_runs(url: str) -> list[RunReport]:
        return trio.run(run_in_tasks, url, count, with_trio)

    with agents() as url, runagent.register_observer(example()(lines.append)):
        ways = (lambda url: run_in_threads(url, count), asyncio_runs, trio_runs)
        threads = [threading.Thread(target=lambda way=way: reports.extend(way(url))) for way in ways]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    by_run = {line["run"]: line for line in lines}
    assert (RUNS, RUNS, RUNS) == (len(reports), len(lines), len(by_run))
    for report in reports:
        line = by_run[report.run_id]
        script, expected = AGENTS[report.agent_id.partition("-")[0]]
        shown = {name: line[name] for name in expected}
        if report.transport == "websocket":
            switched = {200: 101}
            expected = expected | {
                "status": switched.get(expected["status"], expected["status"]),
                "attempts": [(name, switched.get(code, code)) for name, code in expected["attempts"]],
            }
        assert (report.agent_id, expected) == (line["agent"], shown)
        assert (line["first chunk"] is not None) == ("x" in script)
        assert line["longest gap"] == report.longest_gap_seconds
    logged = {record.__dict__["run_id"]: record for record in caplog.records if record.name == "runagent.run"}
    assert by_run.keys() == logged.keys()
    for run_id, record in logged.items():
        assert (by_run[run_id]["agent"], by_run[run_id]["outcome"]) == (
            record.__dict__["agent_id"],
            record.__dict__["outcome"],
        )
        assert run_id in record.getMessage()
