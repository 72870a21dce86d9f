"""Dialects that other distributions bring, found through their entry points."""

from __future__ import annotations

import functools
import logging

from runagent_testing.dialects.base import Dialect

__all__ = ["GROUP", "installed_dialects"]

GROUP = "runagent_testing.dialects"

logger = logging.getLogger("runagent_testing")


@functools.cache
def installed_dialects() -> tuple[Dialect, ...]:
    """Make the dialects of the entry-point group ``runagent_testing.dialects``, by name; once per process.

    An entry point names a `Dialect` class that needs no arguments, or an instance. One that does not work
    is logged and left out.
    """
    from importlib.metadata import entry_points  # slow to import, and built-in dialects need no scan

    found: dict[str, Dialect] = {}
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            loaded = entry.load()
            dialect = loaded() if isinstance(loaded, type) else loaded
            if not isinstance(dialect, Dialect):
                raise TypeError(f"{entry.value} is no Dialect")
        except Exception:  # whatever a third party's import may raise
            logger.exception("the dialect %s (%s) cannot be used", entry.name, entry.value)
        else:
            found.setdefault(entry.value, dialect)
    return tuple(found.values())
