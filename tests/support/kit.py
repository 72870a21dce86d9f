"""Styles and players for the kit over transports that the suite checks in every style elsewhere."""

from __future__ import annotations

import os

from runagent_testing.conformance import TransportConformance

__all__ = ["PLAYERS", "in_short"]

ALL = "RUNAGENT_KIT_CLEAN" in os.environ  # make kit
# For protocols that use sockets as every other one does.
PLAYERS = tuple(TransportConformance.players) if ALL else ("memory",)


def in_short(*styles: str) -> tuple[str, ...]:
    """Return these styles for the suite, and all of them for ``make kit``."""
    return tuple(TransportConformance.styles) if ALL else styles
