"""What both relays have: the checked arguments, the head of the answer, and what each read becomes."""

from __future__ import annotations

import logging
from math import isfinite
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import msgspec

from runagent._errors import ConfigurationError, RunAgentError
from runagent._events import Chunk, Completed
from runagent._internal.suggestions import nearest
from runagent._run.stream_core import StreamCore
from runagent._run.until import Patience
from runagent.relay._formats import END_ID, FORMATS, INCLUDABLE, Format, Messages, write
from runagent.relay._refusals import BAD_EVENT_ID, STOPPED, Refusal, Statuses, check_statuses, refusal_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from runagent._events import Event

__all__ = ["Opening", "RelayCore", "RelayFormat"]

RelayFormat = Literal["sse", "ndjson", "websocket"]

RUN_ID_HEADER = "X-RunAgent-Run-Id"
_HEADERS = [("Cache-Control", "no-cache, no-transform"), ("X-Accel-Buffering", "no")]
_ANSWERED = "run %s: the browser got %s %s: %s"
_BROKE_OFF = "run %s: the answer ended with the error %s: %s"
_CLOSED_WELL, _CLOSED_BADLY = 1000, 1011  # RFC 6455 §7.4.1
_INDEX_DIGITS, _INDEX_END = 16, 2**53

# Looked up once: an interrupt during the look-up would keep the lock of `logging` for ever.
_logger = logging.getLogger("runagent.relay")

_Stream = TypeVar("_Stream", bound=StreamCore)


class Opening(msgspec.Struct, frozen=True):
    """The head of the answer.

    Attributes:
        status: The HTTP status.
        headers: The header fields.
        body: The whole body, if nothing is streamed.
        refusal: What the body has, if the run was refused.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes | None = None
    refusal: Refusal | None = None


class RelayCore(Generic[_Stream]):
    """A relay without a concurrency style: it decides what is written, and neither reads nor writes.

    Attributes:
        format: The format of the answer.
        close_code: The code that a WebSocket is closed with.
        more_headers: Header fields that the framework adds.
    """

    __slots__ = (  # thousands of streams are relayed at a time
        "_announced",
        "_ended",
        "_held",
        "_last_event_id",
        "_patience",
        "_proves_place",
        "_statuses",
        "_stream",
        "_writer",
        "close_code",
        "format",
        "more_headers",
    )

    def __init__(
        self,
        stream: _Stream,
        format: RelayFormat,  # noqa: A002  # see `relay`
        heartbeat: float,
        include: Collection[str],
        last_event_id: str | int | None,
        status: Statuses | None,
    ) -> None:
        stream._check_whole()
        self._stream = stream
        self.format: RelayFormat = format
        self._patience = Patience(_check_heartbeat(heartbeat))  # until a heartbeat is due
        self._last_event_id = last_event_id
        self._statuses = check_statuses(status)
        self._writer: Format = _format_of(format)(_check_include(include))
        self.close_code = _CLOSED_WELL
        self.more_headers: Sequence[tuple[bytes, bytes]] = ()
        self._proves_place = False  # the first chunk decides whether there is an answer to continue
        self._held: Sequence[Event] = ()  # events that came before the head was sent
        self._announced = self._ended = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._stream!r} as {self.format}>"

    @property
    def _run_id(self) -> str:
        return self._stream.report.run_id

    # The head

    def _claim(self) -> None:
        """Take the stream for the answer to one request, before anything that would close it.

        Raises:
            RuntimeError: The stream is over or was read, perhaps by this relay for another request.
        """
        self._stream._take_whole()

    def _before_the_run(self, method: str, header: str | None) -> Opening | None:
        """Return the answer if none of the agent's is needed; else have the run go on where it is asked to.

        Args:
            method: The request's.
            header: Its ``Last-Event-ID``.
        """
        given = self._last_event_id
        last = (header or "") if given is None else str(given)
        if last == END_ID:  # an EventSource reconnects after a good end, too
            self._ended = True
            return Opening(204, self._headers(), b"")
        if last:
            if not _is_index(last):
                return self._refuse(BAD_EVENT_ID)
            self._stream._begin_behind(int(last))
            self._proves_place = True
        return Opening(200, self._stream_headers(), b"") if method == "HEAD" else None

    def _lacks_proof(self) -> bool:
        """Whether the head has to wait for more events, as only a chunk proves the place of a resumed run."""
        if any(type(event) in (Chunk, Completed) for event in self._held):
            self._proves_place = False
        return self._proves_place

    def _accept(self) -> Opening:
        return Opening(200, self._stream_headers())

    def _refuse_for(self, error: BaseException) -> Opening:
        """Return the answer to a run that the service rejected."""
        refusal = refusal_of(error, self._statuses)
        self._log(_ANSWERED, refusal.status, refusal.code, error=error)
        return self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> Opening:
        body = write(refusal.body(self._run_id))
        length = ("Content-Length", str(len(body)))
        return Opening(refusal.status, [*refusal.headers(), length, *self._headers()], body, refusal)

    def _headers(self) -> list[tuple[str, str]]:
        return [*_HEADERS, (RUN_ID_HEADER, self._run_id)]

    def _stream_headers(self) -> list[tuple[str, str]]:
        return [("Content-Type", self._writer.content_type), *self._headers()]

    # The events

    def _frames(self, batch: Sequence[Event]) -> list[bytes]:
        """Return what is written for the events of one read, or for a silence; perhaps nothing.

        Events that are not relayed do not end a silence: `_patience` goes on until something is written.
        """
        if len(batch) == 1 and self._announced and type(event := batch[0]) is Chunk:  # mostly
            self._patience.renewed = True
            return [self._writer.chunk(event)]
        frames = self._writer.events(batch) if batch else [self._beat()]
        if batch and frames and not self._announced:
            frames.insert(0, self._start())
        if batch and type(batch[-1]) is Completed:
            self._ended = True
        if frames:
            self._patience.renewed = True
        return frames

    def _piece(self, batch: Sequence[Event]) -> bytes:
        """Return `_frames` in one piece, perhaps empty."""
        if len(batch) == 1 and self._announced and type(event := batch[0]) is Chunk:  # mostly
            self._patience.renewed = True
            return self._writer.chunk(event)
        return b"".join(self._frames(batch))

    def _beat(self) -> bytes:
        # Clients take the first message of a WebSocket as the service's acceptance.
        if isinstance(self._writer, Messages) and not self._announced:
            return self._start()
        return self._writer.heartbeat

    def _start(self) -> bytes:
        self._announced = True
        started = self._stream.started
        return self._writer.start(started.session_id if started else None, self._run_id)

    def _failure(self, error: BaseException | None) -> list[bytes]:
        """Return what ends an answer that has begun.

        Args:
            error: What the stream raised; None if it was closed before its end.
        """
        self._ended = True
        self.close_code = _CLOSED_BADLY
        refusal = STOPPED
        if error is not None:
            refusal = refusal_of(error, self._statuses)
            self._log(_BROKE_OFF, refusal.code, error=error)
        frames = [] if self._announced else [self._start()]
        return [*frames, self._writer.message("error", refusal.fields(self._run_id))]

    def refusal_frames(self, refusal: Refusal) -> list[bytes]:
        """Return what refuses a run in a WebSocket, before any start."""
        self._ended = True
        self.close_code = _CLOSED_BADLY
        return [self._writer.message("error", refusal.fields(self._run_id))]

    def _log(self, text: str, *fields: object, error: BaseException) -> None:
        bug = None if isinstance(error, RunAgentError) else error
        _logger.warning(text, self._run_id, *fields, error, exc_info=bug)


def _format_of(name: object) -> type[Format]:
    if not isinstance(name, str) or name not in FORMATS:
        hint = nearest(name, {each: repr(each) for each in FORMATS}) if isinstance(name, str) else ""
        raise ConfigurationError(
            f"format: expected one of {', '.join(map(repr, FORMATS))}, found {name!r}{hint}"
        )
    return FORMATS[name]


def _check_heartbeat(seconds: object) -> float:
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not isfinite(seconds) or seconds <= 0:  # type: ignore[arg-type,operator]
        raise ConfigurationError(f"heartbeat: expected seconds, more than 0, found {seconds!r}")
    return float(seconds)  # type: ignore[arg-type]


def _check_include(include: Collection[str]) -> frozenset[str]:
    names = frozenset(include)
    if isinstance(include, str) or not names <= INCLUDABLE:
        meant = f"; write {{{include!r}}}" if isinstance(include, str) and include in INCLUDABLE else ""
        raise ConfigurationError(
            f"include: expected a set of {', '.join(sorted(map(repr, INCLUDABLE)))}, found {include!r}{meant}"
        )
    return names


def _is_index(text: str) -> bool:
    short = len(text) <= _INDEX_DIGITS
    return short and text.isascii() and text.isdecimal() and int(text) < _INDEX_END
