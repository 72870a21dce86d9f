"""What a run sends: the bytes of its session, for as long as sending works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._errors import PluginError
from runagent._internal.tracebacks import is_ours
from runagent._run.connecting import Connecting
from runagent._run.spec import Action
from runagent.transports._request import check_bytes

if TYPE_CHECKING:
    from runagent._errors import RunAgentError

__all__ = ["FAREWELL_SECONDS", "Sending"]

__tracebackhide__ = is_ours

FAREWELL_SECONDS = 1.0


class Sending(Connecting):
    """A run's decisions about what it sends; `Run` adds those about what it receives."""

    def send_deadline(self, now: float) -> float:
        """Return the deadline of a send that begins now; closing bytes get one second."""
        return self.deadlines.send(now) if self.action is Action.READ else now + FAREWELL_SECONDS

    def data_to_send(self) -> bytes:
        """Take the bytes to send on the current connection; empty once an earlier send has failed."""
        if self.action is Action.CONNECT:
            return b""
        session = self.attempt.session
        assert session is not None
        data = session.data_to_send()
        if not isinstance(data, bytes):
            return self.check_sent(data)
        return data if data and self.attempt.sends else b""

    def check_sent(self, data: object) -> bytes:
        """Return what a session gave to be sent; anything but bytes fails the attempt."""
        if isinstance(data, bytes):
            return data
        try:
            check_bytes(data, "data_to_send")
        except PluginError as exc:
            self._failed(exc.with_traceback(None))
        return b""

    def send_failed(self, exc: OSError | None) -> None:
        """Note that sending failed, or with None that it took too long.

        That alone never ends the run: the peer may have sent the reason, so the pump reads first.
        """
        attempt = self.attempt
        if exc is None:
            attempt.send_late = True
            self.deadlines.hurry()
        else:
            # The frames of its traceback hold the sent bytes, and so the key.
            attempt.send_error = exc.with_traceback(None)
        attempt.steady, attempt.receive_one = False, None

    def write_closed(self) -> None:
        """Note that the sending direction is closed."""
        self.attempt.write_closed = True
        self.action = Action.READ

    def _failed(self, error: RunAgentError) -> None:
        """Note a failed attempt, and decide whether to make another one."""
        raise NotImplementedError
