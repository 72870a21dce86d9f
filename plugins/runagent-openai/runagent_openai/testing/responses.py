"""Responses, as the fake agent sends them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_openai.testing.content import (
    as_call,
    as_refusal,
    as_text,
    call_item,
    finish_reason,
)
from runagent_testing.dialects import DialectRun, Format, to_json, without_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.dialects import Chunk, Custom, Done, Error, Reasoning, ToolCall

__all__ = ["ResponsesFormat", "response"]

_MODEL = "fake-agent"
_CREATED = 1700000000
_FIELD_OF = {"output_text": "text", "refusal": "refusal"}  # of a part of a message, by its type


class ResponsesFormat(Format):
    """Events named by their type, numbered, and items that are added, filled and done."""

    content_type = "text/event-stream"
    heartbeat = b": heartbeat\n\n"

    def __init__(self) -> None:
        self._number = 0
        self._response: dict[str, Any] = {}
        self._output: list[dict[str, Any]] = []
        self._open: dict[str, Any] | None = None  # the part at hand
        self._texts: list[str] = []

    def _event(self, kind: str, **fields: Any) -> bytes:
        written = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {kind}\ndata: {to_json(written, compact=True)}\n\n".encode()

    def start(self, run: DialectRun) -> bytes:
        """Report that there is a response."""
        self._response = _about(run, "in_progress")
        return self._event("response.created", response=self._response) + self._event(
            "response.in_progress", response=self._response
        )

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a piece of text or of a refusal, or a tool call."""
        if step.event is not ...:
            return self._event(f"response.{step.event}", content=step.content)  # that nobody knows
        call, refusal = as_call(step.content), as_refusal(step.content)
        if call is not None:
            return self._close() + self._item(call_item(call, len(self._output)))
        if refusal is not None:
            return self._write("refusal", refusal)
        return self._write("output_text", as_text(step.content))

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of reasoning, as an item with a summary."""
        closed, number = self._close(), len(self._output)
        place = {"item_id": step.id or f"rs_{number}", "output_index": number, "summary_index": 0}
        part = {"type": "summary_text", "text": step.text}
        item: dict[str, Any] = {"type": "reasoning", "id": place["item_id"], "summary": []}
        written = self._event("response.output_item.added", output_index=number, item=item)
        written += self._event("response.reasoning_summary_part.added", part={**part, "text": ""}, **place)
        written += self._event("response.reasoning_summary_text.delta", delta=step.text, **place)
        written += self._event("response.reasoning_summary_text.done", text=step.text, **place)
        written += self._event("response.reasoning_summary_part.done", part=part, **place)
        return closed + written + self._done_item({**item, "summary": [part]})

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call, its arguments in pieces."""
        closed, number = self._close(), len(self._output)
        return closed + self._item(
            call_item((step.id or f"call_{number}", step.name, step.arguments), number)
        )

    def custom(self, step: Custom) -> bytes:
        """Write an event of this type, which begins with ``response.``, with the members of the value.

        Raises:
            TypeError: The value is no object.
        """
        if not isinstance(step.value, dict):
            raise TypeError(f"an event of Responses is an object: custom({step.name!r}, {{...}})")
        name = step.name if step.name.startswith("response.") else f"response.{step.name}"
        return self._event(name, **step.value)

    def _place(self) -> dict[str, Any]:
        at = len(self._output)
        return {"item_id": f"msg_{at}", "output_index": at, "content_index": 0}

    def _write(self, kind: str, text: str) -> bytes:
        opened = b""
        if self._open is None or self._open["type"] != kind:
            opened = self._close()
            self._open = {"type": kind, _FIELD_OF[kind]: ""} | (
                {"annotations": []} if kind == "output_text" else {}
            )
            item = _message([], len(self._output), "in_progress")
            opened += self._event("response.output_item.added", output_index=len(self._output), item=item)
            opened += self._event("response.content_part.added", part=self._open, **self._place())
        self._texts.append(text)
        extra: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        return opened + self._event(f"response.{kind}.delta", delta=text, **self._place(), **extra)

    def _close(self) -> bytes:
        """Report that the message at hand is done."""
        part, self._open = self._open, None
        if part is None:
            return b""
        kind, text = part["type"], "".join(self._texts)
        self._texts.clear()
        part = {**part, _FIELD_OF[kind]: text}
        extra: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        place = self._place()
        written = self._event(f"response.{kind}.done", **{_FIELD_OF[kind]: text}, **place, **extra)
        written += self._event("response.content_part.done", part=part, **place)
        return written + self._done_item(_message([part], len(self._output), "completed"))

    def _item(self, item: dict[str, Any]) -> bytes:
        at = len(self._output)
        place = {"item_id": item["id"], "output_index": at}
        begun = {**item, "arguments": "", "status": "in_progress"}
        written = self._event("response.output_item.added", output_index=at, item=begun)
        half = len(item["arguments"]) // 2
        for piece in (item["arguments"][:half], item["arguments"][half:]):
            written += self._event("response.function_call_arguments.delta", delta=piece, **place)
        written += self._event(
            "response.function_call_arguments.done", arguments=item["arguments"], name=item["name"], **place
        )
        return written + self._done_item(item)

    def _done_item(self, item: dict[str, Any]) -> bytes:
        at = len(self._output)
        self._output.append(item)
        return self._event("response.output_item.done", output_index=at, item=item)

    def error(self, step: Error) -> bytes:
        """Report that the model failed."""
        wait = without_none(retry_after=step.retry_after)
        return self._event("error", code=step.code, message=step.message, param=None, **wait)

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Report that the response is complete, or why it is not."""
        closed = self._close()
        reason = finish_reason(step, "completed")
        return closed + self._end(reason, self._output, step.usage)

    def _end(self, reason: str, output: list[dict[str, Any]], usage: Mapping[str, Any] | None) -> bytes:
        status = "incomplete" if reason in _INCOMPLETE else "completed"
        ended = {
            **self._response,
            "status": status,
            "incomplete_details": {"reason": _INCOMPLETE[reason]} if status == "incomplete" else None,
            "output": output,
            "usage": None if usage is None else dict(usage),
        }
        return self._event(f"response.{status}", response=ended)


# Why a response is incomplete, by what either endpoint calls it.
_INCOMPLETE = {
    "content_filter": "content_filter",
    "length": "max_output_tokens",
    "max_output_tokens": "max_output_tokens",
}


def _about(run: DialectRun, status: str) -> dict[str, Any]:
    return {
        "id": f"resp_{run.run_id}",
        "object": "response",
        "created_at": _CREATED,
        "model": _MODEL,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": None,
    }


def _message(parts: list[dict[str, Any]], number: int, status: str) -> dict[str, Any]:
    return {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": status, "content": parts}


def response(content: Any, usage: Mapping[str, Any] | None, run: DialectRun) -> dict[str, Any]:
    """Write the answer of a plain run."""
    calls = [
        call for item in (content if isinstance(content, list) else [content]) if (call := as_call(item))
    ]
    refusal = as_refusal(content)
    if calls:
        output = [call_item(call, number) for number, call in enumerate(calls)]
    elif refusal is not None:
        output = [_message([{"type": "refusal", "refusal": refusal}], 0, "completed")]
    else:
        part = {"type": "output_text", "text": as_text(content), "annotations": []}
        output = [_message([part], 0, "completed")]
    return {**_about(run, "completed"), "output": output, "usage": None if usage is None else dict(usage)}
