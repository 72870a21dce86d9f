"""The chunks of the UI message stream, as the fake agent writes them.

The AI SDK rejects a piece of a part that has not begun, and chunks of unknown types, so neither is written
unless the script does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import DialectRun, Format, parse_json, to_json, without_none

if TYPE_CHECKING:
    from runagent_testing.dialects import Chunk, Custom, Done, Error, Reasoning, ToolCall

__all__ = ["CHUNK_TYPES", "VercelFormat"]

# Types that a script writes by `custom`, with their fields.
CHUNK_TYPES = frozenset(
    {
        *("text-start", "text-delta", "text-end", "reasoning-start", "reasoning-delta", "reasoning-end"),
        *("tool-input-start", "tool-input-delta", "tool-input-available", "tool-input-error"),
        *("tool-output-available", "tool-output-error", "tool-output-denied", "tool-approval-request"),
        *("source-url", "source-document", "file", "start-step", "finish-step"),
    }
)
_DONE = b"data: [DONE]\n\n"
_REASONS = ("stop", "length", "content-filter", "tool-calls", "error", "other")


class VercelFormat(Format):
    """One run. Ids are made of the run's id, so that the same request gives the same bytes."""

    content_type = "text/event-stream"
    heartbeat = b": heartbeat\n\n"

    def __init__(self, run: DialectRun) -> None:
        self.headers = {"x-vercel-ai-ui-message-stream": "v1"}
        self._run_id = run.run_id
        self._made = 0
        self._text: str | None = None  # the id of the open text part
        self._thought: str | None = None  # the id of the open reasoning part
        self._pending: list[str] = []  # tool calls without an output

    def start(self, run: DialectRun) -> bytes:
        """Write the begin of the message and of its first step."""
        return _chunk("start", messageId=f"msg-{self._run_id}") + _chunk("start-step")

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a piece of the open text part, or begin one."""
        if step.event is not ...:  # nothing that this protocol knows
            return _written(without_none(type=step.event, content=step.content))
        opened = b""
        if self._text is None:
            opened = self._close()
            self._text = self._new_id("text")
            opened += _chunk("text-start", id=self._text)
        text = step.content if isinstance(step.content, str) else to_json(step.content)
        return opened + _chunk("text-delta", id=self._text, delta=text)

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of the open reasoning part, or begin one; another id begins another one."""
        opened = b""
        if self._thought is None or step.id not in (None, self._thought):
            opened = self._close()
            self._thought = step.id or self._new_id("reasoning")
            opened += _chunk("reasoning-start", id=self._thought)
        return opened + _chunk("reasoning-delta", id=self._thought, delta=step.text)

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call, its input in two pieces and then whole."""
        closed, id_ = self._close(), step.id or self._new_id("call")
        self._pending.append(id_)
        written = _chunk("tool-input-start", toolCallId=id_, toolName=step.name)
        half = len(step.arguments) // 2
        for piece in filter(None, (step.arguments[:half], step.arguments[half:])):
            written += _chunk("tool-input-delta", toolCallId=id_, inputTextDelta=piece)
        whole = parse_json(step.arguments.encode("utf-8", "surrogatepass"))
        written += _chunk("tool-input-available", toolCallId=id_, toolName=step.name, input=whole)
        return closed + written

    def custom(self, step: Custom) -> bytes:
        """Write the output of a tool, a chunk of a type of the protocol, or a data part.

        Raises:
            TypeError: The value of an output, or of a chunk of the protocol, is no object.
        """
        closed = self._close()
        if step.name == "message-metadata":
            return closed + _chunk(step.name, messageMetadata=step.value)
        if step.name != "tool_result" and step.name not in CHUNK_TYPES:
            return closed + _chunk(f"data-{step.name.removeprefix('data-')}", data=step.value)
        if not isinstance(step.value, dict):
            raise TypeError(
                f"the value of custom({step.name!r}, …) is the object of its fields in this protocol"
            )
        if step.name == "tool_result":
            return closed + self._tool_result(step.value)
        return closed + _chunk(step.name, **step.value)

    def _tool_result(self, fields: dict[str, Any]) -> bytes:
        id_ = fields.get("toolCallId", self._pending[-1] if self._pending else self._new_id("call"))
        self._pending = [each for each in self._pending if each != id_]
        return _chunk("tool-output-available", **{"toolCallId": id_, "output": None, **fields})

    def error(self, step: Error) -> bytes:
        """Write an error, and then the end that servers write after one."""
        failed = self._close() + _chunk("error", errorText=step.message or step.code or "")
        return failed + _chunk("finish-step") + _chunk("finish", finishReason="error") + _DONE

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write the end with what it can carry: requests for approval, the reason and metadata."""
        if step.stop_reason == "cancelled":
            return self._close() + _chunk("abort", **without_none(reason=step.message)) + _DONE
        closed = self._close()
        for interrupt in step.interrupts or ():
            call = str(interrupt.get("toolCallId") or (self._pending or [self._new_id("call")])[-1])
            asked = {"approvalId": interrupt.get("id") or self._new_id("approval"), "toolCallId": call}
            others = {name: value for name, value in interrupt.items() if name != "id"}
            closed += _chunk("tool-approval-request", **{**asked, **others})
        reason = step.stop_reason or ("tool-calls" if self._pending else "stop")
        metadata = None if step.metadata is None else dict(step.metadata)
        end = without_none(finishReason=reason if reason in _REASONS else "other", messageMetadata=metadata)
        return closed + _chunk("finish-step") + _chunk("finish", **end) + _DONE

    def _close(self) -> bytes:
        """Close the open part, of which there is at most one."""
        written = b""
        if self._text is not None:
            written = _chunk("text-end", id=self._text)
        elif self._thought is not None:
            written = _chunk("reasoning-end", id=self._thought)
        self._text = self._thought = None
        return written

    def _new_id(self, kind: str) -> str:
        self._made += 1
        return f"{self._run_id}-{kind}-{self._made}"


def _chunk(kind: str, **fields: Any) -> bytes:
    return _written({"type": kind, **fields})


def _written(chunk: dict[str, Any]) -> bytes:
    return f"data: {to_json(chunk, compact=True)}\n\n".encode()
