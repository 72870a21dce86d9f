"""The base class of servers and networks of fake agents: agents, requests and faulty connections."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, get_args

from runagent_testing._host.agent import Agent
from runagent_testing._host.others import OtherRequests
from runagent_testing._host.scripts import AgentScripts
from runagent_testing._host.verify import report, timelines, unexpected, unused
from runagent_testing._internal.clock import now
from runagent_testing._internal.redaction import escaped
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._journal.journal import Journal
from runagent_testing._journal.record import Recorder
from runagent_testing._render.plan import ConnectionFault
from runagent_testing._script.numbers import check_count, check_texts
from runagent_testing._script.script import Result

if TYPE_CHECKING:
    from runagent_testing._journal.exchange import Exchange

__all__ = ["AgentHost"]

__tracebackhide__ = is_ours

_SETTLING = 1.0  # seconds for all agents to send everything that is due, and for functions to return
_LEAVING = 0.1  # seconds for agents to notice that their clients have disconnected


class AgentHost:
    """Fake agents by id; the base class of `FakeAgentServer` and `MemoryNetwork`.

    Attributes:
        requests: Every request for a run, even if it was refused, in order of arrival; a WebSocket's
            counts once its first message has come, or its handshake is refused or has to wait.
        other_requests: Every request for anything else that a dialect (or `on_request`) has answered, such
            as a card, a thread or a list of models, in order of arrival.
        unmatched: Requests that no script answers: for unknown agents or endpoints, or for agents without a
            script. ``exchange.unmatched`` names the nearest match.
    """

    url: str

    def __init__(self) -> None:
        self.journal = Journal()
        self.requests = self.journal.requests
        self.other_requests = self.journal.others
        self.unmatched = self.journal.unmatched
        self._agents: dict[str, Agent] = {}
        self._scripts: dict[str, AgentScripts] = {}
        self._others = OtherRequests(self._scripts, lambda: self.url)
        self._connections = 0
        self._faults: deque[ConnectionFault] = deque()
        self._lock = threading.Lock()

    @property
    def connections(self) -> int:
        """The number of connections accepted so far."""
        return self._connections

    def agent(self, agent_id: str) -> Agent:
        """Return the agent with this id; the first call creates it, and until then it is unknown."""
        check_texts((agent_id,), "an agent's id")
        scripts = self._scripts.setdefault(agent_id, AgentScripts(agent_id))
        return self._agents.setdefault(agent_id, Agent(agent_id, self, scripts))

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

    def on_request(self, line: str, *steps: Any, times: int = 1) -> None:
        """Answer the next requests with this method and path, which ask for no run, in place of the dialect.

        Args:
            line: Method and path, without the query: ``"POST /threads"``. ``*`` is any one segment of the
                path: ``"GET /threads/*/runs/*"``.
            steps: As for `Agent.returns`: usually ``status(...)``, with delays or an ending, for example.
            times: Number of requests.

        Raises:
            TypeError: A step is invalid or misplaced.
            ValueError: ``line`` is not a method and a path.
        """
        check_texts((line,), "the request of on_request()")
        method, _, path = line.partition(" ")
        if not (method.isupper() and path.startswith("/")):
            raise ValueError(f"on_request() takes a method and a path, such as 'POST /threads', not {line!r}")
        check_count(times, "on_request()")
        self._others.add(line, Result.of(steps), times)

    def wait_request(self, count: int = 1, timeout: float = 5.0) -> Exchange:
        """Wait until ``count`` requests for runs have arrived, and return the last of them.

        Blocks the thread; see `Exchange` for the consequences on a memory network.

        Raises:
            TimeoutError: Fewer requests came within ``timeout`` seconds.
        """
        return self.journal.wait(count, timeout)

    def problems(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> list[str]:
        """List the problems that `check` reports; waits a moment for agents that are about to send.

        Args:
            allow_unused: Ignore unused replies, results, failures and faults of connections, and steps
                that were not played (because the client disconnected early, or a gate stayed closed).
            allow_unmatched: Ignore requests that no script answers.
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
            agents = list(self._scripts.values())
            found += unused(self.journal, agents, self._others, len(self._faults))
        return [escaped(problem) for problem in found]

    def check(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> None:
        """Verify that the client met every script, and that a script answered every request.

        Args:
            allow_unused: See `problems`.
            allow_unmatched: See `problems`.

        Raises:
            AssertionError: Expectations are unmet; the message lists them and shows the exchanges.
        """
        if found := self.problems(allow_unused=allow_unused, allow_unmatched=allow_unmatched):
            raise AssertionError(report(found, self.journal))

    def timelines(self) -> str:
        """Show the last exchanges: the scripted steps next to the writes."""
        return timelines(self.journal)

    def clear(self) -> None:
        """Forget agents, requests and connections' faults, and drop every connection.

        Agents have to be created again; those created before no longer answer.
        """
        for exchange in [*self.requests, *self.other_requests]:
            Recorder(exchange).end("server closed")
        self._drop_connections()
        with self._lock:
            self._agents.clear()
            self._scripts.clear()
            self._others.clear()
            self._faults.clear()
            self._connections = 0
        self.journal.clear()

    def _hung(self, patience: float) -> list[str]:
        """Describe the test's functions that do not return within ``patience`` seconds."""
        return []

    def _drop_connections(self) -> None:
        """Close every connection."""
        raise NotImplementedError

    def _accept(self) -> tuple[int, ConnectionFault | None]:
        """Number a connection, and return its fault, if any."""
        with self._lock:
            self._connections += 1
            return self._connections, self._faults.popleft() if self._faults else None
