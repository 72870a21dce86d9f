"""What a run records of itself, while it runs and afterwards."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["Attempt", "RunReport", "counted"]


def counted(count: int, thing: str) -> str:
    """Write a number of things: "1 chunk", "2 chunks"."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


# No cycle leads through a report: the garbage collector need not look at those of all open streams.
class Attempt(msgspec.Struct, gc=False):
    """One try to reach the agent.

    Attributes:
        transport: The transport's name.
        reused: It went out on a connection that was open already.
        connect_seconds: Time to open the connection, TLS and proxy included; None for a reused one.
        error: What ended it, if it was not the last or not good; without secrets.
        waited_seconds: Time waited before the next attempt.
    """

    transport: str
    reused: bool = False
    connect_seconds: float | None = None
    error: str | None = None
    waited_seconds: float = 0.0


class RunReport(msgspec.Struct, gc=False):
    """What a run has come to; it is filled while the run goes on.

    Attributes:
        run_id: Our id of the run: 32 hexadecimal digits, the same in all attempts, log lines and errors.
        agent_id: The agent's id.
        outcome: How far it is: ``running``; ``completed``, if the last event has come; ``failed``, if
            an error was raised; ``left``, where its reader left it before its end.
        transport: The name of the transport in use.
        request_id: The id by which the service knows the run.
        status: The HTTP status of the last answer.
        chunks: Chunks received.
        bytes_received: Bytes received, framing included.
        connect_seconds: Time to open the connection of the last attempt; None for a reused one.
        first_chunk_seconds: Time from the first attempt to the first chunk.
        total_seconds: Time from the first attempt to the end; None for a stream that was dropped.
        attempts: Every attempt in order.
        ignored: What was harmless and left out, with counts.
    """

    run_id: str = ""
    agent_id: str = ""
    outcome: Literal["running", "completed", "failed", "closed"] = "running"
    transport: str = ""
    request_id: str | None = None
    status: int | None = None
    chunks: int = 0
    bytes_received: int = 0
    connect_seconds: float | None = None
    first_chunk_seconds: float | None = None
    total_seconds: float | None = None
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    ignored: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def retries(self) -> int:
        """Attempts after the first."""
        return max(0, len(self.attempts) - 1)
