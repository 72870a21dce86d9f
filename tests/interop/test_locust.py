"""Locust runs users of runagent-locust: alone, and on two workers of a master, against the fake agent."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from tests.docs.pages import ROOT, Page
from tests.interop.programs import Port, Program, environment, needs_environment
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGIN = ROOT / "plugins/runagent-locust"
LOCUSTFILE = ROOT / "tests/interop/agents/load.py"
SCRIPT = """
agents:
  writer: {always: [Once, {delay: 0.02}, " upon", {delay: 0.04}, " a", {delay: 0.02}, " time"]}
  liar: {always: [Never]}
  broken: {always: [Once, {delay: 0.02}, {ending: cut}]}
  overloaded: {always: [{status: 503}]}
  endless: {always: [Once, {ending: stall}]}
"""
PATIENCE = 60.0  # seconds for a whole test

by_version = pytest.mark.parametrize(
    "version",
    [pytest.param(name, marks=needs_environment(name), id=name) for name in ("locust", "locust-lowest")],
)


class Locust:
    """Runs Locust's program in one of the environments.

    Args:
        version: The name of the environment.
        folder: Where files go: ``measured`` has what each process has measured.
        host: The base URL of the agents.
    """

    def __init__(self, version: str, folder: Path, host: str) -> None:
        self._program = environment(version).with_name("locust")
        self._host = host
        self.folder = folder
        self.measured = folder / "measured"
        self.measured.mkdir()

    def start(self, locustfile: Path, *options: object) -> subprocess.Popen[str]:
        command = [self._program, "-f", locustfile, "--host", self._host, "--headless", *options]
        return subprocess.Popen(
            [str(part) for part in command],
            cwd=self.folder,
            env={"PYTHONPATH": f"{ROOT}:{PLUGIN}", "HOME": "/nonexistent", "MEASURED": str(self.measured)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def master_and_workers(self, workers: int, *options: object) -> str:
        """Run a test on a master and so many workers to its end; return what the master has printed."""
        with Port() as port, ExitStack() as running:
            bind = ("--master-bind-host", "127.0.0.1", "--master-bind-port", port.number)
            files = ("--csv", "load", "--html", "load.html", "--json-file", "load.json")
            master = self.start(LOCUSTFILE, "--master", "--expect-workers", workers, *bind, *files, *options)
            to_master = ("--worker", "--master-host", "127.0.0.1", "--master-port", port.number, *options)
            started = [master, *(self.start(LOCUSTFILE, *to_master) for _ in range(workers))]
            for process in started:
                running.enter_context(killed_at_end(process))
            printed, *_ = [process.communicate(timeout=PATIENCE)[0] for process in started]
        return printed

    def written_by(self, kind: str) -> list[Any]:
        return [json.loads(path.read_text("utf-8")) for path in sorted(self.measured.glob(f"{kind}-*.json"))]

    def rows(self, name: str) -> list[dict[str, str]]:
        return list(csv.DictReader((self.folder / name).read_text("utf-8").splitlines()))


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[str]:
    """The base URL of a fake agent in a separate process."""
    script = tmp_path / "script.yaml"
    script.write_text(SCRIPT, encoding="utf-8")
    with Port() as port:
        fake = [sys.executable, "-m", "runagent_testing", "serve", script, "--port", port.number]
        with Program(fake, port, tmp_path / "fake.log", {"PYTHONPATH": str(ROOT)}) as running:
            yield running.url


def summed(histograms: list[dict[str, Any]]) -> dict[int, int]:
    """Add up buckets without the code that is tested."""
    counts: dict[int, int] = {}
    for histogram in histograms:
        for lowest, count in histogram["buckets"]:
            counts[lowest] = counts.get(lowest, 0) + count
    return counts


@by_version
def test_the_master_has_the_sum_of_two_workers_count_for_count(
    version: str, agents: str, tmp_path: Path
) -> None:
    locust = Locust(version, tmp_path, agents)
    printed = locust.master_and_workers(2)
    (merged,), workers = locust.written_by("master"), locust.written_by("worker")
    assert {"story", "liar", "broken", "overloaded", "endless"} == merged.keys()
    assert 2 == len(workers)
    check_sums(merged, workers)
    assert all(worker["story"]["gap"]["buckets"] for worker in workers)
    check_kinds(merged)
    check_reports(locust, merged, printed)


@by_version
def test_a_master_that_quits_under_load_has_everything_or_shows_that_it_has_not(
    version: str, agents: str, tmp_path: Path
) -> None:
    locust = Locust(version, tmp_path, agents)
    printed = locust.master_and_workers(2, "--users", 30, "--spawn-rate", 100, "--run-time", "4s")
    (merged,), workers = locust.written_by("master"), locust.written_by("worker")
    assert 4 == sum(worker["endless"]["closed"] for worker in workers if "endless" in worker)
    if "Missing: the last report" not in printed:  # Locust's master waits for half a second
        check_sums(merged, workers)


def check_sums(merged: dict[str, Any], workers: list[dict[str, Any]]) -> None:
    """Compare the measures of the master with those of its workers, bucket by bucket."""
    for name, measures in merged.items():
        parts = [worker[name] for worker in workers if name in worker]
        for kind in ("first", "gap", "stream", "rate"):
            assert dict(measures[kind]["buckets"]) == summed([part[kind] for part in parts]), (name, kind)
        for count in ("started", "completed", "failed", "closed", "chunks"):
            assert measures[count] == sum(part[count] for part in parts), (name, count)
        ended = measures["completed"] + measures["failed"] + measures["closed"]
        assert 0 < measures["started"] == ended, name


def check_kinds(merged: dict[str, Any]) -> None:
    """Compare the measures with what the agents do."""
    story = merged["story"]
    assert 20 < story["completed"]
    assert 4 * story["completed"] <= story["chunks"]
    assert {} == story["errors"]
    assert {"AssertionError": merged["liar"]["failed"]} == merged["liar"]["errors"]
    assert {"StreamTruncatedError": merged["broken"]["failed"]} == merged["broken"]["errors"]
    assert {"AgentServerError 503": merged["overloaded"]["failed"]} == merged["overloaded"]["errors"]
    assert (4, 4) == (merged["endless"]["started"], merged["endless"]["closed"])


def check_reports(locust: Locust, merged: dict[str, Any], printed: str) -> None:
    """Read what was written and printed: Locust's reports count the same streams."""
    stats = {(row["Type"], row["Name"]): row for row in locust.rows("load_stats.csv")}
    for name, measures in merged.items():
        ended = measures["completed"] + measures["failed"]
        firsts = sum(count for _, count in measures["first"]["buckets"])
        none = {"Request Count": "0", "Failure Count": "0"}
        assert ended == int(stats.get(("STREAM", name), none)["Request Count"])
        assert measures["failed"] == int(stats.get(("STREAM", name), none)["Failure Count"])
        assert firsts == int(stats.get(("FIRST", name), none)["Request Count"])
    failures = {row["Error"] for row in locust.rows("load_failures.csv")}
    assert {"AssertionError", "StreamTruncatedError", "AgentServerError 503"} == failures
    gaps: dict[str, int] = {}
    for row in locust.rows("load_gaps.csv"):
        gaps[row["name"]] = gaps.get(row["name"], 0) + int(row["count"])
    streams = {row["name"]: row for row in locust.rows("load_streams.csv")}
    for name, measures in merged.items():
        assert gaps.get(name, 0) == sum(count for _, count in measures["gap"]["buckets"])
        assert (measures["started"], measures["closed"]) == (
            int(streams[name]["started"]),
            int(streams[name]["closed"]),
        )
    page = (locust.folder / "load.html").read_text("utf-8")
    assert '<td align="left">story</td>' in page.partition('<section id="runagent"')[2]
    assert '"STREAM"' in page
    assert "Distributions" in printed
    assert "Missing" not in printed
    assert "agent writer" not in printed, "a line for each run"


@by_version
def test_the_examples_of_the_readme_run_as_they_are(version: str, agents: str, tmp_path: Path) -> None:
    page = Page(PLUGIN / "README.md")
    text = "\n".join(example.text for example in page.examples()).replace("your-agent-id", "writer")
    locustfile = tmp_path / "locustfile.py"
    locustfile.write_text(text, encoding="utf-8")
    locust = Locust(version, tmp_path, agents)
    options = ("--users", 4, "--spawn-rate", 4, "--run-time", "3s")
    with killed_at_end(locust.start(locustfile, *options)) as process:
        printed, _ = process.communicate(timeout=PATIENCE)
    assert 0 == process.returncode, printed
    lines = [line.split() for line in printed.partition("Streams ")[2].splitlines()]
    counts = {line[0]: [int(count) for count in line[1:]] for line in lines[1:4]}
    assert {"story", "question", "follow-up"} == counts.keys()
    for started, completed, failed, closed, retries, chunks in counts.values():
        assert (started, 0, 0) == (completed + closed, failed, retries)
        assert 0 < completed * 4 <= chunks
