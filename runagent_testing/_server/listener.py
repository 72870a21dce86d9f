"""Accepts connections: the healthy ones are handed on, the others never get to be read."""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from runagent_testing._internal.log import log_failure
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._server.player import LINGER_NOT

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence

    from runagent_testing._render.plan import ConnectionFault


__all__ = ["Listener", "listen_tcp", "listen_unix"]

__tracebackhide__ = is_ours

BACKLOG = 1024
_PAUSE = 1.0  # seconds until it is tried again
_FIRST_BYTES = 0.1  # seconds that a client has to send something
_PEEKED = 1024  # bytes
_PROBE = 1.0  # seconds in which a server that listens on a Unix socket has to answer
_TRIES = 10  # at a port that is free on each address
_NOT_HERE = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Accept(Protocol):
    """Numbers a connection, and returns its fault; one that is spared has none."""

    def __call__(self, *, spare: bool = False) -> tuple[int, ConnectionFault | None]: ...


class Listener:
    """The listening sockets of the running loop.

    Args:
        listeners: The sockets.
        accept: Called for each connection; gives its number and what is to go wrong with it.
        protocol: Makes the protocol of a healthy one, from its number.
        ssl_context: What the healthy ones speak TLS with.
        on_plain: Called with the number of one that sends plain HTTP in place of a TLS handshake.
        may_spare: Whether the next connection would be spoiled, although it may be one that is to be spared;
            it is decided by its first bytes.
        is_spared: Whether a connection with these first bytes is spared.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        accept: Accept,
        protocol: Callable[[int], asyncio.Protocol],
        ssl_context: ssl.SSLContext | None,
        on_plain: Callable[[int], object],
        may_spare: Callable[[], bool] = bool,
        is_spared: Callable[[bytes], bool] = bool,
    ) -> None:
        self._may_spare = may_spare
        self._is_spared = is_spared
        self._loop = asyncio.get_running_loop()
        self._listeners = listeners
        self._accept = accept
        self._protocol = protocol
        self._ssl_context = ssl_context
        self._on_plain = on_plain
        self._silent: set[socket.socket] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._is_short = False
        for listener in listeners:
            listener.setblocking(False)
        self._go_on()

    def stop(self) -> None:
        """Accept nothing more: new clients are refused."""
        if self._pause is not None:
            self._pause.cancel()
        for listener in self._listeners:
            if listener.fileno() >= 0:
                self._loop.remove_reader(listener)
                listener.close()

    def close(self) -> None:
        """Accept nothing more, and drop those that were accepted and not handed on."""
        self.stop()
        self._drop_silent()

    @property
    def is_busy(self) -> bool:
        """Whether some were accepted and are not handed on yet."""
        return bool(self._silent or self._opening)

    async def drop(self) -> None:
        """Drop those that were accepted and not handed on, and go on accepting."""
        self._drop_silent()
        # What was accepted this very moment needs a turn of the loop to have something to close it by.
        await asyncio.sleep(0)
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)

    def _drop_silent(self) -> None:
        for connection in list(self._silent):
            self._drop(connection)

    def _on_connections(self, listener: socket.socket) -> None:
        for _ in range(BACKLOG):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:  # nobody is waiting any more
                self._is_short = False
                return
            except OSError as exc:
                if exc.errno in _SHORT:
                    self._wait_for_room(exc)
                return  # or the one who was waiting has left
            connection.setblocking(False)
            if self._may_spare():
                self._track(self._loop.create_task(self._sort(connection)))
            else:
                self._take(connection, *self._accept())

    def _take(self, connection: socket.socket, number: int, fault: ConnectionFault | None) -> None:
        if fault is None:
            self._track(self._loop.create_task(self._hand_on(connection, number)))
        else:
            self._spoil(connection, fault)

    def _track(self, task: asyncio.Task[None]) -> None:
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _sort(self, connection: socket.socket) -> None:
        """Spare a connection by its first bytes, or spoil it."""
        try:
            first = await self._first_bytes(connection)
            if self._is_spared(first):
                await self._hand_on(connection, self._accept(spare=True)[0])
            else:
                self._take(connection, *self._accept())
        except Exception as exc:  # noqa: BLE001 - as in _hand_on
            connection.close()
            log_failure("the fake agent server could not take a connection", exc)

    async def _first_bytes(self, connection: socket.socket) -> bytes:
        """Return what a client has sent, which stays unread; nothing if it sends nothing for a while."""
        readable = asyncio.Event()
        self._loop.add_reader(connection, readable.set)
        try:
            async with asyncio.timeout(_FIRST_BYTES):
                await readable.wait()
            return connection.recv(_PEEKED, socket.MSG_PEEK)
        except OSError:  # also if the time is over
            return b""
        except BaseException:
            connection.close()
            raise
        finally:
            self._loop.remove_reader(connection)

    def _wait_for_room(self, why: OSError) -> None:
        """Pause, as asyncio does: those who wait keep the socket readable, and the loop would only spin."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
        self._pause = self._loop.call_later(_PAUSE, self._go_on)
        if not self._is_short:
            self._is_short = True
            log_failure(f"the fake agent server accepts no connections for now: {why}", None)

    def _go_on(self) -> None:
        self._pause = None
        for listener in self._listeners:
            self._loop.add_reader(listener, self._on_connections, listener)

    async def _hand_on(self, connection: socket.socket, number: int) -> None:
        try:
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(number), connection, ssl=self._ssl_context
            )
        except OSError as exc:  # a client that fails in the TLS handshake is not the test's business
            if getattr(exc, "reason", None) == "HTTP_REQUEST":
                self._on_plain(number)
        except Exception as exc:  # noqa: BLE001 - whatever it is, the client is not to wait
            connection.close()  # the client hears at once
            log_failure(f"the fake agent server could not take connection {number}", exc)

    def _spoil(self, connection: socket.socket, fault: ConnectionFault) -> None:
        if fault == "silent":
            self._silent.add(connection)
            self._loop.add_reader(connection, self._on_silent, connection)
            return
        if fault in ("reset", "refuse"):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        connection.close()

    def _on_silent(self, connection: socket.socket) -> None:
        """Watch for the end without taking anything out of the buffer."""
        try:
            left = not connection.recv(1, socket.MSG_PEEK)
        except OSError:
            left = True
        if left:
            self._drop(connection)
        else:
            # What it sent stays unread, and so the socket would be reported as readable for ever.
            self._loop.remove_reader(connection)

    def _drop(self, connection: socket.socket) -> None:
        self._loop.remove_reader(connection)
        self._silent.discard(connection)
        connection.close()


def listen_tcp(host: str, port: int) -> list[socket.socket]:
    """Listen on a TCP port of each address that a name has; that of all interfaces of IPv6 takes IPv4, too.

    Args:
        host: An address, or a name such as "localhost", which may be one of IPv4 and IPv6.
        port: 0 for one that is free on each address.

    Raises:
        OSError: The name is unknown, or an address cannot be used. If there are several, those that the
            machine does not have are left out.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))
    for _ in range(0 if port else _TRIES):
        try:
            return _listen_everywhere(addresses, port)
        except OSError as exc:
            # The port that was free on the first address may be in use on another one.
            if exc.errno != errno.EADDRINUSE:
                raise
    return _listen_everywhere(addresses, port)


def _listen_everywhere(addresses: Sequence[tuple[int, str]], port: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    missing: OSError | None = None
    try:
        for family, address in addresses:
            try:
                listener = _listen(family, address, port)
            except OSError as exc:
                if exc.errno not in _NOT_HERE:
                    raise
                missing = exc
            else:
                listeners.append(listener)
                port = port or listener.getsockname()[1]
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    if missing is not None and not listeners:
        raise missing
    return listeners


def _listen(family: int, address: str, port: int) -> socket.socket:
    both = family == socket.AF_INET6 and address == "::" and socket.has_dualstack_ipv6()
    listener = socket.create_server((address, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)
    _notice_who_vanishes(listener)
    return listener


def listen_unix(path: str) -> socket.socket:
    """Listen on a Unix socket; one on which nobody listens any more is replaced.

    Raises:
        OSError: It cannot be used; its text has the path.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        if _is_stale(path):
            Path(path).unlink()
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError as exc:
        listener.close()
        raise OSError(exc.errno, exc.strerror or str(exc), path) from exc
    return listener


def _is_stale(path: str) -> bool:
    try:
        if not stat.S_ISSOCK(Path(path).stat().st_mode):
            return False
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(_PROBE)
            client.connect(path)
    except ConnectionRefusedError:
        return True
    except OSError:  # there is none, or its queue is full
        return False
    return False


def _notice_who_vanishes(listener: socket.socket) -> None:
    """Have the connections that it accepts, which inherit its options, end if their client vanishes."""
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 45), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
