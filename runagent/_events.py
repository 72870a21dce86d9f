"""What a run is made of once the wire is taken away."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from runagent._errors import ValidationError
from runagent._public import publish
from runagent._redact import describe
from runagent._report import RunReport

__all__ = [
    "Chunk",
    "Completed",
    "Custom",
    "Event",
    "JSONValue",
    "Reasoning",
    "RunResult",
    "Started",
    "StreamEvent",
    "ToolCall",
    "answer",
]

if TYPE_CHECKING:
    JSONValue = str | int | float | bool | None | list["JSONValue"] | dict[str, "JSONValue"]
    """Any value that JSON can carry."""
else:
    JSONValue = (
        Any  # what resolves annotations (msgspec, pydantic) does not end at an alias that names itself
    )


# Events are frozen, and what they hold comes of JSON, so no cycle leads through one: the collector need not
# look at them. It would, at every few hundred chunks.
class Started(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The agent has begun.

    Attributes:
        session_id: The conversation that this run belongs to; the next turn sends it.
        invocation_id: The service's own id of the run.
        message: The agent's greeting, if it sent one.
    """

    session_id: str | None = None
    invocation_id: str | None = None
    message: str | None = None


class Chunk(msgspec.Struct, frozen=True, gc=False):
    """One piece of the answer, and the only event that iterating a stream gives.

    Attributes:
        content: ``str`` for text, otherwise the decoded JSON value.
        index: Its place in the run, counted by the agent; None if the agent does not count.
        id: The event id it came with (SSE ``id:``).
    """

    content: JSONValue
    index: int | None = None
    id: str | None = None


class Reasoning(msgspec.Struct, frozen=True, gc=False):
    """A piece of what the model thinks, or a summary of it; no part of the answer.

    Attributes:
        text: The text.
        id: Which of several trains of thought it belongs to, if the protocol names them.
    """

    text: str
    id: str | None = None


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool that the agent wants to have called, once the call is whole.

    Attributes:
        id: The id that the tool's result has to name; None if the protocol has none.
        name: The tool's name.
        arguments: Its arguments: JSON text as the model wrote it, which may be empty or invalid.
        index: Its place among the calls of the answer; None if the protocol does not count.
    """

    id: str | None
    name: str
    arguments: str = ""
    index: int | None = None


class Custom(msgspec.Struct, frozen=True, gc=False):
    """Anything else that a protocol sends and a caller may want.

    Attributes:
        name: As the protocol names it; where protocols share an idea, the shared name: ``state``
            (of the agent or the graph), ``tool_result``.
        value: Its decoded payload.
    """

    name: str
    value: JSONValue = None


class Completed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The agent is done: the only good end of a stream.

    Attributes:
        usage: Token counts as the agent sent them, for example ``{"total_tokens": 150}``.
        stop_reason: Why the model stopped, in the protocol's own word: ``stop``, ``length``, ``tool_calls``.
        interrupts: What the agent waits for before it can go on, as the protocol sent it; empty if the
            run is over.
        message: The agent's closing text, if any.
        execution_time: Seconds that the agent reports.
        total_chunks: How many chunks the agent reports.
        proven: False if the protocol has no end marker and the body ended with the
            connection: such an end looks like a cut (RFC 9112 §8).
        metadata: Everything else that the agent sent at the end.
    """

    usage: dict[str, Any] | None = None
    stop_reason: str | None = None
    interrupts: list[dict[str, Any]] = msgspec.field(default_factory=list)
    message: str | None = None
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
        report: What the run came to: attempts, times, tokens.
    """

    result: Any
    execution_time: float | None = None
    usage: dict[str, Any] | None = None
    agent_version: str | None = None
    request_id: str | None = None
    metadata: dict[str, Any] | None = None
    report: RunReport | None = None

    @property
    def tokens_used(self) -> int | None:
        """``usage["total_tokens"]``, if the agent counted."""
        total = (self.usage or {}).get("total_tokens")
        return total if isinstance(total, int) else None


def answer(
    interrupt: Mapping[str, Any] | str,
    payload: Any = None,
    *,
    status: Literal["resolved", "cancelled"] = "resolved",
) -> dict[str, Any]:
    """Answer an interrupt: the agent goes on if the input of the next run has the answer in ``resume``.

    Args:
        interrupt: One of ``Completed.interrupts``, or its id.
        payload: What the agent asked for, any JSON value.
        status: ``resolved``, or ``cancelled`` if there will be no answer.

    Returns:
        An item of the input's ``resume``.

    Raises:
        ValidationError: The interrupt has no id, or the status is unknown.

    Example:
        ``client.run_generic_stream({"resume": [answer(last.interrupts[0], {"approved": True})]})``
    """
    found = interrupt.get("id") if isinstance(interrupt, Mapping) else interrupt
    if not isinstance(found, str) or not found:
        raise ValidationError(
            f"the interrupt has no id: give one of Completed.interrupts, not {describe(found)}"
        )
    if status not in ("resolved", "cancelled"):
        raise ValidationError(f'status: expected "resolved" or "cancelled", found {describe(status)}')
    return {"id": found, "status": status, "payload": payload}


StreamEvent: TypeAlias = Started | Chunk | Reasoning | ToolCall | Custom | Completed
"""What ``stream.events()`` gives."""

Event: TypeAlias = StreamEvent | RunResult
"""What a session returns: events of a stream, or the result of a plain run."""

publish(Started, Chunk, Reasoning, ToolCall, Custom, Completed, RunResult)
