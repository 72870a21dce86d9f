"""The task of a run, and what a message of the caller has in it, for the fake agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_a2a.words import pieces_of
from runagent_testing.dialects import Chunk, Done, Error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from runagent_a2a.words import Words
    from runagent_testing.dialects import HostedRun

__all__ = ["Task", "input_of", "message_in"]

_SHORT = 12  # characters of a run's id that others are made of
# Codes of a script's error that are states of a task.
_STATES = {"REJECTED": "rejected", "CANCELED": "canceled", "CANCELLED": "canceled"}


def message_in(body: Any) -> dict[str, Any]:
    """Return the message in a request of any binding; an empty one if there is none."""
    fields = body if isinstance(body, dict) else {}
    params = fields.get("params", fields)
    message = params.get("message") if isinstance(params, dict) else None
    return message if isinstance(message, dict) else {}


def input_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input of which the transport made a message: its text, and the members of its data."""
    given: dict[str, Any] = {}
    parts = [part for part in message.get("parts") or () if isinstance(part, dict)]
    texts = []
    for part, piece in zip(parts, pieces_of(parts), strict=True):
        if isinstance(piece, str):
            texts.append(piece)
        elif isinstance(piece.get("data"), dict):
            given |= piece["data"]
        else:
            given.setdefault("parts", []).append(part)
    named = {"session_id": message.get("contextId"), "task_id": message.get("taskId")}
    query = {"query": "".join(texts)} if texts else {}
    return query | given | {name: value for name, value in named.items() if value}


class Task:
    """Writes a task in the format of one version.

    Args:
        words: The vocabulary.
        run_id: The id of the run, which is the task's.
        body: The request that has begun the run.
    """

    def __init__(self, words: Words, run_id: str, body: Any) -> None:
        self.words = words
        self.id = run_id
        self.asked = message_in(body)
        # Short ids: the conformance kit feeds an answer cut at each of its bytes.
        self.context = str(self.asked.get("contextId") or f"c-{run_id[:_SHORT]}")
        self.continues = bool(self.asked.get("taskId"))
        self._said = 0
        # The artifact of chunks that name none; each turn of a task has its own.
        self._answer = f"answer to {self.asked.get('messageId')}" if self.continues else "answer"
        self.ids = {"taskId": self.id, "contextId": self.context}

    def whole(self, status: Mapping[str, Any], artifacts: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any]:
        """Write the whole task."""
        asked = {**self.asked, **self.ids}
        found = {"artifacts": list(artifacts)} if artifacts else {}
        return self.words.task(
            id=self.id, contextId=self.context, status=dict(status), **found, history=[asked]
        )

    def status(self, state: str, parts: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
        """Write a status, with a message of these parts if there are any."""
        status: dict[str, Any] = {"state": self.words.state(state)}
        if parts := list(parts):
            self._said += 1
            message_id = f"m{self._said}-{self.id[:_SHORT]}"
            said = self.words.message(messageId=message_id, **self.ids, role=self.words.agent, parts=parts)
            status["message"] = said
        return status

    def part(self, content: Any) -> dict[str, Any]:
        """Write text or another JSON value as a part."""
        return self.words.text(content) if isinstance(content, str) else self.words.data(content)

    def artifact_id(self, step: Chunk) -> str:
        """Return the artifact that a chunk belongs to: the name of its event, if the script sets one."""
        return step.event if isinstance(step.event, str) else self._answer

    def artifacts(self, steps: Iterable[Any]) -> list[dict[str, Any]]:
        """Write what the chunks among these steps have made, each part in its place."""
        made: dict[str, list[dict[str, Any]]] = {}
        for step in steps:
            if isinstance(step, Chunk):
                made.setdefault(self.artifact_id(step), []).append(self.part(step.content))
        return [{"artifactId": name, "parts": parts} for name, parts in made.items()]

    def ending(self, step: Done | Error | None) -> dict[str, Any]:
        """Write the status with which a run ends."""
        if isinstance(step, Error):
            parts = [self.words.text(step.message)] if step.message else []
            return self.status(_STATES.get(step.code or "", "failed"), parts)
        step = step or Done()
        parts = [self.words.text(step.message)] if step.message else []
        parts += [self.words.data(dict(interrupt)) for interrupt in step.interrupts or ()]
        return self.status(_state_of(step), parts)

    def of_run(self, run: HostedRun) -> dict[str, Any]:
        """Write the task of a run that the host keeps."""
        last = run.sent[-1] if run.sent else None
        end = last if isinstance(last, Done | Error) else None
        if run.status == "cancelled":
            status = self.status("canceled")
        elif run.status == "running":
            status = self.status("working")
        else:
            status = self.ending(end)
        return self.whole(status, self.artifacts(run.sent))


def _state_of(step: Done) -> str:
    if not step.interrupts:
        return "completed"
    return "auth-required" if "auth" in (step.stop_reason or "").lower() else "input-required"
