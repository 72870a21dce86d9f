"""Connecting to the first address that answers, in asyncio (RFC 8305, section 5)."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from runagent._internal.foreign import let_signals_through
from runagent._net.resolve import ATTEMPT_SECONDS
from runagent._net.sockets import QUEUE_SECONDS, connected_socket, wants_another_try

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from runagent._address.route import SocketOption
    from runagent._net.sockets import Candidate

__all__ = ["dial_first"]

_Attempts = list[asyncio.Task["socket.socket"]]


async def dial_first(
    candidates: Sequence[Candidate], options: tuple[SocketOption, ...] | None
) -> socket.socket:
    """Return a connected socket; the other attempts are closed, all of them if it is cancelled.

    Raises:
        OSError: No address can be connected to; the error of the last one that failed.
    """
    if len(candidates) == 1:
        return await connected_socket(candidates[0], options, _connect)
    attempts: _Attempts = []
    winner: socket.socket | None = None
    try:
        winner = await _race(candidates, options, attempts)
    finally:
        await _end(attempts, winner)
    return winner


async def _race(
    candidates: Sequence[Candidate], options: tuple[SocketOption, ...] | None, attempts: _Attempts
) -> socket.socket:
    """Begin an attempt when the one before has failed or has taken 250 ms; note it in ``attempts``."""
    failure: OSError | None = None
    untried = list(reversed(candidates))
    waiting: set[asyncio.Task[socket.socket]] = set()
    while untried or waiting:
        if untried:
            attempts.append(asyncio.ensure_future(connected_socket(untried.pop(), options, _connect)))
            waiting.add(attempts[-1])
        patience = ATTEMPT_SECONDS if untried else None
        ended, waiting = await asyncio.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        for attempt in ended:
            try:
                return attempt.result()
            except OSError as exc:
                let_signals_through(exc)
                failure = exc
    assert failure is not None
    raise failure


async def _end(attempts: _Attempts, winner: socket.socket | None) -> None:
    """Cancel what has not ended, and close what connected all the same."""
    unfinished = [attempt for attempt in attempts if attempt.cancel()]
    for attempt in attempts:
        if attempt.done() and not attempt.cancelled() and attempt.exception() is None:
            sock = attempt.result()
            if sock is not winner:
                sock.close()
    try:
        await asyncio.gather(*unfinished, return_exceptions=True)
    except BaseException:
        if winner is not None:
            winner.close()
        raise


async def _connect(sock: socket.socket, candidate: Candidate) -> None:
    if not wants_another_try(candidate):
        await asyncio.get_running_loop().sock_connect(sock, candidate[3])
        return
    while True:
        with contextlib.suppress(BlockingIOError):
            sock.connect(candidate[3])
            return
        await asyncio.sleep(QUEUE_SECONDS)
