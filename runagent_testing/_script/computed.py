"""Replies that a function of the test computes: what it may return, and its name in messages. No I/O."""

from __future__ import annotations

import functools
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.numbers import check_seconds
from runagent_testing._script.script import Options, Script
from runagent_testing._script.steps import Ending, RawResponse, Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import CodeType, FrameType

__all__ = ["END", "Computed", "Gathering", "Source", "called", "failure_of", "place_of", "place_of_thread"]

__tracebackhide__ = is_ours

END = object()
"""Returned by a source that has no more steps."""
_LIBRARIES = (*(sysconfig.get_path(name) for name in ("stdlib", "purelib")), str(Path(__file__).parent), "<")
_MOST_STEPS = 10_000  # of an answer that has to be whole before it is sent


def failure_of(raised: BaseException) -> Exception:
    """Return what a function has raised, or a RuntimeError if that would end a loop or task."""
    if isinstance(raised, Exception) and not isinstance(raised, StopIteration):
        return raised
    return RuntimeError(f"{type(raised).__name__}: {raised}")


class Source(Protocol):
    """Makes the steps of one answer, one by one; each is requested once the one before has been sent."""

    def next_now(self) -> Any:
        """Make the next step in this thread; return `END` if there is none."""

    async def next(self) -> Any:
        """Make the next step without blocking the event loop; return `END` if there is none."""

    def close(self) -> None:
        """Make no more steps."""

    @property
    def has_ended(self) -> bool:
        """Whether the last step made was an end, even if its answer was given up before."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A reply that depends on the request.

    Attributes:
        function: Called with the exchange.
        timeout: The limit of a call, and of each step of a generator, in seconds.
        method: The method that has got the function, as messages name it.
    """

    method: ClassVar[str] = "responds()"

    function: Callable[[Any], Any]
    options: Options
    timeout: float
    refuses = False

    @classmethod
    def of(cls, function: Callable[[Any], Any], timeout: float, options: Options) -> Computed:
        """Check the function and options of an agent's replies.

        Raises:
            TypeError: The function is not callable, or an option is unknown or has the wrong type.
            ValueError: An option's value is invalid.
        """
        if not callable(function):
            raise TypeError(f"responds() takes a function of the request, not {function!r}")
        check_seconds(timeout, "timeout=")
        Script.of((), **options)
        return cls(function, options, timeout)

    @property
    def name(self) -> str:
        """The function's name, file and line."""
        code = _code_of(self.function)
        if code is None:
            return repr(self.function)
        name = getattr(called(self.function), "__qualname__", code.co_name)
        return f"{name} ({code.co_filename}:{code.co_firstlineno})"

    @property
    def short_name(self) -> str:
        """The function's name only."""
        return str(getattr(called(self.function), "__qualname__", repr(self.function)))

    @property
    def script(self) -> Script:
        """A script with these options, without steps."""
        return Script.of((), **self.options)

    def is_late(self, place: str) -> str:
        """Return the message that the function has not returned in time."""
        return f"{self.method} with {self.name} has not returned within {self.timeout:g} s: it was at {place}"

    def rows(self, given: object) -> tuple[Any, ...] | Iterator[Any] | AsyncIterator[Any]:
        """Return the function's steps: all of them, or an iterator.

        Raises:
            TypeError: The function returned something else.
        """
        if isinstance(given, list | tuple):
            return tuple(given)
        if hasattr(given, "__aiter__"):
            return aiter(given)  # type: ignore[no-any-return]
        if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
            raise TypeError(f"the function of responds() has to return a list of steps, not {given!r}")
        return iter(given)


class Gathering:
    """Collects the steps of an answer that has to be whole before it is sent: a plain one, or a refusal."""

    def __init__(self, *, plain: bool) -> None:
        self.steps: list[Any] = []
        self._plain = plain

    @property
    def needs_more(self) -> bool:
        """Whether the answer needs another step."""
        if not self.steps:
            return True
        if isinstance(self.steps[-1], Ending) or len(self.steps) > _MOST_STEPS:
            return False
        return self._plain or isinstance(self.steps[0], Status | RawResponse)

    @property
    def is_whole(self) -> bool:
        """Whether the answer is sent as a whole, not streamed."""
        return self._plain or bool(self.steps and isinstance(self.steps[0], Status | RawResponse))

    def add(self, step: Any) -> None:
        """Add the next step."""
        self.steps.append(step)
        if len(self.steps) > _MOST_STEPS:
            raise ValueError(f"an answer that is not a stream has at most {_MOST_STEPS} steps")


def called(function: Any) -> Any:
    """Return the function behind partials, decorators, methods and callable objects."""
    while isinstance(function, functools.partial):
        function = function.func
    function = inspect.unwrap(function)
    if not inspect.isroutine(function) and not isinstance(function, type):
        function = type(function).__call__
    return getattr(function, "__func__", function)


def _code_of(function: Any) -> CodeType | None:
    code: CodeType | None = getattr(called(function), "__code__", None)
    return code


def place_of(frame: FrameType | None, function: object = None) -> str:
    """Describe the line that runs, in the function's file if possible, or else outside of libraries."""
    code = _code_of(function) if callable(function) else None
    stack = [one for one, _ in traceback.walk_stack(frame)] if frame is not None else []
    if not stack:
        return "an unknown place"
    own = (one for one in stack if code is not None and one.f_code.co_filename == code.co_filename)
    known = (one for one in stack if not one.f_code.co_filename.startswith(_LIBRARIES))
    found = next(own, next(known, stack[0]))
    return f"{found.f_code.co_filename}:{found.f_lineno}, in {found.f_code.co_name}"


def place_of_thread(ident: int | None, function: object = None) -> str:
    """Describe the line that a thread runs."""
    return place_of(sys._current_frames().get(ident or 0), function)
