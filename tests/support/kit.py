"""Styles for the conformance kit over kinds of transports that the suite checks in every style elsewhere."""

from __future__ import annotations

import os

from runagent_testing.conformance import TransportConformance

__all__ = ["in_short"]

ALL = "RUNAGENT_KIT_CLEAN" in os.environ  # make kit


def in_short(*styles: str) -> tuple[str, ...]:
    """Return these styles for the suite, and all of them for ``make kit``."""
    return tuple(TransportConformance.styles) if ALL else styles
