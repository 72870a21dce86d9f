"""Lines of JSON, as the fake agent sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import DialectRun, Format, parse_json, to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.dialects import Chunk, Custom, Done, Error, Reasoning, ToolCall

__all__ = ["LinesFormat", "answer"]

# Token counts under the names of other protocols, so that a script suits all of them.
_COUNTS = {
    "prompt_eval_count": "prompt_eval_count",
    "input_tokens": "prompt_eval_count",
    "prompt_tokens": "prompt_eval_count",
    "eval_count": "eval_count",
    "output_tokens": "eval_count",
    "completion_tokens": "eval_count",
}


class LinesFormat(Format):
    """A line for each event, and a last one that is done."""

    content_type = "application/x-ndjson"
    object_arguments = True

    def __init__(self, run: DialectRun) -> None:
        self._run = run

    def _line(self, text: str = "", thinking: str = "", **fields: Any) -> bytes:
        content = _content(self._run, text, thinking)
        return _write(_about(self._run) | content | {"done": False} | fields)

    def start(self, run: DialectRun) -> bytes:
        """Write nothing: the first event is the first line."""
        return b""

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a piece of text."""
        if step.event is not ...:
            return self._line(**{str(step.event): step.content})  # a field that nobody knows
        return self._line(_as_text(step.content))

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of thinking."""
        return self._line(thinking=step.text)

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call; it has no id, and its arguments are an object.

        Raises:
            ValueError: The arguments are not an object, or the endpoint has no tools.
        """
        arguments = parse_json(step.arguments.encode() or b"{}")
        if not isinstance(arguments, dict) or self._run.transport != "ollama-chat":
            raise ValueError(f"only /api/chat has tool calls, with an object as arguments: {step}")
        call = {"function": {"name": step.name, "arguments": arguments}}
        return self._line(message={"role": "assistant", "content": "", "tool_calls": [call]})

    def custom(self, step: Custom) -> bytes:
        """Write a line with a field of this name."""
        return self._line(**{step.name: step.value})

    def error(self, step: Error) -> bytes:
        """Report, in the middle of the stream, that the model failed."""
        return _write({"error": step.message or step.code or "the model failed"})

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write the last line: why the model stopped, and what it used."""
        reason = step.stop_reason or "stop"
        return self._line(done=True, done_reason=reason, **_usage(step.usage))


def _write(line: dict[str, Any]) -> bytes:
    return f"{to_json(line, compact=True)}\n".encode()


def _about(run: DialectRun) -> dict[str, Any]:
    return {"model": str((run.body or {}).get("model", "fake-agent")), "created_at": run.timestamp}


def _content(run: DialectRun, text: str, thinking: str = "") -> dict[str, Any]:
    """Return the member with the text: a message of a chat, or fields of the line."""
    thought = {"thinking": thinking} if thinking else {}
    if run.transport == "ollama-generate":
        return {"response": text, **thought}
    return {"message": {"role": "assistant", "content": text, **thought}}


def _usage(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    return {_COUNTS[name]: count for name, count in (usage or {}).items() if name in _COUNTS}


def _as_text(content: Any) -> str:
    """Return a text as it is, any other value as JSON."""
    return content if isinstance(content, str) else to_json(content)


def answer(content: Any, usage: Mapping[str, Any] | None, run: DialectRun) -> dict[str, Any]:
    """Write the answer of a plain run: a message as it is, or anything else as text."""
    is_message = isinstance(content, dict) and "role" in content
    said = {"message": content} if is_message else _content(run, _as_text(content))
    return _about(run) | said | {"done": True, "done_reason": "stop"} | _usage(usage)
