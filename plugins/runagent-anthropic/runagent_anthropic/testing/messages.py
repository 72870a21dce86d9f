"""Messages, as the fake agent sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import DialectRun, Format, to_json, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.dialects import Chunk, Custom, Done, Error, Reasoning, ToolCall

__all__ = ["MessagesFormat", "message"]

_SIGNATURE = "c2lnbmVk"  # which the next request has to repeat
_NO_USAGE = {"input_tokens": 0, "output_tokens": 0}  # official clients need some
_OF_DELTA = ("stop_sequence", "stop_details", "container")


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {to_json({'type': kind, **fields}, compact=True)}\n\n".encode()


class MessagesFormat(Format):
    """Named events: a message, its content blocks one after another, and its end."""

    content_type = "text/event-stream"
    heartbeat = _event("ping")

    def __init__(self, run: DialectRun) -> None:
        self.headers = {"request-id": f"req_{run.run_id}"}
        self._index = 0
        self._open = ""  # the type of the block at hand, if it may grow
        self._calls = 0

    def start(self, run: DialectRun) -> bytes:
        """Report that there is a message."""
        return _event(
            "message_start", message=_message(run, [], None, {"input_tokens": 0, "output_tokens": 0})
        )

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a piece of text."""
        if step.event is not ...:
            return _event(str(step.event), content=step.content)  # which the protocol does not know
        return self._grow("text", {"text": ""}, {"type": "text_delta", "text": _as_text(step.content)})

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of thinking."""
        empty = {"thinking": "", "signature": ""}
        return self._grow("thinking", empty, {"type": "thinking_delta", "thinking": step.text})

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call, its arguments in pieces."""
        self._calls += 1
        id_ = step.id or f"toolu_{self._index}"
        half = len(step.arguments) // 2
        begun = self._begin({"type": "tool_use", "id": id_, "name": step.name, "input": {}})
        for piece in (step.arguments[:half], step.arguments[half:]):
            begun += self._delta({"type": "input_json_delta", "partial_json": piece})
        return begun + self._end()

    def custom(self, step: Custom) -> bytes:
        """Write a whole content block of this type, with the members of the value.

        Raises:
            TypeError: The value is no object.
        """
        if not isinstance(step.value, dict):
            raise TypeError(f"a content block is an object: custom({step.name!r}, {{...}})")
        return self._begin({"type": step.name, **step.value}) + self._end()

    def error(self, step: Error) -> bytes:
        """Report, in the middle of the stream, that the model failed."""
        error = {"type": step.code or "api_error", "message": step.message or "Internal server error"}
        return _event("error", error=error | without_none(retry_after=step.retry_after))

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Report why the model stopped and what it used, and that the message is over."""
        metadata = step.metadata or {}
        delta = {name: metadata.get(name) for name in _OF_DELTA} | {
            "stop_reason": step.stop_reason or ("tool_use" if self._calls else "end_turn")
        }
        usage = {"output_tokens": 0} if step.usage is None else dict(step.usage)
        return self._end() + _event("message_delta", delta=delta, usage=usage) + _event("message_stop")

    # Blocks

    def _grow(self, kind: str, empty: dict[str, Any], delta: dict[str, Any]) -> bytes:
        begun = b"" if self._open == kind else self._begin({"type": kind, **empty})
        self._open = kind
        return begun + self._delta(delta)

    def _begin(self, block: dict[str, Any]) -> bytes:
        ended = self._end()
        self._open = str(block["type"])
        return ended + _event("content_block_start", index=self._index, content_block=block)

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", index=self._index, delta=delta)

    def _end(self) -> bytes:
        """End the block at hand, if there is one; thinking is signed."""
        kind, self._open = self._open, ""
        if not kind:
            return b""
        signed = b""
        if kind == "thinking":
            signed = self._delta({"type": "signature_delta", "signature": _SIGNATURE})
        ended = signed + _event("content_block_stop", index=self._index)
        self._index += 1
        return ended


def _as_text(content: Any) -> str:
    """Return a text as it is, any other value as JSON."""
    return content if isinstance(content, str) else to_json(content)


def _message(run: DialectRun, content: list[Any], reason: str | None, usage: Any) -> dict[str, Any]:
    return {
        "id": f"msg_{run.run_id}",
        "type": "message",
        "role": "assistant",
        "model": str((run.body or {}).get("model", "fake-agent")),
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": usage,
    }


def message(content: Any, usage: Mapping[str, Any] | None, run: DialectRun) -> dict[str, Any]:
    """Write the answer of a plain run: a list of content blocks as it is, or anything else as text."""
    given = content if isinstance(content, list) and content and all(map(_is_block, content)) else None
    blocks = given or [{"type": "text", "text": _as_text(content)}]
    called = any(block["type"] == "tool_use" for block in blocks)
    counts = _NO_USAGE if usage is None else dict(usage)
    return _message(run, blocks, "tool_use" if called else "end_turn", counts)


def _is_block(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)
