"""A server of the long runs in a separate process: it sends its port, then answers commands."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

from tests.support.process import in_process

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

__all__ = ["Served", "answer", "served"]


class Served:
    """The server's process, from outside.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, pipe: Connection[Any, Any]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()
        self.port = int(pipe.recv())

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, word: str) -> Any:
        """Send the process a command, and return its answer."""
        with self._lock:
            self._pipe.send(word)
            return self._pipe.recv()


@contextlib.contextmanager
def served(serve: Callable[..., None], *args: Any) -> Iterator[Served]:
    """Run ``serve`` with a pipe and these arguments: it sends its port, then answers commands (`answer`)."""
    with in_process(serve, *args) as pipe:
        yield Served(pipe)


def answer(pipe: Connection[Any, Any], answers: dict[str, Callable[[], Any]]) -> None:
    """Answer words until the other side has gone."""
    with contextlib.suppress(EOFError):
        while True:
            pipe.send(answers[pipe.recv()]())
