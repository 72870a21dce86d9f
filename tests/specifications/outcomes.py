"""How a run ended, in the terms of the cases; and what the client has sent, read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from runagent._errors import (
    AgentError,
    NetworkError,
    ProtocolError,
    RunAgentError,
    RunTimeoutError,
    StreamLimitError,
    StreamTruncatedError,
)

__all__ = ["ClientFrames", "Outcome", "http_outcome", "websocket_outcome"]

# A ProtocolError's message names what was broken: the classes are for those who have to act.
_PROTOCOL_ERRORS = {
    "redirects": "redirect_error",
    "expected text/event-stream": "content_type_error",
    "which has no body": "http_error",
    "content coding": "decode_error",
    "the answer is not valid": "decode_error",
}
_HANDSHAKE_ERRORS = ("WebSocket handshake", "expected an upgrade")


@dataclass
class Outcome:
    """What a run came to.

    Attributes:
        word: How it ended.
        contents: What was delivered before, in order.
        status: The status of the answer.
        error: The error that ended it.
        deliveries: The time of each delivery, and how much had been delivered by then.
        requests: The requests that the peer saw: method, target, whether with a body.
        frames: The WebSocket frames that the peer saw: opcode and payload.
    """

    word: str = ""
    contents: list[Any] = field(default_factory=list)
    status: int | None = None
    error: RunAgentError | None = None
    deliveries: list[tuple[float, int]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    frames: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def body(self) -> bytes:
        """The delivered bytes in one."""
        return b"".join(self.contents)

    @property
    def close_code_sent(self) -> int | None:
        """The code of the client's Close frame; None if it sent none, or none with a code."""
        codes = [int.from_bytes(payload[:2]) for opcode, payload in self.frames if opcode == 8 and payload]
        return codes[0] if codes else None

    @property
    def close_code_seen(self) -> int | None:
        """The code in the error; a connection that broke counts as 1006."""
        code = (self.error.code if self.error else None) or ""
        if code.startswith("CLOSE_"):
            return int(code.removeprefix("CLOSE_"))
        return 1006 if self.word == "abnormal" else None


def http_outcome(error: RunAgentError | None) -> str:
    """Name the end of an HTTP exchange."""
    match error:
        case None:
            return "ok"
        case RunTimeoutError():
            return "timeout"
        case StreamLimitError():
            return "limit_error"
        case StreamTruncatedError():
            return "connection_error" if isinstance(error.__cause__, OSError) else "truncated"
        case AgentError():
            return "http_error"
        case NetworkError():
            return "connection_error"
        case ProtocolError():
            words = (word for text, word in _PROTOCOL_ERRORS.items() if text in str(error))
            return next(words, "protocol_error")
    raise AssertionError(f"an error that no case knows: {error!r}")


def websocket_outcome(error: RunAgentError | None, status: int | None) -> str:
    """Name the end of a WebSocket; there is an error in any case, since its peer is no agent that is done."""
    match error:
        case RunTimeoutError():
            return "timeout"
        case RunAgentError() if status != 101 or any(text in str(error) for text in _HANDSHAKE_ERRORS):
            return "handshake_error"
        case StreamLimitError():
            return "limit_error"
        case StreamTruncatedError(code=code):
            return "closed" if code not in (None, "CLOSE_1006") else "abnormal"
        case ProtocolError():
            return "failed"
    raise AssertionError(f"an error that no case knows: {error!r}")


class ClientFrames:
    """Reads the frames of a client, which are masked and, here, short."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self._pending = b""

    def feed(self, data: bytes) -> None:
        """Take the next bytes that the client has sent."""
        self._pending += data
        while self._take_frame():
            pass

    def _take_frame(self) -> bool:
        data = self._pending
        if len(data) < 6:
            return False
        size, start = data[1] & 0x7F, 2
        assert data[1] & 0x80
        assert size < 127
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        end = start + 4 + size
        if len(data) < end:
            return False
        mask, payload = data[start : start + 4], data[start + 4 : end]
        self.frames.append((data[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))))
        self._pending = data[end:]
        return True
