"""Tracebacks that lead to no secret: some programs show the variables of their frames to anybody."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from runagent._errors import RunAgentError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["is_ours", "misuse", "without_traceback"]

_MISUSE = "_runagent_misuse"

F = TypeVar("F", bound="Callable[..., Any]")


def is_ours(excinfo: Any) -> bool:
    """Whether pytest leaves our frames out of a failed test: those of an error that we raise on purpose.

    A module that has this as its ``__tracebackhide__`` is left out. The frames of a bug are shown.
    """
    return isinstance(excinfo.value, RunAgentError) or _MISUSE in vars(excinfo.value)


__tracebackhide__ = is_ours


def misuse(message: str) -> TypeError:
    """Make the TypeError for a call with wrong arguments, or in the wrong style: its caller is to blame."""
    error = TypeError(message)
    setattr(error, _MISUSE, True)
    return error


def without_traceback(function: F) -> F:
    """Have one of our errors leave a function that handles secrets without the frames it has passed through.

    Its text names the place to look; the frames would only show the key, or the password, that it leaves out.
    """

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except RunAgentError as exc:
            error = exc
        args, kwargs = (), {}  # not deleted: what prints tracebacks stumbles over it
        _drop_tracebacks(error)
        try:
            raise error
        finally:
            del error  # or the traceback would keep this frame, and the frame the error

    return cast("F", wrapped)


def _drop_tracebacks(error: BaseException) -> None:
    waiting: list[BaseException | None] = [error]
    while waiting:
        exc = waiting.pop()
        if exc is not None and exc.__traceback__ is not None:
            exc.__traceback__ = None
            waiting += [exc.__cause__, exc.__context__]
