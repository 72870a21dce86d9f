"""A fake agent server: real sockets, in a separate thread."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from aiohttp import web

from runagent_testing._control.api import Control, may_be_control
from runagent_testing._control.guard import Guard, is_loopback
from runagent_testing._host.disruptor import Disruptor
from runagent_testing._host.endpoints import Endpoints
from runagent_testing._host.host import AgentHost
from runagent_testing._host.scopes import ScopedEndpoints
from runagent_testing._internal.clock import now
from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.computed import place_of_thread
from runagent_testing._script.numbers import check_seconds, check_texts, is_whole
from runagent_testing._server.connection import Connection
from runagent_testing._server.control import ControlHandler
from runagent_testing._server.functions import AbandonedError, DaemonThreads, FunctionRunner, raise_in
from runagent_testing._server.handler import Handler
from runagent_testing._server.listener import Listener, listen_tcp, listen_unix
from runagent_testing._server.loop import RealTimeLoop

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Collection, Coroutine, Sequence
    from types import TracebackType

    from runagent_testing._host.scope import Scope
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing.dialects import Dialect

__all__ = ["FakeAgentServer"]

__tracebackhide__ = is_ours

_LOOK = 0.02  # seconds from one look at what is still to be sent to the next
_LAST_PORT = 65_535
_PATIENCE = 5.0  # seconds that the server's thread has for what takes milliseconds
_LEAVING = 1.0  # seconds in which functions of a test have to return when their clients have disconnected


class FakeAgentServer(AgentHost):
    """Serve fake agents over SSE, chunked HTTP and WebSocket, from a separate thread and event loop.

    Usable from plain, asyncio and trio code alike: none of its methods waits for the network, except
    that `close` (or leaving the ``with``) ends all connections, which takes milliseconds.

    Args:
        ssl_context: Serve TLS with it.
        api_key: Answer everyone who does not send it as a bearer token with 401.
        host: The address to listen on, or a name, for each of its addresses, of IPv4 and IPv6, with one port.
        port: 0 for a free one.
        unix_path: Listen on a Unix socket of this name instead.
        ping_interval: Seconds without a byte of a WebSocket's client until it is pinged, and from a
            ping until it is given up.
        dialects: Spoken in addition to the installed and the built-in ones; they are asked first.
        control: Let other processes steer this server over HTTP, below ``/_fake`` (docs/control.md).
        control_token: The token that they have to send as ``X-Fake-Token``. A server that other machines can
            reach needs one.
        control_hosts: Names under which they reach this server, in addition to ``host``: a request with
            another ``Host`` is refused, as it may come from a page in a browser.
    """

    @suggest_keywords
    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_path: str | Path | None = None,
        ping_interval: float = 20.0,
        dialects: Sequence[Dialect] = (),
        control: bool = False,
        control_token: str | None = None,
        control_hosts: Sequence[str] = (),
    ) -> None:
        super().__init__(Disruptor("socket", tls=ssl_context is not None, dialects=dialects))
        check_seconds(ping_interval, "ping_interval=")
        for name, key in (("api_key=", api_key), ("control_token=", control_token)):
            if key is not None:
                check_texts((key,), name)
        if not is_whole(port) or port > _LAST_PORT:
            raise ValueError(f"port= is a number from 0 to {_LAST_PORT}, not {port!r}")
        self._ssl_context = ssl_context
        self._address = (host, port)
        self._unix_path = None if unix_path is None else str(unix_path)
        self._functions = FunctionRunner()

        def make_endpoints(scope: Scope) -> Endpoints:
            return Endpoints(
                scope._scripts, scope.journal, scope._others, scope._disruptor, api_key, dialects
            )

        endpoints = ScopedEndpoints(self, self._scopes, make_endpoints)
        self._note_foreign = endpoints.note_foreign
        self._handler = Handler(endpoints, ping_interval, self._functions)
        self._control: Control | None = None
        if control:
            hosts = None if unix_path is not None else (host, *control_hosts)
            if hosts is not None and control_token is None and not is_loopback(host):
                raise ValueError(
                    f"control= of a server that others reach (host={host!r}) needs control_token="
                )
            self._control = Control(self, Guard(hosts, control_token))
        self._thread: threading.Thread | None = None
        self._url = ""

    @property
    def url(self) -> str:  # type: ignore[override]
        """The base URL, for example ``http://127.0.0.1:49152``."""
        if not self._url:
            raise RuntimeError(
                "the fake agent server has not started: use it in a with statement, or start()"
            )
        return self._url

    def start(self) -> Self:
        """Start listening.

        Raises:
            OSError: The address or the socket's path cannot be used.
            RuntimeError: The server is running.
        """
        if self._thread is not None:
            raise RuntimeError("the fake agent server is running already")
        listeners = self._listen()
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._work, args=(listeners, started), name="fake-agent-server", daemon=True
        )
        self._thread.start()
        try:
            started.result(_PATIENCE)
        except BaseException:
            self._thread.join(_PATIENCE)
            self._thread = None
            raise
        return self

    def close(self) -> None:
        """Stop at once: connections are dropped, the thread ends; closing twice does nothing.

        Raises:
            RuntimeError: A function of the test does not return, and the text names it; or it was called
                from what responds a reply.
        """
        if self._thread is None:
            return
        self._check_caller("close")
        thread, self._thread = self._thread, None
        self._loop.call_soon_threadsafe(self._stop.set)
        thread.join(_PATIENCE)
        hung = self._functions.hung(_LEAVING)
        if thread.is_alive():
            hung = [self._where(thread), *hung]
        self._functions.abandon()
        if self._unix_path is not None:
            Path(self._unix_path).unlink(missing_ok=True)
        if hung:
            raise RuntimeError("; ".join(hung))

    def drain(self, seconds: float) -> bool:
        """Accept no more connections, and wait until what was asked for is answered.

        Args:
            seconds: How long at most.

        Returns:
            Whether everything was answered.
        """
        if self._thread is None:
            return True
        if self._control is not None:
            self._control.is_ready = False
        draining = asyncio.run_coroutine_threadsafe(self._drain(seconds), self._loop)
        return draining.result(seconds + _PATIENCE)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def clear(self) -> None:
        """See `AgentHost.clear`; the server goes on listening, at the same address.

        Raises:
            RuntimeError: It was called from what responds a reply; or a function of the test does not return,
                and the text names the line.
        """
        self._check_caller("clear")
        super().clear()
        if hung := self._functions.hung(_LEAVING):
            self._functions.abandon()
            raise RuntimeError("; ".join(hung))

    def _check_caller(self, method: str) -> None:
        own = threading.current_thread()
        if own is self._thread or self._functions.runs_in(own.ident):
            why = (
                "waits for the server's thread and for functions that compute replies, and was called by one"
            )
            raise RuntimeError(f"{method}() {why}")

    def _hung(self, patience: float) -> list[str]:
        return self._functions.hung(patience)

    def _drop_connections(self) -> None:
        if self._thread is not None:
            self._in_thread(self._hang_up)

    def _drop_exchanges(self, exchanges: Collection[Exchange]) -> None:
        self._check_caller("clear")
        self._in_thread(lambda: _drop_playing(self._handler, set(exchanges)))

    def _in_thread(self, work: Callable[[], Coroutine[Any, Any, None] | None]) -> None:
        """Do something in the server's thread, if it runs; ``work`` returns what is left to be waited for."""
        if self._thread is None:
            return
        try:
            self._loop.submit(work).result(_PATIENCE)
        except TimeoutError:
            raise RuntimeError(self._where(self._thread)) from None

    def _where(self, thread: threading.Thread) -> str:
        """Describe what keeps the server's thread, and stop it if it is Python."""
        place = place_of_thread(thread.ident)
        if thread.ident is not None:
            raise_in(thread.ident, AbandonedError)
            self._loop.call_soon_threadsafe(lambda: None)  # it may wait for something to do
        return f"the fake agent server's thread does not return within {_PATIENCE:g} s: it is at {place}"

    def _serve_probes(self) -> None:
        """Answer the probes of the control API, even if the rest of it is off."""
        self._control = self._control or Control(self, None)

    def _may_spare(self) -> bool:
        """Whether the next connection is faulty, and may be one of the control API; TLS hides which it is."""
        return self._control is not None and self._ssl_context is None and self._connection_faults > 0

    def _listen(self) -> list[socket.socket]:
        if self._unix_path is not None:
            listener = listen_unix(self._unix_path)
            # Only a relative path may be short enough to listen on; in other folders, clients need the whole.
            self._unix_path = str(Path(self._unix_path).absolute())
            self._url = f"http+unix://{quote(self._unix_path, safe='')}"
            return [listener]
        listeners = listen_tcp(*self._address)
        host, port = listeners[0].getsockname()[:2]
        scheme = "http" if self._ssl_context is None else "https"
        self._url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        return listeners

    def _work(self, listeners: Sequence[socket.socket], started: Future[None]) -> None:
        # Our choice of a loop: the policy's may be one without sockets that can be reset.
        # No asyncio.Runner: it would wait in the end for tasks that refuse to be cancelled.
        try:
            with contextlib.closing(RealTimeLoop()) as self._loop:
                self._loop.run_until_complete(self._serve(listeners, started))
        except AbandonedError:
            return
        except BaseException as exc:
            if started.done():
                raise
            started.set_exception(exc)  # the socket or the TLS context is of no use, for example
        finally:
            for listener in listeners:
                listener.close()

    async def _serve(self, listeners: Sequence[socket.socket], started: Future[None]) -> None:
        self._stop = asyncio.Event()
        self._handler.closing = False
        self._loop.set_default_executor(DaemonThreads())
        handle = self._handler.handle
        if self._control is not None:
            self._control.is_ready = True
            handle = ControlHandler(self._control, handle, self._recount).handle
        server = web.Server(handle, handler_cancellation=True)
        if self._ssl_context is not None:
            _check_tls(self._ssl_context)
        accepting = Listener(
            listeners,
            self._accept,
            lambda number: Connection(server, number, self._note_foreign),
            self._ssl_context,
            functools.partial(self._note_foreign, "HTTP"),
            self._may_spare,
            may_be_control,
        )
        self._drain = functools.partial(_drain, self._handler, server, accepting)
        self._hang_up = functools.partial(_hang_up, server, accepting)
        started.set_result(None)
        await self._stop.wait()
        self._handler.closing = True
        accepting.close()
        # What was accepted this very moment needs a turn of the loop to have something to close it by.
        await asyncio.sleep(0)
        await _drop(server)


def _check_tls(context: ssl.SSLContext) -> None:
    """Find out now, not at the first connection, whether the context is one for servers."""
    from ssl import MemoryBIO, SSLContext

    if not isinstance(context, SSLContext):
        raise TypeError(f"ssl_context is an ssl.SSLContext, not {type(context).__name__}")
    context.wrap_bio(MemoryBIO(), MemoryBIO(), server_side=True)


async def _drain(handler: Handler, server: web.Server, accepting: Listener, seconds: float) -> bool:
    accepting.stop()
    until = now() + seconds
    # Nothing reports when the last byte has left.
    while (is_busy := handler.answering or _unsent(server)) and now() < until:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)
    return not is_busy


def _unsent(server: web.Server) -> int:
    transports = [connection.transport for connection in server.connections]
    return sum(transport.get_write_buffer_size() for transport in transports if transport is not None)


def _hang_up(server: web.Server, accepting: Listener) -> Coroutine[Any, Any, None] | None:
    """End every connection; if there are some, return what waits until those who answered have noticed."""
    return _end_connections(server, accepting) if accepting.is_busy or server.connections else None


async def _end_connections(server: web.Server, accepting: Listener) -> None:
    await accepting.drop()
    until = now() + _PATIENCE
    while (connections := server.connections) and now() < until:
        for connection in connections:
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)


async def _drop_playing(handler: Handler, exchanges: set[Exchange]) -> None:
    """End the connections on which these are being answered, and wait until the handlers have noticed."""
    until = now() + _PATIENCE
    while (playing := exchanges & handler.playing.keys()) and now() < until:
        for exchange in playing:
            if (transport := handler.playing[exchange].transport) is not None:
                transport.abort()
        await asyncio.sleep(0)


async def _drop(server: web.Server) -> None:
    """End every connection, those still shaking hands included, and every task."""
    for connection in server.connections:
        if connection.transport is not None:
            connection.transport.abort()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    if tasks:  # a function of the test's may refuse
        await asyncio.wait(tasks, timeout=_LEAVING)
    # Sockets are closed by callbacks that the aborts have scheduled.
    await asyncio.sleep(0)


publish(FakeAgentServer)
