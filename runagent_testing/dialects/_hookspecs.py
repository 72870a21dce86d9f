"""The hooks that a distribution may implement to extend the fake agent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from runagent_testing.dialects._base import Dialect

__all__ = ["RegisterDialect", "hookimpl", "hookspec"]

PROJECT = "runagent_testing"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Marks the functions of a plugin that implement hooks of the fake agent."""

RegisterDialect = Callable[["Dialect"], None]
"""The argument of the hook ``runagent_testing_register_dialects``."""


# Historic: plugins are loaded only once a request comes that no other dialect understands.
@hookspec(historic=True)
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer dialects to every fake agent of the process.

    The plugin is found through the entry-point group ``runagent_testing.dialects``, whose value is the
    module (or object) that implements this hook.

    Args:
        register: Takes a `Dialect`.
    """
