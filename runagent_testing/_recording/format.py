"""Recordings as data, and the lines of their files (docs/recordings.md). No I/O.

A file holds one exchange, a JSON value a line: a header, then ``[gap, kind, value]`` for each read of the
agent's answer and each message of a WebSocket, then how it ended. A file without an end was cut off.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COMPLETE",
    "CUT",
    "CUT_IN_CHUNK",
    "END",
    "MAX_GAP",
    "MAX_RECORDING",
    "RESET",
    "SUFFIX",
    "TIMEOUT",
    "VERSION",
    "Entry",
    "RecordedEnd",
    "Recording",
    "close_code",
    "encoded_bytes",
    "entry_line",
    "line_of",
]

SUFFIX = ".agentstream.jsonl"
VERSION = 1
MAX_GAP = 86_400.0  # seconds
MAX_RECORDING = 64 * 1024 * 1024  # bytes of a file

END = "end"
COMPLETE, CUT, RESET, CUT_IN_CHUNK, TIMEOUT = "complete", "fin", "reset", "cut-chunk", "timeout"
_CLOSE = "close:"


@dataclass(frozen=True, slots=True)
class Entry:
    """One read of an answer's body, or one message of a WebSocket.

    Attributes:
        gap: Seconds since the entry before; of the first one, since the answer's head (of a WebSocket: since
            its handshake).
        kind: "write" for bytes of a body, "text" or "binary" for a message of the agent, "client" for one of
            the client.
    """

    gap: float
    kind: str
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecordedEnd:
    """How an exchange ended.

    Attributes:
        gap: Seconds since the last entry.
        kind: "complete", "fin", "reset", "cut-chunk", "timeout", or "close:" with the code of a WebSocket's
            Close.
        reason: The reason of a Close.
        outcome: The same for people, perhaps in more detail; None if the recorder has noted none.
    """

    gap: float
    kind: str
    reason: str = ""
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded exchange.

    Attributes:
        name: The path of its file, as given.
        agent_id: The agent's id; empty if no dialect knows the request.
        dialect: The name of the dialect; empty likewise.
        transport: The name of the transport; empty likewise.
        method: The request's method.
        path: The request's target, without credentials.
        request_headers: The fields of the request's head that are kept.
        request_body: The request's body, without credentials.
        status: Of the answer; None if there was none.
        headers: The fields of the answer's head that are kept.
        head_gap: Seconds from the request to the answer's head, or to the end if there was no answer.
        entries: In order.
        end: None if the recording was cut off.
        is_websocket: Whether the request was the handshake of a WebSocket.
    """

    name: str
    agent_id: str = ""
    dialect: str = ""
    transport: str = ""
    method: str = "POST"
    path: str = "/"
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_body: bytes = field(default=b"", repr=False)
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    head_gap: float = 0.0
    entries: tuple[Entry, ...] = ()
    end: RecordedEnd | None = None
    is_websocket: bool = False

    @property
    def has_messages(self) -> bool:
        """Whether its entries are the messages of a WebSocket, whose handshake was accepted."""
        return self.is_websocket and self.status == 101

    @property
    def seconds(self) -> float:
        """How long it took."""
        last = 0.0 if self.end is None else self.end.gap
        return self.head_gap + sum(entry.gap for entry in self.entries) + last


def close_code(kind: str) -> int | None:
    """Return the code of an end by a WebSocket's Close; None for every other end."""
    code = kind.removeprefix(_CLOSE)
    if code == kind or not (code.isascii() and code.isdecimal() and len(code) <= 5):
        return None
    return int(code) if int(code) <= 0xFFFF else None


def encoded_bytes(data: bytes) -> str | dict[str, str]:
    """Write bytes as text if they are UTF-8, and in base64 otherwise."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def entry_line(gap: float, kind: str, data: bytes) -> str:
    """Write an entry."""
    match kind, encoded_bytes(data):
        case "write", str(text):
            return line_of([gap, "w", text])
        case "text", str(text):
            return line_of([gap, "m", text])
        case "client", str(text):
            return line_of([gap, "c", text])
        case "client", _:
            short = "C"
        case "write", _:
            short = "b"
        case _:
            short = "B"
    return line_of([gap, short, base64.b64encode(data).decode()])


def line_of(value: Any) -> str:
    """Write one line."""
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": ")) + "\n"
