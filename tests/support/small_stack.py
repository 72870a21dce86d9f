"""Tests that run with a small stack."""

from __future__ import annotations

import functools
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["on_a_small_stack"]

_BYTES = 512 * 1024
_P = ParamSpec("_P")


def on_a_small_stack(test: Callable[_P, None]) -> Callable[_P, None]:
    """Run a test in a thread with a stack of 512 KiB.

    From Python 3.14 on, the size of the stack limits how deeply JSON may be nested: with the usual 8 MiB,
    some 60,000 levels are decoded. Before, a thousand are, on any stack.
    """

    @functools.wraps(test)
    def run(*args: _P.args, **kwargs: _P.kwargs) -> None:
        before = threading.stack_size(_BYTES)
        try:
            with ThreadPoolExecutor(1) as pool:
                done = pool.submit(test, *args, **kwargs)
        finally:
            threading.stack_size(before)
        done.result()

    return run
