"""Gates, scopes, resets and what goes on at the moment, over HTTP."""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any

from runagent_testing._control.exchanges import counts_of, summary
from runagent_testing._control.messages import ControlError, EventStream, Later, Reply
from runagent_testing._control.progress import ChunkWatch
from runagent_testing._control.scripts import agents_of
from runagent_testing._host.scope import Scope
from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing.dialects._installed import installed_dialects
from runagent_testing.faults import TRANSPORTS, for_transport

if TYPE_CHECKING:
    from runagent_testing._control.messages import ControlRequest, Outcome
    from runagent_testing._host.gates import NamedGate
    from runagent_testing._journal.exchange import Exchange

__all__ = [
    "MAX_EVENTS",
    "Changes",
    "clear",
    "drop_scope",
    "get_counts",
    "get_gate",
    "get_state",
    "list_gates",
    "list_scopes",
    "put_gate",
    "reset",
    "stream_events",
]

__tracebackhide__ = is_ours

MAX_EVENTS = 100  # exchanges with which a stream of events begins


def list_gates(request: ControlRequest) -> Outcome:
    """List the gates of the scope."""
    return Reply({"gates": _gates(request.scope)})


def get_gate(request: ControlRequest) -> Outcome:
    """Show one gate."""
    return Reply(_shown(_gate(request)))


def put_gate(request: ControlRequest) -> Outcome:
    """Open or close a gate."""
    is_open = request.fields("open", required=["open"])["open"]
    if not isinstance(is_open, bool):
        raise ControlError(400, "INVALID", "open is true or false")
    gate = _gate(request)
    if is_open:
        gate.open()
    else:
        gate.close()
    return Reply(_shown(gate))


def get_counts(request: ControlRequest) -> Outcome:
    """Count requests, and connections if the request names no scope."""
    return Reply(_counts(request))


def get_state(request: ControlRequest) -> Outcome:
    """Show what goes on in the scope."""
    scope = request.scope

    def look(_: float) -> Reply:
        running = [exchange for exchange in scope.journal.exchanges if exchange.outcome == "running"]
        return Reply(
            {
                "scope": scope.name,
                "url": scope.url,
                "agents": agents_of(scope),
                "gates": _gates(scope),
                "counts": _counts(request),
                "running": [summary(exchange) for exchange in running],
                "dialects": [dialect.name for dialect in installed_dialects()],
                "transports": list(_transports()),
            }
        )

    return Later(look)


@functools.cache
def _transports() -> tuple[str, ...]:
    """Return the transports for which there is a catalogue of faults."""
    brought = [name for dialect in installed_dialects() for name in dialect.transports]
    found: list[str] = list(TRANSPORTS)
    for name in brought:
        with contextlib.suppress(ValueError):  # a dialect without an end marker has none
            for_transport(name)
            found.append(name)
    return tuple(found)


def stream_events(request: ControlRequest) -> Outcome:
    """Send what changes in the scope, from what it is now."""
    return EventStream(Changes(request.scope).look)


def list_scopes(request: ControlRequest) -> Outcome:
    """List the scopes of the server."""
    return Reply(
        {
            "scopes": [
                {"name": scope.name, "idle_seconds": idle, **counts_of(scope)}
                for scope, idle in request.host.scopes()
            ]
        }
    )


def drop_scope(request: ControlRequest) -> Outcome:
    """Drop a scope, and the connections on which it answers."""
    name, host = request.parameters["scope"], request.host

    def look(_: float) -> Reply:
        if not host.drop_scope(name):
            raise ControlError(404, "NOT_FOUND", f"there is no scope {name[:200]!r}")
        return Reply(None, 204)

    return Later(look)


def reset(request: ControlRequest) -> Outcome:
    """Forget what has happened in the scope, and take it back to the script files."""
    scope = request.scope

    def look(_: float) -> Reply:
        scope.reset()
        return Reply(None, 204)

    return Later(look)


def clear(request: ControlRequest) -> Outcome:
    """Forget what has happened in the scope, and its agents; idle connections and other scopes stay."""
    scope = request.scope

    def look(_: float) -> Reply:
        Scope.clear(scope)
        return Reply(None, 204)

    return Later(look)


def _gate(request: ControlRequest) -> NamedGate:
    name, gates = request.parameters["gate"], request.scope.gates
    if name not in gates:
        hint = nearest(name, gates, "no script has one") if not gates else nearest(name, gates)
        raise ControlError(404, "NOT_FOUND", f"there is no gate {name[:200]!r}: {hint}")
    return gates[name]


def _gates(scope: Scope) -> list[dict[str, Any]]:
    return [_shown(gate) for gate in scope.gates.values()]


def _shown(gate: NamedGate) -> dict[str, Any]:
    return {"name": gate.name, "open": gate.is_open, "waiting": gate.waiting}


def _counts(request: ControlRequest) -> dict[str, Any]:
    counts = counts_of(request.scope)
    return {"connections": request.host.connections, **counts} if request.scope is request.host else counts


class Changes:
    """Finds what has changed in a scope since the last look."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._forget()

    def _forget(self) -> None:
        self._watches: dict[Exchange, ChunkWatch] = {}
        self._facts: dict[Exchange, dict[str, Any]] = {}
        self._versions: list[tuple[str, list[int]]] | None = None  # of the agents that were shown
        self._gates: list[dict[str, Any]] | None = None  # that were shown
        self._cleared = self._scope.journal.cleared
        self._ended = 0  # arrival of the last exchange before which all have ended
        self._skipped: int | None = None  # arrival of the last one too old to be shown; None before a look

    def look(self) -> list[tuple[str, Any]]:
        """Return the events: the exchanges that have changed, then agents and gates."""
        journal = self._scope.journal
        events: list[tuple[str, Any]] = []
        if journal.cleared != self._cleared:
            self._forget()
            events.append(("reset", {}))
        exchanges = [exchange for exchange in journal.exchanges if exchange.arrival > self._ended]
        if self._skipped is None:
            self._skipped = exchanges[-1].arrival - MAX_EVENTS if exchanges else 0
        for exchange in exchanges:
            if exchange.arrival > self._skipped or exchange.outcome == "running":
                events += self._changed(exchange)
        self._ended = self._all_ended_before(exchanges)
        return events + self._changed_agents() + self._changed_gates()

    def _changed_agents(self) -> list[tuple[str, Any]]:
        # Describing the answers takes a while; their versions do not.
        agents = list(self._scope._scripts.items())
        versions = [(agent_id, scripts.versions) for agent_id, scripts in agents]
        if versions == self._versions:
            return []
        self._versions = versions
        return [("agents", {"agents": agents_of(self._scope)})]

    def _changed_gates(self) -> list[tuple[str, Any]]:
        gates = _gates(self._scope)
        if gates == self._gates:
            return []
        self._gates = gates
        return [("gates", {"gates": gates})]

    def _changed(self, exchange: Exchange) -> list[tuple[str, Any]]:
        shown = summary(exchange, self._watches.setdefault(exchange, ChunkWatch(exchange)))
        facts = {name: value for name, value in shown.items() if name != "chunks"}
        if facts == self._facts.get(exchange):
            return []
        self._facts[exchange] = facts
        return [("exchange", shown)]

    def _all_ended_before(self, exchanges: list[Exchange]) -> int:
        ended = self._ended
        for exchange in exchanges:
            if exchange in self._facts and not self._facts[exchange]["is_over"]:
                break
            ended = exchange.arrival
            self._facts.pop(exchange, None)
            self._watches.pop(exchange, None)
        return ended
