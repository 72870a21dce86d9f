"""What streams of both styles have: what a run has come to, and how a text is collected."""

from __future__ import annotations

from operator import length_hint
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from runagent._errors import RunAgentError, StreamError, StreamLimitError
from runagent._events import (  # noqa: TC001  # `help` of the fields' types resolves them
    Completed,
    Event,
    Started,
    ToolCall,
)
from runagent._internal.agents import are_several
from runagent._internal.foreign import is_cancellation
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._report import RunReport, bare_copy, counted, set_run
from runagent._run.notes import RunNotes
from runagent._run.pump_core import ReaderRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NOTHING", "TEXT_LIMIT_BYTES", "StreamCore", "StreamResult", "Text", "as_text", "check_seconds"]

__tracebackhide__ = is_ours

NOTHING: Iterator[Event] = iter(())  # all streams can share it, as it has ended already
TEXT_LIMIT_BYTES = 16 * 1024 * 1024
_NO_COPIES = "a stream has a connection and cannot be pickled or copied; collect its chunks instead"
_OVER = "this stream is over ({}), and a stream can be read only once; start another run"
_WAS_READ = "this stream was read or relayed before, and only a whole one can be relayed; start another run"


class StreamResult(msgspec.Struct, frozen=True, kw_only=True):
    """A stream that was read to its end.

    Attributes:
        text: The chunks as one text, structured ones as JSON.
        tool_calls: The tool calls, in the order in which they came.
        completed: The last event.
        report: What the run came to.
    """

    text: str
    tool_calls: list[ToolCall]
    completed: Completed | None
    report: RunReport


def as_text(content: Any) -> str:
    """Return a chunk's content as text; a structured one as JSON."""
    if isinstance(content, str):
        return content
    from runagent._wire.jsontext import write_json  # most chunks are text

    return write_json(content)


def check_seconds(seconds: float | None) -> float | None:
    """Return the seconds to wait, once checked; None if there is no limit.

    Raises:
        ValueError: They are below 0, or not a number.
    """
    if seconds is not None and not seconds >= 0:
        raise ValueError(f"expected seconds to wait, 0 or more, found {seconds!r}")
    return seconds


class Text:
    """Collects a text up to a limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self._size = 0
        self._parts: list[str] = []

    def add(self, content: Any) -> None:
        """Add a chunk; a structured one as its JSON text."""
        text = as_text(content)
        self._size += len(text.encode("utf-8", "surrogatepass"))
        if self._size > self._max:
            raise StreamLimitError(
                f"the text is larger than {self._max} bytes",
                hint="raise max_bytes= to collect it",
                limit_name="max_bytes",
                limit=self._max,
            )
        self._parts.append(text)

    def value(self) -> str:
        """Return the text so far."""
        return "".join(self._parts)

    def keep_on(self, error: RunAgentError, report: RunReport) -> None:
        """Put the text so far into an error, and of which run it is if the run does not know of it."""
        if error.report is None:
            set_run(error, report, names_agent=are_several())
        if isinstance(error, StreamError):
            error.partial_text = self.value()


class StreamCore:
    """A stream without a concurrency style."""

    def __init__(self, source: Any, report: RunReport, notes: RunNotes | None = None) -> None:
        self._source = source
        self._report = report
        self._notes = notes or RunNotes()
        self._batch: Iterator[Event] = NOTHING
        self._begun = self._read = self._over = False  # read: its events were asked for
        self._kept = 0  # events that `accepted` and `wait` brought; they are at hand if no reader took one
        self._left_unread = 0  # events of the last batch that were dropped as the stream was closed

    @property
    def report(self) -> RunReport:
        """What the run has come to so far: ids, status, times, attempts, tokens, error."""
        return self._report

    @property
    def headers(self) -> Mapping[str, str]:
        """The header fields of the answer, by lower-case name; empty until its head has come."""
        return self._report.headers

    @property
    def handle(self) -> str | None:
        """A text with which another client, perhaps in another process, reads on: ``client.attach(handle)``.

        It has the transport, the service's origin, the agent's id, the protocol's ids of the run, and the
        place of the last chunk that the reader was handed; no key. Events behind that chunk that are no chunk
        come again. It stays after a failure and after ``close``.

        None while the run is not known to the service, after its last event, if its protocol has no runs to
        attach to (the transport lacks the capability ``attach``), and if no place in it is known.
        """
        from runagent._run.handles import write_run_handle  # most streams have none

        source = self._source
        return write_run_handle(source.run, source.handed(self._count_unread() or self._left_unread))

    @property
    def started(self) -> Started | None:
        """What the agent sent when it began; stays after any way of reading. None if it sent nothing."""
        return self._notes.started

    @property
    def completed(self) -> Completed | None:
        """The last event, with usage and stop reason; stays after any way of reading. None before the end."""
        return self._notes.completed

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls so far; they stay after any way of reading.

        Raises:
            StreamLimitError: There were more than 16 MiB of them; ``events()`` gives any number.
        """
        return self._notes.tool_calls

    def __repr__(self) -> str:
        report = self._report
        where = (
            f"{report.outcome} over {report.transport}, {counted(report.chunks, 'chunk')}"
            if report.transport
            else "not begun"
        )
        return f"<{type(self).__name__} {where}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NO_COPIES)

    def __del__(self) -> None:
        source = getattr(self, "_source", None)  # none if its constructor has raised
        if source is not None:
            source.drop()

    def _is_over(self) -> bool:
        """Whether nothing can come from the agent any more, so that closing changes nothing."""
        return self._over or (self._notes.completed is not None and not self._has_batch())

    def _is_at_hand(self, seconds: float) -> bool:
        """Whether a wait of so many seconds is not needed.

        Raises:
            ValueError: The seconds are below 0, or not a number.
        """
        check_seconds(seconds)
        return self._over or self._has_batch()

    def _check_readable(self) -> None:
        """Refuse to begin to read what is over, instead of returning nothing.

        Raises:
            RuntimeError: The stream is over.
        """
        if self._over:
            raise self._over_error()

    def _check_whole(self) -> None:
        """Refuse to relay a stream of which anything is lost.

        A run that was refused has nothing but its error, which stays.

        Raises:
            RuntimeError: The stream is over or was read.
        """
        if self._over and (self._notes.accepted or self._report.error is None):
            raise self._over_error()
        if self._read or self._count_unread() != self._kept:
            raise RuntimeError(_WAS_READ)

    def _take_whole(self) -> None:
        """Take all events for one reader; raises as `_check_whole` does."""
        self._check_whole()
        self._read = True

    def _begin_behind(self, index: int) -> None:
        """Have a run that has not begun go on behind a chunk, as the argument ``resume_after`` does.

        Raises:
            RuntimeError: The run has begun.
        """
        if self._begun:
            raise RuntimeError("this stream has begun, and cannot go on behind another chunk")
        self._source.run.recovery.begin_behind(index)

    def _note_failure(self, exc: BaseException) -> None:
        """Note whether what a read has raised was the end."""
        if not isinstance(exc, ReaderRefusedError) and not is_cancellation(exc):
            self._over = self._report.outcome != "running"

    def _refusal(self) -> Exception:
        """Return why the run was not accepted, for a stream that is over."""
        if self._report.error is None:
            return self._over_error()
        error = bare_copy(self._report.error)
        error.report = self._report
        return error

    def _over_error(self) -> RuntimeError:
        outcome = self._report.outcome
        return RuntimeError(_OVER.format("closed" if outcome == "running" else outcome))

    def _result(self, text: str) -> StreamResult:
        notes = self._notes
        return StreamResult(
            text=text, tool_calls=notes.tool_calls, completed=notes.completed, report=self._report
        )

    def _has_batch(self) -> bool:
        return self._count_unread() > 0

    def _count_unread(self) -> int:
        """Return how many events of the last batch were not read."""
        return length_hint(self._batch)


publish(StreamResult)
