"""What follows a failed attempt: another transport, a new connection, a retry, a resumption, or the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from runagent._call import NOT_RESUMED, ResumePoint
from runagent._errors import AgentError, ConfigurationError, ProtocolError, RunAgentError, RunTimeoutError
from runagent._events import Chunk
from runagent._internal.tracebacks import is_ours
from runagent._report import known_retryable, set_retryable
from runagent._run.spec import Action
from runagent.capabilities import Capability

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runagent._address.url import Origin
    from runagent._events import Event
    from runagent._run.attempt import AttemptState
    from runagent._run.deadlines import Deadlines
    from runagent._run.policy import RetryPolicy
    from runagent._run.spec import KnownUnsupported
    from runagent.transports._base import Transport

__all__ = ["PROVEN_BY", "Recovery"]

__tracebackhide__ = is_ours

PROVEN_BY = {
    "index": Capability.RESUME,
    "id": Capability.RESUME_BY_ID,
    "snapshot": Capability.RESUME_BY_SNAPSHOT,
}
_RESUMING = frozenset(PROVEN_BY.values())


class Recovery(msgspec.Struct, eq=False):
    """The state that a run keeps from one attempt to the next.

    Attributes:
        policy: Which failures are retried.
        known_unsupported: Which transports the origins are known not to support.
        origin: The origin of the run's requests.
        names: The transports that are left to try, the current one first.
        first_key: The idempotency key of the first request.
        begun: A chunk has come, or an event that is no content, or the run has been resumed, so it can only
            be resumed, and no longer retried.
        asked: Where the caller asked to go on, in place of the beginning, or None.
        resume: Where the next attempt resumes.
        failures: Consecutive failed attempts without a new chunk.
        resumes: How often the run has been resumed.
        asks_key: The key comes from a function, so the next attempt may have another one.
        key_renewed: The function was asked again after the service refused a key, once in a run.
        replaced: A pooled connection that failed has been replaced by a new one, which happens once in a run.
        fresh: The next attempt needs a new connection, as a pooled one has failed.
        found: What the steps of the attempts found.
        delay: Seconds to wait before the next attempt.
        last_error: How the last attempt failed.
        broken: What broke the stream, if it has been resumed and no new chunk has come since.
    """

    policy: RetryPolicy
    known_unsupported: KnownUnsupported
    origin: Origin
    names: Sequence[str]
    first_key: str
    begun: bool = False
    asked: ResumePoint | None = None
    resume: ResumePoint | None = None
    failures: int = 0
    resumes: int = 0
    asks_key: bool = False
    key_renewed: bool = False
    replaced: bool = False
    fresh: bool = False
    found: dict[tuple[str, str], bytes] = msgspec.field(default_factory=dict)
    delay: float = 0.0
    last_error: RunAgentError | None = None
    broken: RunAgentError | None = None

    @property
    def key(self) -> str:
        """The idempotency key of the next request; each resumption has another, as its request differs."""
        return f"{self.first_key}-{self.resumes}" if self.resumes else self.first_key

    def begin(self, now: float) -> None:
        """Drop the transports that the origin is known not to support."""
        self.names = self.known_unsupported.choose(self.origin, self.names, now)

    def begin_behind(self, index: int) -> None:
        """Ask the agent to go on behind a chunk that the caller has."""
        self.asked = self.resume = ResumePoint(index + 1, proof="index")

    def find_capable(self, find: Callable[[str], Transport], mode: str) -> Transport:
        """Return the first of the transports that can make the call.

        Args:
            find: Returns the transport of a name.
            mode: ``stream`` or ``invoke``.

        Raises:
            ConfigurationError: None of them can.
        """
        needed = Capability.INVOKE if mode == "invoke" else None
        if self.asked is not None:
            needed = Capability.RESUME
        asked = self.names
        while self.names:
            transport = find(self.names[0])
            if needed is None or needed in transport.capabilities:
                return transport
            self.names = self.names[1:]
        names = " or ".join(map(repr, asked))
        if needed is Capability.RESUME:
            raise ConfigurationError(
                f"{names} cannot begin behind a chunk: leave resume_after out, or choose another transport",
                code="NO_RESUME",
            )
        raise ConfigurationError(
            f"{names} cannot make a plain run: stream it (run_generic_stream), or choose another transport",
            code="NO_PLAIN_RUN",
        )

    def check_first(self, events: list[Event]) -> ProtocolError | None:
        """Return the error if the first of the run's chunks is not the one that the caller asked for."""
        if self.asked is None:
            return None
        chunk = next(event for event in events if type(event) is Chunk)
        if chunk.index == self.asked.next_index:
            return None
        return ProtocolError(
            f"the agent did not resume at chunk {self.asked.next_index} but at {chunk.index}",
            code=NOT_RESUMED,
        )

    def note_progress(self) -> bool:
        """Note a new chunk; return whether failures came before it, which no longer count."""
        self.begun = True
        if not self.failures:
            return False
        self.failures, self.broken = 0, None
        return True

    def forget_errors(self) -> None:
        """Drop the errors of earlier attempts."""
        self.last_error = self.broken = None

    def decide(self, error: RunAgentError, attempt: AttemptState, deadlines: Deadlines, now: float) -> Action:
        """Decide whether to make another attempt: over another transport, again, or as a resumption.

        Args:
            error: How the attempt failed.
            attempt: The failed attempt.
            deadlines: The limits of the run.
            now: The time.

        Returns:
            CONNECT, BACK_OFF, or END if there is no other attempt.
        """
        if self._move_on(attempt) or self._replace_connection(error, attempt) or self._renew_key(error):
            return Action.CONNECT
        may_retry = self._may_retry(error, attempt)
        point = self._resume_point(error, attempt, may_retry=may_retry)
        if self.begun or point is not None:
            silent = isinstance(error, RunTimeoutError) and not deadlines.may_follow_silence
            if point is None or silent:
                return Action.END
        elif not may_retry:
            return Action.END
        return self._back_off(error, attempt, deadlines, point, now)

    def _may_retry(self, error: RunAgentError, attempt: AttemptState) -> bool:
        """Whether a failed attempt may be repeated; before the first chunk the transport knows best."""
        known = known_retryable(error)
        if known is not None and not self.begun:
            return known
        connected = attempt.connected
        safe = self.policy.is_safe(error, connected=connected)
        # A step failed, or a request that reads on in a run: neither can have begun one.
        if connected and (attempt.only_reads or not attempt.may_have_begun):
            safe = safe or self.policy.is_outage(error)
        set_retryable(error, retryable=safe and not self.begun)
        return safe or self.policy.may_retry(error, connected=connected)

    def _move_on(self, attempt: AttemptState) -> bool:
        """Switch to the next transport if the peer has proven not to support this one."""
        session = attempt.session
        if session is None or self.begun or not session.unsupported or len(self.names) < 2:
            return False
        self.known_unsupported.add(self.origin, self.names[0], attempt.began_at)
        self.names = self.names[1:]
        return True

    def _replace_connection(self, error: RunAgentError, attempt: AttemptState) -> bool:
        """Repeat a request on a new connection, once in a run, if a pooled one provably did not deliver it.

        Proof is a write that failed before the whole request was sent, a reset after the connection's end, or
        a status 408, with which the peer reports that it no longer waited for a request (RFC 9110 §15.5.9). A
        connection that ends after the whole request was sent proves nothing, however soon it ends.
        """
        if not attempt.over_used_connection or self.replaced:
            return False
        if _came_too_late(error, attempt):
            if self.failures >= self.policy.max_retries:
                return False
            self.failures += 1
        elif not attempt.unanswered or not (attempt.unread or attempt.send_error is not None):
            return False
        self.replaced = self.fresh = True
        return True

    def _renew_key(self, error: RunAgentError) -> bool:
        """Repeat a request with another key, once in a run, if the service refused the one of a function."""
        refused = error.key_refused and self.asks_key and known_retryable(error) is not False
        if not refused or self.begun or self.key_renewed or self.failures >= self.policy.max_retries:
            return False
        self.failures += 1
        self.key_renewed = True
        return True

    def _resume_point(
        self, error: RunAgentError, attempt: AttemptState, *, may_retry: bool
    ) -> ResumePoint | None:
        capabilities = _RESUMING & attempt.transport.capabilities
        if not capabilities:
            return None
        point = self.policy.resume_from(error, self._last_point(attempt), may_retry=may_retry)
        if point is None or point.proof is None or PROVEN_BY[point.proof] in capabilities:
            return point
        return None

    def _last_point(self, attempt: AttemptState) -> ResumePoint | None:
        """Return the place behind what the reader has been given.

        An id, and a snapshot of nothing, also prove a place before the first content.
        """
        session = attempt.session
        if self.begun:
            return session.resume_point if session is not None and attempt.begun else self.resume
        point = session.resume_point if session is not None else None
        return point if point is not None and point.proof in ("id", "snapshot") else None

    def _back_off(
        self,
        error: RunAgentError,
        attempt: AttemptState,
        deadlines: Deadlines,
        point: ResumePoint | None,
        now: float,
    ) -> Action:
        """Count the failure and set the wait; END if another attempt would be one too many or too late."""
        resumes = self.resumes + 1 if point is not None else 0
        suggested = attempt.session.retry_delay if attempt.session is not None else None
        wait = self.policy.wait(self.failures + 1, error, suggested, resumes=resumes)
        if wait is None or now + wait >= deadlines.total:
            return Action.END
        self.failures += 1
        if point is not None:
            self.resume, self.resumes, self.begun = point, resumes, True
            self.broken = self.broken or error
        if isinstance(error, RunTimeoutError) and error.phase is not None:
            deadlines.follow_silence(error.phase)
        asked_for = (suggested, getattr(error, "retry_after", None)) != (None, None)
        attempt.report.waited_seconds = self.delay = wait
        attempt.report.waited_for = "agent" if asked_for else "backoff"
        return Action.BACK_OFF


def _came_too_late(error: RunAgentError, attempt: AttemptState) -> bool:
    """Whether the peer reported that it no longer waited for a request, and closes the connection."""
    closes = attempt.session is not None and not attempt.session.keeps_connection
    return isinstance(error, AgentError) and error.status == 408 and closes
