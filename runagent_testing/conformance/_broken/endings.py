"""Mistakes about how a run ends."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from runagent._errors import AgentError, ProtocolError, RunAgentError, StreamError, StreamTruncatedError
from runagent._events import Chunk, Completed
from runagent.transports._base import Wants
from runagent.transports._sse import SSESession
from runagent_testing.conformance._broken.base import Broken

if TYPE_CHECKING:
    from runagent._events import Event

__all__ = ["ENDINGS"]


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


class _WaitsForMore(SSESession):
    """Goes on wanting bytes after the end of the connection."""

    def receive_eof(self) -> list[Event]:
        return []


class _CutsIfNothingCame(SSESession):
    """Reports a connection without any answer as a truncated stream."""

    def fail(self, error: RunAgentError) -> None:
        right = getattr(error, "code", None) != "NO_ANSWER"
        super().fail(error if right else StreamTruncatedError("the stream broke off"))


class _NeverDone(SSESession):
    """Goes on reading after the end, so that the connection is never released."""

    def finish(self) -> None:
        self.wants = Wants.READ

    def end_body(self, proven: bool) -> list[Event]:
        return []


class _GoesOnAfterTheEnd(SSESession):
    """Delivers events that come after the end."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        behind = data.rpartition(b"event: done")[0] or data
        late = b'"late"' in behind and self.messages.done
        return [*events, Chunk("late")] if late else events


class _GoesOnAfterAnError(SSESession):
    """Delivers events that come after the agent's error."""

    def read_body(self, data: bytes) -> list[Event]:
        events = super().read_body(data)
        late = b'"late"' in data and self.messages.error is not None
        return [*events, Chunk("late")] if late else events


class _ThrowsGoodAway(SSESession):
    """Drops the valid events of a read that ends with invalid bytes."""

    def receive_data(self, data: bytes) -> list[Event]:
        events = super().receive_data(data)
        return [] if self.error is not None else events


class _Raises(SSESession):
    """Raises an error about the peer's bytes instead of setting it."""

    def receive_data(self, data: bytes) -> list[Event]:
        events = super().receive_data(data)
        if isinstance(self.error, ProtocolError):
            raise self.error
        return events


class _TrustsTypes(SSESession):
    """Takes for granted that the message of an error is text."""

    def read_body(self, data: bytes) -> list[Event]:
        for line in data.splitlines():
            if line.startswith(b'data: {"error"'):
                with contextlib.suppress(ValueError):
                    json.loads(line[6:])["error"].strip()
        return super().read_body(data)


class _ForeignErrors(SSESession):
    """Sets an error that is not a RunAgentError."""

    def fail(self, error: RunAgentError) -> None:
        super().fail(error)
        if isinstance(error, ProtocolError):
            self.error = ValueError(str(error))  # type: ignore[assignment]


class _SkipsBrokenEvents(SSESession):
    """Leaves out events that are not JSON."""

    def read_body(self, data: bytes) -> list[Event]:
        events = data.split(b"\n\n")
        return super().read_body(b"\n\n".join(event for event in events if b"data: }" not in event))


class _OneErrorForAll(SSESession):
    """Turns every refusal into the same error."""

    def fail(self, error: RunAgentError) -> None:
        if isinstance(error, AgentError):
            error = AgentError("refused", status=error.status)
        super().fail(error)


class _RefusalAsAnEnd(SSESession):
    """Takes a refusal for a complete answer."""

    def fail(self, error: RunAgentError) -> None:
        if isinstance(error, AgentError):
            self.finish()
        else:
            super().fail(error)


class _ReadsAnyContent(SSESession):
    """Accepts an answer of any content type."""

    def open_body(self, content_type: str, charset: str) -> bool:
        super().open_body(content_type, charset)
        return True


class _OutageAsProof(SSESession):
    """Takes every refusal for proof that the service does not support the transport."""

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        return True


class _AgentErrorAsCut(SSESession):
    """Reports a failed run as a stream that broke off."""

    def fail(self, error: RunAgentError) -> None:
        inside = self.messages.error is error and type(error).__name__ == "StreamError"
        super().fail(StreamTruncatedError("the stream broke off") if inside else error)


class _LosesCodes(SSESession):
    """Keeps the message of the agent's error only."""

    def fail(self, error: RunAgentError) -> None:
        super().fail(StreamError(error.message) if type(error) is StreamError else error)


ENDINGS: tuple[Broken, ...] = (
    Broken("takes-any-end", "session.truncated-by-framing", _TakesAnyEnd),
    Broken("takes-a-cut-for-the-end", "session.truncated", _TakesACutForTheEnd),
    Broken("takes-a-cut-for-the-end-of-a-run", "run.truncated", _TakesACutForTheEnd),
    Broken("waits-for-more", "session.truncated", _WaitsForMore),
    Broken("waits-for-more-of-a-run", "run.truncated", _WaitsForMore),
    Broken("cuts-if-nothing-came", "session.no-answer", _CutsIfNothingCame),
    Broken("cuts-a-run-if-nothing-came", "run.no-answer", _CutsIfNothingCame),
    Broken("never-done", "session.done", _NeverDone),
    Broken("goes-on-after-the-end", "session.nothing-after-end", _GoesOnAfterTheEnd),
    Broken("goes-on-after-an-error", "session.error-is-final", _GoesOnAfterAnError),
    Broken("throws-good-away", "session.good-before-bad", _ThrowsGoodAway),
    Broken("raises", "session.never-raises", _Raises),
    Broken("trusts-types", "session.never-raises", _TrustsTypes),
    Broken("loses-codes", "run.failed-inside", _LosesCodes),
    Broken("foreign-errors", "session.our-errors", _ForeignErrors),
    Broken("skips-broken-events", "session.our-errors", _SkipsBrokenEvents),
    Broken("one-error-for-all", "run.refused", _OneErrorForAll),
    Broken("refusal-as-an-end", "session.refused", _RefusalAsAnEnd),
    Broken("reads-any-content", "session.other-content", _ReadsAnyContent),
    Broken("outage-as-proof", "session.outage-proves-nothing", _OutageAsProof),
    Broken("agent-error-as-cut", "run.failed-inside", _AgentErrorAsCut),
)
