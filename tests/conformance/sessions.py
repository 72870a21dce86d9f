"""Transports of the tests: what HTTP and WebSocket carry comes out as it is, without an agent's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent.events import Chunk, Completed, Event
from runagent.plugins import TransportRegistry
from runagent.transports.http import HttpRequest, HttpSession
from runagent.transports.websocket import WebSocketSession
from runagent.wire.websocket import WebSocketConnection, check_handshake

if TYPE_CHECKING:
    from runagent.call import AgentCall, ResumePoint, Route
    from runagent.transports.base import Session
    from runagent.wire.http1 import ResponseDecoder

__all__ = ["RAW_BODY", "RAW_WEBSOCKET", "registry"]


class RawBodySession(HttpSession):
    """An HTTP exchange that asks for an event stream and gives the bytes of its body."""

    reads = "text/event-stream"

    def make_request(self) -> HttpRequest:
        method = self.call.options["method"]
        return HttpRequest(method, "/", [], b'{"query": "?"}' if method == "POST" else b"")

    def open_body(self, content_type: str, charset: str) -> bool:
        return content_type == "text/event-stream"

    def read_body(self, data: bytes) -> list[Event]:
        return [Chunk(data)] if data else []

    def end_body(self, proven: bool) -> list[Event]:
        return [Completed(proven=proven)]


class RawWebSocketSession(WebSocketSession):
    """A WebSocket that says nothing by itself and gives the messages as they are."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        offered = self.call.options["subprotocols"]
        fields = [("Sec-WebSocket-Protocol", ", ".join(offered))] if offered else []
        return HttpRequest("GET", "/", [*request.headers, *fields])

    def switch_protocols(self, answer: ResponseDecoder) -> list[Event]:
        fault = check_handshake(answer, self._key, self.call.options["subprotocols"])
        if fault is not None:
            raise fault
        self._socket = WebSocketConnection(max_message_bytes=self.call.limits.max_event_bytes)
        return self._receive_messages(self._socket, answer.rest)

    def _take_message(self, data: str | bytes, events: list[Event]) -> None:
        events.append(Chunk(data))


class RawTransport:
    """Opens one kind of session."""

    tunnels = False

    def __init__(self, name: str, kind: type[HttpSession]) -> None:
        self.name = name
        self._kind = kind

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        return self._kind(call, route, resume)


RAW_BODY = RawTransport("raw-body", RawBodySession)
RAW_WEBSOCKET = RawTransport("raw-websocket", RawWebSocketSession)


def registry() -> TransportRegistry:
    """Make a registry with both, for a client to find them by name."""
    made = TransportRegistry()
    made.register(RAW_BODY)
    made.register(RAW_WEBSOCKET)
    return made
