"""The pieces of an answer, as the fake agent writes them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import DialectRun, Format, to_json, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.dialects import Chunk, Custom, Done, Error, Reasoning, ToolCall

__all__ = ["ContentFormat", "whole_answer"]

_PARTS = ("executableCode", "codeExecutionResult", "inlineData", "fileData", "thoughtSignature")
_NEXT_TO_PARTS = ("groundingMetadata", "citationMetadata", "urlContextMetadata")
_MODEL = "fake-agent"


class ContentFormat(Format):
    """Unnamed events with CRLF line ends, each a ``GenerateContentResponse``."""

    content_type = "text/event-stream"
    # No heartbeat: the service sends none, and google-genai takes a comment for JSON.

    def __init__(self, run: DialectRun) -> None:
        self._run_id = run.run_id

    def _piece(self, *parts: dict[str, Any], **fields: Any) -> bytes:
        return _data(_answer(list(parts), self._run_id, **fields))

    def start(self, run: DialectRun) -> bytes:
        """Write nothing: the first piece is content."""
        return b""

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write text; any other value as its JSON."""
        return self._piece({"text": _text(step.content)})

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of a thought."""
        return self._piece({"text": step.text, "thought": True})

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a function call.

        Raises:
            ValueError: The arguments are not a JSON object.
        """
        match json.loads(step.arguments or "{}"):
            case dict():
                call = without_none(id=step.id, name=step.name)
                piece = self._piece({"functionCall": {**call, "args": None}})
                text = (step.arguments or "{}").replace("\n", " ")  # JSON breaks lines between tokens only
                return piece.replace(b'"args":null', b'"args":' + text.encode(), 1)
        raise ValueError("the arguments of a function call are not an object")

    def custom(self, step: Custom) -> bytes:
        """Write a part of another kind, or what a candidate has next to its parts.

        Raises:
            ValueError: The protocol has nothing of this name.
        """
        if step.name in _PARTS:
            return self._piece({step.name: step.value})
        if step.name in _NEXT_TO_PARTS:
            return self._piece(candidate={step.name: step.value})
        raise ValueError(f"the Gemini API has neither a part nor a field named {step.name!r}")

    def error(self, step: Error) -> bytes:
        """Report, in the middle of the stream, that the model failed."""
        error = {"code": 500, "message": step.message or "Internal error", "status": step.code or "INTERNAL"}
        return _data({"error": error})

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write why the model stopped, and the token counts."""
        reason = step.stop_reason or "STOP"
        return self._piece(candidate={"finishReason": reason}, usageMetadata=dict(step.usage or {}))


def whole_answer(content: Any, usage: Mapping[str, Any] | None, run: DialectRun) -> dict[str, Any]:
    """Write the answer of a plain run; a list of parts is written as it is."""
    is_parts = isinstance(content, list) and all(isinstance(part, dict) for part in content)
    parts = content if is_parts else [{"text": _text(content)}]
    return _answer(parts, run.run_id, candidate={"finishReason": "STOP"}, usageMetadata=dict(usage or {}))


def _answer(
    parts: list[dict[str, Any]], run_id: str, *, candidate: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    content = {"content": {"role": "model", "parts": parts}} if parts else {}
    first = {**content, "index": 0, **(candidate or {})}
    return {"candidates": [first], **fields, "modelVersion": _MODEL, "responseId": run_id}


def _data(value: Any) -> bytes:
    return f"data: {to_json(value, compact=True)}\r\n\r\n".encode()


def _text(content: Any) -> str:
    return content if isinstance(content, str) else to_json(content)
