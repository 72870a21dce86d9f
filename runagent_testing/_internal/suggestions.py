"""Which known name was probably meant by an unknown one."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar, cast

from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["nearest", "suggest_keywords"]

__tracebackhide__ = is_ours

F = TypeVar("F", bound="Callable[..., Any]")


def nearest(name: str, known: Iterable[str], otherwise: str | None = None) -> str:
    """Suggest what was meant, such as "did you mean 'pace'?".

    Args:
        name: The unknown name.
        known: The known ones.
        otherwise: The suggestion if none of them is like it; by default it lists all of them.
    """
    import difflib  # only a mistake needs it

    names = list(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are {', '.join(names)}" if otherwise is None else otherwise


def suggest_keywords(function: F) -> F:
    """Have a function that takes no ``**`` name the argument that was probably meant by an unknown one."""
    code = cast("Any", function).__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    name = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

    @functools.wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.keys() <= accepted:
            (wrong, *_) = (each for each in kwargs if each not in accepted)
            shown = [f"{each}=" for each in known if each != "self"]
            raise TypeError(f"{name}() has no argument {wrong!r}; {nearest(wrong + '=', shown)}")
        return function(*args, **kwargs)

    accepted = frozenset(known)
    return cast("F", checked)
