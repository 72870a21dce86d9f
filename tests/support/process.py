"""A separate process for a server, so that a client's figures are the client's."""

from __future__ import annotations

import contextlib
import multiprocessing
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, AnyStr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from multiprocessing.connection import Connection

__all__ = ["in_process", "killed_at_end", "printed_by", "run_python"]

_ROOT = Path(__file__).resolve().parents[2]

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


@contextlib.contextmanager
def killed_at_end(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    """Kill a process that has not ended: after a failed assertion or a timeout, Popen would wait for ever."""
    with process:
        try:
            yield process
        finally:
            process.kill()


def printed_by(command: Sequence[object], **options: Any) -> str:
    """Run a command to its good end, with nothing on stderr; return what it prints.

    Args:
        command: The program and its arguments.
        **options: Of `subprocess.run`, such as ``cwd``, ``env`` and ``input``.
    """
    ran = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, check=False, **options
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    return str(ran.stdout)


def run_python(program: str, *arguments: str) -> str:
    """Run a program to its end in a fresh process, which can import the tests; return what it prints."""
    command = [sys.executable, "-c", program, *arguments]
    ran = subprocess.run(command, cwd=_ROOT, check=False, capture_output=True, text=True, timeout=60)
    assert 0 == ran.returncode, ran.stderr
    return ran.stdout
