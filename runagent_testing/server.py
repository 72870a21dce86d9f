"""A fake agent server: real sockets, in a thread of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from aiohttp import web

from runagent_testing.agent import Agent, Exchange
from runagent_testing.endpoints import Connection, Endpoints

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

__all__ = ["FakeAgentServer"]

BACKLOG = 1024


class FakeAgentServer:
    """Serve fake agents over SSE, chunked HTTP and WebSocket, from a thread and an event loop of its own.

    Usable from plain, asyncio and trio code alike: none of its methods waits for the network, except
    that `close` (or leaving the ``with``) ends all connections, which takes milliseconds.

    Args:
        ssl_context: Serve TLS with it.
        api_key: Answer everyone who does not send it as a bearer token with 401.
        host: The address to listen on.
        port: 0 for a free one.
        unix_path: Listen on a Unix socket of this name instead.

    Attributes:
        requests: Every run that was asked for, also those refused, in order of arrival; a WebSocket's
            counts when its request message has come, or its handshake was refused.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_path: str | Path | None = None,
    ) -> None:
        self.requests: list[Exchange] = []
        self._agents: dict[str, Agent] = {}
        self._ssl_context = ssl_context
        self._address = (host, port)
        self._unix_path = None if unix_path is None else str(unix_path)
        self._endpoints = Endpoints(self._agents, self.requests, api_key)
        self._connections = 0
        self._thread: threading.Thread | None = None
        self._url = ""

    @property
    def url(self) -> str:
        """The base URL, for example ``http://127.0.0.1:49152``."""
        if not self._url:
            raise RuntimeError(
                "the fake agent server has not started: use it in a with statement, or start()"
            )
        return self._url

    @property
    def connections(self) -> int:
        """How many connections were accepted so far."""
        return self._connections

    def agent(self, agent_id: str) -> Agent:
        """Get the agent of this id; the first call creates it, before that the server knows no such agent."""
        return self._agents.setdefault(agent_id, Agent(agent_id))

    def start(self) -> Self:
        """Start listening.

        Raises:
            OSError: The address or the socket's path cannot be used.
            RuntimeError: The server is running.
        """
        if self._thread is not None:
            raise RuntimeError("the fake agent server is running already")
        listener = self._listen()
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._work, args=(listener, started), name="fake-agent-server", daemon=True
        )
        self._thread.start()
        try:
            started.result()
        except BaseException:
            self._thread.join()
            self._thread = None
            raise
        return self

    def close(self) -> None:
        """Stop at once: connections are dropped, the thread ends; closing twice does nothing."""
        if self._thread is None:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._thread = None
        if self._unix_path is not None:
            Path(self._unix_path).unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self) -> socket.socket:
        if self._unix_path is not None:
            self._url = f"http+unix://{quote(self._unix_path, safe='')}"
            return _listen_unix(self._unix_path)
        family, _, _, _, address = socket.getaddrinfo(*self._address, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server((str(address[0]), self._address[1]), family=family, backlog=BACKLOG)
        host, port = listener.getsockname()[:2]
        scheme = "http" if self._ssl_context is None else "https"
        self._url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"
        return listener

    def _work(self, listener: socket.socket, started: Future[None]) -> None:
        # A loop of our own choice: the policy's may be one without sockets that can be reset.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner, listener:
            try:
                runner.run(self._serve(listener, started))
            except (OSError, TypeError, ValueError) as exc:  # the socket or the TLS context is of no use
                started.set_exception(exc)

    async def _serve(self, listener: socket.socket, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._endpoints.closing = False
        server = web.Server(self._endpoints.handle, handler_cancellation=True)

        def accept() -> Connection:
            self._connections += 1
            return Connection(server, self._connections)

        sockets = await self._loop.create_server(
            accept, sock=listener, ssl=self._ssl_context, backlog=BACKLOG
        )
        started.set_result(None)
        await self._stop.wait()
        self._endpoints.closing = True
        # Connections accepted this very moment need one more turn of the loop, and the server open, to be
        # taken over; until then there is nothing to close them by.
        self._loop.remove_reader(listener)
        await asyncio.sleep(0)
        sockets.close()
        await _drop(server)


async def _drop(server: web.Server) -> None:
    """End every connection, those still shaking hands included, and every task."""
    for connection in server.connections:
        if connection.transport is not None:
            connection.transport.abort()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Sockets are closed by callbacks that the aborts have scheduled.
    await asyncio.sleep(0)


def _listen_unix(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
