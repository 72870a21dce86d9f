"""What the client shows of a stream, in the terms of the catalogue of faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import (
    AgentError,
    Chunk,
    Completed,
    NetworkError,
    ProtocolError,
    RunAgentError,
    RunTimeoutError,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
)

if TYPE_CHECKING:
    from runagent_testing import Gate

# In this order: a StreamTimeoutError is a StreamError, too.
_FAMILIES: tuple[tuple[Any, str], ...] = (
    (StreamTruncatedError, "truncated"),
    (StreamLimitError, "limit"),
    (RunTimeoutError, "timeout"),
    (NetworkError, "network"),
    (ProtocolError, "protocol"),
    ((AgentError, StreamError), "agent"),
)


def family(error: RunAgentError) -> str:
    """Name the family of an error."""
    return next(name for kind, name in _FAMILIES if isinstance(error, kind))


async def shown(stream: Any, door: Gate | None = None) -> tuple[Any, list[Any]]:
    """Read a stream to its end: the family it ends with, and the contents that came before.

    Args:
        stream: The stream.
        door: Opened when the first chunk has come, for an agent that has to wait until then.
    """
    contents, completed = [], None
    try:
        async for event in stream.events():
            if isinstance(event, Chunk):
                contents.append(event.content)
                if door is not None:
                    door.open()
            elif isinstance(event, Completed):
                completed = event
    except RunAgentError as exc:
        return family(exc), contents
    assert completed is not None
    return ("ok" if completed.proven else "unproven"), contents
