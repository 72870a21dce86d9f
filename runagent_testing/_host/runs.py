"""Runs that outlive their first answer: later requests read them, cancel them, or ask for their state."""

from __future__ import annotations

import copy
import itertools
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from runagent_testing._journal.record import numbers_of
from runagent_testing._journal.recorder import Recorder
from runagent_testing._render.plan import Write
from runagent_testing._render.render import cancelled_plan
from runagent_testing._script.gates import Gate
from runagent_testing._script.script import Script
from runagent_testing._script.steps import ContentStep, Done, Ending, Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._render.plan import AnyPlan, Plan
    from runagent_testing._script.computed import Computed
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import Dialect, DialectRun
    from runagent_testing.dialects._hosting import RunStatus

__all__ = ["MAX_KEPT_RUNS", "KeptRun", "KeptRuns", "Reading"]

T = TypeVar("T")

MAX_KEPT_RUNS = 10_000  # of one host


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer that reads a kept run.

    Attributes:
        exchange: Its record.
        script: The script that it plays.
        run: The run as its request asked for it.
        stop: Opened when the run is cancelled.
    """

    exchange: Exchange
    script: Script
    run: DialectRun
    stop: Gate

    def farewell(self) -> Plan:
        """Render what ends the answer after the moves that were made."""
        plan = self.exchange.plan
        assert plan is not None
        writes = [move for move in plan.moves[: self.exchange.moves_done] if isinstance(move, Write)]
        if writes and not writes[-1].whole:
            return replace(cancelled_plan(self.script, self.run, 0), moves=(), end="cut")
        return cancelled_plan(self.script, self.run, _played(self.exchange), begun=bool(writes))


class KeptRun:
    """A run of a dialect that keeps its runs; the dialect sees it as a `HostedRun`.

    Attributes:
        id: The run's id.
        agent_id: The agent's id.
        body: The decoded request that has begun it.
        input: The agent's input.
        first: The script for the first reader, if it was taken before that one came.
        is_cancelled: Whether a request has cancelled it.
    """

    def __init__(
        self,
        run_id: str,
        agent_id: str,
        body: Any,
        input: Any,  # noqa: A002 - as in HostedRun
        first: Script | Computed | None = None,
    ) -> None:
        self.id = run_id
        self.agent_id = agent_id
        self.body = body
        self.input = input
        self.is_cancelled = False
        self.first = first
        self._script: Script | None = None
        self._readings: list[Reading] = []
        self._lock = threading.Lock()
        self._is_trial = False

    @property
    def was_read(self) -> bool:
        """Whether a reader came."""
        return bool(self._readings)

    @property
    def status(self) -> RunStatus:
        """What has become of the run."""
        if self.is_cancelled:
            return "cancelled"
        if any(isinstance(step, Error) for step in self.sent):
            return "failed"
        return "completed" if not self._rest and self._ended_well else "running"

    @property
    def sent(self) -> tuple[Step, ...]:
        """The steps that readers were sent so far: chunks and the like, an error, ``done(...)``."""
        steps = () if self._script is None else self._script.steps[: self._played]
        return tuple(step for step in steps if isinstance(step, ContentStep | Error | Done))

    def cancel(self) -> bool:
        """Stop the run; False if it was over."""
        with self._lock:
            if self.status != "running":
                return False
            self.is_cancelled = True
            readings = [] if self._is_trial else list(self._readings)
        for reading in readings:
            # Noted here, as the reader may disconnect before its player has noticed.
            Recorder(reading.exchange).end("cancelled")
            reading.exchange.is_continued = True
            reading.stop.open()
        return True

    def tried(self) -> KeptRun:
        """Return a copy that cancels nothing."""
        run = copy.copy(self)
        run._is_trial = True
        return run

    def next_script(self, take: Callable[[], T]) -> T | Script | Computed:
        """Return the script for another reader: the run's own, or the agent's next one if that broke off.

        Args:
            take: Takes the agent's next script.
        """
        if self._script is None:
            return self.first or take()
        has_broken_off = not self._ended_well and all(isinstance(step, Ending) for step in self._rest)
        return take() if has_broken_off else self._script

    def read(
        self,
        exchange: Exchange,
        run: DialectRun,
        script: Script,
        render: Callable[[DialectRun], AnyPlan],
        *,
        snapshot: bool,
    ) -> tuple[AnyPlan, Reading | None]:
        """Make the plan of an answer that reads the run.

        Args:
            exchange: The record of the request.
            run: The run as the request asks for it.
            script: The script to play.
            render: Makes the plan of the script.
            snapshot: Whether the answer begins with what was sent so far.
        """
        past = self._position(script)
        sent = tuple(step for step in script.steps[:past] if isinstance(step, ContentStep))
        run = replace(run, past=past, sent=sent if snapshot else None, begun_by=self.body)
        if self.is_cancelled:
            exchange.steps = script.steps[:past]
            return cancelled_plan(script, run, past), None
        plan = render(run)
        reading = Reading(exchange, script, run, Gate("cancelled"))
        with self._lock:
            for earlier in self._readings:
                earlier.exchange.is_continued = True
            self._script = script
            self._readings.append(reading)
        return plan, reading

    def _position(self, script: Script) -> int:
        """Count the steps of a script, perhaps another one, that are over for a new reader."""
        if script is self._script or self._script is None:
            return self._played
        count = sum(isinstance(step, ContentStep) for step in self.sent)
        for number, step in enumerate(script.steps):
            if not count:
                return number
            count -= isinstance(step, ContentStep)
        return len(script.steps)

    @property
    def _ended_well(self) -> bool:
        # All other endings break off the connection, and not the run.
        return self._script is not None and self._script.ending == "clean"

    @property
    def _rest(self) -> tuple[Step, ...]:
        return () if self._script is None else self._script.steps[self._played :]

    @property
    def _played(self) -> int:
        own = [reading.exchange for reading in self._readings if reading.script is self._script]
        return max(map(_played, own), default=0)


class KeptRuns:
    """The runs of a host that its dialects keep."""

    def __init__(self) -> None:
        self._runs: dict[tuple[Dialect, str], KeptRun] = {}

    def keep(self, dialect: Dialect, run: KeptRun) -> None:
        """Keep a run, in place of an earlier one with the same id; too many, and the oldest is forgotten."""
        self._runs[dialect, run.id] = run
        if len(self._runs) > MAX_KEPT_RUNS:
            self._runs.pop(next(iter(self._runs)))

    def free_id(self, dialect: Dialect, run_id: str) -> str:
        """Return this id, or a similar one if a run has it: a host may make the same id each time."""
        if (dialect, run_id) not in self._runs:
            return run_id
        others = (f"{run_id}-{count}" for count in itertools.count(2))
        return next(free for free in others if (dialect, free) not in self._runs)

    def find(self, dialect: Dialect, run_id: str) -> KeptRun | None:
        """Return a run."""
        return self._runs.get((dialect, run_id))

    def unread(self) -> Iterator[tuple[KeptRun, Script]]:
        """Yield each run that no reader came for, and its script."""
        for run in self._runs.values():
            first = run.first
            if isinstance(first, Script) and first.is_known and not (run.was_read or run.is_cancelled):
                yield run, first

    def clear(self) -> None:
        """Forget all runs."""
        self._runs.clear()


def _played(exchange: Exchange) -> int:
    """Count the steps of an exchange, from the first on, that are over."""
    if exchange.plan is None:
        return 0
    rest = exchange.plan.moves[exchange.moves_done :]
    return min((number for move in rest for number in numbers_of(move)), default=len(exchange.steps))
