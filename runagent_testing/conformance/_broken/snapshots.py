"""The protocol of `lasting` without ids: a later reader first gets everything so far, in one line."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from runagent._errors import ProtocolError
from runagent._events import Chunk
from runagent.capabilities import Capability
from runagent.transports._base import Wants
from runagent.transports._snapshots import SnapshotParts
from runagent_testing.conformance._broken.lasting import LASTS, Lasting, LastingDialect, LastingSession
from runagent_testing.dialects import Dialect, Format, RunRequest

if TYPE_CHECKING:
    from runagent._call import ResumePoint
    from runagent._events import Event
    from runagent_testing.conformance._broken.base import Broken

__all__ = ["SNAPSHOTS", "Snapshots", "SnapshotsSession"]

_SNAPSHOTS = LASTS - {Capability.RESUME_BY_ID} | {Capability.RESUME_BY_SNAPSHOT}


class _Lines(Format):
    content_type = "application/x-ndjson"
    heartbeat = b"\n"

    def _line(self, **message: Any) -> bytes:
        return json.dumps(message).encode() + b"\n"

    def start(self, run: Any) -> bytes:
        return self._line(run=run.run_id)

    def snapshot(self, run: Any) -> bytes:
        return self._line(run=run.run_id, all=[step.content for step in run.sent])

    def chunk(self, step: Any, index: int | None, id: str | None) -> bytes:
        return self._line(chunk=step.content)

    def error(self, step: Any) -> bytes:
        return self._line(error=step.message)

    def done(self, step: Any, run: Any, total_chunks: int) -> bytes:
        return self._line(end=True)

    def cancelled(self, run: Any) -> bytes:
        return self._line(error="cancelled")


class SnapshotsDialect(LastingDialect):
    """The protocol's other side."""

    name = "snapshots"
    transports = ("snapshots",)

    def parse_request(self, request: Any) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        run = super().parse_request(request)
        if run is None:
            return None
        return replace(run, transport="snapshots", snapshot=run.attach_to is not None)

    def stream(self, run: Any) -> Format:
        """See `Dialect.stream`."""
        return _Lines()


class SnapshotsSession(LastingSession):
    """Starts a run, or reads on in one; a working session."""

    def open_body(self, content_type: str, charset: str) -> bool:
        self.parts = SnapshotParts(self.resume, max_parts=self.call.limits.max_snapshot_parts)
        return super().open_body(content_type, charset)

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for line in self.lines.feed(data):
            if not isinstance(line, dict):
                self.fail(ProtocolError("a line is no object"))
            else:
                self.take(line, events)
            if self.wants is Wants.DONE:
                return events
            self.resume_point = self.place()
        if self.lines.error is not None:
            self.fail(self.lines.error)
        return events

    def place(self) -> ResumePoint | None:
        return None if self.texts.half else self.parts.resume_point()

    def take(self, line: dict[str, Any], events: list[Event]) -> None:
        match line:
            case {"run": str(), "all": list(contents)}:
                super().take({"run": line["run"]}, events)
                self.take_all(contents, events)
            case {"chunk": _}:
                chunks: list[Any] = []
                super().take(line, chunks)
                if fault := self.parts.add("answer", chunks[0].content):
                    self.fail(fault)
                else:
                    events += chunks
            case _:
                super().take(line, events)

    def take_all(self, contents: list[Any], events: list[Event]) -> None:
        new, fault = self.parts.take_snapshot(("answer", content) for content in contents)
        events += [Chunk(content) for _, content in new]
        if fault is not None:
            self.fail(fault)


@dataclass
class Snapshots(Lasting):
    """A transport of this protocol, with or without a mistake."""

    capabilities: frozenset[Capability] = _SNAPSHOTS
    dialects: tuple[Dialect, ...] = field(default_factory=lambda: (SnapshotsDialect(),))


class _TakesAllForNew(SnapshotsSession):
    """Delivers all of a snapshot, as if none of it had come before."""

    def take_all(self, contents: list[Any], events: list[Event]) -> None:
        self.parts = SnapshotParts()
        super().take_all(contents, events)


class _CountsOnly(SnapshotsSession):
    """Leaves out as many pieces of a snapshot as have come, whatever is in them."""

    def take_all(self, contents: list[Any], events: list[Event]) -> None:
        count = 3 if self.resume is not None else 0
        self.parts = SnapshotParts()
        events += [Chunk(content) for content in contents[count:]]


class _TakesLess(SnapshotsSession):
    """Looks at no snapshot that is shorter than what has come."""

    def take_all(self, contents: list[Any], events: list[Event]) -> None:
        if self.resume is None or len(contents) >= 3:
            super().take_all(contents, events)
        else:
            self.parts = SnapshotParts()


class _PromisesSnapshots(SnapshotsSession):
    """States no place at which it could resume."""

    def place(self) -> ResumePoint | None:
        return None


class _HidesSnapshots(SnapshotsSession):
    """Can resume by a snapshot, and does not declare it."""


SNAPSHOTS: tuple[Broken, ...] = (
    Snapshots("takes-all-for-new", "run.resume-by-snapshot", _TakesAllForNew),
    Snapshots("counts-only", "run.resume-by-snapshot", _CountsOnly),
    Snapshots("takes-less", "run.resume-by-snapshot", _TakesLess),
    Snapshots("promises-snapshots", "run.resume-by-snapshot", _PromisesSnapshots),
    Snapshots(
        "hides-snapshots",
        "declared.resume-by-snapshot",
        _HidesSnapshots,
        _SNAPSHOTS - {Capability.RESUME_BY_SNAPSHOT},
    ),
)
