"""What became of one request."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from runagent_testing.formats import Transport
    from runagent_testing.plan import Move, Plan

__all__ = ["Exchange", "Outcome", "Surface"]

Outcome = Literal["running", "done", "client gone", "server closed"]
Surface = Literal["documented", "published"]


@dataclass(slots=True, eq=False)
class Exchange:
    """One request that an agent received, and how its answer went.

    Attributes:
        transport: "sse", "chunked", "text", "websocket", "invoke" or "run".
        agent_id: As decoded from the path.
        path: As received, percent-encoded, with the query.
        headers: Names in lower case; a repeated header's values joined with a comma.
        connection: Number of the connection, counted from 1.
        body: The decoded JSON of the request (on a WebSocket: its message), None if there is none.
        plan: What the answer is to be, once that is decided (on a WebSocket: after the handshake).
        moves_done: How many moves of the plan have been made.
        outcome: "running", "done" (all that was scripted, a fault included), "client gone" (before
            that) or "server closed".
    """

    transport: Transport
    agent_id: str
    path: str
    headers: dict[str, str]
    connection: int
    body: Any = None
    plan: Plan | None = None
    moves_done: int = 0
    outcome: Outcome = "running"
    _over: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def surface(self) -> Surface:
        """Which of the two ways to speak the request came in (WIRE sections 1 and 2)."""
        return "published" if self.transport in ("websocket", "run") else "documented"

    @property
    def input(self) -> Any:
        """The agent's input: the body, or the ``input_kwargs`` of the published server's surface."""
        published = self.surface == "published" and isinstance(self.body, dict)
        return self.body.get("input_kwargs") if published else self.body

    @property
    def input_args(self) -> list[Any]:
        """The positional inputs (published server's surface only)."""
        args = self.body.get("input_args") if isinstance(self.body, dict) else None
        return args if isinstance(args, list) and self.surface == "published" else []

    def wait_done(self, timeout: float) -> bool:
        """Wait until the answer was given as scripted; False if it was not within ``timeout`` seconds."""
        self._over.wait(timeout)
        return self.outcome == "done"

    def wait_client_gone(self, timeout: float) -> bool:
        """Wait until the client left early; False if it was not within ``timeout`` seconds."""
        self._over.wait(timeout)
        return self.outcome == "client gone"

    def made(self, move: Move) -> None:
        """Note that a move of the plan has been made."""
        self.moves_done += 1

    def end(self, outcome: Outcome) -> None:
        """Note how it went; only the first word counts."""
        if self.outcome == "running":
            self.outcome = outcome
            self._over.set()
