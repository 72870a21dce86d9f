"""Transports of the tests: what HTTP and WebSocket carry comes out as it is, without an agent's messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._events import Chunk, Completed, Event
from runagent.capabilities import TRANSPORT_API_VERSION, Capability
from runagent.transports._http import HttpSession
from runagent.transports._message_session import MessageSession
from runagent.transports._request import HttpRequest

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent.transports._base import Session

__all__ = ["RAW_BODY", "RAW_WEBSOCKET"]


class RawBodySession(HttpSession):
    """An HTTP exchange that asks for an event stream and gives the bytes of its body."""

    expects = "text/event-stream"

    def make_request(self) -> HttpRequest:
        method = self.call.options["method"]
        return HttpRequest(method, "/", [], b'{"query": "?"}' if method == "POST" else b"")

    def open_body(self, content_type: str, charset: str) -> bool:
        return content_type == "text/event-stream"

    def read_body(self, data: bytes) -> list[Event]:
        return [Chunk(data)] if data else []  # type: ignore[arg-type]  # the bytes as they are

    def end_body(self, proven: bool) -> list[Event]:
        return [Completed(proven=proven)]


class RawWebSocketSession(MessageSession):
    """A WebSocket that sends nothing by itself and returns the messages unchanged."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        self.subprotocols = tuple(call.options["subprotocols"])
        super().__init__(call, route, resume)

    def make_target(self) -> str:
        return "/"

    def read_message(self, message: str | bytes) -> list[Event]:
        return [Chunk(message)]  # type: ignore[arg-type]  # the bytes as they are


class RawTransport:
    """Opens one kind of session."""

    api_version = TRANSPORT_API_VERSION
    capabilities = frozenset({Capability.INVOKE, Capability.RESUME})
    tunnels = False

    def __init__(self, name: str, kind: type[HttpSession]) -> None:
        self.name = name
        self._kind = kind

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        return self._kind(call, route, resume)


RAW_BODY = RawTransport("raw-body", RawBodySession)
RAW_WEBSOCKET = RawTransport("raw-websocket", RawWebSocketSession)
