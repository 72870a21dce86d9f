"""A fake agent to test against: every protocol an agent speaks, on real sockets or on virtual time.

    from runagent_testing import FakeAgentServer, delay, error

    with FakeAgentServer() as server:
        server.agent("writer").always("Once", delay(0.1), " upon", " a time")
        ...  # point any client at server.url

A test writes scripts through an `Agent`. ``_script`` checks them, ``dialects`` has the formats of
protocols, and ``_render`` makes a plan of a script: exact bytes, waits, an end. ``_journal`` keeps every
exchange, and ``_host`` decides which plan answers a request. None of these does any I/O. ``_server`` plays
plans on real sockets, ``_memory`` on virtual time. docs/architecture.md lists these folders in order.

The names are imported on first use: importing this package imports no server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runagent_testing._forwarding.upstream import ForwardingError
    from runagent_testing._host.agent import Agent
    from runagent_testing._host.gates import NamedGate
    from runagent_testing._host.rules import Rule
    from runagent_testing._host.scope import Scope
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._memory import DeadlockError, MemoryNetwork, RealTimeWarning, VirtualTimeLoop
    from runagent_testing._recorder.network import AsyncRecordingNetwork, RecordingNetwork
    from runagent_testing._remote.exchanges import RemoteExchange
    from runagent_testing._remote.http import RemoteControlError
    from runagent_testing._remote.scripts import RemoteUnsupportedError
    from runagent_testing._remote.server import RemoteFakeAgentServer
    from runagent_testing._script.gates import Gate
    from runagent_testing._script.pacing import fixed, log_normal, tokens_per_second, uniform
    from runagent_testing._script.repetition import repeat
    from runagent_testing._script.steps import (
        chunk,
        custom,
        delay,
        done,
        ending,
        error,
        gate,
        head,
        heartbeat,
        raw,
        raw_response,
        reasoning,
        status,
        tool_call,
    )
    from runagent_testing._script.validation import StepError
    from runagent_testing._script.writes import at, every, inside, rechunked
    from runagent_testing._server.server import FakeAgentServer
    from runagent_testing._standalone.script_file import load_script

__all__ = [
    "Agent",
    "AsyncRecordingNetwork",
    "DeadlockError",
    "Exchange",
    "FakeAgentServer",
    "ForwardingError",
    "Gate",
    "MemoryNetwork",
    "NamedGate",
    "RealTimeWarning",
    "RecordingNetwork",
    "RemoteControlError",
    "RemoteExchange",
    "RemoteFakeAgentServer",
    "RemoteUnsupportedError",
    "Rule",
    "Scope",
    "StepError",
    "VirtualTimeLoop",
    "at",
    "chunk",
    "custom",
    "delay",
    "done",
    "ending",
    "error",
    "every",
    "fixed",
    "gate",
    "head",
    "heartbeat",
    "inside",
    "load_script",
    "log_normal",
    "raw",
    "raw_response",
    "reasoning",
    "rechunked",
    "repeat",
    "status",
    "tokens_per_second",
    "tool_call",
    "uniform",
]

_HOMES = {
    "runagent_testing._forwarding.upstream": ("ForwardingError",),
    "runagent_testing._host.agent": ("Agent",),
    "runagent_testing._host.gates": ("NamedGate",),
    "runagent_testing._host.rules": ("Rule",),
    "runagent_testing._host.scope": ("Scope",),
    "runagent_testing._journal.exchange": ("Exchange",),
    "runagent_testing._memory": ("DeadlockError", "MemoryNetwork", "RealTimeWarning", "VirtualTimeLoop"),
    "runagent_testing._recorder.network": ("AsyncRecordingNetwork", "RecordingNetwork"),
    "runagent_testing._remote.exchanges": ("RemoteExchange",),
    "runagent_testing._remote.http": ("RemoteControlError",),
    "runagent_testing._remote.scripts": ("RemoteUnsupportedError",),
    "runagent_testing._remote.server": ("RemoteFakeAgentServer",),
    "runagent_testing._script.pacing": ("fixed", "log_normal", "tokens_per_second", "uniform"),
    "runagent_testing._script.gates": ("Gate",),
    "runagent_testing._script.repetition": ("repeat",),
    "runagent_testing._script.steps": (
        *("chunk", "custom", "delay", "done", "ending", "error", "gate", "head", "heartbeat", "raw"),
        *("raw_response", "reasoning", "status", "tool_call"),
    ),
    "runagent_testing._script.validation": ("StepError",),
    "runagent_testing._script.writes": ("at", "every", "inside", "rechunked"),
    "runagent_testing._server.server": ("FakeAgentServer",),
    "runagent_testing._standalone.script_file": ("load_script",),
}

if not TYPE_CHECKING:  # a type checker that saw it would accept misspelt names

    def __getattr__(name: str) -> Any:
        from runagent_testing._internal.lazy import importer  # pytest imports this package in every run

        return importer(__name__, _HOMES)(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
