"""The dialects that every fake agent understands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing.dialects._documented import Documented
from runagent_testing.dialects._published import Published

if TYPE_CHECKING:
    from runagent_testing.dialects._base import Dialect

__all__ = ["BUILT_IN", "dialect_of"]

BUILT_IN: tuple[Dialect, ...] = (Documented(), Published())
_BY_TRANSPORT = {transport: dialect for dialect in BUILT_IN for transport in dialect.transports}


def dialect_of(transport: str) -> Dialect:
    """Return the built-in dialect of a transport."""
    return _BY_TRANSPORT[transport]
