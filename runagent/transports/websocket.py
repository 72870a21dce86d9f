"""The published server's surface: streams over a WebSocket, plain runs over its ``run`` endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent.errors import AgentNotFoundError, ProtocolError, StreamTruncatedError
from runagent.hookspecs import RegisterTransport, hookimpl
from runagent.transports.base import Session, Wants
from runagent.transports.http import HttpRequest
from runagent.transports.invoke import InvokeSession
from runagent.transports.refusals import is_agent_error
from runagent.transports.stream import StreamSession
from runagent.wire.jsontext import InvalidJSONError, decode_json, encode_json, quote
from runagent.wire.websocket import WebSocketConnection, check_handshake, handshake_headers

if TYPE_CHECKING:
    from runagent.call import AgentCall, ResumePoint, Route
    from runagent.events import Event
    from runagent.wire.http1 import ResponseDecoder

__all__ = ["RunEndpointSession", "WebSocketSession", "WebSocketTransport"]

_TIMEOUT_SECONDS = 600
_OPTIONAL_FIELDS = ("user_id", "persistent_memory")


def run_request(call: AgentCall, default_tag: str) -> bytes:
    """Write the message that starts a run; the server knows both ways to give an input."""
    seconds = call.timeout_seconds
    message: dict[str, Any] = {
        "entrypoint_tag": call.entrypoint_tag or default_tag,
        "input_args": list(call.args),
        "input_kwargs": dict(call.input),
        "timeout_seconds": _TIMEOUT_SECONDS if seconds is None else max(1, round(seconds)),
        "async_execution": False,
    }
    message.update((name, call.options[name]) for name in _OPTIONAL_FIELDS if name in call.options)
    return encode_json(message)


class WebSocketSession(StreamSession):
    """One streamed run: handshake, one message out, messages in, and our Close at the end."""

    reads = "an upgrade to websocket"
    resumes = False

    _socket: WebSocketConnection | None = None

    def make_request(self) -> HttpRequest:
        """Ask for the upgrade; the key, if there is one, travels in ``Authorization``."""
        self._key, upgrade = handshake_headers()
        path = self.call.path("/api/v1/agents/{agent_id}/run-stream", "stream_path")
        headers = [
            field for field in self.call.request_headers(accept="*/*") if field[0] != "Accept-Encoding"
        ]
        return HttpRequest("GET", path, [*headers, *upgrade])

    @property
    def keeps_connection(self) -> bool:
        """Only a connection that is still HTTP can serve another call."""
        return self._socket is None and super().keeps_connection

    def receive_data(self, data: bytes) -> list[Event]:
        """Take the next bytes of the connection and return the events that they complete."""
        if self._socket is not None:
            return self._receive_messages(self._socket, data)
        return super().receive_data(data)

    def switch_protocols(self, answer: ResponseDecoder) -> list[Event]:
        """Open the WebSocket and ask for the run."""
        fault = check_handshake(answer, self._key)
        if fault is not None:
            raise fault
        self._socket = WebSocketConnection(max_message_bytes=self.call.limits.max_event_bytes)
        self._socket.send_text(run_request(self.call, "generic_stream"))
        return self._receive_messages(self._socket, answer.rest)

    def receive_eof(self) -> list[Event]:
        """Say that the connection has ended; without ``stream_completed`` that is a cut."""
        if self._socket is None:
            return super().receive_eof()
        if self.wants is Wants.READ:
            self._socket.receive_eof()
            self._settle_close(self._socket)
        return []

    def data_to_send(self) -> bytes:
        """Take the bytes that are to be sent now; empty where there are none."""
        if self._socket is not None:
            return self._socket.data_to_send()
        return super().data_to_send()

    def close(self) -> None:
        """Queue our Close frame; the server leaves the socket open until it comes."""
        if self._socket is not None:
            self._socket.send_close()

    def finish(self) -> None:
        """Say goodbye: after ``stream_completed`` the server waits for the client to close."""
        super().finish()
        self.close()

    def open_body(self, content_type: str, charset: str) -> bool:
        """No 2xx answer opens a WebSocket."""
        return False

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        """An answer that is neither an upgrade nor an agent's word is a refused upgrade."""
        refused = status < 300 or (status == 400 and not is_agent_error(body))
        return refused or super().proves_unsupported(status, body)

    def _refuse(self) -> None:
        if self._answer.status == 403 and not self._error_body.strip():
            self.fail(
                AgentNotFoundError(
                    f"the server refused the WebSocket for agent {self.call.agent_id!r} without a reason"
                    " (403): check the agent id, and the API key if this server wants one",
                    status=403,
                )
            )
            return
        super()._refuse()

    def _receive_messages(self, socket: WebSocketConnection, data: bytes) -> list[Event]:
        events: list[Event] = []
        for message in socket.receive_data(data) if data else []:
            self._take_message(message, events)
            if self.messages.over:
                break
        self.settle_messages(None)
        if self.wants is Wants.READ:
            self._settle_close(socket)
        elif self.error is not None:
            self.close()
        return events

    def _take_message(self, data: str | bytes, events: list[Event]) -> None:
        try:
            message = decode_json(data)
        except InvalidJSONError as exc:
            self.messages.error = ProtocolError(f"a message of the stream is {exc}")
            return
        if isinstance(message, dict):
            self.messages.take(str(message.get("type")), message, events)
        else:
            self.messages.error = ProtocolError(
                f"a message of the stream is not an object: {quote(repr(message))}"
            )

    def _settle_close(self, socket: WebSocketConnection) -> None:
        """A Close of any code before ``stream_completed`` is a cut, never an end."""
        if socket.error is not None:
            self.fail(socket.error)
        elif socket.close_code is not None:
            reason = f": {quote(socket.close_reason)}" if socket.close_reason else ""
            what = (
                "ended" if socket.close_code == 1006 else f"was closed with code {socket.close_code}{reason}"
            )
            self.fail(
                StreamTruncatedError(
                    f"the WebSocket {what} before the stream was complete", code=f"CLOSE_{socket.close_code}"
                )
            )


class RunEndpointSession(InvokeSession):
    """One plain run over the published server's ``run`` endpoint."""

    def make_request(self) -> HttpRequest:
        """Ask for the whole answer."""
        headers = [
            *self.call.request_headers(accept="application/json"),
            ("Content-Type", "application/json"),
        ]
        path = self.call.path("/api/v1/agents/{agent_id}/run", "invoke_path")
        return HttpRequest("POST", path, headers, run_request(self.call, "generic"))


class WebSocketTransport:
    """Chooses between a stream over a WebSocket and a plain run."""

    name = "websocket"
    tunnels = True

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session."""
        if call.mode == "invoke":
            return RunEndpointSession(call, route, None)
        return WebSocketSession(call, route, None)


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer ``websocket``."""
    register(WebSocketTransport())
