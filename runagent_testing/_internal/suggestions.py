"""Which known name was probably meant by an unknown one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["nearest"]


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
