"""Transports that are asynchronous libraries, made to look like any other one.

The library's coroutine runs as one task and puts events into a mailbox. For the pump the mailbox is a
connection whose only message is "there is something", and for the run a session that takes it out: time
limits, retries, reports and leaving early are therefore those of every transport. Where the reader is not
in a loop that the library knows, the task has a separate loop, in a thread that ends with it.
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Protocol

from runagent._errors import PluginError, RunAgentError, StreamTruncatedError
from runagent._events import Chunk, Completed, Event, RunResult, Started
from runagent._internal.foreign import is_cancellation, let_signals_through
from runagent._internal.locks import ThreadWakeup
from runagent._net.base import DeadlineExceededError
from runagent._net.faults import connect_error, explain_loss
from runagent._net.tasks import Scope, Wakeup, current_library, new_scope, spawn, start_loop
from runagent.transports._base import BaseSession, Wants
from runagent.transports._counting import ChunkCount
from runagent.transports._returned import check_order

if TYPE_CHECKING:
    from runagent._address.route import Address
    from runagent._call import AgentCall, ResumePoint
    from runagent._net.base import AsyncNetwork, Network
    from runagent.transports._async_transport import AsyncTransport

__all__ = ["AsyncLibraryConnection", "LibraryConnection", "LibrarySession"]

_logger = logging.getLogger("runagent.bridge")

WINDOW = 64  # events at hand from which on the library has to wait
_TIDY_SECONDS = 1.0
_NEWS = b"\0"
_NEVER = float("inf")
_LAST_EVENTS = frozenset({Completed, RunResult})


class _Wakes(Protocol):
    def wake(self) -> None: ...


class _Mailbox:
    """Events on their way from the library to the reader, perhaps each in a separate thread.

    Attributes:
        over: The library's coroutine has ended.
        error: What it raised.
        complete: The last event has been put in; nothing is taken any more.
        waits: The library waits for room, or is about to.
        reader: Wakes who reads.
        writer: Wakes who waits for room.
    """

    def __init__(self) -> None:
        self.over = self.complete = self.waits = False
        self.error: BaseException | None = None
        self.reader: _Wakes | None = None
        self.writer: _Wakes | None = None
        self._events: deque[Event] = deque()
        self._stirred = False  # the reader has been informed, or has seen for itself

    @property
    def full(self) -> bool:
        return len(self._events) >= WINDOW

    @property
    def has_news(self) -> bool:
        return self._stirred or self.over

    def put(self, events: tuple[Event, ...]) -> None:
        """Add events; none at all are a sign of life."""
        self._events.extend(events)
        if not self._stirred:
            self._stirred = True
            if self.reader is not None:
                self.reader.wake()

    def end(self, error: BaseException | None = None) -> None:
        if self.over:
            return
        self.error = error
        self.over = True
        if self.reader is not None:
            self.reader.wake()

    def take(self) -> list[Event]:
        self._stirred = False  # before: what is added from now on rings again
        events = [self._events.popleft() for _ in range(len(self._events))]
        # Asked after the events are gone, while the library sets it before it looks for room: one of the two
        # sees what the other has done, in whichever order their threads run.
        if self.waits and self.writer is not None:
            self.waits = False
            self.writer.wake()
        return events


class LibrarySession(BaseSession):
    """One run of a library, as core sees it."""

    def __init__(self, library: AsyncTransport, call: AgentCall, resume: ResumePoint | None) -> None:
        super().__init__()
        self.library = library
        self.call = call
        self.resume = resume
        self.mailbox = _Mailbox()
        self._count = ChunkCount(resume)
        self._last_event_id = ""
        self._address: Address | None = None
        self.handle_ids = call.attach_to  # else those of `Started`

    def receive_data(self, data: bytes) -> list[Event]:
        """Take what the library has put into the mailbox."""
        over = self.mailbox.over  # asked first: what it did before its end is in the mailbox by then
        events: list[Event] = []
        for event in self.mailbox.take():
            self.answered = True
            if not self._take(event):
                break
            events.append(event)
            if self.wants is not Wants.READ:
                break
        # Only chunks have a place: a resumption behind any other event could repeat that event.
        behind_chunk = not events or isinstance(events[-1], Chunk | Started)
        point = self._count.resume_point(self._last_event_id) if behind_chunk else None
        self.resume_point = point if events else self.resume_point
        if over and self.wants is Wants.READ:
            self.fail(self._verdict(self.mailbox.error))
        return events

    def receive_eof(self) -> list[Event]:
        """End a run that is given up; what may be in the mailbox comes too late."""
        self.fail(StreamTruncatedError("the run was given up"))
        return []

    def _take(self, event: Event) -> bool:
        if isinstance(event, Chunk):
            fault = self._count.take(event.index) if event.index is not None or self._count.active else None
            if fault is not None:
                self.fail(fault)
                return False
            self._last_event_id = event.id or self._last_event_id
        elif isinstance(event, Started):
            self.request_id = event.invocation_id or self.request_id
            ids = {"session_id": event.session_id, "invocation_id": event.invocation_id}
            self.handle_ids = self.handle_ids or {name: value for name, value in ids.items() if value} or None
        elif isinstance(event, Completed | RunResult):
            self.wants = Wants.DONE
            self.usage = event.usage
            self.request_id = getattr(event, "request_id", None) or self.request_id
        return True

    def _verdict(self, error: BaseException | None) -> RunAgentError:
        """Return one of our errors for the library's end; what proves nothing about it is raised."""
        name = self.library.name
        if error is not None:
            let_signals_through(error)
        while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        if isinstance(error, RunAgentError):
            return error
        if error is not None and not isinstance(error, Exception | GeneratorExit):
            raise error
        verdict: RunAgentError
        if error is None:
            return StreamTruncatedError(f"the transport {name!r} ended before the agent was done")
        if not isinstance(error, OSError):
            verdict = PluginError(f"the transport {name!r} failed: {error!r}", plugin=name)
        elif self.answered or self._address is None:
            why = explain_loss(error)[1]
            verdict = StreamTruncatedError(f"the connection broke in the middle of the answer: {why}")
        else:
            verdict = connect_error(error, self._address)
        verdict.__cause__ = error
        return verdict

    # The library's side

    def connect(self, address: Address, network: Network) -> LibraryConnection:
        """Begin the run in a thread, for a reader that blocks."""
        self._address = address
        return LibraryConnection(self.mailbox, self._start_thread(address), network)

    async def connect_async(self, address: Address, network: AsyncNetwork) -> AsyncLibraryConnection:
        """Begin the run in the reader's own event loop, if the library knows it, and else in a thread."""
        self._address = address
        wakeup = self.mailbox.reader = Wakeup()
        if current_library() in self.library.runs_on:
            worker = _Worker(self, address)
            spawn(worker.work, f"runagent-{self.library.name}", worker.failed)
        else:
            worker = self._start_thread(address)
        return AsyncLibraryConnection(self.mailbox, worker, network, wakeup)

    def _start_thread(self, address: Address) -> _Worker:
        worker = _Worker(self, address)
        library = "asyncio" if "asyncio" in self.library.runs_on else "trio"
        start_loop(library, worker.work, worker.failed, self.library.name)
        return worker


class _Worker:
    """Runs the library's coroutine, in whichever loop it is called."""

    def __init__(self, session: LibrarySession, address: Address) -> None:
        self._session = session
        self._address = address
        self._mailbox = session.mailbox
        self._scope: Scope | None = None
        self._room: Wakeup | None = None
        self._cancelled = False

    async def work(self) -> None:
        """Run it to its end."""
        self._room = self._mailbox.writer = Wakeup()
        scope = self._scope = new_scope()
        if not self._cancelled:
            await scope.run(self._run)
        self._mailbox.end()

    def failed(self, error: BaseException) -> None:
        """Note that it ended by an exception, perhaps before it began."""
        if is_cancellation(error):  # of the whole loop, or other code has cancelled this task
            self._mailbox.end()
            return
        if self._mailbox.complete:
            run_id = self._session.call.run_id
            _logger.warning(
                "run %s: the transport %r failed after its last event: %r", run_id, self._name, error
            )
        self._mailbox.end(error)

    def cancel(self) -> None:
        """End it, from any thread. A run that is complete is left alone for the second that it has."""
        self._cancelled = True
        if self._scope is not None and not self._mailbox.complete:
            self._scope.cancel()

    @property
    def _name(self) -> str:
        return self._session.library.name

    async def _run(self) -> None:
        session = self._session
        await session.library.run(session.call, self._address, session.resume, self._emit)

    async def _emit(self, *events: Event) -> None:
        mailbox = self._mailbox
        over = check_order(events, over=mailbox.complete)
        if mailbox.complete:
            return
        mailbox.complete = over
        mailbox.put(events)
        if mailbox.complete and self._scope is not None:
            self._scope.limit(_TIDY_SECONDS)
            return
        while mailbox.full and self._room is not None:
            mailbox.waits = True  # see `_Mailbox.take`
            if mailbox.full:
                await self._room.wait()


class _CoreConnection:
    """What both styles have: nothing is ever sent, and the end is the worker's."""

    def __init__(self, mailbox: _Mailbox, worker: _Worker) -> None:
        self._mailbox = mailbox
        self._worker = worker

    def poll(self, max_bytes: int) -> bytes | None:
        """See `Connection.poll`."""
        return _NEWS if self._mailbox.has_news else None

    def was_reset(self) -> bool:
        """See `Connection.was_reset`."""
        return False

    def close_write(self) -> None:
        """See `Connection.close_write`."""

    def abort(self, farewell: bytes = b"") -> None:
        """See `AsyncConnection.abort`; the library is cancelled and not waited for."""
        self._worker.cancel()


class LibraryConnection(_CoreConnection):
    """`Connection` to a library in a thread."""

    def __init__(self, mailbox: _Mailbox, worker: _Worker, network: Network) -> None:
        super().__init__(mailbox, worker)
        self._now, self._sleep = network.now, network.sleep
        self._wakeup = ThreadWakeup()
        self._broken = False
        mailbox.reader = self

    def wake(self) -> None:
        """Wake who waits in ``receive``."""
        self._wakeup.wake()

    def send(self, data: bytes, deadline: float) -> None:
        """See `Connection.send`."""

    def receive(self, max_bytes: int, deadline: float) -> bytes:
        """Wait until there is something in the mailbox; see `Connection.receive`."""
        while not self._broken:
            if self._mailbox.has_news:
                return _NEWS
            left = deadline - self._now()
            if left <= 0:
                raise DeadlineExceededError
            if not self._wakeup.wait(left):  # in real time, of which virtual time has to hear
                self._sleep(max(deadline - self._now(), 0.0))
        raise OSError("the connection was closed")

    def interrupt(self) -> None:
        """See `Connection.interrupt`."""
        self._broken = True
        self._wakeup.wake()


class AsyncLibraryConnection(_CoreConnection):
    """`AsyncConnection` to a library, in the same loop or in a thread."""

    def __init__(self, mailbox: _Mailbox, worker: _Worker, network: AsyncNetwork, wakeup: Wakeup) -> None:
        super().__init__(mailbox, worker)
        self._now = network.now
        self._wakeup = wakeup

    async def send(self, data: bytes, deadline: float) -> None:
        """See `Connection.send`."""

    async def receive(self, max_bytes: int, deadline: float) -> bytes:
        """Wait until there is something in the mailbox; see `Connection.receive`."""
        while not self._mailbox.has_news:
            left = deadline - self._now()
            if left <= 0:
                raise DeadlineExceededError
            await self._wakeup.wait(None if left == _NEVER else left)
        return _NEWS
