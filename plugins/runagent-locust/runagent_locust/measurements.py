"""Joins the measures to an environment of Locust: its events, its workers, its reports."""

from __future__ import annotations

import logging
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_locust.measures import Names
from runagent_locust.tables import gaps_csv, html_part, streams_csv, text_table

if TYPE_CHECKING:
    from locust.env import Environment

__all__ = ["Measurements", "measure"]

_KEY = "runagent"  # of our part of a worker's report
_console = logging.getLogger("locust.stats_logger")  # which prints Locust's own tables
_known: weakref.WeakKeyDictionary[Environment, Measurements] = weakref.WeakKeyDictionary()


class Measurements:
    """The measures of one process of a test; those of a master include its workers'.

    A worker sends what it has measured since its last report with each report that Locust sends, and the
    master adds it up. Locust's counts and these are therefore of the same streams.

    Attributes:
        is_worker: Whether this process reports to a master.
    """

    def __init__(self) -> None:
        self.is_worker = False
        self._new = Names()  # since the last report
        self._kept = Names()
        self._running = False
        self._reset_when_spawned = False
        self._unfinished: set[str] = set()

    @property
    def new(self) -> Names:
        """Where to count now; another object after each report of a worker."""
        return self._new

    @property
    def all(self) -> Names:
        """A copy of everything: of this process, on a master also of its workers, as far as they reported."""
        whole = Names()
        whole.add(self._kept)
        whole.add(self._new)
        return whole

    @property
    def unfinished(self) -> int:
        """How many workers have not reported since their test stopped: what they counted last is missing."""
        return len(self._unfinished)

    def table(self) -> list[str]:
        """Return the lines of the table for a terminal; none if there was no stream."""
        lines = text_table(self.all)
        if lines and self._unfinished:
            lines += ["", f"Missing: the last report of {self.unfinished} of the workers."]
        return lines

    def write(self, csv_prefix: str | None, html_file: str | None) -> None:
        """Write what Locust's options ask for.

        Args:
            csv_prefix: Of the files ``PREFIX_streams.csv`` and ``PREFIX_gaps.csv``.
            html_file: Locust's report, to whose end the tables are added.
        """
        names = self.all
        if csv_prefix:
            _write(Path(f"{csv_prefix}_streams.csv"), streams_csv(names))
            _write(Path(f"{csv_prefix}_gaps.csv"), gaps_csv(names))
        if html_file:
            path = Path(html_file)
            before, end, after = path.read_text(encoding="utf-8").rpartition("</body>")
            _write(path, f"{before}{html_part(names)}{end}{after}")

    def listen(self, environment: Environment) -> None:
        """Follow the events of an environment, to its end."""
        self._reset_when_spawned = environment.reset_stats
        events: Any = environment.events
        events.test_start.add_listener(self._start)
        events.test_stop.add_listener(self._stop)
        events.spawning_complete.add_listener(self._spawned)
        events.reset_stats.add_listener(self._clear)
        events.report_to_master.add_listener(self._hand_over)
        events.worker_report.add_listener(self._take_over)

    def _start(self, **_: object) -> None:
        self._clear()
        self._running = True
        self._unfinished.clear()

    def _stop(self, **_: object) -> None:
        self._running = False

    def _spawned(self, **_: object) -> None:
        if self._reset_when_spawned:
            self._clear()

    def _clear(self, **_: object) -> None:
        self._new, self._kept = Names(), Names()

    def _hand_over(self, data: dict[str, Any], **_: object) -> None:
        self.is_worker = True
        data[_KEY] = {"names": self._new.as_data(), "running": self._running}
        self._kept.add(self._new)
        self._new = Names()

    def _take_over(self, client_id: str, data: dict[str, Any], **_: object) -> None:
        if (report := data.get(_KEY)) is None:  # of a worker without an AgentUser
            return
        self._kept.add(Names.from_data(report["names"]))
        if report["running"]:
            self._unfinished.add(client_id)
        else:
            self._unfinished.discard(client_id)


def measure(environment: Environment) -> Measurements:
    """Return the measurements of an environment, which begin with the first call.

    A locustfile need not call it: the environment of the program ``locust`` is measured if `AgentUser` was
    imported, and every environment in which an `AgentUser` is made. A program that has a master calls it for
    the environment of the master.
    """
    if (known := _known.get(environment)) is None:
        known = _known[environment] = Measurements()
        known.listen(environment)
        _report_at_end(environment, known)
    return known


def _report_at_end(environment: Environment, measurements: Measurements) -> None:
    """Print and write the tables when Locust's program has printed and written its own; not on a worker."""

    def report(**_: object) -> None:
        if measurements.is_worker:
            return
        for line in measurements.table():
            _console.info(line)
        if (options := environment.parsed_options) is not None:
            measurements.write(options.csv_prefix, options.html_file)

    events: Any = environment.events
    events.quit.add_listener(report)


def _write(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(text)
