"""The order of AG-UI's events, as the reference client checks it."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["events_in", "order_fault"]

# By type: which things it opens, continues or closes, and the field with its id.
_OPENS = {
    "TEXT_MESSAGE_START": ("text message", "messageId"),
    "TOOL_CALL_START": ("tool call", "toolCallId"),
    "REASONING_START": ("reasoning", "messageId"),
    "REASONING_MESSAGE_START": ("reasoning message", "messageId"),
    "STEP_STARTED": ("step", "stepName"),
    "SUBAGENT_STARTED": ("subagent", "subagentRunId"),
}
_CONTINUES = {
    "TEXT_MESSAGE_CONTENT": ("text message", "messageId"),
    "TOOL_CALL_ARGS": ("tool call", "toolCallId"),
    "REASONING_MESSAGE_CONTENT": ("reasoning message", "messageId"),
}
_CLOSES = {
    "TEXT_MESSAGE_END": ("text message", "messageId"),
    "TOOL_CALL_END": ("tool call", "toolCallId"),
    "REASONING_END": ("reasoning", "messageId"),
    "REASONING_MESSAGE_END": ("reasoning message", "messageId"),
    "STEP_FINISHED": ("step", "stepName"),
    "SUBAGENT_FINISHED": ("subagent", "subagentRunId"),
    "SUBAGENT_ERROR": ("subagent", "subagentRunId"),
}
_STEPS = ("STEP_STARTED", "STEP_FINISHED")


def events_in(body: bytes) -> list[dict[str, Any]]:
    """Return the events in a body, which has nothing but comments and `data:` lines that end with LF."""
    assert b"\r" not in body
    frames = [frame for frame in body.decode().split("\n\n") if frame and not frame.startswith(":")]
    assert all(frame.startswith("data: ") and "\n" not in frame for frame in frames)
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def order_fault(events: list[dict[str, Any]]) -> str | None:
    """Return what the reference client would object to first, or None."""
    run = _Order()
    return next((fault for event in events if (fault := run.take(event)) is not None), None)


class _Order:
    def __init__(self) -> None:
        self.state = "new"
        self.open: set[tuple[Any, ...]] = set()
        self.owners: dict[tuple[Any, ...], str | None] = {}
        self.closed_subagents: set[str] = set()

    def take(self, event: dict[str, Any]) -> str | None:
        kind = event["type"]
        if "subagentRunId" in event and event["subagentRunId"] is None:
            return f"{kind}: subagentRunId is null"
        if kind in ("RUN_STARTED", "RUN_FINISHED", "RUN_ERROR"):
            return self._take_run(kind)
        if self.state != "running":
            return f"{kind}: the run is {self.state}"
        if kind in _OPENS:
            return self._take_open(kind, event)
        if kind in _CONTINUES or kind in _CLOSES:
            return self._take_more(kind, event)
        return None

    def _take_run(self, kind: str) -> str | None:
        before, self.state = (
            self.state,
            {"RUN_STARTED": "running", "RUN_FINISHED": "finished"}.get(kind, "failed"),
        )
        allowed = {
            "RUN_STARTED": ("new", "finished", "failed"),
            "RUN_FINISHED": ("running",),
            "RUN_ERROR": ("new", "running", "finished"),
        }
        if before not in allowed[kind]:
            return f"{kind}: the run is {before}"
        if kind == "RUN_STARTED":
            self.open, self.owners, self.closed_subagents = set(), {}, set()
        elif kind == "RUN_FINISHED" and self.open:
            return f"RUN_FINISHED: still open: {sorted(map(str, self.open))}"
        return None

    def _take_open(self, kind: str, event: dict[str, Any]) -> str | None:
        key = self._key(kind, *_OPENS[kind], event)
        if key in self.open:
            return f"{kind}: open already: {key}"
        if key[0] == "subagent" and key[1] in self.closed_subagents:
            return f"{kind}: used already: {key}"
        self.open.add(key)
        owner = event.get("subagentRunId")
        known = self.owners.setdefault(key, owner)
        if owner is not None and known != owner:
            return f"{kind}: {key} is of subagent {known}"
        parent = ("text message", event.get("parentMessageId"))
        if owner is not None and self.owners.get(parent, owner) != owner:
            return f"{kind}: its message is of another subagent"
        return None

    def _take_more(self, kind: str, event: dict[str, Any]) -> str | None:
        key = self._key(kind, *(_CONTINUES | _CLOSES)[kind], event)
        if key not in self.open:
            return f"{kind}: not open: {key}"
        owner = event.get("subagentRunId")
        if owner is not None and owner != self.owners[key]:
            return f"{kind}: {key} is of subagent {self.owners[key]}"
        if kind in _CLOSES:
            self.open.discard(key)
            if key[0] == "subagent":
                self.closed_subagents.add(key[1])
        return None

    def _key(self, kind: str, what: str, field: str, event: dict[str, Any]) -> tuple[Any, ...]:
        return (what, event[field], event.get("subagentRunId")) if kind in _STEPS else (what, event[field])
