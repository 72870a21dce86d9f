"""Transports of the tests, as a third party would write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import Chunk, Completed, RunResult
from runagent.transports import BaseSession, Capability, HttpRequest, HttpSession, Wants

if TYPE_CHECKING:
    from runagent.transports import AgentCall, Event, ResumePoint, Route, Session


class LettersSession(HttpSession):
    """Gives the body of a plain text answer letter by letter."""

    expects = "text/plain"

    def make_request(self) -> HttpRequest:
        return HttpRequest(
            "POST",
            "/letters",
            [*self.call.request_headers(accept="text/plain"), ("Content-Type", "text/plain")],
        )

    def open_body(self, content_type: str, charset: str) -> bool:
        return content_type == "text/plain"

    def read_body(self, data: bytes) -> list[Event]:
        return [Chunk(letter) for letter in data.decode("ascii")]

    def end_body(self, proven: bool) -> list[Event]:
        return [RunResult("all")] if self.call.mode == "invoke" else [Completed(proven=proven)]


class OwnTransport:
    """A transport whose parts a test chooses."""

    def __init__(self, name: str = "letters", session: Any = LettersSession, **fields: Any) -> None:
        self.name = name
        self.api_version = fields.pop("api_version", 1)
        self.capabilities = fields.pop("capabilities", frozenset({Capability.INVOKE}))
        self.tunnels = fields.pop("tunnels", False)
        self._session = session
        assert not fields

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        session: Session = self._session(call, route, resume)
        return session


class QuietSession(BaseSession):
    """Stops at the first byte, without the event that ends the run."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__()
        self.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    def receive_data(self, data: bytes) -> list[Event]:
        self.wants = Wants.DONE
        return [Chunk("something")]

    def receive_eof(self) -> list[Event]:
        self.wants = Wants.DONE
        return []
