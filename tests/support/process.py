"""A separate process for a server, so that a client's figures are the client's."""

from __future__ import annotations

import contextlib
import multiprocessing
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

__all__ = ["in_process"]

_PATIENCE = 10.0  # seconds that it may take to end by itself


@contextlib.contextmanager
def in_process(serve: Callable[..., None], *args: object) -> Iterator[Connection[Any, Any]]:
    """Run ``serve`` in a fresh process, with its end of a pipe and these arguments; give the other end.

    It is to end when the pipe does.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(_PATIENCE)
        process.kill()
        process.join()
        process.close()
