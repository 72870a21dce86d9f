"""What a run is made of once the wire is taken away."""

from __future__ import annotations

from typing import Any

import msgspec

__all__ = ["Chunk", "Completed", "Event", "RunResult", "Started", "StreamEvent"]


class Started(msgspec.Struct, frozen=True):
    """The agent has begun.

    Attributes:
        message: The agent's greeting, if it sent one.
        session_id: The conversation this run belongs to.
        invocation_id: The server's own id of the run (WebSocket).
    """

    message: str | None = None
    session_id: str | None = None
    invocation_id: str | None = None


# JSON values hold no cycles, so the collector need not look for any: it would, at every few hundred chunks.
class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One piece of the answer.

    Attributes:
        content: ``str`` for text, otherwise the decoded JSON value.
        index: Its place in the run, counted by the agent; None if the agent does not count.
        id: The event id it came with (SSE ``id:``).
    """

    content: Any
    index: int | None = None
    id: str | None = None


class Completed(msgspec.Struct, frozen=True):
    """The agent is done: the only good end of a stream.

    Attributes:
        message: The agent's closing text, if any.
        usage: Token counts as the agent gave them, for example ``{"total_tokens": 150}``.
        execution_time: Seconds that the agent reports.
        total_chunks: How many chunks the agent reports.
        proven: False if the protocol has no end marker and the body ended with the
            connection: such an end looks like a cut (RFC 9112 §8).
        metadata: Everything else that the agent sent at the end.
    """

    message: str | None = None
    usage: dict[str, Any] | None = None
    execution_time: float | None = None
    total_chunks: int | None = None
    proven: bool = True
    metadata: dict[str, Any] | None = None


class RunResult(msgspec.Struct, frozen=True):
    """The whole answer of a plain run.

    Attributes:
        result: The agent's answer; any JSON value.
        execution_time: Seconds that the agent reports.
        usage: Token counts as the agent gave them.
        agent_version: The version of the agent that answered.
        request_id: The id by which the service knows the request.
        metadata: Everything else that came with the result.
    """

    result: Any
    execution_time: float | None = None
    usage: dict[str, Any] | None = None
    agent_version: str | None = None
    request_id: str | None = None
    metadata: dict[str, Any] | None = None

    @property
    def tokens_used(self) -> int | None:
        """``usage["total_tokens"]``, if the agent counted."""
        total = (self.usage or {}).get("total_tokens")
        return total if isinstance(total, int) else None


StreamEvent = Started | Chunk | Completed
Event = StreamEvent | RunResult
