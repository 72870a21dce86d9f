"""The hooks that a plugin may implement. Their names begin with ``runagent_``; none is called per chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from runagent.transports.checks import AnyTransport

__all__ = ["RegisterTransport", "hookimpl", "hookspec"]

PROJECT = "runagent"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

RegisterTransport = Callable[["AnyTransport"], None]


# Historic: a plugin is loaded when its transport is first asked for, long after the call was made.
@hookspec(historic=True)
def runagent_register_transports(register: RegisterTransport) -> None:
    """Offer transports.

    Called once, when the first transport of the plugin is asked for by name. The plugin is
    found through the entry-point group ``runagent.transports``: the entry point's name is the
    transport's name, its value the module (or object) that implements this hook.

    Args:
        register: Takes a `Transport` or an `AsyncTransport`; its ``name`` must be the entry point's.
    """
