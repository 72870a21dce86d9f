"""Mistakes about limits, connections and capabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent._errors import AgentError, ProtocolError, RunAgentError, StreamTruncatedError
from runagent._events import RunResult
from runagent._limits import Limits
from runagent.capabilities import Capability
from runagent.transports._base import Wants
from runagent.transports._counting import ChunkCount
from runagent.transports._invoke import InvokeSession
from runagent.transports._sse import SSESession
from runagent.transports._websocket import WebSocketSession
from runagent_testing.conformance._broken.base import HTTP, WEBSOCKET, Broken, Open

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event

__all__ = ["CONNECTIONS"]


def _boundless(name: str, about: str) -> Open:
    class Boundless(SSESession):
        def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
            limits = msgspec.structs.replace(call.limits, **{name: getattr(Limits(), name)})
            super().__init__(call.replace(limits=limits), route, resume)

    Boundless.__doc__ = about
    return Boundless


# Connections


class _AlwaysReusable(SSESession):
    """Offers its connection for another call in the middle of the answer."""

    @property
    def reusable(self) -> bool:
        return True


class _NeverReused(SSESession):
    """Declares that its connections are reused, and does not keep them."""

    @property
    def keeps_connection(self) -> bool:
        return False


class _KeepsItsWebSocket(WebSocketSession):
    """Keeps a connection that can never be used again."""

    @property
    def keeps_connection(self) -> bool:
        return True

    def close(self) -> None:
        """Send no Close frame."""


class _ClosesTwice(WebSocketSession):
    """Sends its closing bytes again each time it is closed."""

    def close(self) -> None:
        super().close()
        if self._socket is not None:
            self._outgoing.append(b"\x88\x80\0\0\0\0")

    def data_to_send(self) -> bytes:
        own, self._outgoing = b"".join(self._outgoing), []
        return own + super().data_to_send()


class _CannotBeLeft(SSESession):
    """Raises an error if it is closed early."""

    def close(self) -> None:
        if self.wants is Wants.READ:
            raise ProtocolError("the stream is not over")


# Capabilities


class _Splices(SSESession):
    """Takes any answer for the rest that it asked for."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self.messages.count = ChunkCount()


class _CountsNothing(SSESession):
    """Ignores the numbers of the chunks."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self.messages.count = _NoCount(resume)


class _NoCount(ChunkCount):
    def take(self, index: int | None) -> RunAgentError | None:
        self.next_index = None if index is None else index + 1
        return None


class _SSE(SSESession):
    """Declares other capabilities than it has."""


class _WebSocket(WebSocketSession):
    """Declares that it resumes, but cannot."""


class _ResumesInsideACharacter(SSESession):
    """Resumes behind the first half of a character, which it has kept."""

    @property
    def resume_point(self) -> ResumePoint | None:  # type: ignore[override]
        return self.messages.count.resume_point(self.messages.last_event_id)


class _FollowsAnyRedirect(SSESession):
    """Follows a redirect to any origin, with the key."""

    def fail(self, error: RunAgentError) -> None:
        if 300 <= (self.status or 0) < 400 and not self._outgoing:
            self._ask()
            self.wants = Wants.RECONNECT
        else:
            super().fail(error)


class _WaitsForAllOfARefusal(SSESession):
    """Reads a refusal to its end, however long that takes."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        limits = msgspec.structs.replace(call.limits, max_error_bytes=1 << 30)
        super().__init__(call.replace(limits=limits), route, resume)


class _LosesPartsOfAResult(InvokeSession):
    """Takes the bytes of the last read for the whole answer."""

    def read_body(self, data: bytes) -> list[Event]:
        self._body.clear()
        return super().read_body(data)


class _HalfAResult(InvokeSession):
    """Takes the part of an answer that has arrived for the result."""

    def receive_eof(self) -> list[Event]:
        events = super().receive_eof()
        if isinstance(self.error, StreamTruncatedError):
            self.error = None
            return [RunResult(bytes(getattr(self, "_body", b"")).decode("utf-8", "replace"))]
        return events


class _AnyResult(InvokeSession):
    """Takes results of any size."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call.replace(limits=Limits()), route, resume)


class _OneErrorForAllPlainRuns(InvokeSession):
    """Turns every refusal into the same error."""

    def fail(self, error: RunAgentError) -> None:
        super().fail(AgentError("refused") if isinstance(error, AgentError) else error)


class _BrokenInvoke(InvokeSession):
    """Returns the whole envelope as the result."""

    def read_answer(self, answer: dict[str, Any], body: bytes) -> Any:
        return super().read_answer({"result": answer}, body)


CONNECTIONS: tuple[Broken, ...] = (
    Broken("any-event", "session.event-limit", _boundless("max_event_bytes", "Takes events of any size.")),
    Broken("any-head", "session.head-limit", _boundless("max_head_bytes", "Takes heads of any size.")),
    Broken("always-reusable", "session.reusable", _AlwaysReusable),
    Broken("never-reused", "run.reuse", _NeverReused),
    Broken("keeps-its-websocket", "run.lets-go", _KeepsItsWebSocket, WEBSOCKET, tunnels=True),
    Broken("closes-twice", "session.close", _ClosesTwice, WEBSOCKET, tunnels=True),
    Broken("cannot-be-left", "run.left-early", _CannotBeLeft),
    Broken("splices", "run.no-splice", _Splices),
    Broken("counts-nothing", "run.gaps", _CountsNothing),
    Broken("cannot-resume", "run.resume", _WebSocket, WEBSOCKET | {Capability.RESUME}, tunnels=True),
    Broken("resumes-inside-a-character", "run.resume", _ResumesInsideACharacter),
    Broken("follows-any-redirect", "session.redirect-elsewhere", _FollowsAnyRedirect),
    Broken("waits-for-all-of-a-refusal", "session.refusal-limit", _WaitsForAllOfARefusal),
    Broken("loses-parts-of-a-result", "session.plain-split", _SSE, invoke=_LosesPartsOfAResult),
    Broken("half-a-result", "session.plain-truncated", _SSE, invoke=_HalfAResult),
    Broken("any-result", "session.result-limit", _SSE, invoke=_AnyResult),
    Broken("one-error-for-all-plain-runs", "run.plain-refused", _SSE, invoke=_OneErrorForAllPlainRuns),
    Broken("broken-invoke", "run.invoke", _SSE, invoke=_BrokenInvoke),
    *(
        Broken(f"hides-{capability.value}", f"declared.{capability.value}", _SSE, HTTP - {capability})
        for capability in sorted(HTTP)
    ),
)
