"""Objects that have connections, threads or locks, and therefore neither pickle nor copy."""

from __future__ import annotations

from typing import NoReturn

from runagent_testing._internal.tracebacks import is_ours

__all__ = ["Uncopied"]

__tracebackhide__ = is_ours


class Uncopied:
    """A base of classes whose objects cannot be pickled or copied."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"a {type(self).__name__} has connections and locks and cannot be pickled or copied; "
            "scripts and exchanges can"
        )
