"""What every home of fake agents has: the agents, what they were asked, and connections that go wrong."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Literal, get_args

from runagent_testing.agent import Agent

if TYPE_CHECKING:
    from runagent_testing.exchange import Exchange

__all__ = ["AgentHost", "ConnectionFault"]

ConnectionFault = Literal["close", "reset", "silent"]


class AgentHost:
    """Fake agents by their ids; `FakeAgentServer` and `MemoryNetwork` are ones.

    Attributes:
        requests: Every run that was asked for, also those refused, in order of arrival; a WebSocket's
            counts when its request message has come, or its handshake was refused.
    """

    def __init__(self) -> None:
        self.requests: list[Exchange] = []
        self._agents: dict[str, Agent] = {}
        self._connections = 0
        self._faults: deque[ConnectionFault] = deque()
        self._lock = threading.Lock()

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections

    def agent(self, agent_id: str) -> Agent:
        """Get the agent of this id; the first call creates it, before that there is no such agent."""
        return self._agents.setdefault(agent_id, Agent(agent_id))

    def on_connect(self, fault: ConnectionFault, *, times: int = 1) -> None:
        """Spoil the next connections before anything is read from them, TLS handshake included.

        Args:
            fault: "close" ends them with a FIN as soon as they are accepted, "reset" with a RST (on a
                Unix socket: "close"), "silent" keeps them open and reads nothing.
            times: How many.
        """
        if fault not in get_args(ConnectionFault):
            raise ValueError(
                f"a connection's fault is one of {', '.join(get_args(ConnectionFault))}, not {fault!r}"
            )
        with self._lock:
            self._faults.extend([fault] * times)

    def _accept(self) -> tuple[int, ConnectionFault | None]:
        """Number a connection, and say what becomes of it."""
        with self._lock:
            self._connections += 1
            return self._connections, self._faults.popleft() if self._faults else None
