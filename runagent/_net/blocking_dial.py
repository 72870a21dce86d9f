"""Connecting to the first address that answers, in synchronous code (RFC 8305, section 5)."""

from __future__ import annotations

import selectors
from collections import deque
from typing import TYPE_CHECKING

from runagent._internal import clock
from runagent._internal.foreign import let_signals_through
from runagent._net.base import DeadlineExceededError
from runagent._net.resolve import ATTEMPT_SECONDS
from runagent._net.sockets import QUEUE_SECONDS, check_attempt, new_socket, refuse_itself, wants_another_try

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from runagent._address.route import SocketOption
    from runagent._net.base import ConnectAttempt
    from runagent._net.sockets import Candidate

__all__ = ["STEP_SECONDS", "dial_first"]

STEP_SECONDS = 0.1  # so long a connection is opened until a check shows whether it is still wanted


def dial_first(
    candidates: Sequence[Candidate],
    options: tuple[SocketOption, ...] | None,
    deadline: float,
    attempt: ConnectAttempt,
) -> socket.socket:
    """Return a connected socket; the other attempts are closed.

    Raises:
        DeadlineExceededError: Not in time, or not wanted any more.
        OSError: No address can be connected to; the error of the last one that failed.
    """
    with selectors.DefaultSelector() as selector:
        race = _Race(candidates, options, selector)
        try:
            return race.run(deadline, attempt)
        finally:
            race.close()


class _Race:
    """Attempts to connect, each begun when the one before has failed or has taken 250 ms."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        options: tuple[SocketOption, ...] | None,
        selector: selectors.BaseSelector,
    ) -> None:
        self._untried = deque(candidates)
        self._options = options
        self._selector = selector
        self._waiting: set[socket.socket] = set()
        self._next_at = clock.now()
        self._failure: OSError | None = None

    def run(self, deadline: float, attempt: ConnectAttempt) -> socket.socket:
        """See `dial_first`."""
        while self._untried or self._waiting:
            now = clock.now()
            if self._untried and now >= self._next_at:
                self._next_at = now + ATTEMPT_SECONDS
                winner = self._begin(self._untried.popleft())
            elif now >= deadline or attempt.cancelled:
                raise DeadlineExceededError
            else:
                next_at = self._next_at if self._untried else deadline
                winner = self._wait(min(deadline, next_at, now + STEP_SECONDS) - now)
            if winner is not None:
                return winner
        assert self._failure is not None
        raise self._failure

    def close(self) -> None:
        """Close the attempts that have not ended."""
        while self._waiting:
            self._waiting.pop().close()

    def _begin(self, candidate: Candidate) -> socket.socket | None:
        try:
            sock = new_socket(candidate, self._options)
        except OSError as exc:
            self._failed(exc)
            return None
        self._waiting.add(sock)
        sock.setblocking(False)
        try:
            sock.connect(candidate[3])
        except BlockingIOError:
            if wants_another_try(candidate):
                self._waiting.discard(sock)
                sock.close()
                self._untried.append(candidate)
                self._next_at = clock.now() + QUEUE_SECONDS
            else:
                self._selector.register(sock, selectors.EVENT_WRITE, candidate)
            return None
        except OSError as exc:
            self._drop(sock, exc)
            return None
        return self._connected(sock, candidate)

    def _wait(self, seconds: float) -> socket.socket | None:
        for key, _ in self._selector.select(max(seconds, 0.0)):
            sock: socket.socket = key.fileobj  # type: ignore[assignment]
            self._selector.unregister(sock)
            try:
                check_attempt(sock)
            except OSError as exc:
                self._drop(sock, exc)
            else:
                return self._connected(sock, key.data)
        return None

    def _connected(self, sock: socket.socket, candidate: Candidate) -> socket.socket | None:
        try:
            refuse_itself(sock, candidate)
        except OSError as exc:
            self._drop(sock, exc)
            return None
        self._waiting.discard(sock)
        return sock

    def _drop(self, sock: socket.socket, exc: OSError) -> None:
        self._waiting.discard(sock)
        sock.close()
        self._failed(exc)

    def _failed(self, exc: OSError) -> None:
        let_signals_through(exc)
        self._failure = exc
        self._next_at = clock.now()
