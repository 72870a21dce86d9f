"""The stream of a task, as the fake agent writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_a2a.testing.tasks import Task
from runagent_a2a.testing.wires import Fault
from runagent_testing.dialects import Format, to_json, without_none

if TYPE_CHECKING:
    from runagent_a2a.testing.wires import Wire
    from runagent_testing.dialects import Chunk, Custom, DialectRun, Done, Error

__all__ = ["A2AFormat"]


class A2AFormat(Format):
    """Events of a task: the task, artifacts to which parts are appended, its status.

    Args:
        wire: The binding.
        run: The run.
    """

    content_type = "text/event-stream"
    heartbeat = b": ping\n\n"

    def __init__(self, wire: Wire, run: DialectRun) -> None:
        self._wire = wire
        self._words = wire.words
        self._body = run.body
        self._task = Task(wire.words, run.run_id, run.body if run.begun_by is None else run.begun_by)
        self._begun: set[str] = set()

    def start(self, run: DialectRun) -> bytes:
        """Write the task and that work on it has begun; a task that goes on has been written before."""
        task = self._task
        begun = b"" if task.continues else self._event("task", task.whole(task.status("submitted")))
        return begun + self._status(task.status("working"))

    def snapshot(self, run: DialectRun) -> bytes:
        """Write the task with everything so far."""
        task, sent = self._task, run.sent or ()
        artifacts = task.artifacts(sent)
        self._begun = {artifact["artifactId"] for artifact in artifacts}
        return self._event("task", task.whole(task.status("working"), artifacts))

    def chunk(self, step: Chunk, index: int | None, id: str | None) -> bytes:
        """Write a part of an artifact: text, or data for any other value."""
        return self._artifact(self._task.artifact_id(step), self._task.part(step.content))

    def custom(self, step: Custom) -> bytes:
        """Write a file, a status, or else a status whose metadata has a member of this name.

        Raises:
            TypeError: The value of a file or status is no object.
        """
        if step.name not in ("file", "status"):
            return self._status(self._task.status("working"), metadata={step.name: step.value})
        if not isinstance(step.value, dict):
            raise TypeError(f"a {step.name} of A2A is an object: custom({step.name!r}, {{...}})")
        if step.name == "file":
            return self._artifact("files", self._words.file(step.value))
        return self._status({**self._task.status("working"), **step.value})

    def error(self, step: Error) -> bytes:
        """Write that the task has failed; an error whose code is a number is one of the protocol."""
        code = step.code or ""
        if code.removeprefix("-").isdecimal():
            fault = Fault(int(code), 500, "INTERNAL", "INTERNAL_ERROR", step.message or "Internal error")
            written = to_json(self._wire.error(self._body, fault), compact=True)
            name = "" if self._words.has_final else "event: error\n"  # 0.3 has none
            return f"{name}data: {written}\n\n".encode()
        about = without_none(code=step.code, retry_after=step.retry_after)
        return self._status(self._task.ending(step), final=True, metadata=about)

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        """Write that the task is completed, or waits for input or for authorization."""
        return self._status(
            self._task.ending(step), final=not step.interrupts, metadata=dict(step.metadata or {})
        )

    def cancelled(self, run: DialectRun) -> bytes:
        """Write that the task was canceled."""
        return self._status(self._task.status("canceled"), final=True)

    def _artifact(self, name: str, part: dict[str, Any]) -> bytes:
        append = name in self._begun
        self._begun.add(name)
        artifact = {"artifactId": name, "parts": [part]}
        return self._event(
            "artifactUpdate", {**self._task.ids, "artifact": artifact, "append": append, "lastChunk": False}
        )

    def _status(
        self, status: dict[str, Any], *, final: bool = False, metadata: dict[str, Any] | None = None
    ) -> bytes:
        own = {"final": final} if self._words.has_final else {}
        about = {"metadata": metadata} if metadata else {}
        return self._event("statusUpdate", {**self._task.ids, "status": status, **own, **about})

    def _event(self, kind: Any, value: dict[str, Any]) -> bytes:
        result = self._wire.result(self._body, self._words.event(kind, value))
        return f"data: {to_json(result, compact=True)}\n\n".encode()
