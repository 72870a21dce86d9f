"""The base class of servers and networks of fake agents: the scope of most requests, and connections."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, get_args

from runagent_testing._host.scope import Baseline, Scope
from runagent_testing._host.scopes import Scopes
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._render.plan import ConnectionFault
from runagent_testing._script.numbers import check_count

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from runagent_testing._host.disruptor import Disruptor
    from runagent_testing._journal.exchange import Exchange

__all__ = ["AgentHost"]

__tracebackhide__ = is_ours


class AgentHost(Scope):
    """Fake agents by id; the base class of `FakeAgentServer` and `MemoryNetwork`.

    It is itself the `Scope` of all requests that name none.
    """

    url: str

    def __init__(self, disruptor: Disruptor) -> None:
        self._applied: list[Baseline] = []
        super().__init__(disruptor, baselines=self._applied, drop=self._drop_exchanges)
        self._scopes = Scopes(self._new_scope)
        self._kept: int | None = None
        self._connections = self._uncounted = 0
        self._faults: deque[ConnectionFault] = deque()
        self._lock = threading.Lock()

    @property
    def connections(self) -> int:
        """The number of connections accepted so far, those of the control API aside."""
        return self._connections - self._uncounted

    def scope(self, name: str) -> Scope:
        """Return the scope with this name, for one of several tests that share this server or network.

        The first use creates it, here or by a request, with the agents of the script files that were applied.
        It is dropped once no request has come to it for ten minutes and none is being answered.

        Args:
            name: 1 to 200 printable ASCII characters without ``/``, ``?`` and ``#``.

        Raises:
            RuntimeError: There are 1 000 scopes.
            ValueError: The name is invalid.
        """
        return self._scopes.get(name)

    def scopes(self) -> list[tuple[Scope, float]]:
        """Return each scope, and for how many seconds no request has come to it."""
        return self._scopes.all()

    def drop_scope(self, name: str) -> bool:
        """Forget a scope, and drop the connections on which it answers; False if there is none."""
        scope = self._scopes.drop(name)
        if scope is not None:
            scope.clear()
        return scope is not None

    def _replace(self, old: Sequence[Baseline], new: Sequence[Baseline], agents: Collection[str]) -> None:
        """Apply script files in place of others; no request finds an agent of both without a script.

        Scopes keep the scripts that they have until they are reset.

        Args:
            old: The files that were applied.
            new: The files to apply.
            agents: The ids of the old files' agents, which vanish if the new files do not have them.
        """
        if any(baseline.chaos for baseline in old):
            self._disruptor.end_chaos()
        self._replace_agents(new, agents)
        others = [baseline for baseline in self._applied if all(baseline is not one for one in old)]
        self._applied[:] = [*others, *new]

    def _keep_last(self, count: int) -> None:
        super()._keep_last(count)
        self._kept = count

    @suggest_keywords
    def on_connect(self, fault: ConnectionFault, *, times: int = 1) -> None:
        """Break the next connections before anything is read from them, even a TLS handshake.

        Args:
            fault: "refuse" refuses the connections (real sockets always accept: "reset"), "close" sends a
                FIN as soon as they are accepted, "reset" a RST (on a Unix socket: "close"), "silent" keeps
                them open and reads nothing.
            times: Number of connections.
        """
        if fault not in get_args(ConnectionFault):
            raise ValueError(
                f"a connection's fault is one of {', '.join(get_args(ConnectionFault))}, not {fault!r}"
            )
        check_count(times, "on_connect()")
        with self._lock:
            self._faults.extend([fault] * times)

    def clear(self) -> None:
        """Forget agents, requests, scopes and connections' faults, and drop every connection.

        Agents have to be created again; those created before no longer answer, and take no scripts.
        """
        scopes = self._scopes.clear()
        for scope in [self, *scopes]:
            scope._end()
        self._drop_connections()
        for scope in [self, *scopes]:
            scope._forget()
        self._applied.clear()
        self._connections = self._uncounted = 0

    def _keep(self, baseline: Baseline) -> None:
        if all(kept is not baseline for kept in self._applied):
            self._applied.append(baseline)

    def _new_scope(self, name: str, path: str) -> Scope:
        disruptor = self._disruptor.another()
        scope = Scope(disruptor, name, lambda: f"{self.url}{path}", self._drop_exchanges, self._applied)
        scope.can_forward = self.can_forward
        if self._kept is not None:
            scope._keep_last(self._kept)
        return scope

    def _break_connection(self, fault: ConnectionFault) -> None:
        self.on_connect(fault)

    def _forget(self) -> None:
        super()._forget()
        with self._lock:
            self._faults.clear()
            self._uncounted = self._connections

    @property
    def _connection_faults(self) -> int:
        return len(self._faults)

    def _drop_connections(self) -> None:
        """Close every connection."""
        raise NotImplementedError

    def _drop_exchanges(self, exchanges: Collection[Exchange]) -> None:
        """Close the connections on which these are being answered."""
        raise NotImplementedError

    def _accept(self, *, spare: bool = False) -> tuple[int, ConnectionFault | None]:
        """Number a connection, and return its fault, if any; one to be spared has none."""
        with self._lock:
            self._connections += 1
            return self._connections, self._faults.popleft() if self._faults and not spare else None

    def _recount(self, change: int) -> None:
        """Count some more or fewer connections: those of the control API do not count."""
        with self._lock:
            self._uncounted -= change
