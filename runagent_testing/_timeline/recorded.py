"""Timelines of recordings. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from runagent_testing._recording.format import COMPLETE, CUT, CUT_IN_CHUNK, RESET, TIMEOUT, close_code
from runagent_testing._standalone.understood import understood
from runagent_testing._timeline.model import AGENT, CLIENT, Mark, Timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent_testing._recording.format import Recording

__all__ = ["excerpt", "recorded"]

_ENDS = {
    COMPLETE: "the body has ended",
    CUT: "FIN before the end of the body",
    CUT_IN_CHUNK: "FIN inside an HTTP chunk",
    RESET: "RST",
    TIMEOUT: "silence until the client disconnected",
}
_NORMAL = 1000  # the code of a Close, RFC 6455 section 7.4.1
_NO_END = "cut: the recording has no end"
_KEPT = 65_536  # bytes of a part that is not complete: an endless one costs no more than that
_SHOWN = 200  # bytes of a write that are looked at for its text
_EMPTY_LINE = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DATA = re.compile(rb"(?:^|[\r\n])data[:\r\n]")


def recorded(recording: Recording) -> Timeline:
    """Return the timeline of a recording; its times are those of the recorder's reads.

    A client of the protocol reads it once more, which alone shows whether a clean end has an end marker.
    """
    marks = tuple(_marks(recording))
    end, is_whole = _end(recording)
    ended_at = None if recording.end is None else recording.seconds
    status = "no answer" if recording.status is None else f"status {recording.status}"
    names = [recording.agent_id, recording.dialect, recording.transport]
    title = ", ".join([*filter(None, names), f"{recording.method} {recording.path}", status])
    return Timeline(title, marks, end, ended_at, is_whole)


def excerpt(data: bytes) -> str:
    """Return the beginning of some bytes in one line."""
    shown = data[:_SHOWN].decode("utf-8", "replace")
    return shown.replace("\r", "\\r").replace("\n", "\\n")


def _marks(recording: Recording) -> Iterator[Mark]:
    yield Mark(0.0, CLIENT, f"request {recording.method} {recording.path}")
    if recording.status is None:
        return
    seconds = recording.head_gap
    yield Mark(seconds, AGENT, f"head, status {recording.status}")
    count = _counter(recording)
    for entry in recording.entries:
        seconds += entry.gap
        if entry.kind == "client":
            yield Mark(seconds, CLIENT, excerpt(entry.data))
        else:
            yield Mark(seconds, AGENT, excerpt(entry.data), len(entry.data), count(entry.data))


def _counter(recording: Recording) -> Callable[[bytes], int]:
    """Return a function that counts the events which are complete with each read."""
    if recording.has_messages:
        return lambda _data: 1
    kind = next((value for name, value in recording.headers.items() if name.lower() == "content-type"), "")
    if kind.startswith("text/event-stream"):
        return _Parts(_EMPTY_LINE, _DATA).feed
    if "ndjson" in kind or "jsonl" in kind:
        return _Parts(re.compile(rb"\n"), re.compile(rb"\S")).feed
    return lambda data: int(bool(data.strip()))


class _Parts:
    """Counts the parts of a body that have something in them; a heartbeat has not."""

    def __init__(self, border: re.Pattern[bytes], content: re.Pattern[bytes]) -> None:
        self._border, self._content = border, content
        self._rest = bytearray()

    def feed(self, data: bytes) -> int:
        self._rest += data
        if b"\n" not in data and b"\r" not in data:  # no border is in it: a long event is searched once
            return 0
        *parts, rest = self._border.split(bytes(self._rest))
        self._rest[:] = rest if len(rest) <= _KEPT else rest[: _KEPT // 2] + rest[-_KEPT // 2 :]
        return sum(self._content.search(part) is not None for part in parts)


def _end(recording: Recording) -> tuple[str, bool | None]:
    """Return how an answer ended, and whether that is an end of its protocol; None if nobody knows it."""
    end = recording.end
    if end is None:
        return _NO_END, False
    if (code := close_code(end.kind)) is not None:
        text = f"WebSocket Close {code} {end.reason}".rstrip()
    else:
        noted = f" ({end.outcome})" if end.outcome and end.outcome != _ENDS[end.kind] else ""
        text = f"{_ENDS[end.kind]}{noted}"
    heard = understood(recording)
    if heard is None and (end.kind == COMPLETE or code == _NORMAL):
        return f"{text}; no installed transport knows the protocol", None
    if heard is None:
        return text, False
    if heard.error is not None:
        return f"{text}; a client gets {type(heard.error).__name__}", False
    return f"{text}, after the end of the protocol", True
