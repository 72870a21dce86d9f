"""Dialects: how a protocol asks for runs, and how the answers are written in it. No I/O.

A script says what happens, a dialect says it in the words of one protocol, and the players put it on
the wire: so write boundaries, endings, faults, virtual time and the journal come with every dialect.

- ``base.py``: `Dialect` and `Question`, for dialects of your own.
- ``documented.py``, ``published.py``: the two built-in ones (docs/wire.md sections 1 to 3).
- ``installed.py``: those that other distributions bring.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing.dialects._base import Dialect, Question
from runagent_testing.dialects._documented import Documented
from runagent_testing.dialects._formats import Format, Run
from runagent_testing.dialects._published import Published

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BUILT_IN", "Dialect", "Format", "Question", "Run", "dialect_of"]

BUILT_IN: tuple[Dialect, ...] = (Documented(), Published())

_BY_TRANSPORT: Mapping[str, Dialect] = {
    transport: dialect for dialect in BUILT_IN for transport in dialect.transports
}


def dialect_of(run: Run) -> Dialect:
    """Return the dialect that a run is answered in."""
    return _BY_TRANSPORT[run.transport] if run.dialect is None else run.dialect
