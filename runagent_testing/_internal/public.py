"""Public classes, known by the module from which tests import them."""

from __future__ import annotations

__all__ = ["publish"]


def publish(*kinds: type, module: str = "runagent_testing") -> None:
    """Have classes show the public module: in tracebacks, in pickles, in ``help``."""
    for kind in kinds:
        kind.__module__ = module
