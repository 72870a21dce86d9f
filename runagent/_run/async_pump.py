"""The loop that moves bytes in an event loop: `Pump` for asyncio and trio."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, cast

from runagent._errors import NetworkError, RunAgentError, StreamError
from runagent._internal.foreign import is_cancellation, let_signals_through
from runagent._internal.tracebacks import is_ours
from runagent._net.base import (
    AsyncConnection,
    AsyncNetwork,
    DeadlineExceededError,
    QuickConnection,
    quick_connection,
)
from runagent._net.loops import EventLoop, current_loop
from runagent._run.pump_core import (
    CLOSED_NOTICED_SECONDS,
    END_OF_ANSWER_SECONDS,
    OTHER_LOOP,
    READ_BYTES,
    RESET_LOOKS,
    RESET_SECONDS,
    PumpCore,
    ReaderRefusedError,
)
from runagent._run.spec import SAME_CONNECTION, Action
from runagent._run.until import Patience

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent._address.route import Address
    from runagent._events import Event
    from runagent._net.loops import Pools
    from runagent._net.pool import Pool
    from runagent._run.coming_key import ComingKey
    from runagent._run.run import Run
    from runagent._run.sink import Sink
    from runagent._run.until import Until

__all__ = ["AsyncPump"]

__tracebackhide__ = is_ours

_READ, _TURN = Action.READ, Action.TURN
_CANCELLED_WHILE_SENT = "the run was cancelled while it was sending to the agent; start a new run"


class AsyncPump(PumpCore):
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
        self._pool: Pool[AsyncConnection] | None = None  # the one that counts the connection as in use
        self._connection: AsyncConnection | None = None
        self._now: Callable[[], float] = float  # there is no clock before the first connection
        self._reading = False
        self._quick: QuickConnection | None = None  # the connection, if it is one
        self._key: ComingKey | None = None

    def for_run(self, run: Run) -> AsyncPump:
        """Return a pump for another run of the same client."""
        return AsyncPump(run, self._pools, self._given_network)

    def close(self) -> None:
        """Close the run; a `next_batch` that waits in another task raises a StreamError."""
        self._closed = True
        self._connect_attempt.cancel()
        self.run.finished(self._now())
        self._leave()

    def is_elsewhere(self, loop: EventLoop) -> bool:
        """Whether the run has begun in another event loop than this one."""
        return self._loop not in (None, loop)

    async def checkpoint(self) -> None:
        """Let others run, and notice a cancellation."""
        if self._loop is not None:
            await self._network.checkpoint()

    async def next_batch(  # noqa: C901  # in one piece: a call costs more than a branch, at every read
        self, until: Until | None = None, sink: Sink | None = None
    ) -> list[Event] | None:
        """Move bytes until there are events and return them; None at the end.

        Args:
            until: Return without events once this is reached.
            sink: Gets what would be returned, batch after batch until the end; [] as well. A relay so waits
                in one coroutine, in place of a new one for each read.

        Raises:
            RunAgentError: The run failed. It is raised once; later calls return None.
        """
        run = self.run
        batch: list[Event] | None
        reading: Awaitable[bytes | None] | None
        while True:
            if run.forked or self._reading:
                self._refuse()
            self._reading = True
            try:
                if self._closed:
                    self._end_closed()
                    return None
                if until is not self._until:
                    self._take_up(until)
                    if self._loop is None:
                        self._now = (self._given_network or (await current_loop()).network).now
                now = self._now
                start = now()
                while not run.events:
                    if until is not None and until.reached(run, start):
                        batch = []
                        break
                    if run.action is not _READ:
                        if run.action is _TURN:
                            start = await self._take_turn(start)
                            continue
                        if not await self._move_on(run.action):
                            return None
                        start = self._now()
                        continue
                    now, deadlines, quick = self._now, self._deadlines, self._quick
                    deadline = start + deadlines.patience
                    if deadline >= (cap := deadlines.cap):
                        deadline = cap if start < cap else deadlines.read(start)
                    reading = (
                        cast("AsyncConnection", self._connection).receive(READ_BYTES, deadline)
                        if quick is None
                        else quick.begin_receive(deadline)
                    )
                    try:
                        data = await reading
                    except (DeadlineExceededError, OSError) as exc:
                        if until is not None and self._gave_way(exc, start):
                            batch = []
                            break
                        outgoing = self._read_failed(exc, start)
                    except BaseException:
                        if quick is not None:
                            quick.end_receive(reading)
                        self._deadlines.waited(self._now() - start)
                        raise
                    else:
                        if self._closed:
                            self._check_closed()
                        if data is None:
                            continue
                        end = now()
                        try:
                            if (batch := run.take_one(data, end)) is not None:
                                break
                            outgoing = run.received(data, start, end)
                        except BaseException as exc:  # the session may be in any state: it gets no more bytes
                            self._give_up(exc)
                            raise
                        # It may quote the key, and errors keep the variables of their frames.
                        data = reading = None
                        start = end  # without an event, the time from here on counts as part of the same wait
                    if outgoing or run.action is not _READ:
                        await self._flush(outgoing)
                        self._check_closed()
                else:
                    batch = run.take_events()
                data = reading = None
            except Exception as exc:
                if isinstance(exc, RuntimeError | TypeError) and self._loop not in (
                    None,
                    await current_loop(),
                ):
                    raise ReaderRefusedError(OTHER_LOOP) from exc
                self._give_up(exc)
                raise
            except BaseException as exc:
                if not is_cancellation(exc):  # a cancellation only ends a wait; Ctrl-C may interrupt any step
                    self._give_up(exc)
                raise
            finally:
                self._reading = False
            if sink is None:
                return batch
            try:
                await sink.write(batch)
            except BaseException:
                sink.broken = True
                raise

    async def wait(self, seconds: float) -> list[Event] | None:
        """Return the next events, or [] if there are none within the time; what the run ends with is kept.

        Raises:
            RunAgentError: The wait could not begin, or the stream was closed meanwhile.
        """
        if self._loop is None:
            await current_loop()  # which may raise
        self.run.keep_place()
        try:
            return await self.next_batch(Patience(seconds))
        except RunAgentError as exc:
            self._put_off(exc)
            return None

    async def _move_on(self, action: Action) -> bool:
        """Take an action that has to come before the next read; return False at the end."""
        if action is Action.CONNECT:
            await self._connect()
        elif action is Action.SEND:
            self.run.action = Action.READ
            await self._flush(self._outgoing, more=True)
        elif action is Action.CLOSE_WRITE:
            self._close_write()
        elif action is Action.BACK_OFF:
            await self._back_off()
        elif action is Action.PROBE:
            await self._probe()
        else:
            self._end()
            return False
        self._check_closed()
        return True

    @property
    def _network(self) -> AsyncNetwork:
        return self._given_network or cast("EventLoop", self._loop).network

    async def _take_turn(self, start: float) -> float:
        """Let the session go on with the bytes that it has, after other tasks; return the time."""
        await self._network.checkpoint()
        end = self._now()
        self._check_closed()
        outgoing = self.run.go_on(start, end)
        if outgoing or self.run.action is not _READ:
            await self._flush(outgoing)
            self._check_closed()
        return end

    async def _back_off(self) -> None:
        """Wait before the next attempt, in small steps, as closing the stream does not end a sleep."""
        run, now = self.run, self._now
        until = now() + run.recovery.delay
        end = min(until, run.deadlines.own_end)
        try:
            while not self._closed and (left := end - now()) > 0:
                await self._network.sleep(min(left, CLOSED_NOTICED_SECONDS))
        finally:
            # If the wait is cancelled, the next read continues with the rest of it.
            run.recovery.delay = until - now()
        if run.recovery.delay <= 0:
            run.action = Action.CONNECT

    async def _probe(self) -> None:
        """Check whether a reset follows the connection's end: the peer had then not read everything."""
        connection, until = cast("AsyncConnection", self._connection), self._now() + RESET_SECONDS
        while not (reset := connection.was_reset()) and not self._closed and self._now() < until:
            await self._network.sleep(RESET_SECONDS / RESET_LOOKS)
        self._check_closed()
        await self._flush(self.run.probed(reset=reset))

    async def _connect(self) -> None:
        self._loop = loop = await current_loop()
        self._now = now = self._network.now
        run, pool = self.run, self._pools.of(loop)
        run.begin_attempt(now())
        deadline = run.deadlines.connect(run.attempt.began_at)
        if run.attempt.session is None and not await self._take_key(deadline):
            return
        try:
            self._connection, reused = await self._acquire(pool, run.address, deadline)
        except DeadlineExceededError:
            self._check_closed()
            run.timed_out(now(), 0.0)
        except NetworkError as exc:
            self._check_closed()
            run.connect_failed(exc, now())
        except BaseException:
            run.connecting_paused(now())
            raise
        else:
            self._check_closed()
            self._quick = quick_connection(self._connection)
            pool.in_use(self._connection)
            self._pool = pool
            self._deadlines = run.deadlines
            begun = now()
            run.connected(begun, reused=reused)
            await self._flush(run.data_to_send())
            run.deadlines.waited(now() - begun)  # see Pump

    async def _take_key(self, deadline: float) -> bool:
        """Open the session once its key is there; False if the key came too late."""
        run, attempt = self.run, self.run.attempt
        if attempt.key_to_come is not None:
            from runagent._run.coming_key import ComingKey  # most keys are fixed

            coming, attempt.key_to_come = attempt.key_to_come, None
            self._key = ComingKey(coming)
        assert self._key is not None
        self._connect_attempt.wake = self._key.cancel
        try:
            key = await self._key.wait(deadline - self._now())
        except BaseException:
            run.connecting_paused(self._now())
            raise
        self._check_closed()
        if key is not None:
            run.open_session(key)
            return True
        run.timed_out(self._now(), 0.0)
        return False

    async def _acquire(
        self, pool: Pool[AsyncConnection], address: Address, deadline: float
    ) -> tuple[AsyncConnection, bool]:
        if (session := self.run.attempt.connecting) is not None:
            return await session.connect_async(address, self._network), False
        while not self.run.recovery.fresh and (idle := pool.take(address)):
            try:
                if idle.refresh():
                    return idle.connection, True
                if idle.waits_for_end:
                    with contextlib.suppress(DeadlineExceededError, OSError):
                        idle.feed(
                            await idle.connection.receive(READ_BYTES, self._now() + END_OF_ANSWER_SECONDS)
                        )
                    if idle.reusable:
                        return idle.connection, True
            except BaseException:
                idle.connection.abort()
                raise
            idle.connection.abort()
        return await self._network.connect(address, deadline, self._connect_attempt), False

    async def _flush(self, data: bytes, *, more: bool = False) -> None:
        """Send the session's bytes; then release the connection if the session needs it no more.

        Args:
            data: The first bytes to send.
            more: The connection still holds unsent bytes, which are sent first.
        """
        run, connection, now = self.run, cast("AsyncConnection", self._connection), self._now
        deadline = now() + self._send_seconds
        while (data := run.check_sent(data)) or more:
            if not more:
                deadline, self._overheard = run.send_deadline(now()), 0
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
            self._check_closed()  # closing drops the session, and what the connection had to send
            data = self._overhear(connection) if more else run.data_to_send()
            if more and self._stops_sending(data, deadline):
                break
        if run.action not in SAME_CONNECTION:
            self._release(connection)

    def _release(self, connection: AsyncConnection) -> None:
        pool = cast("Pool[AsyncConnection]", self._pool)
        self._connection = self._quick = None
        if self.run.keeps_connection:
            pool.put(self.run.address, connection, self.run.session, self.run.limits)
        else:
            pool.left(connection)
            connection.abort()

    def _leave(self) -> None:
        """Drop the connection and the run at once; send the session's closing bytes if they need no wait."""
        run, connection = self.run, self._connection
        self._connection = self._quick = None
        if self._key is not None:
            self._key.cancel()
        if connection is not None and not run.forked:
            if self._pool is not None:
                self._pool.left(connection)
            connection.abort(self._farewell())
        run.abandon()
