"""The checks, by subject; each module adds its requirements when it is imported."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from runagent_testing.conformance._harness.requirements import registered

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.requirements import Requirement

__all__ = ["all_requirements"]

_MODULES = (
    "names",
    "requests",
    "sessions",
    "ends",
    "guards",
    "samples",
    "mutilated",
    "memory",
    "plain",
    "streams",
    "libraries",
    "failures",
    "lasting",
    "retrying",
    "leaving",
    "sharing",
    "declared",
    "declared_runs",
    "carried",
)


def all_requirements() -> tuple[Requirement, ...]:
    """Return the requirements of all sets, in order."""
    for name in _MODULES:
        import_module(f"{__name__}.{name}")
    return registered()
