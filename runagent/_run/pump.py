"""The only two loops that move bytes: `Pump` and `AsyncPump`, the same in two colours.

What the bytes mean, what comes next and how it ends is `Run`'s to say.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NoReturn, cast

from runagent._errors import NetworkError, StreamError
from runagent._internal.foreign import is_cancellation, let_signals_through
from runagent._net.base import (
    AsyncConnection,
    AsyncNetwork,
    Connection,
    DeadlineExceededError,
    Dialing,
    Network,
)
from runagent._net.loops import EventLoop, current_loop
from runagent._run.spec import Step

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent._address.route import Address
    from runagent._events import Event
    from runagent._net.loops import Pools
    from runagent._net.pool import Pool
    from runagent._run.run import Run

__all__ = ["AsyncPump", "Pump"]

READ_BYTES = 64 * 1024
_READ = Step.READ
_NEVER = float("inf")
_SAME_CONNECTION = frozenset({Step.READ, Step.SEND, Step.CLOSE_WRITE, Step.PROBE})
TOKEN = (None,)
_CLOSED_NOTICED_SECONDS = 0.1  # a wait before another attempt goes by such steps
_RESET_SECONDS, _RESET_LOOKS = 0.05, 10  # so long a reset is looked for behind the end of a connection
_END_OF_ANSWER_SECONDS = 0.02  # the formal end of an answer comes right behind its last event
CLOSED_WHILE_READ = "the stream was closed while it was being read"
_CANCELLED_WHILE_SENT = "the run was cancelled while something was being sent to the agent; begin it anew"
_OTHER_LOOP = "this stream was begun in another event loop; read it there, or begin a new one here"
TWO_READERS = "the stream is being read by somebody else; one stream has one reader"


class _PumpCore:
    """What both colours have: the run, and how it is over.

    Attributes:
        run: The run whose bytes are moved.
    """

    _now: Callable[[], float]

    def __init__(self, run: Run) -> None:
        self.run = run
        self._closed = False
        self._dialing = Dialing()
        # While the peer takes nothing: what goes behind the rest, and how long it has to take that.
        self._outgoing = b""
        self._send_seconds = 0.0

    def check_process(self) -> None:
        """Refuse to go on with what belongs to the parent process.

        Raises:
            RuntimeError: There was a fork since the run began.
        """
        if self.run.forked:
            raise RuntimeError(
                "this stream was begun before a fork; only the parent process can go on with it"
            )

    def _overhear(self, connection: Connection | AsyncConnection) -> bytes:
        """Take what the peer says while it takes nothing; return what is to be sent behind the rest."""
        data, now = connection.poll(READ_BYTES), self._now()
        return self.run.received(data, now, now) if data else b""

    def _stops_sending(self, outgoing: bytes, deadline: float) -> bool:
        """Whether the rest is not sent now: never, or once the events that have come are handed out."""
        if self.run.wants_no_more:
            self.run.send_stopped()
            return True
        if self.run.events:
            self._outgoing, self._send_seconds = outgoing, deadline - self._now()
            self.run.step = Step.SEND
        return bool(self.run.events)

    def _refuse(self) -> NoReturn:
        self.check_process()
        raise RuntimeError(TWO_READERS)

    def _end(self, now: float) -> None:
        """Raise the run's error, once; afterwards the stream is at its end."""
        self.run.finished(now)
        self.run.let_go()
        error, self.run.error = self.run.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # or the traceback would keep this frame, and the frame the error


class Pump(_PumpCore):
    """Moves the bytes of one run, in the thread that asks for its events."""

    def __init__(self, run: Run, network: Network, pool: Pool[Connection]) -> None:
        super().__init__(run)
        self._network = network
        self._now = network.now
        self._pool = pool
        self._connection: Connection | None = None
        # Who takes the token reads. A lock would do the same; it costs four times as much with cold caches.
        # It is taken and given back without a call, behind which a signal handler could run and raise.
        self._token: list[None] = [None]

    def close(self) -> None:
        """Leave the run; a `next_batch` that waits in another thread raises a StreamError."""
        self._closed = True
        self._dialing.give_up()
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

    def drop(self) -> None:
        """Leave the run for a stream that nobody holds any more."""
        self._leave()

    def next_batch(  # noqa: C901  # in one piece: a call costs more than a branch, at every read
        self, *, until_connected: bool = False
    ) -> list[Event] | None:
        """Move bytes until there are events and return them; None at the end.

        Args:
            until_connected: Return as soon as the request is on its way.

        Raises:
            RunAgentError: The run has failed; told once, afterwards it is at its end.
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
                self._leave()
                return None
            start = self._now()
            while not run.events:
                if run.step is not _READ:
                    if not self._move_on(run.step):
                        return None
                    start = self._now()
                    continue
                if until_connected:
                    return []
                connection = self._connection
                assert connection is not None
                try:
                    data = connection.receive(READ_BYTES, self._deadlines.read(start))
                except (DeadlineExceededError, OSError) as exc:
                    outgoing = self._read_failed(exc, start)
                else:
                    if self._closed:
                        self._check_closed()
                    end = self._now()
                    outgoing = run.received(data, start, end)
                    data = b""  # it may quote the key, and errors keep the variables of their frames
                    start = end  # what follows without an event goes on counting as a wait
                if outgoing or run.step is not _READ:
                    self._flush(outgoing)
                    self._check_closed()
            return run.take_events()
        except BaseException as exc:
            failed = isinstance(exc, Exception) and not self._closed
            run.finished(self._now(), failed=failed)
            self._leave()
            raise
        finally:
            self._token += TOKEN

    def _read_failed(self, exc: DeadlineExceededError | OSError, start: float) -> bytes:
        self._check_closed()
        let_signals_through(exc)
        return self.run.read_failed(exc, start, self._now())

    def _move_on(self, step: Step) -> bool:
        """Do what is to be done before the next read; False at the end."""
        if step is Step.CONNECT:
            self._connect()
        elif step is Step.SEND:
            self.run.step = Step.READ
            self._flush(self._outgoing, more=True)
        elif step is Step.CLOSE_WRITE:
            self._close_write()
        elif step is Step.BACK_OFF:
            self._back_off()
        elif step is Step.PROBE:
            self._probe()
        else:
            self._end(self._now())
            return False
        self._check_closed()
        return True

    def _check_closed(self) -> None:
        if self._closed:
            raise StreamError(CLOSED_WHILE_READ, chunks_received=self.run.report.chunks)

    def _back_off(self) -> None:
        """Wait before the next attempt; by small steps, because closing the stream wakes no sleeper."""
        now = self._now
        until = now() + self.run.delay
        while not self._closed and (left := until - now()) > 0:
            self._network.sleep(min(left, _CLOSED_NOTICED_SECONDS))
        self.run.step = Step.CONNECT

    def _probe(self) -> None:
        """See whether a reset follows the end of the connection, as it does if the peer has not read all."""
        connection, until = cast("Connection", self._connection), self._now() + _RESET_SECONDS
        while not (reset := connection.was_reset()) and not self._closed and self._now() < until:
            self._network.sleep(_RESET_SECONDS / _RESET_LOOKS)
        self._check_closed()
        self._flush(self.run.probed(reset=reset))

    def _connect(self) -> None:
        run, now = self.run, self._now
        address = run.begin_attempt(now())
        try:
            self._connection, reused = self._acquire(address, run.deadlines.connect(now()))
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
            run.sent(now() - begun)

    def _acquire(self, address: Address, deadline: float) -> tuple[Connection, bool]:
        if (session := self.run.connecting) is not None:
            return session.connect(address, self._network), False
        while not self.run.fresh and (idle := self._pool.take(address)):
            if not idle.refresh() and idle.waits_for_end:
                with contextlib.suppress(DeadlineExceededError, OSError):
                    idle.feed(idle.connection.receive(READ_BYTES, self._now() + _END_OF_ANSWER_SECONDS))
            if idle.reusable:
                return idle.connection, True
            idle.connection.abort()
        return self._network.connect(address, deadline, self._dialing), False

    def _flush(self, data: bytes, *, more: bool = False) -> None:
        """Send what the session has to say; then let go of a connection that has served.

        Args:
            data: What it has to say.
            more: The connection holds the rest of something, which goes first.
        """
        run, connection, now = self.run, cast("Connection", self._connection), self._now
        deadline = now() + self._send_seconds
        while data or more:
            deadline = deadline if more else run.send_deadline(now())
            more = False
            try:
                more = bool(connection.send(data, deadline))
            except DeadlineExceededError:
                run.send_failed(None)
            except OSError as exc:
                let_signals_through(exc)
                run.send_failed(exc)
            except BaseException as exc:
                # The key is in what is sent, and so in the variables of this frame and those below.
                data, exc.__traceback__ = b"", None
                raise
            data = self._overhear(connection) if more else run.data_to_send()
            if more and self._stops_sending(data, deadline):
                break
        if run.step not in _SAME_CONNECTION:
            self._release(connection)

    def _close_write(self) -> None:
        cast("Connection", self._connection).close_write()
        self.run.write_closed()

    def _release(self, connection: Connection) -> None:
        self._connection = None
        if self.run.keeps_connection:
            self._pool.put(self.run.address, connection, self.run.session, self.run.limits)
        else:
            connection.abort()

    def _leave(self) -> None:
        """Drop everything at once, with a word of farewell where the protocol has one."""
        run, connection = self.run, self._connection
        self._connection = None
        if connection is not None and not run.forked:
            connection.abort(run.farewell())
        run.abandon()


class AsyncPump(_PumpCore):
    """`Pump` for asyncio and trio."""

    def __init__(
        self,
        run: Run,
        pools: Pools,
        network: AsyncNetwork | None = None,
    ) -> None:
        super().__init__(run)
        self._pools = pools
        self._given_network = network
        self._loop: EventLoop | None = None
        self._pool: Pool[AsyncConnection] | None = None  # that knows of the connection
        self._connection: AsyncConnection | None = None
        self._now: Callable[[], float] = float  # there is no clock before the first connection
        self._reading = False

    def close(self) -> None:
        """Leave the run; a `next_batch` that waits in another task raises a StreamError."""
        self._closed = True
        self._dialing.give_up()
        if self._loop is not None:
            self.run.finished(self._network.now())
        self._leave()

    def drop(self) -> None:
        """Leave the run for a stream that nobody holds any more; callable from any thread."""
        self._leave()

    async def checkpoint(self) -> None:
        """Let others run, and notice a cancellation."""
        if self._loop is not None:
            await self._network.checkpoint()

    async def next_batch(  # noqa: C901  # in one piece: a call costs more than a branch, at every read
        self, *, until_connected: bool = False
    ) -> list[Event] | None:
        """Move bytes until there are events and return them; None at the end.

        Args:
            until_connected: Return as soon as the request is on its way.

        Raises:
            RunAgentError: The run has failed; told once, afterwards it is at its end.
        """
        run = self.run
        if run.forked or self._reading:
            self._refuse()
        self._reading = True
        try:
            if self._closed:
                self._leave()
                return None
            start = self._now()
            while not run.events:
                if run.step is not _READ:
                    if not await self._move_on(run.step):
                        return None
                    start = self._now()
                    continue
                if until_connected:
                    return []
                connection = self._connection
                assert connection is not None
                try:
                    data = await connection.receive(READ_BYTES, self._deadlines.read(start))
                except (DeadlineExceededError, OSError) as exc:
                    outgoing = self._read_failed(exc, start)
                except BaseException:
                    self._deadlines.waited(self._now() - start)
                    raise
                else:
                    if self._closed:
                        self._check_closed()
                    end = self._now()
                    try:
                        outgoing = run.received(data, start, end)
                    except BaseException as exc:  # what a session would make of further bytes is a guess
                        self._give_up(exc)
                        raise
                    data = b""  # it may quote the key, and errors keep the variables of their frames
                    start = end  # what follows without an event goes on counting as a wait
                if outgoing or run.step is not _READ:
                    await self._flush(outgoing)
                    self._check_closed()
            return run.take_events()
        except Exception as exc:
            if isinstance(exc, RuntimeError | TypeError) and self._loop not in (None, await current_loop()):
                raise RuntimeError(_OTHER_LOOP) from exc
            self._give_up(exc)
            raise
        except BaseException as exc:
            if not is_cancellation(exc):  # which has ended a wait; Ctrl-C may have come between any two steps
                self._give_up(exc)
            raise
        finally:
            self._reading = False

    def _read_failed(self, exc: DeadlineExceededError | OSError, start: float) -> bytes:
        self._check_closed()
        let_signals_through(exc)
        return self.run.read_failed(exc, start, self._now())

    async def _move_on(self, step: Step) -> bool:
        """Do what is to be done before the next read; False at the end."""
        if step is Step.CONNECT:
            await self._connect()
        elif step is Step.SEND:
            self.run.step = Step.READ
            await self._flush(self._outgoing, more=True)
        elif step is Step.CLOSE_WRITE:
            self._close_write()
        elif step is Step.BACK_OFF:
            await self._back_off()
        elif step is Step.PROBE:
            await self._probe()
        else:
            self._end(self._network.now())
            return False
        self._check_closed()
        return True

    def _finish(self, *, failed: bool = False) -> None:
        if self._loop is not None:
            self.run.finished(self._network.now(), failed=failed)

    def _give_up(self, exc: BaseException) -> None:
        self._finish(failed=isinstance(exc, Exception) and not self._closed)
        self._leave()

    def _check_closed(self) -> None:
        if self._closed:
            self._leave()
            raise StreamError(CLOSED_WHILE_READ, chunks_received=self.run.report.chunks)

    @property
    def _network(self) -> AsyncNetwork:
        return self._given_network or cast("EventLoop", self._loop).network

    async def _back_off(self) -> None:
        """Wait before the next attempt; by small steps, because closing the stream wakes no sleeper."""
        run, now = self.run, self._network.now
        until = now() + run.delay
        try:
            while not self._closed and (left := until - now()) > 0:
                await self._network.sleep(min(left, _CLOSED_NOTICED_SECONDS))
        finally:
            run.delay = until - now()  # a read that is cancelled while it waits has waited all the same
        run.step = Step.CONNECT

    async def _probe(self) -> None:
        """See whether a reset follows the end of the connection, as it does if the peer has not read all."""
        now, network = self._network.now, self._network
        connection, until = cast("AsyncConnection", self._connection), now() + _RESET_SECONDS
        while not (reset := connection.was_reset()) and not self._closed and now() < until:
            await network.sleep(_RESET_SECONDS / _RESET_LOOKS)
        self._check_closed()
        await self._flush(self.run.probed(reset=reset))

    async def _connect(self) -> None:
        self._loop = loop = await current_loop()
        self._now = now = self._network.now
        run, pool = self.run, self._pools.of(loop)
        address = run.begin_attempt(now())
        deadline = run.deadlines.connect(now())
        if run.key_to_come is not None and not await self._take_key(run.key_to_come, deadline):
            return
        try:
            self._connection, reused = await self._acquire(pool, address, deadline)
        except DeadlineExceededError:
            self._check_closed()
            run.timed_out(now(), 0.0)
        except NetworkError as exc:
            self._check_closed()
            run.connect_failed(exc, now())
        else:
            self._check_closed()
            pool.in_use(self._connection)
            self._pool = pool
            self._deadlines = run.deadlines
            begun = now()
            run.connected(begun, reused=reused)
            await self._flush(run.data_to_send())
            run.sent(now() - begun)

    async def _take_key(self, coming: Awaitable[str], deadline: float) -> bool:
        """Open the session once its key is there; False if the key came too late."""
        from runagent._net.tasks import new_scope  # most keys are fixed

        run, scope, keys = self.run, new_scope(), list[str]()

        async def wait() -> None:
            if deadline < _NEVER:
                scope.limit(max(0.0, deadline - self._now()))
            keys.append(await coming)

        run.key_to_come, self._dialing.wake = None, scope.cancel
        await scope.run(wait)
        self._check_closed()
        if keys:
            run.open_session(keys.pop())
            return True
        run.timed_out(max(self._now(), deadline), 0.0)  # the loop's own clock may be a little fast
        return False

    async def _acquire(
        self, pool: Pool[AsyncConnection], address: Address, deadline: float
    ) -> tuple[AsyncConnection, bool]:
        if (session := self.run.connecting) is not None:
            return await session.connect_async(address, self._network), False
        while not self.run.fresh and (idle := pool.take(address)):
            try:
                if not idle.refresh() and idle.waits_for_end:
                    with contextlib.suppress(DeadlineExceededError, OSError):
                        idle.feed(
                            await idle.connection.receive(
                                READ_BYTES, self._network.now() + _END_OF_ANSWER_SECONDS
                            )
                        )
                if idle.reusable:
                    return idle.connection, True
            except BaseException:
                idle.connection.abort()
                raise
            idle.connection.abort()
        return await self._network.connect(address, deadline, self._dialing), False

    async def _flush(self, data: bytes, *, more: bool = False) -> None:
        """Send what the session has to say; then let go of a connection that has served.

        Args:
            data: What it has to say.
            more: The connection holds the rest of something, which goes first.
        """
        run, connection, now = self.run, cast("AsyncConnection", self._connection), self._network.now
        deadline = now() + self._send_seconds
        while data or more:
            deadline = deadline if more else run.send_deadline(now())
            more = False
            try:
                more = bool(await connection.send(data, deadline))
            except DeadlineExceededError:
                run.send_failed(None)
            except OSError as exc:
                let_signals_through(exc)
                run.send_failed(exc)
            except BaseException as exc:
                self._leave()
                run.error = StreamError(_CANCELLED_WHILE_SENT, chunks_received=run.report.chunks)
                data, exc.__traceback__ = b"", None  # see Pump._flush
                raise
            data = self._overhear(connection) if more else run.data_to_send()
            if more and self._stops_sending(data, deadline):
                break
        if run.step not in _SAME_CONNECTION:
            self._release(connection)

    def _close_write(self) -> None:
        cast("AsyncConnection", self._connection).close_write()
        self.run.write_closed()

    def _release(self, connection: AsyncConnection) -> None:
        pool = cast("Pool[AsyncConnection]", self._pool)
        self._connection = None
        if self.run.keeps_connection:
            pool.put(self.run.address, connection, self.run.session, self.run.limits)
        else:
            pool.left(connection)
            connection.abort()

    def _leave(self) -> None:
        """Drop everything at once, with a word of farewell where the protocol has one."""
        run, connection = self.run, self._connection
        self._connection = None
        if connection is not None and not run.forked:
            if self._pool is not None:
                self._pool.left(connection)
            connection.abort(run.farewell())
        run.abandon()
