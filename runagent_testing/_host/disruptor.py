"""Puts faults in the place of answers. No I/O.

A run that met a fault may be resumed or tried again. It then gets the answer that the fault has displaced,
even if that was a reply for one run.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from runagent_testing._host.chaos import Chaos, Injection
from runagent_testing._script.numbers import check_texts, is_number, is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from runagent_testing._host.choice import Answer, Taken
    from runagent_testing._host.parsed import ParsedRequest
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._render.plan import ConnectionFault
    from runagent_testing._script.computed import Computed
    from runagent_testing._script.script import Result, Script
    from runagent_testing.dialects import Dialect
    from runagent_testing.faults import Fault, Player

__all__ = ["Disruptor", "Met"]

_KEY = "idempotency-key"
_MAX_DISPLACED = 1000  # answers that are kept for another attempt, of one host
_MAX_MET = 1000


class Met(NamedTuple):
    """A fault that a run has met.

    Attributes:
        agent_id: The agent.
        run: The run's place among those of the agent, from 1.
        fault: With the transport, such as "sse/fin-after-event-1".
    """

    agent_id: str
    run: int
    fault: str


@dataclass(slots=True, eq=False)
class _Displaced:
    """An answer that another attempt at its run may still get.

    Attributes:
        run: What identifies the run.
    """

    run: tuple[str, bool, str]
    answer: Script | Result | Computed


@dataclass(frozen=True, slots=True)
class _Disruption:
    """The script of a fault, its record, and the injection that wanted it, if it was not chance."""

    script: Script | Result
    met: Met
    injection: Injection | None


class Disruptor:
    """Puts faults in the place of the answers of a host.

    Args:
        player: Who plays the answers.
        tls: Whether it speaks TLS.
        dialects: Those of the host, in addition to the built-in and the installed ones.

    Attributes:
        chaos: Faults by chance; None for none.
        met: The faults that runs have met, in order; not more than the last thousand.
    """

    def __init__(self, player: Player, *, tls: bool = False, dialects: Sequence[Dialect] = ()) -> None:
        self.chaos: Chaos | None = None
        self.met: deque[Met] = deque(maxlen=_MAX_MET)
        self._player: Player = player
        self._tls = tls
        self._dialects = tuple(dialects)
        self._injections: list[Injection] = []
        self._lasting: tuple[Chaos | None, list[Injection]] = None, []
        self._displaced: deque[_Displaced] = deque(maxlen=_MAX_DISPLACED)
        self._numbers: dict[str, int] = {}
        self._pools: dict[tuple[Any, ...], Mapping[str, Fault]] = {}
        self._lock = threading.Lock()

    def another(self) -> Disruptor:
        """Make one for other agents of the same server; it begins with what lasts."""
        made = Disruptor(self._player, tls=self._tls, dialects=self._dialects)
        made.last(*self._lasting)
        return made

    def last(self, chaos: Chaos | None, injections: list[Injection]) -> None:
        """Disrupt so until this is called again, `clear` or not."""
        self._lasting = chaos, injections
        self.clear()

    def set_chaos(
        self,
        rate: float,
        seed: int = 0,
        only: Sequence[str] = (),
        without: Sequence[str] = (),
        test: str = "",
    ) -> None:
        """Set or end faults by chance; see `AgentHost.chaos`."""
        if not is_number(rate):
            raise TypeError(f"chaos() takes a rate, a number from 0 to 1, not {rate!r}")
        if not 0 <= rate <= 1:
            raise ValueError(f"chaos() takes a rate from 0 to 1, not {rate!r}")
        if not is_whole(seed):
            raise ValueError(f"seed= is a whole number, 0 or more, not {seed!r}")
        if test:
            check_texts((test,), "test=")
        if rate:
            from runagent_testing.faults._displacing import check_names  # only chaos needs the catalogue

            check_names(only, "only=", self._dialects)
            check_names(without, "without=", self._dialects)
        self.chaos = Chaos(rate, seed, tuple(only), tuple(without), test) if rate else None

    def end_chaos(self) -> None:
        """Go back to the chaos that lasts."""
        self.chaos = self._lasting[0]

    def parse(self, name: str, agent_id: str | None, run: int | None) -> Injection | ConnectionFault:
        """Check the arguments of `AgentHost.inject`; return a fault that happens to a connection as it is."""
        from runagent_testing.faults._catalogue import connection_fault
        from runagent_testing.faults._displacing import parse_name

        transport = parse_name(name, self._player, self._tls, self._dialects)
        if run is not None and not is_whole(run, 1):
            raise ValueError(f"run= is the number of a run, from 1, not {run!r}")
        if agent_id is not None:
            check_texts((agent_id,), "agent=")
        on_connect = connection_fault(name.rpartition("/")[2])
        if on_connect is None:
            return Injection(name, transport, agent_id, run)
        if agent_id is not None or run is not None:
            raise ValueError(f"{name!r} happens to the next connection, so agent= and run= are invalid")
        return on_connect

    def add(self, injection: Injection) -> None:
        """Have a run meet a fault."""
        with self._lock:
            self._injections.append(injection)

    def unmet(self) -> list[Injection]:
        """Return the faults that no run has met, those that last aside."""
        with self._lock:
            lasting = self._lasting[1]
            return [one for one in self._injections if not (one.is_met or one in lasting)]

    def clear(self) -> None:
        """Disrupt nothing but what lasts, and count the runs from 1 again."""
        with self._lock:
            self.chaos, injections = self._lasting
            self._injections = list(injections)
            self._displaced.clear()
            self._numbers.clear()
            self.met.clear()

    def take(self, parsed: ParsedRequest, take: Callable[[], Taken], *, is_late: bool = False) -> Taken:
        """Take the answer of a run, or a fault in its place.

        Args:
            parsed: The request.
            take: Takes the answer, and returns it with a function that puts it back.
            is_late: Whether the head of the answer was sent, as on a WebSocket after the handshake.

        Returns:
            The answer, and a function that undoes everything, for a run that never began.
        """
        earlier = self._take_displaced(parsed)
        answer, put_back = take() if earlier is None else (earlier.answer, lambda: self._keep(earlier))
        number = self._count(parsed.exchange.agent_id, 1)
        disruption = self._disruption(parsed, number, answer, is_late=is_late)
        displaced = None
        if disruption is not None and answer is not None:
            displaced = _Displaced(_run_of(parsed) if earlier is None else earlier.run, answer)
            self._keep(displaced)

        def undo() -> None:
            parsed.exchange.fault = None
            self._count(parsed.exchange.agent_id, -1)
            self._forget(displaced)
            if disruption is not None:
                if disruption.met in self.met:
                    self.met.remove(disruption.met)
                if disruption.injection is not None:
                    disruption.injection.is_met = False
            put_back()

        return (answer if disruption is None else disruption.script), undo

    def _disruption(
        self, parsed: ParsedRequest, number: int, answer: Answer, *, is_late: bool
    ) -> _Disruption | None:
        """Decide on the fault of a run; an injected one goes before chance."""
        chaos, exchange = self.chaos, parsed.exchange
        if answer is None or (chaos is not None and not chaos.strikes(exchange.agent_id, number)):
            chaos = None
        if chaos is None and all(injection.is_met for injection in self._injections):
            return None
        from runagent_testing.faults import _displacing  # not before it is needed: it takes a while

        faults = self._faults_for(parsed, is_late=is_late)
        injection = self._take_injection(faults, exchange, number, answer)
        if injection is not None:
            fault = faults[injection.fault_id]
        elif chaos is not None and (drawn := self._drawn(chaos, faults, exchange.transport, answer)):
            fault = chaos.choose(exchange.agent_id, number, drawn)
        else:
            return None
        exchange.fault = f"{exchange.transport}/{fault.id}"
        met = Met(exchange.agent_id, number, exchange.fault)
        self.met.append(met)
        script = _displacing.script_of(fault, answer, self._player, is_plain=parsed.is_plain)
        return _Disruption(script, met, injection)

    def _take_injection(
        self, faults: Mapping[str, Fault], exchange: Exchange, number: int, answer: Answer
    ) -> Injection | None:
        from runagent_testing.faults._displacing import misfit

        with self._lock:
            for injection in self._injections:
                fault = faults.get(injection.fault_id)
                is_for = injection.is_for(exchange.transport, exchange.agent_id, number)
                if fault is None or injection.is_met or not is_for:
                    continue
                why = misfit(fault, answer)
                if why is None:
                    injection.is_met = True
                    return injection
                injection.misfits.append(why)
        return None

    def _drawn(
        self, chaos: Chaos, faults: Mapping[str, Fault], transport: str, answer: Answer
    ) -> list[Fault]:
        """List the faults from which chance chooses."""
        from runagent_testing.faults._displacing import is_drawn, misfit

        allowed = [
            fault
            for fault in faults.values()
            if is_drawn(fault, transport, self._player, chaos.only, chaos.without)
        ]
        return [fault for fault in allowed if misfit(fault, answer) is None]

    def _faults_for(self, parsed: ParsedRequest, *, is_late: bool) -> Mapping[str, Fault]:
        """Return the faults that a run can meet, by id."""
        from runagent_testing.faults._displacing import displacing

        key = parsed.exchange.transport, parsed.dialect, parsed.is_plain or parsed.resumes, is_late
        if key not in self._pools:
            transport, dialect, http_only, _ = key
            faults = displacing(
                transport,
                http_only=http_only,
                is_late=is_late,
                player=self._player,
                tls=self._tls,
                dialect=dialect,
            )
            self._pools[key] = {fault.id: fault for fault in faults}
        return self._pools[key]

    def _count(self, agent_id: str, change: int) -> int:
        """Change the number of an agent's runs, and return it."""
        with self._lock:
            # Not below 0: the runs may have been forgotten since one of them began.
            self._numbers[agent_id] = max(0, self._numbers.get(agent_id, 0) + change)
            return self._numbers[agent_id]

    def _take_displaced(self, parsed: ParsedRequest) -> _Displaced | None:
        """Take the answer that a fault has displaced in an earlier attempt at this run."""
        if not self._displaced:
            return None
        agent_id, is_plain, identity = _run_of(parsed)
        with self._lock:
            own = [one for one in self._displaced if one.run[:2] == (agent_id, is_plain)]
            found = next((one for one in own if one.run[2] == identity), None)
            if found is None and parsed.resumes:
                # A resumption is another request: its key only begins like that of the run, its body differs.
                has_key = _KEY in parsed.exchange.raw_headers
                alike = [one for one in own if not has_key or identity.startswith(one.run[2])]
                found = next(reversed(alike), None)
            if found is not None:
                self._displaced.remove(found)
        return found

    def _keep(self, displaced: _Displaced) -> None:
        with self._lock:
            self._displaced.append(displaced)

    def _forget(self, displaced: _Displaced | None) -> None:
        with self._lock:
            if displaced is not None and displaced in self._displaced:
                self._displaced.remove(displaced)


def _run_of(parsed: ParsedRequest) -> tuple[str, bool, str]:
    """Identify a run, as its attempts have it in common: by its key, or else by its input."""
    exchange = parsed.exchange
    identity = exchange.raw_headers.get(_KEY) or repr(exchange.body)
    return exchange.agent_id, parsed.is_plain, identity
