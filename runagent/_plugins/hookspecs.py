"""The hooks that a plugin may implement. Their names begin with ``runagent_``; none is called per chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from runagent._call import AgentCall
    from runagent._plugins.call_observers import CallObserver
    from runagent.transports._async_transport import RegisterTransport

__all__ = ["hookimpl", "hookspec"]

PROJECT = "runagent"

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)
"""Marks the functions of a plugin that implement hooks of runagent."""


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


@hookspec
def runagent_observe_call(call: AgentCall) -> CallObserver | None:
    """Return an observer of a call, or None.

    Called once for each call, when the first read or wait begins it, in the reader's thread or task. It must
    not wait.

    Args:
        call: What is asked, with the run's id. The API key and the time are filled in later, for each
            attempt, and are not in it.

    Returns:
        An object with any of the methods of `CallObserver`. It is for this call alone, so it may keep what it
        learns.
    """
