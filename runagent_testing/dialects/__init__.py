"""Dialects: how the requests of a protocol are understood, and how its answers are written. No I/O.

A script defines what happens, a dialect writes it in the format of one protocol, and a player sends it. So
write boundaries, endings, faults, virtual time and the journal come with every dialect.

Everything that a dialect needs is here: subclass `Dialect` and `Format`, and offer the dialect through the
hook (`hookimpl`) or to one host (``dialects=``).
docs/dialects.md shows both. Names are imported on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.lazy import importer

if TYPE_CHECKING:
    from runagent_testing._script.script import Result
    from runagent_testing._script.steps import Chunk, Custom, Done, Error, Reasoning, Status, ToolCall
    from runagent_testing.dialects._base import Dialect, DialectRun, Format
    from runagent_testing.dialects._frames import (
        BINARY,
        CLOSE,
        PING,
        PONG,
        TEXT,
        close_frame,
        frame,
    )
    from runagent_testing.dialects._hookspecs import RegisterDialect, hookimpl
    from runagent_testing.dialects._hosting import DialectHost, HostedRun, RequestedAgent
    from runagent_testing.dialects._jsontext import to_json, without_none
    from runagent_testing.dialects._limits import RateLimit
    from runagent_testing.dialects._messages import MessageContext, MessageReply, RunMessage
    from runagent_testing.dialects._request import Request, RunRequest, parse_json

_HOMES = {
    "runagent_testing._script.script": ("Result",),
    "runagent_testing._script.steps": ("Chunk", "Custom", "Done", "Error", "Reasoning", "Status", "ToolCall"),
    "runagent_testing.dialects._base": ("Dialect", "Format", "DialectRun"),
    "runagent_testing.dialects._frames": (
        *("BINARY", "CLOSE", "PING", "PONG", "TEXT"),
        *("close_frame", "frame"),
    ),
    "runagent_testing.dialects._hookspecs": ("RegisterDialect", "hookimpl"),
    "runagent_testing.dialects._hosting": ("DialectHost", "HostedRun", "RequestedAgent"),
    "runagent_testing.dialects._jsontext": ("without_none", "to_json"),
    "runagent_testing.dialects._limits": ("RateLimit",),
    "runagent_testing.dialects._messages": ("MessageContext", "MessageReply", "RunMessage"),
    "runagent_testing.dialects._request": ("Request", "RunRequest", "parse_json"),
}
__all__ = [
    "BINARY",
    "CLOSE",
    "PING",
    "PONG",
    "TEXT",
    "Chunk",
    "Custom",
    "Dialect",
    "DialectHost",
    "DialectRun",
    "Done",
    "Error",
    "Format",
    "HostedRun",
    "MessageContext",
    "MessageReply",
    "RateLimit",
    "Reasoning",
    "RegisterDialect",
    "Request",
    "RequestedAgent",
    "Result",
    "RunMessage",
    "RunRequest",
    "Status",
    "ToolCall",
    "close_frame",
    "frame",
    "hookimpl",
    "parse_json",
    "to_json",
    "without_none",
]

if not TYPE_CHECKING:  # a type checker that saw it would accept misspelt names
    __getattr__ = importer(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
