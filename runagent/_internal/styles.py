"""Clients and streams that are used as those of the other style: which keyword goes with them.

Only `with` and `async with` are refused here. A method ``__iter__`` that refuses would make an asynchronous
stream an ``Iterable`` for every framework that asks, and some ask for that first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from runagent._internal.tracebacks import is_ours, misuse

__all__ = ["AsynchronousOnly", "SynchronousOnly"]

__tracebackhide__ = is_ours


class AsynchronousOnly:
    """Refuses ``with``, and names ``async with``."""

    if not TYPE_CHECKING:  # type checkers find the mistake themselves

        def __enter__(self) -> NoReturn:
            raise misuse(f"{type(self).__name__} is asynchronous: write 'async with', not 'with'")

        def __exit__(self, *exc: object) -> None: ...


class SynchronousOnly:
    """Refuses ``async with``, and names ``with``."""

    if not TYPE_CHECKING:

        def __aenter__(self) -> NoReturn:
            raise misuse(f"{type(self).__name__} is synchronous: write 'with', not 'async with'")

        def __aexit__(self, *exc: object) -> None: ...
