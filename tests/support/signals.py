"""Signals at a place that a test chooses, and what their handlers raise."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "HANDLERS_RAISE",
    "TWO_HANDLERS_RAISE",
    "GreenletExit",
    "SoftTimeLimit",
    "assert_same",
    "handling",
    "raise_it",
    "strike",
    "striking",
]


class GreenletExit(BaseException):
    """As gevent's: what ends a greenlet."""


class SoftTimeLimit(Exception):
    """As a task queue's: a limit of time that its handler of a signal raises."""


def raise_it(error: BaseException, *_: Any) -> None:
    """Raise an error without the frames of an earlier time: those that are parameters outlive their tests."""
    raise error.with_traceback(None)


def leave(status: int, _number: int, _frame: Any) -> None:
    sys.exit(status)


# The action of a handler, and the type and text of the error that it leads to.
HANDLERS_RAISE = pytest.mark.parametrize(
    ("handler", "raised"),
    [
        pytest.param(functools.partial(raise_it, error), error, id=type(error).__name__)
        for error in (
            KeyboardInterrupt("struck"),
            GreenletExit("struck"),
            asyncio.CancelledError("struck"),
            SoftTimeLimit("struck"),
            TimeoutError("struck"),
            ValueError("struck"),
        )
    ]
    + [pytest.param(functools.partial(leave, 3), SystemExit(3), id="sys.exit")],
)

TWO_HANDLERS_RAISE = pytest.mark.parametrize(
    ("handler", "raised"),
    [
        pytest.param(functools.partial(raise_it, error), error, id=type(error).__name__)
        for error in (KeyboardInterrupt("struck"), SoftTimeLimit("struck"))
    ],
)


@contextlib.contextmanager
def handling(handler: Callable[..., object]) -> Iterator[None]:
    """Have a handler for what `strike` sends."""
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGUSR1, before)


def strike() -> None:
    """Have the handler run here and now."""
    signal.raise_signal(signal.SIGUSR1)


def striking(function: Callable[..., Any], *, after: int = 0) -> Callable[..., Any]:
    """Have a signal come once when a function is called, after so many calls without one."""
    calls_before = itertools.count(after, -1)

    @functools.wraps(function)
    def struck(*args: Any, **options: Any) -> Any:
        if next(calls_before) == 0:
            strike()
        return function(*args, **options)

    return struck


def assert_same(raised: BaseException, caught: BaseException) -> None:
    """Assert that what came out is what the handler raised."""
    assert (type(raised), raised.args) == (type(caught), caught.args)
