"""Chat Completions, as the fake agent sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_openai.testing.content import as_call, as_refusal, as_text, chat_call, finish_reason
from runagent_testing.dialects import DialectRun, Format, to_json, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.dialects import Chunk, Done, Error, Reasoning, ToolCall

__all__ = ["ChatFormat", "completion"]

_MODEL = "fake-agent"
_CREATED = 1700000000


def _data(value: Any) -> bytes:
    return f"data: {to_json(value, compact=True)}\n\n".encode()


class ChatFormat(Format):
    """Unnamed events with a chunk each, and ``[DONE]``."""

    content_type = "text/event-stream"
    heartbeat = b": heartbeat\n\n"

    def __init__(self) -> None:
        self._id = ""
        self._calls = 0

    def _chunk(self, delta: dict[str, Any] | None, reason: str | None = None, **fields: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": reason}]
        about = {"id": self._id, "object": "chat.completion.chunk", "created": _CREATED, "model": _MODEL}
        return _data({**about, "choices": choices, **fields})

    def start(self, run: DialectRun) -> bytes:
        """Write the role."""
        self._id = f"chatcmpl-{run.run_id}"
        return self._chunk({"role": "assistant", "content": ""})

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a piece of text, a tool call in pieces, or a refusal."""
        if step.event is not ...:
            return self._chunk(None, **{str(step.event): step.content})  # nothing that this protocol knows
        call, refusal = as_call(step.content), as_refusal(step.content)
        if call is not None:
            return self._call(chat_call(call))
        if refusal is not None:
            return self._chunk({"refusal": refusal})
        return self._chunk({"content": as_text(step.content)})

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of reasoning, as DeepSeek and vLLM do."""
        return self._chunk({"reasoning_content": step.text})

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call, in pieces."""
        return self._call(chat_call((step.id or f"call_{self._calls}", step.name, step.arguments)))

    def _call(self, call: dict[str, Any]) -> bytes:
        index, self._calls = self._calls, self._calls + 1
        arguments = call["function"]["arguments"]
        begun = {**call, "index": index, "function": {**call["function"], "arguments": ""}}
        halves = arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]
        pieces = [{"index": index, "function": {"arguments": half}} for half in halves]
        return b"".join(self._chunk({"tool_calls": [piece]}) for piece in [begun, *pieces])

    def error(self, step: Error) -> bytes:
        """Report, in the middle of the stream, that the model failed."""
        error = {"message": step.message, "type": "server_error", "param": None, "code": step.code}
        return _data({"error": error | without_none(retry_after=step.retry_after)})

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write why the model stopped, what it used, and that it is done."""
        reason = finish_reason(step, "tool_calls" if self._calls else "stop")
        usage = b"" if step.usage is None else self._chunk(None, usage=dict(step.usage))
        return self._chunk({}, reason) + usage + b"data: [DONE]\n\n"


def completion(content: Any, usage: Mapping[str, Any] | None, run: DialectRun) -> dict[str, Any]:
    """Write the answer of a plain run."""
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    calls = [
        call for item in (content if isinstance(content, list) else [content]) if (call := as_call(item))
    ]
    if calls:
        message["tool_calls"] = [chat_call(call) for call in calls]
    elif (refusal := as_refusal(content)) is not None:
        message["refusal"] = refusal
    else:
        message["content"] = as_text(content)
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if calls else "stop"}
    about = {
        "id": f"chatcmpl-{run.run_id}",
        "object": "chat.completion",
        "created": _CREATED,
        "model": _MODEL,
    }
    return {**about, "choices": [choice], "usage": None if usage is None else dict(usage)}
