"""The published server's protocol: streams over a WebSocket, plain runs over its ``run`` endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, AnyStr

from runagent._errors import AgentNotFoundError, ProtocolError, RunAgentError
from runagent._wire.jsontext import InvalidJSONError, decode_json, quote_value
from runagent.capabilities import Capability
from runagent.transports._message_session import MessageSession
from runagent.transports._payloads import run_request
from runagent.transports._rows import DATA, join_row
from runagent.transports._stream import StreamSession

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event
    from runagent._wire.websocket import WebSocketConnection
    from runagent.transports._base import Session

__all__ = ["WebSocketSession", "WebSocketTransport"]


class WebSocketSession(StreamSession, MessageSession):
    """One streamed run: it sends one message, receives messages, and sends a Close frame at the end."""

    def make_target(self) -> str:
        """Return the path of the endpoint for streams."""
        return self.call.path("/api/v1/agents/{agent_id}/run-stream", "stream_path")

    def opened(self) -> None:
        """Send the message that starts the run."""
        self.messages.refusable = True
        self.send_text(run_request(self.call, "generic_stream"))

    def read_messages(self, messages: list[str | bytes]) -> list[Event]:
        """Decode the messages."""
        events: list[Event] = []
        # The first may be the start and the last the end; those between are mostly alike.
        for part in (messages[:1], messages[1:-1], messages[1:][-1:]):
            texts = [message for message in part if isinstance(message, str)]
            if len(texts) == len(part) and self._take_row(texts, "}\n{", events):
                continue
            for message in part:
                if not self.messages.over:
                    self._take_message(message, events)
        self.settle_messages(None)
        return events

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make an AgentNotFoundError for an empty 403, with which servers refuse an unknown agent."""
        if status == 403 and not body.strip():
            return AgentNotFoundError(
                f"the server refused the WebSocket for agent {self.call.agent_id!r} without a reason (403)",
                hint="check the agent id, and the API key if this server wants one",
                status=403,
            )
        return super().make_refusal(status, body)

    def _receive(self, socket: WebSocketConnection, data: bytes) -> list[Event]:
        texts, rest, data = socket.peek_texts(data)
        events: list[Event] = []
        if self._take_row(texts, b"}\n{", events):
            # Decoded texts are valid UTF-8, so the connection need not get them.
            self.settle_messages(None)
            data = rest
        return events + super()._receive(socket, data)

    def _take_row(self, texts: list[AnyStr], joint: AnyStr, events: list[Event]) -> bool:
        """Take chunks as one row, if they are alike and the run is not over."""
        lines = join_row(texts, joint) if texts and not self.messages.over else None
        return lines is not None and self.messages.take_row(DATA, lines, len(texts), events)

    def _take_message(self, data: str | bytes, events: list[Event]) -> None:
        try:
            message = decode_json(data)
        except InvalidJSONError as exc:
            self.messages.error = ProtocolError(f"a message of the stream is {exc}")
            return
        if isinstance(message, dict):
            self.messages.take_untyped(message, events)
        else:
            self.messages.error = ProtocolError(
                f"a message of the stream is not an object: {quote_value(message)}"
            )


class WebSocketTransport:
    """Opens a session for a stream over a WebSocket, or for a plain run."""

    name = "websocket"
    api_version = 1
    capabilities = frozenset(
        {
            Capability.INVOKE,
            Capability.HEARTBEATS,
            Capability.STRUCTURED,
            Capability.TOOLS,
            Capability.REASONING,
        }
    )
    tunnels = True

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Open a session."""
        if call.mode == "invoke":
            from runagent.transports._run_endpoint import RunEndpointSession  # a stream does not need it

            return RunEndpointSession(call, route, None)
        return WebSocketSession(call, route, None)
