"""What every home of fake agents has: the agents, what they were asked, and connections that go wrong."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, get_args

from runagent_testing._host.agent import Agent
from runagent_testing._host.scripts import AgentScripts
from runagent_testing._host.verify import report, timelines, unexpected, unused
from runagent_testing._internal.clock import now
from runagent_testing._internal.redaction import escaped
from runagent_testing._journal.journal import Journal
from runagent_testing._journal.record import Recorder
from runagent_testing._script.numbers import check_count, check_texts

if TYPE_CHECKING:
    from runagent_testing._journal.exchange import Exchange

__all__ = ["AgentHost", "ConnectionFault"]

_SETTLING = 1.0  # seconds that all agents may take to write what is due, and functions to come back
_LEAVING = 0.1  # seconds until agents have noticed that their clients have left

ConnectionFault = Literal["refuse", "close", "reset", "silent"]


class AgentHost:
    """Fake agents by their ids; `FakeAgentServer` and `MemoryNetwork` are ones.

    Attributes:
        requests: Every run that was asked for, also those refused, in order of arrival; a WebSocket's
            counts when its request message has come, its handshake was refused or is to be answered late.
        unmatched: What no script answers: unknown agents and endpoints, agents that nobody told what
            to say. ``exchange.unmatched`` says what comes nearest.
    """

    url: str

    def __init__(self) -> None:
        self.journal = Journal()
        self.requests = self.journal.requests
        self.unmatched = self.journal.unmatched
        self._agents: dict[str, Agent] = {}
        self._scripts: dict[str, AgentScripts] = {}
        self._connections = 0
        self._faults: deque[ConnectionFault] = deque()
        self._lock = threading.Lock()

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections

    def agent(self, agent_id: str) -> Agent:
        """Get the agent of this id; the first call creates it, before that there is no such agent."""
        check_texts((agent_id,), "an agent's id")
        scripts = self._scripts.setdefault(agent_id, AgentScripts(agent_id))
        return self._agents.setdefault(agent_id, Agent(agent_id, self, scripts))

    def on_connect(self, fault: ConnectionFault, *, times: int = 1) -> None:
        """Spoil the next connections before anything is read from them, TLS handshake included.

        Args:
            fault: "refuse" has them refused (on sockets, which accept in any case: "reset"),
                "close" ends them with a FIN as soon as they are accepted, "reset" with a RST (on a
                Unix socket: "close"), "silent" keeps them open and reads nothing.
            times: How many.
        """
        if fault not in get_args(ConnectionFault):
            raise ValueError(
                f"a connection's fault is one of {', '.join(get_args(ConnectionFault))}, not {fault!r}"
            )
        check_count(times, "on_connect()")
        with self._lock:
            self._faults.extend([fault] * times)

    def wait_request(self, count: int = 1, timeout: float = 5.0) -> Exchange:
        """Wait until ``count`` runs were asked for, and return the last of these.

        Blocks the thread; see `Exchange` for what that means on a memory network.

        Raises:
            TimeoutError: They were not within ``timeout`` seconds.
        """
        return self.journal.wait(count, timeout)

    def problems(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> list[str]:
        """List what `check` complains of; waits a moment for agents that are about to write.

        Args:
            allow_unused: Without replies, results, failures and connections' faults that nobody met,
                and steps that were not played (because the client left early, or a gate stayed shut).
            allow_unmatched: Without requests that no script answers.
        """
        found = [*unexpected(self.journal, allow_unmatched=allow_unmatched), *self._hung(_SETTLING)]
        if not allow_unused:
            until = now() + _SETTLING
            for exchange in list(self.requests):
                Recorder(exchange).wait_until_idle(max(until - now(), 0.0))
            until = now() + _LEAVING
            for exchange in list(self.requests):
                if exchange.unplayed:
                    exchange.wait_disconnected(max(until - now(), 0.0))
            found += unused(self.journal, list(self._scripts.values()), len(self._faults))
        return [escaped(problem) for problem in found]

    def check(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> None:
        """Make sure that the test and its agents agree: all that was written was said, and no more asked.

        Args:
            allow_unused: See `problems`.
            allow_unmatched: See `problems`.

        Raises:
            AssertionError: They do not; its text lists the differences and shows the exchanges.
        """
        if found := self.problems(allow_unused=allow_unused, allow_unmatched=allow_unmatched):
            raise AssertionError(report(found, self.journal))

    def timelines(self) -> str:
        """Show the last exchanges: what was scripted and what was sent side by side."""
        return timelines(self.journal)

    def clear(self) -> None:
        """Forget agents, requests and connections' faults, and drop every connection.

        Agents have to be made anew; those made before answer nobody any more.
        """
        for exchange in list(self.requests):
            Recorder(exchange).end("server closed")
        self._drop_connections()
        with self._lock:
            self._agents.clear()
            self._scripts.clear()
            self._faults.clear()
            self._connections = 0
        self.journal.clear()

    def _hung(self, patience: float) -> list[str]:
        """Name the test's own functions that do not come back within some seconds."""
        return []

    def _drop_connections(self) -> None:
        """Leave nobody connected."""
        raise NotImplementedError

    def _accept(self) -> tuple[int, ConnectionFault | None]:
        """Number a connection, and say what becomes of it."""
        with self._lock:
            self._connections += 1
            return self._connections, self._faults.popleft() if self._faults else None
