"""The base of sessions over a WebSocket: a handshake, and then messages in both directions."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from runagent._errors import RunAgentError, StreamTruncatedError
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import quote
from runagent._wire.websocket import WebSocketConnection, check_handshake, handshake_headers
from runagent.transports._base import Wants
from runagent.transports._error_objects import is_agent_error
from runagent.transports._http import HttpSession
from runagent.transports._request import HttpRequest, check_bytes, check_subprotocols
from runagent.transports._returned import as_events

if TYPE_CHECKING:
    from runagent._events import Event
    from runagent._wire.http1 import ResponseDecoder

__all__ = ["MessageSession"]

__tracebackhide__ = is_ours


class MessageSession(HttpSession):
    """Open a WebSocket and turn its messages into events.

    A subclass defines ``make_target``, ``opened`` and ``read_message``; this class handles the handshake with
    its refusals and redirects, fragments, UTF-8, pings, limits and the closing of the WebSocket. Its
    transport has ``tunnels = True``.

    A run calls the hooks in this order: ``make_target`` and ``make_headers`` inside of ``__init__``,
    ``opened`` once the WebSocket is open, ``read_message`` for each message, and ``closed`` if the peer
    closes before a call of ``finish`` or ``fail``. An exception of ``make_target`` or ``make_headers`` is
    raised for the caller; these two cannot send. Every other hook may call ``send_text``, ``send_binary``,
    ``finish`` and ``fail``, and may raise a ``RunAgentError``, which becomes the session's ``error``.

    Attributes:
        subprotocols: The subprotocols that the handshake offers, the best first; none by default.
        subprotocol: The one that the peer chose, or None.
    """

    expects: ClassVar[str] = "an upgrade to websocket"
    subprotocols: tuple[str, ...] = ()
    subprotocol: str | None = None

    _socket: WebSocketConnection | None = None

    # For subclasses

    def make_target(self) -> str:
        """Return the path and query that open the WebSocket, percent-encoded and without any secret."""
        raise NotImplementedError

    def make_headers(self) -> list[tuple[str, str]]:
        """Return further header fields of the handshake: by default the caller's, and the key."""
        fields = self.call.request_headers(accept="*/*")
        return [field for field in fields if field[0] != "Accept-Encoding"]

    def opened(self) -> None:
        """Send the first message, if the client sends first."""

    def read_message(self, message: str | bytes) -> list[Event]:
        """Turn one message, text or binary, into events.

        The message is complete, and at most ``max_event_bytes`` long. No message follows a call of ``finish``
        or ``fail``.
        """
        raise NotImplementedError

    def read_messages(self, messages: list[str | bytes]) -> list[Event]:
        """Turn the messages of one read into events: call ``read_message`` for each until the run is over.

        For speed a subclass may override this method instead, which must then not raise.
        """
        events: list[Event] = []
        for message in messages:
            try:
                given = self.read_message(message)
                events += given if type(given) is list else as_events(given, "read_message")
            except RunAgentError as exc:
                self.fail(exc)
            if self.wants is not Wants.READ:
                break
        return events

    def closed(self, code: int, reason: str) -> list[Event]:
        """Handle a Close frame that came before the run was over; by default it is an error.

        A protocol in which a close ends the run well returns ``Completed``. A connection that ends without a
        Close frame is always an error, and this method is not called.

        Args:
            code: The code of the peer's Close frame; 1005 if it has none.
            reason: The text in it.

        Raises:
            StreamTruncatedError: The agent was not done.
        """
        why = f": {quote(reason)}" if reason else ""
        raise StreamTruncatedError(
            f"the WebSocket was closed with code {code}{why} before the stream was complete",
            code=f"CLOSE_{code}",
        )

    def send_text(self, message: bytes) -> None:
        """Queue a text message, given as UTF-8. Call it in ``opened`` or later."""
        check_bytes(message, "send_text")
        self._open_socket.send_text(message)

    def send_binary(self, message: bytes) -> None:
        """Queue a binary message. Call it in ``opened`` or later."""
        check_bytes(message, "send_binary")
        self._open_socket.send_binary(message)

    def finish(self) -> None:
        """End the run well, as the agent is done, and close the WebSocket; further messages are ignored."""
        super().finish()
        self.close()

    # For HttpSession

    def make_request(self) -> HttpRequest:
        """Return the request for the upgrade."""
        self._key, upgrade = handshake_headers()
        if self.subprotocols:
            check_subprotocols(self.subprotocols)
            upgrade.append(("Sec-WebSocket-Protocol", ", ".join(self.subprotocols)))
        return HttpRequest("GET", self.make_target(), self.make_headers(), upgrade=upgrade)

    def open_body(self, content_type: str, charset: str) -> bool:
        """Reject the answer, as status 2xx never opens a WebSocket."""
        return False

    def switch_protocols(self, answer: ResponseDecoder) -> list[Event]:
        """Open the WebSocket, and read frames that came together with the answer's head."""
        fault = check_handshake(answer, self._key, self.subprotocols)
        if fault is not None:
            raise fault
        self.subprotocol = answer.headers.get("sec-websocket-protocol") or None
        self._socket = WebSocketConnection(max_message_bytes=self.call.limits.max_event_bytes)
        self.opened()
        return self._receive(self._socket, answer.rest)

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        """Whether an answer refuses the upgrade: by a 2xx, or by a 400 that is not the agent's own error."""
        refused = status < 300 or (status == 400 and not is_agent_error(body))
        return refused or super().proves_unsupported(status, body)

    # For the pump

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection may become reusable, which it cannot once it is a WebSocket."""
        return self._socket is None and super().keeps_connection

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection and return the events that they complete."""
        if self._socket is not None:
            return self._receive(self._socket, data)
        return super().receive_data(data)

    def receive_eof(self) -> list[Event]:
        """Take note that the connection has ended, which is an error before the run is over."""
        if self._socket is None:
            return super().receive_eof()
        self._socket.receive_eof()
        return self._settle_end(self._socket) if self.wants is Wants.READ else []

    def data_to_send(self) -> bytes:
        """Take the bytes to send now; empty if there are none."""
        if self._socket is not None:
            return self._socket.data_to_send()
        return super().data_to_send()

    def close(self) -> None:
        """Queue our Close frame, once."""
        super().close()
        if self._socket is not None:
            self._socket.send_close()

    # How messages are read

    @property
    def _open_socket(self) -> WebSocketConnection:
        if self._socket is None:
            raise RuntimeError("the WebSocket is not open yet; send the first message in opened()")
        return self._socket

    def _receive(self, socket: WebSocketConnection, data: bytes) -> list[Event]:
        events = self.read_messages(socket.receive_data(data)) if data else []
        if self.wants is Wants.READ and type(events) is list:  # core finds fault with something else
            events += self._settle_end(socket)
        if self.error is not None:
            self.close()
        return events

    def _settle_end(self, socket: WebSocketConnection) -> list[Event]:
        """End the run if the peer has violated the protocol or closed the WebSocket."""
        try:
            if socket.error is not None:
                raise socket.error
            if socket.close_code is None:
                return []
            if socket.cut:
                raise StreamTruncatedError(
                    "the WebSocket ended before the stream was complete", code=f"CLOSE_{socket.close_code}"
                )
            events = as_events(self.closed(socket.close_code, socket.close_reason), "closed")
        except RunAgentError as exc:
            self.fail(exc)
            return []
        if self.wants is Wants.READ:
            self.finish()
        return events


publish(MessageSession, module="runagent.transports")
