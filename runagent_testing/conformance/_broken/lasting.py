"""Runs that outlive their streams: a small protocol with ordered ids, its transport, and mistakes in it.

A run is begun by ``POST /lasting/agents/ID``, read by ``GET /lasting/runs/ID`` and stopped by ``DELETE``.
Each line of an answer is a JSON object with an ``id`` that is higher than that of the line before.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent._call import ResumePoint
from runagent._errors import ProtocolError, StreamError, StreamTruncatedError
from runagent._events import Chunk, Completed
from runagent._wire.jsontext import encode_json
from runagent._wire.ndjson import NDJSONDecoder
from runagent.capabilities import Capability
from runagent.transports._base import Wants
from runagent.transports._cancel import CancelSession
from runagent.transports._http import HttpSession
from runagent.transports._request import HttpRequest
from runagent.transports._steps import Step
from runagent.transports._surrogates import SurrogateJoiner
from runagent_testing.conformance._broken.base import Broken
from runagent_testing.dialects import Dialect, Format, RunRequest, Status, parse_json

if TYPE_CHECKING:
    from runagent._address.route import Route
    from runagent._call import AgentCall
    from runagent._events import Event
    from runagent.transports._base import Session

__all__ = ["LASTING", "LASTS", "Lasting", "LastingDialect", "LastingSession"]

LASTS = frozenset(
    {
        *(Capability.HEARTBEATS, Capability.INVOKE, Capability.REUSE, Capability.STRUCTURED),
        *(Capability.RESUME_BY_ID, Capability.ATTACH, Capability.CANCEL),
    }
)
_PATH = re.compile(r"(?:/[^?]*)?/lasting/(agents|runs)/([^/?]+)")
_TYPE = "application/x-ndjson"


class _Lines(Format):
    content_type = _TYPE
    heartbeat = b"\n"

    def __init__(self, seen: int) -> None:
        self._last = 0
        self._seen = seen

    def _line(self, **message: Any) -> bytes:
        self._last += 1
        line = json.dumps({"id": self._last} | message).encode() + b"\n"
        return line if self._last > self._seen else b""

    def start(self, run: Any) -> bytes:
        return self._line(run=run.run_id)

    def chunk(self, step: Any, index: int | None, id: str | None) -> bytes:
        return self._line(chunk=step.content)

    def error(self, step: Any) -> bytes:
        return self._line(error=step.message)

    def done(self, step: Any, run: Any, total_chunks: int) -> bytes:
        return self._line(end=True)

    def cancelled(self, run: Any) -> bytes:
        return self._line(error="cancelled")


class LastingDialect(Dialect):
    """The protocol's other side."""

    name = "lasting"
    transports = ("lasting",)
    keeps_runs = True

    def parse_request(self, request: Any) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        match = _PATH.fullmatch(request.path)
        if match is None or (request.method, match[1]) not in (("POST", "agents"), ("GET", "runs")):
            return None
        if match[1] == "agents":
            body = parse_json(request.body)
            return RunRequest(agent_id=unquote(match[2]), transport="lasting", body=body, input=body)
        after = request.headers.get("last-event-id")
        return RunRequest(agent_id="", transport="lasting", attach_to=unquote(match[2]), resume_after=after)

    def answer(self, request: Any, host: Any) -> Status | None:
        """See `Dialect.answer`."""
        if request.method == "POST" and request.path.endswith("/lasting/threads"):
            return Status(201, body={"thread": host.number("thread")})
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "DELETE":
            return None
        run = host.run(unquote(match[2]))
        return Status(404, message="unknown") if run is None else Status(200, body={"stopped": run.cancel()})

    def stream(self, run: Any) -> Format:
        """See `Dialect.stream`."""
        return _Lines(int(run.resume_after or 0))


class LastingSession(HttpSession):
    """Starts a run, or reads on in one; a working session."""

    expects = _TYPE

    def make_request(self) -> HttpRequest:
        headers = self.call.request_headers(accept=_TYPE)
        if self.call.attach_to is None:
            return self.start(headers)
        if self.resume is not None and self.resume.last_event_id:
            headers.append(("Last-Event-ID", self.resume.last_event_id))
        path = self.call.path(f"/lasting/runs/{self.call.attach_to.quoted('run')}", "run_path")
        return HttpRequest("GET", path, headers, b"")

    def start(self, headers: list[tuple[str, str]]) -> HttpRequest:
        headers.append(("Content-Type", "application/json"))
        path = self.call.path("/lasting/agents/{agent_id}", "stream_path")
        return HttpRequest("POST", path, headers, encode_json(self.call.input))

    def open_body(self, content_type: str, charset: str) -> bool:
        self.lines = NDJSONDecoder(max_line_bytes=self.call.limits.max_event_bytes)
        self.texts = SurrogateJoiner()
        self.last = int(self.resume.last_event_id or 0) if self.resume is not None else 0
        if self.call.attach_to is not None:
            self.handle_ids = self.call.attach_to
        return content_type == _TYPE

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for line in self.lines.feed(data):
            match line:
                case {"id": int(number)} if self.is_later(number):
                    self.last = number
                    self.take(line, events)
                    place = ResumePoint(last_event_id=str(number), proof="id")
                    self.resume_point = None if self.texts.half else place
                case _:
                    self.fail(ProtocolError("a line comes twice, or has no id"))
            if self.wants is Wants.DONE:
                return events
        if self.lines.error is not None:
            self.fail(self.lines.error)
        return events

    def is_later(self, number: int) -> bool:
        return number > self.last

    def take(self, line: dict[str, Any], events: list[Event]) -> None:
        match line:
            case {"run": str(run)}:
                self.handle_ids = {"run": run}
            case {"chunk": content}:
                text = self.texts.join(content) if isinstance(content, str) else content
                events.append(Chunk(text, id=str(self.last)))
            case {"error": str(text)}:
                self.fail(StreamError(text))
            case {"end": True}:
                if half := self.texts.flush():
                    events.append(Chunk(half))
                events.append(Completed())
                self.finish()
            case _:
                self.fail(ProtocolError("a line without a meaning"))

    def end_body(self, proven: bool) -> list[Event]:
        raise StreamTruncatedError("the answer ended without an end")


class StopSession(CancelSession):
    """Asks to stop a run; a working session."""

    def make_request(self) -> HttpRequest:
        assert self.call.attach_to is not None
        path = self.call.path(f"/lasting/runs/{self.call.attach_to.quoted('run')}", "run_path")
        return HttpRequest("DELETE", path, self.call.request_headers(accept="*/*"), b"")


@dataclass
class Lasting(Broken):
    """A transport of this protocol, with or without a mistake.

    Attributes:
        stop: The class of the sessions that ask to stop a run.
    """

    capabilities: frozenset[Capability] = LASTS
    dialects: tuple[Dialect, ...] = field(default_factory=lambda: (LastingDialect(),))
    stop: type[CancelSession] = StopSession

    @property
    def mistake(self) -> Any:
        """The class with the mistake."""
        return super().mistake if self.stop is StopSession else self.stop

    def open_cancel(self, call: AgentCall, route: Route) -> Session:
        """Begin a session that asks to stop a run."""
        return self.stop(call, route, None)


class _StartsToAttach(LastingSession):
    """Starts another run in order to read on in one."""

    def make_request(self) -> HttpRequest:
        return self.start(self.call.request_headers(accept=_TYPE))


class _ForgetsItsPlace(LastingSession):
    """Reads an attached run from its beginning."""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> None:
        super().__init__(call, route, None)


class _TakesAnyOrder(LastingSession):
    """Looks at no id, and so takes another answer for the rest."""

    def is_later(self, number: int) -> bool:
        return True


class _StopsAnother(StopSession):
    """Takes the answer to a request that stops nothing for a confirmation."""

    def make_request(self) -> HttpRequest:
        headers = self.call.request_headers(accept="*/*")
        return HttpRequest("GET", self.call.path("/api/v1/health", "health_path"), headers, b"")


class _MakesAnother(LastingSession):
    """Makes another thread for each attempt."""

    def before(self) -> list[Step]:
        headers = self.call.request_headers(accept="*/*")
        return [Step(HttpRequest("POST", self.call.path("/lasting/threads", "threads_path"), headers))]


class _PromisesHandles(LastingSession):
    """Gives no id by which a run can be attached to."""

    def take(self, line: dict[str, Any], events: list[Event]) -> None:
        super().take(line, events)
        self.handle_ids = None


class _PromisesToResume(LastingSession):
    """States no place at which it could resume."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        self.resume_point = None
        return events


class _Repeats(LastingSession):
    """Delivers a line again that the service has sent twice."""

    def is_later(self, number: int) -> bool:
        return number >= self.last - 1


class _HidesAttach(LastingSession):
    """Can read on in a run, and does not declare it."""


class _HidesCancel(LastingSession):
    """Can have a run stopped, and does not declare it."""


class _HidesTheOrderOfIds(LastingSession):
    """Can resume by id, and does not declare it."""


LASTING: tuple[Broken, ...] = (
    Lasting("starts-to-attach", "run.attach", _StartsToAttach),
    Lasting("forgets-its-place", "run.attach", _ForgetsItsPlace),
    Lasting("takes-any-order", "run.resume-by-id", _TakesAnyOrder),
    Lasting("makes-another", "run.steps-kept", _MakesAnother),
    Lasting("stops-another", "run.cancel", LastingSession, stop=_StopsAnother),
    Lasting("promises-handles", "run.attach", _PromisesHandles),
    Lasting("promises-to-resume", "run.resume-by-id", _PromisesToResume),
    Lasting("repeats-a-line", "session.ids-in-order", _Repeats),
    Lasting("hides-attach", "declared.attach", _HidesAttach, LASTS - {Capability.ATTACH}),
    Lasting("hides-cancel", "declared.cancel", _HidesCancel, LASTS - {Capability.CANCEL}),
    Lasting(
        "hides-the-order-of-ids",
        "declared.resume-by-id",
        _HidesTheOrderOfIds,
        LASTS - {Capability.RESUME_BY_ID},
    ),
)
