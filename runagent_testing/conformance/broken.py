"""Transports that each miss one requirement: a kit that cannot fail is worth nothing.

They also show authors what a requirement is about: each is a built-in transport with one mistake in it, and
most of these mistakes were made in earnest somewhere.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent.errors import AgentError, ProtocolError, RunAgentError, StreamTruncatedError
from runagent.events import Chunk, Completed, Started
from runagent.limits import Limits
from runagent.seam import Capability
from runagent.transports.base import Wants
from runagent.transports.counting import ChunkCount
from runagent.transports.http import HttpRequest
from runagent.transports.invoke import InvokeSession
from runagent.transports.sse import SSESession
from runagent.transports.websocket import WebSocketSession
from runagent_testing.conformance.broken_libraries import LIBRARIES, Library

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent.call import AgentCall, ResumePoint, Route
    from runagent.events import Event
    from runagent.transports.base import Session

__all__ = ["BROKEN", "Broken"]

HTTP = frozenset(Capability)
WEBSOCKET = frozenset({Capability.INVOKE, Capability.HEARTBEATS, Capability.STRUCTURED})


@dataclass
class Broken:
    """A transport with one mistake.

    Attributes:
        name: Of the transport.
        misses: The requirement that is meant to catch it.
        session: Makes its sessions.
        capabilities: What it declares.
        tunnels: As for any transport.
        invoke: Makes the sessions of plain runs.
    """

    name: str
    misses: str
    session: Callable[[AgentCall, Route, ResumePoint | None], Session]
    capabilities: frozenset[Capability] = HTTP
    tunnels: bool = False
    invoke: Callable[[AgentCall, Route, ResumePoint | None], Session] = InvokeSession
    seam: int = 1

    @property
    def about(self) -> str:
        """What is wrong with it."""
        return (self.session.__doc__ or "").partition("\n")[0]

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> Session:
        """Begin a session."""
        return (self.invoke if call.mode == "invoke" else self.session)(call, route, resume)


# The request


class _SaysItTwice(SSESession):
    """Gives its request twice."""

    _said: bytes | None = None

    def data_to_send(self) -> bytes:
        if self._said is None:
            self._said = super().data_to_send()
            return self._said
        again, self._said = self._said, b""
        return again or super().data_to_send()


class _KeyInTheAddress(SSESession):
    """Puts the key into the query, where every log shows it."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        return HttpRequest(
            request.method, f"{request.target}?token={self.call.api_key}", request.headers, request.body
        )


class _KeyInAHeaderOfItsOwn(SSESession):
    """Sends the key where the service does not look for it."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        headers = [("X-Token" if name == "Authorization" else name, value) for name, value in request.headers]
        return HttpRequest(request.method, request.target, headers, request.body)


class _ForgetsTheCallersHeaders(SSESession):
    """Sends its own header fields only."""

    def make_request(self) -> HttpRequest:
        request = super().make_request()
        callers = self.call.headers
        headers = [field for field in request.headers if field not in callers]
        return HttpRequest(request.method, request.target, headers, request.body)


class _ChangesTheInput(SSESession):
    """Writes into the caller's input."""

    def make_request(self) -> HttpRequest:
        self.call.input["stream"] = True  # type: ignore[index]
        return super().make_request()


class _IgnoresTheProxy(SSESession):
    """Asks a proxy as if it were the agent."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, type(route)(route.origin), resume)


# Bytes and events


class _LosesWhatIsCut(SSESession):
    """Takes every read for whole events, and drops what is left over."""

    def read_body(self, data: bytes) -> list[Event]:
        whole, separator, _ = data.rpartition(b"\n\n")
        return super().read_body(whole + separator)


class _JoinsChunks(SSESession):
    """Makes one chunk of those that came together."""

    def read_body(self, data: bytes) -> list[Event]:
        joined: list[Event] = []
        for event in super().read_body(data):
            last = joined[-1] if joined else None
            if isinstance(event, Chunk) and isinstance(last, Chunk) and isinstance(last.content, str):
                joined[-1] = Chunk(f"{last.content}{event.content}", last.index, last.id)
            else:
                joined.append(event)
        return joined


class _SortsChunks(SSESession):
    """Hands out the longest chunk of a read first."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        chunks = iter(
            sorted(
                (event for event in events if isinstance(event, Chunk)), key=lambda c: -len(str(c.content))
            )
        )
        return [next(chunks) if isinstance(event, Chunk) else event for event in events]


class _HoldsBack(SSESession):
    """Hands out an event when the next one has come."""

    _held: list[Event]

    def read_body(self, data: bytes) -> list[Event]:
        events = [*getattr(self, "_held", []), *super().read_body(data)]
        last = len(events) if self.wants is Wants.DONE else len(events) - 1
        self._held = events[last:]
        return events[:last]


class _ShowsHeartbeats(SSESession):
    """Makes an empty chunk of each heartbeat."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [*events, Chunk("")] if b": heartbeat" in data else events


class _StartsAgain(SSESession):
    """Says Started with every read."""

    def read_body(self, data: bytes) -> list[Event]:
        return [Started(), *super().read_body(data)]


class _TextOnly(SSESession):
    """Turns every chunk into text, and declares that it does not."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        return [Chunk(str(e.content), e.index, e.id) if isinstance(e, Chunk) else e for e in events]


class _KnowsOneFraming(SSESession):
    """Understands chunked framing only."""

    def open_body(self, content_type: str, charset: str) -> bool:
        if "transfer-encoding" not in self._answer.headers:
            raise ProtocolError("expected chunks")
        return super().open_body(content_type, charset)


_shared: dict[str, Any] = {}


class _SharesItsDecoder(SSESession):
    """Keeps what is half read where all sessions see it."""

    def open_body(self, content_type: str, charset: str) -> bool:
        good = super().open_body(content_type, charset)
        self._decoder = _shared.setdefault("decoder", self._decoder)
        return good


class _Sleeps(SSESession):
    """Lets other threads run while everybody's event loop waits."""

    def receive_data(self, data: bytes) -> list[Event]:
        time.sleep(0)
        return super().receive_data(data)


# The end


class _TakesAnyEnd(SSESession):
    """Takes the end of the body for the end of the run."""

    def end_body(self, proven: bool) -> list[Event]:
        return [Completed(proven=proven)]


class _TakesACutForTheEnd(SSESession):
    """Takes the end of the connection for the end of the run."""

    def receive_eof(self) -> list[Event]:
        events = super().receive_eof()
        if isinstance(self.error, StreamTruncatedError):
            self.error = None
            return [*events, Completed()]
        return events


class _CutsIfNothingCame(SSESession):
    """Calls a connection that nobody answered a stream that broke off."""

    def fail(self, error: RunAgentError) -> None:
        right = getattr(error, "code", None) != "NO_ANSWER"
        super().fail(error if right else StreamTruncatedError("the stream broke off"))


class _NeverDone(SSESession):
    """Goes on reading after the end, so that the connection is never let go."""

    def finish(self) -> None:
        self.wants = Wants.READ

    def end_body(self, proven: bool) -> list[Event]:
        return []


class _GoesOnAfterTheEnd(SSESession):
    """Delivers what comes behind the end."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        behind = data.rpartition(b"event: done")[0] or data
        late = b'"late"' in behind and self.messages.done
        return [*events, Chunk("late")] if late else events


class _GoesOnAfterAnError(SSESession):
    """Delivers what comes behind the agent's error."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        late = b'"late"' in data and self.messages.error is not None
        return [*events, Chunk("late")] if late else events


class _ThrowsGoodAway(SSESession):
    """Forgets the good events of a read whose end is bad."""

    def receive_data(self, data: bytes) -> list[Event]:
        events = super().receive_data(data)
        return [] if self.error is not None else events


class _Raises(SSESession):
    """Raises what is wrong with the peer's bytes."""

    def receive_data(self, data: bytes) -> list[Event]:
        events = super().receive_data(data)
        if isinstance(self.error, ProtocolError):
            raise self.error
        return events


class _ForeignErrors(SSESession):
    """Sets an error that is none of ours."""

    def fail(self, error: RunAgentError) -> None:
        super().fail(error)
        if isinstance(error, ProtocolError):
            self.error = ValueError(str(error))  # type: ignore[assignment]


class _OneErrorForAll(SSESession):
    """Makes the same error of every refusal."""

    def fail(self, error: RunAgentError) -> None:
        if isinstance(error, AgentError):
            error = AgentError("refused", status=error.status)
        super().fail(error)


class _RefusalAsAnEnd(SSESession):
    """Takes a refusal for an answer that is over."""

    def fail(self, error: RunAgentError) -> None:
        if isinstance(error, AgentError):
            self.finish()
        else:
            super().fail(error)


class _OutageAsProof(SSESession):
    """Takes every refusal for a proof that the peer does not speak it."""

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        return True


class _AgentErrorAsCut(SSESession):
    """Says of a run that failed that its stream broke off."""

    def fail(self, error: RunAgentError) -> None:
        inside = self.messages.error is error and type(error).__name__ == "StreamError"
        super().fail(StreamTruncatedError("the stream broke off") if inside else error)


# Limits


def _boundless(name: str, about: str) -> Callable[[AgentCall, Route, ResumePoint | None], Session]:
    class Boundless(SSESession):
        def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
            from dataclasses import replace

            limits = replace(call.limits, **{name: getattr(Limits(), name)})
            super().__init__(replace(call, limits=limits), route, resume)

    Boundless.__doc__ = about
    return Boundless


# Connections


class _AlwaysReusable(SSESession):
    """Offers its connection for another call in the middle of the answer."""

    @property
    def reusable(self) -> bool:
        return True


class _NeverReused(SSESession):
    """Declares that its connections are reused, and gives them away."""

    @property
    def keeps_connection(self) -> bool:
        return False


class _KeepsItsWebSocket(WebSocketSession):
    """Has a connection kept that can never be used again."""

    @property
    def keeps_connection(self) -> bool:
        return True

    def close(self) -> None:
        """Say nothing."""


class _ClosesTwice(WebSocketSession):
    """Says goodbye as often as it is asked to."""

    def close(self) -> None:
        super().close()
        if self._socket is not None:
            self._outgoing.append(b"\x88\x80\0\0\0\0")

    def data_to_send(self) -> bytes:
        own, self._outgoing = b"".join(self._outgoing), []
        return own + super().data_to_send()


class _CannotBeLeft(SSESession):
    """Does not survive being left early."""

    def close(self) -> None:
        if self.wants is Wants.READ:
            raise ProtocolError("the stream is not over")


# Capabilities


class _Splices(SSESession):
    """Goes on with whatever comes when it asked for the rest of an answer."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self.messages.count = ChunkCount()


class _CountsNothing(SSESession):
    """Does not look at the numbers of the chunks."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, resume)
        self.messages.count = _NoCount(resume)


class _NoCount(ChunkCount):
    def take(self, index: int | None) -> RunAgentError | None:
        self.next_index = None if index is None else index + 1
        return None


class _SSE(SSESession):
    """Declares something else than it can do."""


class _WebSocket(WebSocketSession):
    """Declares that it resumes, and cannot."""


class _Begins(SSESession):
    """Resumes where nobody has declared it, from the beginning."""


class _BrokenInvoke(InvokeSession):
    """Gives the whole envelope as the result."""

    def read_answer(self, answer: dict[str, Any], body: bytes) -> Any:
        return super().read_answer({"result": answer}, body)


BROKEN: tuple[Broken | Library, ...] = (
    *LIBRARIES,
    Broken("says-it-twice", "session.request-waits", _SaysItTwice),
    Broken("key-in-the-address", "session.key", _KeyInTheAddress),
    Broken("key-in-a-header-of-its-own", "run.key", _KeyInAHeaderOfItsOwn),
    Broken("forgets-the-callers-headers", "session.callers-headers", _ForgetsTheCallersHeaders),
    Broken("changes-the-input", "session.call-untouched", _ChangesTheInput),
    Broken("ignores-the-proxy", "session.through-proxy", _IgnoresTheProxy),
    Broken("loses-what-is-cut", "session.any-split", _LosesWhatIsCut),
    Broken("loses-what-is-cut-in-writes", "run.any-writes", _LosesWhatIsCut),
    Broken("joins-chunks", "run.order", _JoinsChunks),
    Broken("sorts-chunks", "run.order", _SortsChunks),
    Broken("shares-its-decoder-between-threads", "run.threads", _SharesItsDecoder),
    Broken("shares-its-decoder-between-tasks", "run.tasks", _SharesItsDecoder),
    Broken("holds-back", "session.prompt", _HoldsBack),
    Broken("shows-heartbeats", "run.heartbeats", _ShowsHeartbeats),
    Broken("makes-progress-of-heartbeats", "run.limits-of-time", _ShowsHeartbeats),
    Broken("starts-again", "session.events", _StartsAgain),
    Broken("text-only", "run.structured", _TextOnly),
    Broken("knows-one-framing", "session.any-framing", _KnowsOneFraming),
    Broken("shares-its-decoder", "session.independent", _SharesItsDecoder),
    Broken("sleeps", "session.pure", _Sleeps),
    Broken("takes-any-end", "session.truncated-by-framing", _TakesAnyEnd),
    Broken("takes-a-cut-for-the-end", "session.truncated", _TakesACutForTheEnd),
    Broken("takes-a-cut-for-the-end-of-a-run", "run.truncated", _TakesACutForTheEnd),
    Broken("cuts-if-nothing-came", "session.no-answer", _CutsIfNothingCame),
    Broken("cuts-a-run-if-nothing-came", "run.no-answer", _CutsIfNothingCame),
    Broken("never-done", "session.done", _NeverDone),
    Broken("goes-on-after-the-end", "session.nothing-after-end", _GoesOnAfterTheEnd),
    Broken("goes-on-after-an-error", "session.error-is-final", _GoesOnAfterAnError),
    Broken("throws-good-away", "session.good-before-bad", _ThrowsGoodAway),
    Broken("raises", "session.never-raises", _Raises),
    Broken("foreign-errors", "session.our-errors", _ForeignErrors),
    Broken("one-error-for-all", "run.refused", _OneErrorForAll),
    Broken("refusal-as-an-end", "session.refused", _RefusalAsAnEnd),
    Broken("outage-as-proof", "session.outage-proves-nothing", _OutageAsProof),
    Broken("agent-error-as-cut", "run.failed-inside", _AgentErrorAsCut),
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
    Broken("broken-invoke", "run.invoke", _SSE, invoke=_BrokenInvoke),
    *(
        Broken(f"hides-{capability.value}", f"declared.{capability.value}", _SSE, HTTP - {capability})
        for capability in Capability
    ),
)
