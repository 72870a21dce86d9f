"""What players write into the record of an exchange."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.clock import now
from runagent_testing._internal.log import log_exchange, log_failure
from runagent_testing._journal.record import Sent, Unplanned
from runagent_testing._render.lazy import Kept
from runagent_testing._render.plan import ENDS, Pass, Write
from runagent_testing.dialects._hooks import hook_in

if TYPE_CHECKING:
    from runagent_testing._internal.redaction import Secrets
    from runagent_testing._journal.record import ClientState, Outcome, Record
    from runagent_testing._render.plan import Move

__all__ = ["Recorder"]


class Recorder:
    """Writes the record of an exchange while a player plays its plan."""

    __slots__ = ("_record",)

    def __init__(self, record: Record) -> None:
        self._record = record

    def hide(self, secrets: Secrets, key: str | None = None) -> None:
        """Note the credentials that must not be shown, and the request's key."""
        self._record._hide(secrets, key)

    def hide_key(self, key: str) -> None:
        """Note the request's key, which came in a message."""
        self._record._key = key

    def log_begin(self) -> None:
        """Log the begin of the exchange."""
        log_exchange("begins", self._record)

    def note_progress(self) -> None:
        """Note that the agent has come to another step of a `LazyPlan`."""
        if self._record._waiting:
            self._notify()

    def note_failure(self, exc: Exception, function: str = "") -> str:
        """Note the error of a dialect or of the test's function, and return it without secrets."""
        fault = self._record.secrets.text(f"{type(exc).__name__}: {exc}")
        if hook := hook_in(exc):
            fault = f"{fault} (in {hook})"
        self._record.failure = f"{fault} (in {function})" if function and not hook else fault
        return fault

    def fail(self, exc: Exception) -> None:
        """Note that the answer breaks off, because the dialect cannot write it to its end."""
        log_failure("the fake agent was unable to answer", exc, self._record.secrets)
        self.note_failure(exc)
        self.end("server closed")

    def forget_times(self) -> None:
        """Keep the times only of those moves that a `LazyPlan` keeps."""
        self._record._times = Kept(self._record._began)

    def note_move(self, move: Move) -> None:
        """Note that a move of the plan has been made."""
        record = self._record
        record._times.append(record.now())
        if record._waiting:
            self._notify()

    def note_unplanned(self, data: bytes) -> None:
        """Note bytes that went out in addition to the plan."""
        record = self._record
        record._unplanned.append(Unplanned(record.moves_done, Sent(record._elapsed(), data, ())))

    def end(self, outcome: Outcome) -> None:
        """Note the outcome; only the first call counts."""
        record = self._record
        with record._changed:
            if record.outcome != "running":
                return
            record.ended_at = record._elapsed()
            record.outcome = outcome
            record._changed.notify_all()

    def note_departure(self, how: ClientState, unread_bytes: int | None = None) -> None:
        """Note that the client has disconnected; only the first call counts, and only before the end."""
        record = self._record
        with record._changed:
            if record.client == "still reading" and not record._over:
                record.disconnected_at = record._elapsed()
                record.unread_bytes = unread_bytes
                record.client = how
            record._changed.notify_all()

    def close(self) -> None:
        """End the record: nothing more will be noted; only the first call counts."""
        record = self._record
        if record._over:  # in memory, the agent has closed before its client
            return
        record._over = True
        self._notify()
        log_exchange(f"ends: {record.outcome}, client {record.client}", record)

    def wait_until_idle(self, timeout: float) -> None:
        """Wait until the agent is not about to write: it waits for a time or a gate, or has ended.

        A memory network's agent writes only while its client runs, so that waiting would be in vain.
        """
        if self._record.now is now:
            self._record._wait(lambda: self._record.outcome != "running" or not self._is_busy(), timeout)

    def _is_busy(self) -> bool:
        record = self._record
        if record.plan is None:
            return False
        move = record.plan.after(record.moves_done)
        if move is None:  # after the last move nothing is waited for if the connection only stays open
            return record.plan.is_whole and ENDS[record.plan.end].serves_on
        return isinstance(move, Write) or (isinstance(move, Pass) and move.gate.is_open)

    def _notify(self) -> None:
        with self._record._changed:
            self._record._changed.notify_all()
