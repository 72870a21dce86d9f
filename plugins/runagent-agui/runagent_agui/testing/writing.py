"""The events of AG-UI, as the fake agent writes them.

The order is as strict as the reference client wants it: RUN_STARTED comes first, every message, tool call
and piece of reasoning is closed before another thing begins, and nothing is open at RUN_FINISHED. Lines end
with LF: the reference client does not find the end of an event that has CRLF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import DialectRun, Format, to_json, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.dialects import Chunk, Custom, Done, Error, Reasoning, ToolCall

__all__ = ["EVENT_TYPES", "AGUIFormat"]

# Types that a script writes by `custom`, with their fields. A script that opens something so has to close it.
EVENT_TYPES = frozenset(
    {
        *("STEP_STARTED", "STEP_FINISHED", "SUBAGENT_STARTED", "SUBAGENT_FINISHED", "SUBAGENT_ERROR"),
        *("TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "TEXT_MESSAGE_CHUNK"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_CHUNK", "TOOL_CALL_RESULT"),
        *("STATE_SNAPSHOT", "STATE_DELTA", "MESSAGES_SNAPSHOT", "ACTIVITY_SNAPSHOT", "ACTIVITY_DELTA"),
        *("REASONING_START", "REASONING_MESSAGE_START", "REASONING_MESSAGE_CONTENT"),
        *("REASONING_MESSAGE_END", "REASONING_MESSAGE_CHUNK", "REASONING_END"),
        *("REASONING_ENCRYPTED_VALUE", "RAW"),
    }
)
_VERSION = "1.0"
# The protocol's names of token counts, by those that scripts for other protocols use.
_COUNTS = {
    "input_tokens": "inputTokens",
    "prompt_tokens": "inputTokens",
    "output_tokens": "outputTokens",
    "completion_tokens": "outputTokens",
    "total_tokens": "totalTokens",
}
_OUTCOMES = ("cancelled", "interrupt", "success")


class AGUIFormat(Format):
    """One run. Ids are made of the run's id, so that the same request gives the same bytes."""

    content_type = "text/event-stream"
    heartbeat = b": heartbeat\n\n"

    def __init__(self, run: DialectRun) -> None:
        body: Mapping[str, Any] = run.body if isinstance(run.body, dict) else {}
        self._run_id = str(body.get("runId", run.run_id))
        self._thread_id = str(body.get("threadId", run.run_id))
        self._knows_pending = "protocolVersion" in body  # a client before 1.0 rejects an outcome with it
        self._made = 0
        self._text: str | None = None  # the id of the open text message
        self._thought: str | None = None  # the id of the open piece of reasoning
        self._message: str | None = None  # the id of the last text message, which tool calls belong to
        self._pending: list[str] = []  # tool calls without a result

    def start(self, run: DialectRun) -> bytes:
        """Write RUN_STARTED."""
        return self._event("RUN_STARTED", **self._ids, protocolVersion=_VERSION)

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a piece of the open text message, or begin one."""
        if step.event is not ...:  # nothing that this protocol knows
            return _written(without_none(type=step.event, content=step.content))
        opened = b""
        if self._text is None:
            opened = self._close()
            self._text = self._message = self._new_id("message")
            opened += self._event("TEXT_MESSAGE_START", messageId=self._text, role="assistant")
        text = step.content if isinstance(step.content, str) else to_json(step.content)
        return opened + self._event("TEXT_MESSAGE_CONTENT", messageId=self._text, delta=text)

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of the open reasoning, or begin one; another id begins another one."""
        opened = b""
        if self._thought is None or step.id not in (None, self._thought):
            opened = self._close()
            self._thought = step.id or self._new_id("reasoning")
            opened += self._event("REASONING_START", messageId=self._thought)
            opened += self._event("REASONING_MESSAGE_START", messageId=self._thought, role="reasoning")
        return opened + self._event("REASONING_MESSAGE_CONTENT", messageId=self._thought, delta=step.text)

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call, its arguments in two pieces."""
        closed, id_ = self._close(), step.id or self._new_id("call")
        self._pending.append(id_)
        parent = without_none(parentMessageId=self._message)
        written = self._event("TOOL_CALL_START", toolCallId=id_, toolCallName=step.name, **parent)
        half = len(step.arguments) // 2
        for piece in filter(None, (step.arguments[:half], step.arguments[half:])):
            written += self._event("TOOL_CALL_ARGS", toolCallId=id_, delta=piece)
        return closed + written + self._event("TOOL_CALL_END", toolCallId=id_)

    def custom(self, step: Custom) -> bytes:
        """Write a state snapshot, a tool's result, an event of a type of the protocol, or a CUSTOM event.

        Raises:
            TypeError: The value of a tool's result, or of an event of the protocol, is no object.
        """
        closed = self._close()
        if step.name == "state":
            return closed + self._event("STATE_SNAPSHOT", snapshot=step.value)
        if step.name != "tool_result" and step.name not in EVENT_TYPES:
            return closed + self._event("CUSTOM", name=step.name, value=step.value)
        if not isinstance(step.value, dict):
            raise TypeError(f"the value of custom({step.name!r}, …) is the object of its fields in AG-UI")
        if step.name == "tool_result":
            return closed + self._tool_result(step.value)
        return closed + self._event(step.name, **step.value)

    def _tool_result(self, fields: dict[str, Any]) -> bytes:
        id_ = fields.get("toolCallId", self._pending[-1] if self._pending else self._new_id("call"))
        self._pending = [each for each in self._pending if each != id_]
        made = {"messageId": self._new_id("result"), "toolCallId": id_, "content": "", "role": "tool"}
        return self._event("TOOL_CALL_RESULT", **{**made, **fields})

    def error(self, step: Error) -> bytes:
        """Write RUN_ERROR."""
        fields = without_none(message=step.message or "", code=step.code)
        return self._close() + self._event("RUN_ERROR", **fields)

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write RUN_FINISHED with what it can carry: usage, outcome, result and metadata."""
        usage = None if not step.usage else [{_COUNTS.get(name, name): n for name, n in step.usage.items()}]
        fields = without_none(
            result=step.message, usage=usage, metadata=step.metadata and dict(step.metadata)
        )
        return self._close() + self._event("RUN_FINISHED", **self._ids, outcome=self._outcome(step), **fields)

    def _outcome(self, step: Done) -> dict[str, Any]:
        if step.interrupts:
            made = [
                {"id": self._new_id("interrupt"), "reason": "input"} | dict(each) for each in step.interrupts
            ]
            return {"type": "interrupt", "interrupts": made}
        kind = step.stop_reason if step.stop_reason in _OUTCOMES else "success"
        if kind == "success" and self._pending and self._knows_pending:
            return {"type": kind, "pendingToolCallIds": self._pending}
        return {"type": kind, "interrupts": []} if kind == "interrupt" else {"type": kind}

    def _close(self) -> bytes:
        """Close the open message or piece of reasoning, of which at most one is open."""
        written = b""
        if self._text is not None:
            written = self._event("TEXT_MESSAGE_END", messageId=self._text)
        elif self._thought is not None:
            written = self._event("REASONING_MESSAGE_END", messageId=self._thought)
            written += self._event("REASONING_END", messageId=self._thought)
        self._text = self._thought = None
        return written

    @property
    def _ids(self) -> dict[str, str]:
        return {"threadId": self._thread_id, "runId": self._run_id}

    def _new_id(self, kind: str) -> str:
        self._made += 1
        return f"{self._run_id}-{kind}-{self._made}"

    def _event(self, kind: str, **fields: Any) -> bytes:
        return _written({"type": kind, **fields})


def _written(event: dict[str, Any]) -> bytes:
    return f"data: {to_json(event, compact=True)}\n\n".encode()
