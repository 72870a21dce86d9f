"""The events of a run, as the fake agent writes them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import Format, to_json, without_none

if TYPE_CHECKING:
    from runagent_testing.dialects import Chunk, Custom, DialectRun, Done, Error, Reasoning, ToolCall

__all__ = ["RunFormat", "ai_message"]

_ABOUT = {"langgraph_node": "agent"}
_DEFAULT_MODES = ("messages-tuple", "updates")
_BEGAN = 1_764_000_000_000  # milliseconds since the epoch
_EVENTS_A_MILLISECOND = 3
_ID = re.compile(r"(\d+)-(\d+)", re.ASCII)
_MEMBERS = ("messages", "metadata", "error", "end", "values", "tool_result")  # written by other steps


def ai_message(content: Any, id: str, **fields: Any) -> dict[str, Any]:
    """Return a whole message of the model, as states have them."""
    usage = fields.get("usage")
    return {
        "type": "ai",
        "id": id,
        "content": content,
        "tool_calls": fields.get("calls") or [],
        "response_metadata": fields.get("about") or {},
        "usage_metadata": None if usage is None else dict(usage),
    }


class RunFormat(Format):
    """Named events with CRLF line ends and ids in an order; the run's status reports how it ended.

    Args:
        run: The run.
        thread: The id of its thread.
        events_per_id: How many events share an id.
    """

    content_type = "text/event-stream; charset=utf-8"
    separate_end = True
    shares_ids = True  # on the development server
    heartbeat = b": heartbeat\r\n\r\n"

    def __init__(self, run: DialectRun, thread: str, events_per_id: int) -> None:
        place = f"/threads/{thread}/runs/{run.run_id}"
        self.headers = {"Content-Location": place, "Location": f"{place}/stream", "Cache-Control": "no-store"}
        self._modes = _modes(run.body if run.begun_by is None else run.begun_by)
        self._run_id = run.run_id
        self._events_per_id = events_per_id
        self._seen = _place(run.resume_after)
        self._written = 0
        self._message = 0
        self._text: list[str] = []

    def _event(self, name: str, value: Any, mode: str | None = None) -> bytes:
        """Write an event, unless its mode was not asked for, or the reader has it.

        It has an id in any case, so that a request for other modes does not shift the ids.
        """
        at = self._written // self._events_per_id
        place = (_BEGAN + at // _EVENTS_A_MILLISECOND, at % _EVENTS_A_MILLISECOND)
        self._written += 1
        if place <= self._seen or (mode is not None and mode not in self._modes):
            return b""
        id = "{}-{}".format(*place)
        return f"event: {name}\r\ndata: {to_json(value, compact=True)}\r\nid: {id}\r\n\r\n".encode()

    def _piece(self, content: Any, **fields: Any) -> bytes:
        """Write a piece of the current message."""
        message = {"type": "AIMessageChunk", "id": self._message_id, "content": content, **fields}
        return self._event("messages", [message, _ABOUT], "messages-tuple")

    @property
    def _message_id(self) -> str:
        return f"{self._run_id[:8]}-{self._message}"

    def _end_message(self, usage: Any = None, about: Any = None, calls: Any = None) -> bytes:
        """Write the end of the current message, and what the node adds to the state."""
        end = self._piece(
            "", **without_none(usage_metadata=usage, response_metadata=about), chunk_position="last"
        )
        whole = ai_message("".join(self._text), self._message_id, usage=usage, about=about, calls=calls)
        self._text = []
        self._message += 1
        state = {"messages": [whole]}
        return (
            end + self._event("updates", {"agent": state}, "updates") + self._event("values", state, "values")
        )

    def start(self, run: DialectRun) -> bytes:
        """Name the run."""
        return self._event("metadata", {"run_id": run.run_id, "attempt": 1})

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write text; any other value as its JSON."""
        text = step.content if isinstance(step.content, str) else to_json(step.content)
        self._text.append(text)
        return self._piece(text)

    def reasoning(self, step: Reasoning) -> bytes:
        """Write a piece of reasoning."""
        return self._piece([{"type": "thinking", "thinking": step.text, "index": 0}])

    def tool_call(self, step: ToolCall) -> bytes:
        """Write a tool call, its arguments in pieces, and end the message."""
        id = step.id or f"call_{self._message}"
        half = len(step.arguments) // 2
        pieces = [
            ("", step.name, id),
            (step.arguments[:half], None, None),
            (step.arguments[half:], None, None),
        ]
        written = [
            self._piece(
                "",
                tool_call_chunks=[
                    {"name": name, "args": args, "id": call, "index": 0, "type": "tool_call_chunk"}
                ],
            )
            for args, name, call in pieces
        ]
        call = {"name": step.name, "args": _object(step.arguments), "id": id, "type": "tool_call"}
        return b"".join(written) + self._end_message(calls=[call])

    def custom(self, step: Custom) -> bytes:
        """Write an event of another stream mode; ``state`` and ``tool_result`` have the protocol's own form.

        Raises:
            ValueError: The name is not one that another event could have.
        """
        if step.name == "state":
            return self._event("values", step.value)
        if step.name == "tool_result" and isinstance(step.value, dict):
            return self._event("messages", [{"type": "tool", **step.value}, _ABOUT])
        if step.name in _MEMBERS or re.fullmatch(r"[\w|:.-]+", step.name, re.ASCII) is None:
            raise ValueError(f"no event of a LangGraph server can be named {step.name!r}")
        return self._event(step.name, step.value)

    def error(self, step: Error) -> bytes:
        """Write the exception with which the graph has failed."""
        return self._event("error", {"error": step.code or "Exception", "message": step.message or ""})

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write the end of the last message, and what the graph waits for."""
        about = {**(step.metadata or {}), **without_none(finish_reason=step.stop_reason)}
        usage = None if step.usage is None else dict(step.usage)
        interrupts = [
            {"id": f"{number:032x}", **interrupt} for number, interrupt in enumerate(step.interrupts or ())
        ]
        ended = self._end_message(usage, about)
        return ended + self._event("updates", {"__interrupt__": interrupts}) if interrupts else ended


def _modes(body: Any) -> tuple[str, ...]:
    asked = body.get("stream_mode") if isinstance(body, dict) else None
    modes = [asked] if isinstance(asked, str) else asked
    return tuple(map(str, modes)) if isinstance(modes, list) and modes else _DEFAULT_MODES


def _place(event_id: str | None) -> tuple[int, int]:
    match = _ID.fullmatch(event_id or "")
    return (-1, 0) if match is None else (int(match[1]), int(match[2]))


def _object(arguments: str) -> Any:
    try:
        return json.loads(arguments or "{}")
    except ValueError:
        return {}
