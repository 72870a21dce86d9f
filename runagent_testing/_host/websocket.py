"""The published server's side of a WebSocket after its handshake (docs/wire.md section 2), without I/O.

Takes the client's bytes, and returns its messages and the answers of the protocol: pongs, and the answer to
a Close. The agent's own messages come from plans, which the player writes; it reports them with `wrote`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN, SERVER, Protocol

from runagent_testing._internal.log import SILENT
from runagent_testing._render.plan import ENDS
from runagent_testing.dialects._frames import PING, PONG, close_frame, closes, frame

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._render.plan import AnyPlan, Write

__all__ = ["MAX_MESSAGE", "Conversation"]

MAX_MESSAGE = 16 * 1024 * 1024  # bytes
_PROTOCOL_ERROR = 1002


class Conversation:
    """One WebSocket.

    Args:
        veiled: Makes texts of the client's messages whose repr shows no credentials.
        elapsed: Returns the seconds since the handshake's request.

    Attributes:
        left: Whether the client has closed the WebSocket, disconnected, or violated the protocol.
        closed: Whether the client has sent a Close.
        messages: The client's messages, in order: texts as ``str``, binary ones as ``bytes``.
        message_times: Seconds from the handshake's request to each of them.
        silent: Whether nothing more is sent, whatever the client sends.
    """

    def __init__(self, veiled: Callable[[str], str] = str, elapsed: Callable[[], float] = float) -> None:
        # Only parses: its answers are dropped, because the published server's differ. The size of messages is
        # checked here, because the parser would stop reading after an oversized message.
        self._core = Protocol(SERVER, state=OPEN, max_size=None, logger=SILENT)
        self._veiled = veiled
        self._elapsed = elapsed
        self.left = self.closed = False
        self.messages: list[str | bytes] = []
        self.message_times: list[float] = []
        self._is_text = True
        self._parts: list[bytes] = []
        self._size = 0
        self._out: list[bytes] = []
        self._whole = True
        self.silent = self._close_sent = self._pings = self._awaits_pong = False

    @property
    def is_in_frame(self) -> bool:
        """Whether a frame of the plan is half written, so that nothing may follow but its rest."""
        return not self._whole

    def receive_data(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._awaits_pong = False
        self._core.receive_data(data)
        for item in self._core.events_received():
            assert isinstance(item, Frame)
            self._take(item)
        self._core.data_to_send()
        if self._core.parser_exc is not None and not self.left:
            sent = self._core.close_sent
            self.close(_PROTOCOL_ERROR if sent is None else int(sent.code))
            self.left = True

    def receive_eof(self) -> None:
        """Take the end of the client's bytes."""
        self.left = True

    def data_to_send(self) -> bytes:
        """Return the bytes to send now; none as long as a frame of the plan is half written."""
        if not self._whole:
            return b""
        out, self._out = self._out, []
        return b"" if self.silent else b"".join(out)

    def say(self, frames: bytes) -> None:
        """Send whole frames as soon as no frame of the plan is half written."""
        self._out.append(frames)
        self._close_sent |= closes(frames)

    def wrote(self, write: Write) -> None:
        """Note a write of the plan."""
        self._whole = write.whole

    def begin(self, plan: AnyPlan) -> None:
        """Note the plan that is being played: no pings are sent if it ends in a stall."""
        self._pings = ENDS[plan.end].pings

    def played(self, plan: AnyPlan) -> None:
        """Note that a plan is over."""
        end = ENDS[plan.end]
        self._close_sent |= end.closes
        self.silent = end.is_mute

    def idle(self) -> None:
        """Ping a silent client; close with 1011 if it has not answered the last ping."""
        if self._close_sent or not self._pings:
            return
        if self._awaits_pong:
            self.close(1011)
            self.left = True
            return
        self._awaits_pong = True
        self._out.append(frame(PING, b""))

    def close(self, code: int) -> None:
        """Send a Close, unless one has been sent."""
        if not self._close_sent:
            self._close_sent = True
            self._out.append(close_frame(code))

    def _take(self, item: Frame) -> None:
        match item.opcode:
            case Opcode.PING:
                self._out.append(frame(PONG, bytes(item.data)))
            case Opcode.PONG:
                pass
            case Opcode.CLOSE:
                self.close(1000)
                self.left = self.closed = True
            case _:
                self._take_part(item)

    def _take_part(self, item: Frame) -> None:
        if item.opcode is not Opcode.CONT:
            self._is_text = item.opcode is Opcode.TEXT
        self._parts.append(bytes(item.data))
        self._size += len(item.data)
        if self._size > MAX_MESSAGE:
            self._forget_parts()
            self.close(1009)
        elif item.fin:
            whole = b"".join(self._parts)
            self._forget_parts()
            if not self._close_sent or self.messages:
                text = self._veiled(whole.decode("utf-8", "replace")) if self._is_text else whole
                self.message_times.append(self._elapsed())
                self.messages.append(text)

    def _forget_parts(self) -> None:
        self._parts.clear()
        self._size = 0
