"""Mistakes in turning the bytes of an answer into events."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from runagent._errors import ProtocolError
from runagent._events import Chunk, Started
from runagent.transports._base import Wants
from runagent.transports._sse import SSESession
from runagent_testing.conformance._broken.base import Broken

if TYPE_CHECKING:
    from runagent._events import Event

__all__ = ["CONTENTS"]


class _LosesWhatIsCut(SSESession):
    """Takes every read for whole events, and drops the incomplete rest."""

    def read_body(self, data: bytes) -> list[Event]:
        whole, separator, _ = data.rpartition(b"\n\n")
        return super().read_body(whole + separator)


class _JoinsChunks(SSESession):
    """Joins the chunks of one read into one."""

    def read_body(self, data: bytes) -> list[Event]:
        joined: list[Event] = []
        for event in super().read_body(data):
            last = joined[-1] if joined else None
            if isinstance(event, Chunk) and isinstance(last, Chunk) and isinstance(last.content, str):
                joined[-1] = Chunk(f"{last.content}{event.content}", last.index, last.id)
            else:
                joined.append(event)
        return joined


class _CutsCharacters(SSESession):
    """Returns the halves of characters as they come."""

    def read_body(self, data: bytes) -> list[Event]:
        self.messages.surrogates.join = lambda text: text  # type: ignore[method-assign]
        return super().read_body(data)


class _SortsChunks(SSESession):
    """Returns the longest chunk of a read first."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        chunks = iter(
            sorted(
                (event for event in events if isinstance(event, Chunk)), key=lambda c: -len(str(c.content))
            )
        )
        return [next(chunks) if isinstance(event, Chunk) else event for event in events]


class _HoldsBack(SSESession):
    """Returns an event only when the next one has come."""

    _held: list[Event]

    def read_body(self, data: bytes) -> list[Event]:
        events = [*getattr(self, "_held", []), *super().read_body(data)]
        last = len(events) if self.wants is Wants.DONE else len(events) - 1
        self._held = events[last:]
        return events[:last]


class _ShowsHeartbeats(SSESession):
    """Turns each heartbeat into an empty chunk."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [*events, Chunk("")] if b": heartbeat" in data else events


class _StartsAgain(SSESession):
    """Returns Started with every read."""

    def read_body(self, data: bytes) -> list[Event]:
        return [Started(), *super().read_body(data)]


class _TextOnly(SSESession):
    """Turns every chunk into text, but declares structured chunks."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [Chunk(str(e.content), e.index, e.id) if isinstance(e, Chunk) else e for e in events]


class _KnowsOneFraming(SSESession):
    """Understands chunked framing only."""

    def open_body(self, content_type: str, charset: str) -> bool:
        if "transfer-encoding" not in self._answer.headers:
            raise ProtocolError("expected chunks")
        return super().open_body(content_type, charset)


_shared: dict[str, Any] = {}


class _SharesItsDecoder(SSESession):
    """Keeps half-read events in a decoder that all sessions share."""

    def open_body(self, content_type: str, charset: str) -> bool:
        good = super().open_body(content_type, charset)
        self._decoder = _shared.setdefault("decoder", self._decoder)
        return good


class _Sleeps(SSESession):
    """Sleeps, and so blocks the caller's event loop."""

    def receive_data(self, data: bytes) -> list[Event]:
        time.sleep(0)
        return super().receive_data(data)


class _WaitsForAThread(SSESession):
    """Waits for another thread, and so blocks the caller's event loop."""

    def receive_data(self, data: bytes) -> list[Event]:
        threading.Event().wait(0.000_001)
        return super().receive_data(data)


CONTENTS: tuple[Broken, ...] = (
    Broken("loses-what-is-cut", "session.any-split", _LosesWhatIsCut),
    Broken("loses-what-is-cut-in-writes", "run.any-writes", _LosesWhatIsCut),
    Broken("joins-chunks", "run.order", _JoinsChunks),
    Broken("cuts-characters", "session.whole-characters", _CutsCharacters),
    Broken("sorts-chunks", "run.order", _SortsChunks),
    Broken("shares-its-decoder-between-threads", "run.threads", _SharesItsDecoder),
    Broken("shares-its-decoder-between-tasks", "run.tasks", _SharesItsDecoder),
    Broken("holds-back", "session.prompt", _HoldsBack),
    Broken("shows-heartbeats", "run.heartbeats", _ShowsHeartbeats),
    Broken("makes-progress-of-heartbeats", "run.limits-of-time", _ShowsHeartbeats),
    Broken("starts-again", "session.events", _StartsAgain),
    Broken("text-only", "run.structured", _TextOnly),
    Broken("knows-one-framing", "session.any-framing", _KnowsOneFraming),
    Broken("shares-its-decoder", "session.independent", _SharesItsDecoder),
    Broken("sleeps", "session.pure", _Sleeps),
    Broken("waits-for-a-thread", "session.pure", _WaitsForAThread),
)
