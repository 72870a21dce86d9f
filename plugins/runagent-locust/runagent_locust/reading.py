"""Reads streams to their end and measures them on the way; needs no engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from runagent import AgentError, Chunk, Completed, NetworkError, RunAgentError, RunTimeoutError, Started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent import Stream, StreamEvent
    from runagent_locust.measures import Measures, Names

__all__ = ["Check", "Reader", "StreamFailure", "StreamedRun"]

_FRAMING = (Started, Completed)  # events that carry nothing of an answer


@dataclass(frozen=True)
class StreamedRun:
    """A stream that a user of a load test has read.

    Attributes:
        text: The chunks as one text, structured ones as JSON; of a failed stream, those that came.
        stream: The stream, which is over: ``stream.started.session_id`` is the conversation to go on with,
            and ``stream.report`` has attempts, times and tokens.
        error: Why it failed: a `RunAgentError`, or what the check raised; None if it did not fail.
    """

    text: str
    stream: Stream
    error: Exception | None = None


Check = Callable[[StreamedRun], object]


class StreamFailure(Exception):
    """The error of a stream as Locust gets it, which counts errors by their ``repr``.

    Attributes:
        label: The class of the error and, if it has one, its HTTP status, the time limit or the code of the
            network's failure: ``AgentServerError 503``, ``StreamTimeoutError idle``, ``NetworkError DNS``.
        error: The error itself.
    """

    def __init__(self, error: Exception) -> None:
        detail = _detail(error)
        self.error = error
        self.label = f"{type(error).__name__} {detail}" if detail else type(error).__name__
        super().__init__(self.label)

    def __repr__(self) -> str:
        return self.label


def _detail(error: Exception) -> int | str | None:
    # Of few values only: codes that an agent chooses would be a line each.
    if isinstance(error, AgentError):
        return error.status
    if isinstance(error, RunTimeoutError):
        return error.phase
    return error.code if isinstance(error, NetworkError) else None


class Fire(Protocol):
    """Counts a request, as Locust's event ``request`` does."""

    def __call__(
        self, kind: str, name: str, seconds: float, size: int = 0, failure: StreamFailure | None = None
    ) -> None:
        """Count a request of this kind and name that took so many seconds and brought so many bytes."""


@dataclass
class _Reading:
    """How far one stream has been read: the times of the first and the last read that brought something."""

    contents: list[Any] = field(default_factory=list)
    began: float | None = None
    last: float = 0.0
    since_first_read: int = 0  # chunks

    def text(self) -> str:
        whole = (
            part if isinstance(part, str) else msgspec.json.encode(part).decode() for part in self.contents
        )
        return "".join(whole)


class Reader:
    """Reads streams, one after another or in many greenlets at a time.

    Args:
        names: Returns where to count: a worker hands over what it has counted, and begins again.
        fire: Counts a request.
        now: The time in seconds, of the clock by which gaps are measured.
        passing: Exceptions of a check that are no finding, such as those by which Locust stops a user.
    """

    def __init__(
        self,
        names: Callable[[], Names],
        fire: Fire,
        now: Callable[[], float] = time.perf_counter,
        passing: tuple[type[BaseException], ...] = (),
    ) -> None:
        self._names = names
        self._fire = fire
        self._now = now
        self._passing = passing

    def read(self, stream: Stream, name: str, check: Check | None = None) -> StreamedRun:
        """Read a stream to its end, and count it under this name.

        Whatever else than an error of the run ends the reading, such as the exception by which a greenlet is
        killed, closes the stream, is counted, and passes on.

        Args:
            stream: The stream, of which nothing has been read.
            name: The name, which Locust's reports and the table show.
            check: Gets what a good stream brought; what it raises makes the stream a failed one.
        """
        self._measures(name).started += 1
        reading = _Reading()
        try:
            run = self._read(stream, name, reading, check)
        except BaseException:
            self._measures(name).closed += 1
            raise
        finally:
            stream.close()
            self._measures(name).retries += stream.report.retries
        self._end(run, name, reading)
        return run

    def _measures(self, name: str) -> Measures:
        return self._names()[name]

    def _read(self, stream: Stream, name: str, reading: _Reading, check: Check | None) -> StreamedRun:
        try:
            for batch in stream.batches():
                self._note(stream, name, reading, batch)
        except RunAgentError as exc:
            return StreamedRun(reading.text(), stream, exc)
        run = StreamedRun(reading.text(), stream)
        try:
            if check is not None:
                check(run)
        except self._passing:
            raise
        except Exception as exc:  # noqa: BLE001  # a check may raise anything
            return StreamedRun(run.text, stream, exc)
        return run

    def _note(self, stream: Stream, name: str, reading: _Reading, batch: Sequence[StreamEvent]) -> None:
        """Count what a read has brought; only reads that brought something of the answer have gaps."""
        if all(isinstance(event, _FRAMING) for event in batch):
            return
        now = self._now()
        chunks = [event.content for event in batch if type(event) is Chunk]
        measures = self._measures(name)
        measures.chunks += len(chunks)
        is_first_chunk = bool(chunks) and not reading.contents
        reading.contents += chunks
        if reading.began is None:
            reading.began = now
        else:
            measures.gap.record(round((now - reading.last) * 1e6))
            reading.since_first_read += len(chunks)
        reading.last = now
        seconds = stream.report.first_chunk_seconds
        if is_first_chunk and seconds is not None:
            measures.first.record(round(seconds * 1e6))
            self._fire("FIRST", name, seconds)

    def _end(self, run: StreamedRun, name: str, reading: _Reading) -> None:
        """Count how the stream ended."""
        report, measures = run.stream.report, self._measures(name)
        seconds = report.total_seconds or 0.0
        failure = StreamFailure(run.error) if run.error is not None else None
        if failure is not None:
            measures.note_error(failure.label)
        else:
            measures.completed += 1
            measures.stream.record(round(seconds * 1e6))
            spent = reading.last - (reading.began or 0.0)
            if reading.since_first_read and spent > 0:
                measures.rate.record(round(reading.since_first_read / spent * 1e3))
        self._fire("STREAM", name, seconds, report.bytes_received, failure)
