"""Connecting to the first address that answers, in trio (RFC 8305, section 5)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import trio

from runagent._internal.foreign import let_signals_through
from runagent._net.resolve import ATTEMPT_SECONDS
from runagent._net.sockets import QUEUE_SECONDS, check_attempt, connected_socket, wants_another_try

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from runagent._address.route import SocketOption
    from runagent._net.sockets import Candidate

__all__ = ["alone", "dial_first"]


async def dial_first(
    candidates: Sequence[Candidate], options: tuple[SocketOption, ...] | None
) -> socket.socket:
    """Return a connected socket; the other attempts are closed, all of them if it is cancelled.

    Raises:
        OSError: No address can be connected to; the error of the last one that failed.
    """
    if len(candidates) == 1:
        return await connected_socket(candidates[0], options, _connect)
    race = _Race(options)
    try:
        async with trio.open_nursery() as nursery:
            for candidate in candidates:
                failed = trio.Event()
                nursery.start_soon(race.attempt, candidate, failed, nursery.cancel_scope)
                with trio.move_on_after(ATTEMPT_SECONDS):
                    await failed.wait()
    except BaseException as exc:
        if race.winner is not None:
            race.winner.close()
        if isinstance(exc, BaseExceptionGroup):
            raise alone(exc) from None
        raise
    return race.result()


class _Race:
    """Attempts to connect, of which one may win."""

    def __init__(self, options: tuple[SocketOption, ...] | None) -> None:
        self.winner: socket.socket | None = None
        self._options = options
        self._failure: OSError | None = None

    async def attempt(self, candidate: Candidate, failed: trio.Event, scope: trio.CancelScope) -> None:
        """Connect; the first to succeed cancels the others."""
        try:
            sock = await connected_socket(candidate, self._options, _connect)
        except OSError as exc:
            let_signals_through(exc)
            self._failure = exc
            failed.set()
            return
        if self.winner is not None:
            sock.close()
            return
        self.winner = sock
        scope.cancel()

    def result(self) -> socket.socket:
        """Return the winner, or raise what the last one failed of."""
        if self.winner is not None:
            return self.winner
        assert self._failure is not None
        raise self._failure


def alone(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the one exception that a nursery's group was made for: Ctrl-C passes as what it is."""
    _, others = group.split(trio.Cancelled)
    found: BaseException = others or group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def _connect(sock: socket.socket, candidate: Candidate) -> None:
    while True:
        with contextlib.suppress(BlockingIOError):
            sock.connect(candidate[3])
            return
        if not wants_another_try(candidate):
            await trio.lowlevel.wait_writable(sock)
            check_attempt(sock)
            return
        await trio.sleep(QUEUE_SECONDS)
