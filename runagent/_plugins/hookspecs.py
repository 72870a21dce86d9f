"""The hooks that a plugin may implement. Their names begin with ``runagent_``; none is called per chunk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from runagent._call import AgentCall
    from runagent._report import RunReport
    from runagent.transports._async_transport import RegisterTransport

__all__ = ["hookimpl", "hookspec"]

PROJECT = "runagent"

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)


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
def runagent_prepare_call(call: AgentCall) -> AgentCall | None:
    """Change a call before it begins, for example to add header fields for tracing.

    Called once for each call, when its first ``next`` or ``with`` begins it, in the reader's thread or
    task. It must not wait. Several observers are asked one after the other, each with what the one before
    has made of it.

    Args:
        call: What is asked. The API key, the idempotency key and the time are filled in later, for each
            attempt, and are not in it.

    Returns:
        None to leave it as it is, or a call made by ``dataclasses.replace`` that differs in ``headers``,
        ``input``, ``args`` or ``entrypoint_tag`` and in nothing else.
    """


@hookspec
def runagent_call_started(call: AgentCall) -> None:
    """Learn that a call begins; nothing has been sent yet.

    Args:
        call: What is asked, as all observers have prepared it.
    """


@hookspec
def runagent_call_finished(call: AgentCall, report: RunReport) -> None:
    """Learn that a call is over. Called exactly once for each call that has been started.

    That is so however it ends: at its end, by an error, by leaving the stream early, by a cancellation
    that closes it, or when nobody holds the stream any more. In the last case it is called by the collection
    of garbage, in any thread.

    Args:
        call: What was asked.
        report: The result; ``outcome`` is how it ended.
    """
