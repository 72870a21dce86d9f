"""Which known name was probably meant by an unknown one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["misspelt", "most_like", "nearest"]


def most_like(name: str, known: Iterable[str], *, cutoff: float = 0.7) -> str | None:
    """Return the one of the known names that is most like another name; None if none is like it."""
    import difflib  # slow to import, and only a mistake needs it

    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)), None)


def misspelt(name: str, known: Iterable[str]) -> str | None:
    """Return the known name of which another one is surely a misspelling, by a letter or two; or None."""
    return most_like(name, known, cutoff=0.85)


def nearest(name: str, known: Mapping[str, str], otherwise: str | None = None) -> str:
    """Suggest what was meant, for the end of an error's text, such as "; did you mean 'sse'?".

    Args:
        name: The unknown name.
        known: The known names, and what to show for each.
        otherwise: The suggestion if no known name is like it; by default it lists all of them.
    """
    close = most_like(name, known)
    if close is not None:
        return f"; did you mean {known[close]}?"
    return f"; known: {', '.join(sorted(set(known.values())))}" if otherwise is None else otherwise
