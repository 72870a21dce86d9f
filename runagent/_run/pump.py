"""The loop that moves bytes in a thread; `async_pump` is its twin for event loops."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

from runagent._errors import NetworkError, RunAgentError
from runagent._internal.foreign import let_signals_through
from runagent._internal.tracebacks import is_ours
from runagent._net.base import Connection, DeadlineExceededError, Network
from runagent._run.pump_core import (
    CLOSED_NOTICED_SECONDS,
    END_OF_ANSWER_SECONDS,
    READ_BYTES,
    RESET_LOOKS,
    RESET_SECONDS,
    TOKEN,
    PumpCore,
)
from runagent._run.spec import SAME_CONNECTION, Action
from runagent._run.until import Patience

if TYPE_CHECKING:
    from runagent._address.route import Address
    from runagent._events import Event
    from runagent._net.pool import Pool
    from runagent._run.run import Run
    from runagent._run.until import Until

__all__ = ["Pump"]

__tracebackhide__ = is_ours

_READ, _TURN = Action.READ, Action.TURN


class Pump(PumpCore):
    """Moves the bytes of one run, in the thread that asks for its events."""

    def __init__(self, run: Run, network: Network, pool: Pool[Connection]) -> None:
        super().__init__(run)
        self._network = network
        self._now = network.now
        self._pool = pool
        self._connection: Connection | None = None
        # The thread that has the token is the reader. A lock would do the same, but costs four times as much
        # with cold caches. Invariant: taking the token and returning it are single steps without a call, so
        # no signal handler can run and raise in between and leave it lost.
        self._token: list[None] = [None]

    def for_run(self, run: Run) -> Pump:
        """Return a pump for another run of the same client."""
        return Pump(run, self._network, self._pool)

    def close(self) -> None:
        """Close the run; a `next_batch` that waits in another thread raises a StreamError."""
        self._closed = True
        self._connect_attempt.cancel()
        try:
            del self._token[0]
        except IndexError:
            if (connection := self._connection) is not None:
                connection.interrupt()
            return
        try:
            self.run.finished(self._now())
            self._leave()
        finally:
            self._token += TOKEN

    def next_batch(  # noqa: C901  # in one piece: a call costs more than a branch, at every read
        self, until: Until | None = None
    ) -> list[Event] | None:
        """Move bytes until there are events and return them; None at the end.

        Args:
            until: Return without events once this is reached.

        Raises:
            RunAgentError: The run failed. It is raised once; later calls return None.
        """
        run = self.run
        if run.forked:
            self._refuse()
        try:
            del self._token[0]
        except IndexError:
            self._refuse()
        try:
            if self._closed:
                self._end_closed()
                return None
            if until is not self._until:
                self._take_up(until)
            start = self._now()
            while not run.events:
                if until is not None and until.reached(run, start):
                    return []
                if run.action is not _READ:
                    if run.action is _TURN:
                        start = self._take_turn(start)
                        continue
                    if not self._move_on(run.action):
                        return None
                    start = self._now()
                    continue
                connection, deadlines = self._connection, self._deadlines
                assert connection is not None
                try:
                    deadline = start + deadlines.patience
                    if deadline >= deadlines.cap:
                        deadline = deadlines.read(start)
                    data = connection.receive(READ_BYTES, deadline)
                except (DeadlineExceededError, OSError) as exc:
                    if until is not None and self._gave_way(exc, start):
                        return []
                    outgoing = self._read_failed(exc, start)
                else:
                    if self._closed:
                        self._check_closed()
                    end = self._now()
                    if (batch := run.take_one(data, end)) is not None:
                        return batch
                    outgoing = run.received(data, start, end)
                    data = b""  # it may quote the key, and errors keep the variables of their frames
                    start = end  # without an event, the time from here on counts as part of the same wait
                if outgoing or run.action is not _READ:
                    self._flush(outgoing)
                    self._check_closed()
            return run.take_events()
        except BaseException as exc:
            self._give_up(exc)
            raise
        finally:
            self._token += TOKEN

    def wait(self, seconds: float) -> list[Event] | None:
        """Return the next events, or [] if there are none within the time; what the run ends with is kept.

        Raises:
            RunAgentError: The wait could not begin, or the stream was closed meanwhile.
        """
        self.run.keep_place()
        try:
            return self.next_batch(Patience(seconds))
        except RunAgentError as exc:
            self._put_off(exc)
            return None

    def _move_on(self, action: Action) -> bool:
        """Take an action that has to come before the next read; return False at the end."""
        if action is Action.CONNECT:
            self._connect()
        elif action is Action.SEND:
            self.run.action = Action.READ
            self._flush(self._outgoing, more=True)
        elif action is Action.CLOSE_WRITE:
            self._close_write()
        elif action is Action.BACK_OFF:
            self._back_off()
        elif action is Action.PROBE:
            self._probe()
        else:
            self._end()
            return False
        self._check_closed()
        return True

    def _take_turn(self, start: float) -> float:
        """Let the session go on with the bytes that it has; return the time."""
        end = self._now()
        self._check_closed()
        outgoing = self.run.go_on(start, end)
        if outgoing or self.run.action is not _READ:
            self._flush(outgoing)
            self._check_closed()
        return end

    def _back_off(self) -> None:
        """Wait before the next attempt, in small steps, as closing the stream does not end a sleep."""
        run, now = self.run, self._now
        until = now() + run.recovery.delay
        end = min(until, run.deadlines.own_end)
        while not self._closed and (left := end - now()) > 0:
            self._network.sleep(min(left, CLOSED_NOTICED_SECONDS))
        run.recovery.delay = until - now()
        if run.recovery.delay <= 0:
            run.action = Action.CONNECT

    def _probe(self) -> None:
        """Check whether a reset follows the connection's end: the peer had then not read everything."""
        connection, until = cast("Connection", self._connection), self._now() + RESET_SECONDS
        while not (reset := connection.was_reset()) and not self._closed and self._now() < until:
            self._network.sleep(RESET_SECONDS / RESET_LOOKS)
        self._check_closed()
        self._flush(self.run.probed(reset=reset))

    def _connect(self) -> None:
        run, now = self.run, self._now
        run.begin_attempt(now())
        try:
            self._connection, reused = self._acquire(run.address, run.deadlines.connect(now()))
        except DeadlineExceededError:
            self._check_closed()
            run.timed_out(now(), 0.0)
        except NetworkError as exc:
            self._check_closed()
            run.connect_failed(exc, now())
        else:
            self._check_closed()
            self._deadlines = run.deadlines
            begun = now()
            run.connected(begun, reused=reused)
            self._flush(run.data_to_send())
            run.deadlines.waited(now() - begun)  # sending is a wait for the network

    def _acquire(self, address: Address, deadline: float) -> tuple[Connection, bool]:
        if (session := self.run.attempt.connecting) is not None:
            return session.connect(address, self._network), False
        while not self.run.recovery.fresh and (idle := self._pool.take(address)):
            try:
                if idle.refresh():
                    return idle.connection, True
                if idle.waits_for_end:
                    with contextlib.suppress(DeadlineExceededError, OSError):
                        idle.feed(idle.connection.receive(READ_BYTES, self._now() + END_OF_ANSWER_SECONDS))
                    if idle.reusable:
                        return idle.connection, True
            except BaseException:
                idle.connection.abort()
                raise
            idle.connection.abort()
        return self._network.connect(address, deadline, self._connect_attempt), False

    def _flush(self, data: bytes, *, more: bool = False) -> None:
        """Send the session's bytes; then release the connection if the session needs it no more.

        Args:
            data: The first bytes to send.
            more: The connection still holds unsent bytes, which are sent first.
        """
        run, connection, now = self.run, cast("Connection", self._connection), self._now
        deadline = now() + self._send_seconds
        while (data := run.check_sent(data)) or more:
            if not more:
                deadline, self._overheard = run.send_deadline(now()), 0
            more = False
            try:
                more = bool(connection.send(data, deadline))
            except DeadlineExceededError:
                run.send_failed(None)
            except OSError as exc:
                let_signals_through(exc)
                run.send_failed(exc)
            except BaseException as exc:
                # The bytes hold the key, and so do the variables of this frame and of those below.
                data, exc.__traceback__ = b"", None
                raise
            data = self._overhear(connection) if more else run.data_to_send()
            if more and self._stops_sending(data, deadline):
                break
        if run.action not in SAME_CONNECTION:
            self._release(connection)

    def _release(self, connection: Connection) -> None:
        self._connection = None
        if self.run.keeps_connection:
            self._pool.put(self.run.address, connection, self.run.session, self.run.limits)
        else:
            connection.abort()

    def _leave(self) -> None:
        """Drop the connection and the run at once; send the session's closing bytes if they need no wait."""
        run, connection = self.run, self._connection
        self._connection = None
        if connection is not None and not run.forked:
            connection.abort(self._farewell())
        run.abandon()
