"""What aiohttp calls for each request: the plan that answers it is played."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, TypeVar, cast

from runagent_testing._host.answers import Pending, WebSocketAnswer
from runagent_testing._host.forwarded import Forwarded
from runagent_testing._host.parsed import Answer
from runagent_testing._internal.log import log_failure
from runagent_testing._internal.redaction import Secrets
from runagent_testing._journal.recorder import Recorder
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import ENDS
from runagent_testing._server.connection import Connection, read_request
from runagent_testing._server.forwarding import UnreachableError, forward
from runagent_testing._server.player import ResponseWriter, Sent, play, play_until_cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from aiohttp import web

    from runagent_testing._host.scopes import ScopedEndpoints
    from runagent_testing._host.websocket import Conversation
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._server.functions import FunctionRunner

__all__ = ["Handler"]

T = TypeVar("T")


class Handler:
    """Answers the requests of a `FakeAgentServer`.

    Args:
        endpoints: Decides on the answers.
        ping_interval: Seconds without a byte of a WebSocket's client until it is pinged, and from
            a ping until it is given up.
        functions: Runs the functions that compute replies.

    Attributes:
        answering: How many requests are being answered.
        playing: The connection on which each exchange is being answered.
    """

    def __init__(self, endpoints: ScopedEndpoints, ping_interval: float, functions: FunctionRunner) -> None:
        self._endpoints = endpoints
        self._functions = functions
        self._ping_interval = ping_interval
        self.answering = 0
        self.playing: dict[Exchange, Connection] = {}
        self.closing = False

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request; a failure in here is logged and ends the connection."""
        self.answering += 1
        try:
            answer = self._endpoints.answer(await read_request(request))
            if isinstance(answer, WebSocketAnswer):
                await self._converse(answer, request)
            else:
                return await self._play(answer, request)
        except ConnectionError:
            pass
        except Exception as exc:  # noqa: BLE001 - whatever a dialect may raise
            path = request.raw_path
            log_failure(f"the fake agent server was unable to answer {path}", exc, _secrets(request))
        finally:
            self.answering -= 1
        return Sent(keep_alive=False)

    async def _play(self, asked: Answer | Pending, request: web.BaseRequest) -> web.StreamResponse:
        writer = ResponseWriter(request, Recorder(asked.exchange))
        with self._watching(asked.exchange, writer):
            answer = await self._decided(asked)
            recorder = Recorder(answer.exchange)
            if isinstance(answer, Forwarded):
                answer = await self._passed_on(answer, request, writer)
            if answer.reading is None:
                await play(answer.plan, writer, recorder)
                end = answer.plan.end
            else:
                end = await play_until_cancelled(answer.plan, answer.reading, writer, recorder)
        return Sent(keep_alive=ENDS[end].serves_on)

    async def _passed_on(self, asked: Forwarded, request: web.BaseRequest, writer: ResponseWriter) -> Answer:
        """Pass a request on; return what is left to play, which is a refusal if there is no service."""
        try:
            await forward(asked, request, writer, Recorder(asked.exchange))
        except UnreachableError as exc:
            return asked.unreachable(str(exc))
        return asked

    async def _decided(self, asked: Answer | Pending) -> Answer:
        return await self._functions.answer(asked) if isinstance(asked, Pending) else asked

    async def _converse(self, opened: WebSocketAnswer, request: web.BaseRequest) -> None:
        writer = ResponseWriter(request, Recorder(opened.exchange), opened.conversation)
        with contextlib.ExitStack() as stack:
            if opened.is_noted:
                stack.enter_context(self._watching(opened.exchange, writer))
            was_noted = opened.is_noted
            try:
                reader, asked = await self._shake_hands(opened, request, writer)
            except BaseException:
                if opened.is_noted and not was_noted:  # the client has asked, and disconnected at once
                    stack.enter_context(self._watching(opened.exchange, writer))
                raise
            if not was_noted:
                stack.enter_context(self._watching(opened.exchange, writer))
            try:
                await self._play_after(asked, reader, writer, opened)
            finally:
                if opened.conversation.closed:
                    Recorder(asked.exchange).note_departure("closed")

    async def _shake_hands(
        self, opened: WebSocketAnswer, request: web.BaseRequest, writer: ResponseWriter
    ) -> tuple[_WebSocketReader, Answer | Pending]:
        """Answer the handshake, and wait for the message that asks for the run.

        Raises:
            ConnectionResetError: The client is gone.
        """
        try:
            # Not with the writer of what follows, which lets pongs and the like come in between.
            recorder = Recorder(opened.exchange)
            shaking = ResponseWriter(request, recorder)
            await play(opened.handshake, shaking)
            writer.written = shaking.written
            recorder.note_unplanned(opened.handshake.data)
            reader = _WebSocketReader(request, opened, writer, self._ping_interval)
            await reader.listen(lambda: opened.asked is not None)
            if opened.asked is None:
                raise ConnectionResetError("the client has disconnected without a request")
        except BaseException:
            opened.give_up()
            raise
        return reader, opened.asked

    async def _play_after(
        self,
        asked: Answer | Pending,
        reader: _WebSocketReader,
        writer: ResponseWriter,
        opened: WebSocketAnswer,
    ) -> None:
        """Play the answer, then wait for the client to close, as the published server does."""
        conversation = opened.conversation
        try:
            answer = asked if isinstance(asked, Answer) else await reader.unless_left(self._decided(asked))
            conversation.begin(answer.plan)
            playing = self._speak(answer, writer, conversation)
            await reader.unless_left(playing, whatever=lambda: ENDS[answer.plan.end].is_mute)
        except _StoppedError:
            Recorder(asked.exchange).end("cancelled")
            if conversation.is_in_frame:
                return
        await reader.listen()

    async def _speak(self, answer: Answer, writer: ResponseWriter, conversation: Conversation) -> None:
        if not ENDS[answer.plan.end].is_mute:
            await play(answer.plan, writer, Recorder(answer.exchange))
            conversation.played(answer.plan)
            return
        conversation.played(answer.plan)
        await play(answer.plan, writer, Recorder(answer.exchange))

    @contextlib.contextmanager
    def _watching(self, exchange: Exchange, writer: ResponseWriter) -> Iterator[None]:
        recorder = Recorder(exchange)
        connection = writer.connection
        assert isinstance(connection, Connection)
        self.playing[exchange] = connection
        # aiohttp cancels the handler of a connection that is lost.
        try:
            yield
        except (ConnectionError, asyncio.CancelledError):
            if not self.closing and exchange.outcome != "server closed":
                _note_departure(recorder, writer)
            if isinstance(exchange.plan, LazyPlan) and exchange.plan.is_answered:
                recorder.end("done")
            recorder.end("server closed" if self.closing else "client disconnected")
            raise
        except Exception as exc:  # a dialect's, whose plan grows while it is played
            recorder.note_failure(exc)
            recorder.end("server closed")
            raise
        finally:
            self.playing.pop(exchange, None)
            if isinstance(exchange.plan, LazyPlan):
                exchange.plan.close()
            recorder.close()


class _StoppedError(Exception):
    """A message has ended the run."""


class _WebSocketReader:
    """Listens on a WebSocket; aiohttp takes it for the parser of what follows an upgrade."""

    def __init__(
        self, request: web.BaseRequest, opened: WebSocketAnswer, writer: ResponseWriter, interval: float
    ) -> None:
        self._opened = opened
        self._conversation = opened.conversation
        self._writer = writer
        self._interval = interval
        self._heard = asyncio.Event()
        protocol = cast("Any", request.protocol)
        protocol.set_parser(self)

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take the client's bytes; answers aiohttp that there is more to come, and nothing left over."""
        self._conversation.receive_data(data)
        self._opened.take_messages()
        with contextlib.suppress(ConnectionResetError):
            self._writer.flush()
        self._heard.set()
        return False, b""

    def feed_eof(self) -> None:
        """Take the end of the connection."""
        self._conversation.receive_eof()
        self._heard.set()

    async def listen(self, enough: Callable[[], bool] = bool) -> None:
        """Wait until the client has disconnected, or has sent enough; pings it when it is quiet."""
        while not self._conversation.left and not enough():
            self._heard.clear()
            try:
                async with asyncio.timeout(self._interval):
                    await self._heard.wait()
            except TimeoutError:
                self._conversation.idle()
                self._writer.flush()

    async def unless_left(
        self, work: Coroutine[Any, Any, T], whatever: Callable[[], bool] = lambda: False
    ) -> T:
        """Work, and listen meanwhile; the client's leaving ends the work.

        Args:
            work: The work to do.
            whatever: Whether it goes on all the same.

        Raises:
            ConnectionResetError: The client has closed.
            _StoppedError: A message has ended the run.
        """
        stopped = asyncio.create_task(self.listen(lambda: self._opened.is_stopped))
        tasks = stopped, asyncio.create_task(work)
        working = tasks[1]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                tasks[0].result()  # what has ended it, if not the client
            if not working.done() and self._opened.is_stopped:
                raise _StoppedError
            if not working.done() and not whatever():
                raise ConnectionResetError("the client has closed the WebSocket")
            return await working
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _secrets(request: web.BaseRequest) -> Secrets:
    return Secrets().seen_in(request.headers, request.raw_path)


def _note_departure(recorder: Recorder, writer: ResponseWriter) -> None:
    connection = writer.connection
    assert isinstance(connection, Connection)
    if connection.departure is not None:
        how, taken = connection.departure
        recorder.note_departure(how, writer.untaken(taken))
    elif connection.transport is None or connection.transport.is_closing():
        recorder.note_departure("reset", writer.untaken(connection.taken))  # noticed by writing
