"""What a transport is made of: everything that one by a third party needs, in one stable place.

A transport turns a call into bytes and bytes into events; no I/O happens in it. Most of them are a
subclass of `HttpSession` or `MessageSession` and five lines that name it; docs/plugins.md shows both.
Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent.lazy import importer

if TYPE_CHECKING:
    from runagent.call import AgentCall, ResumePoint, Route
    from runagent.events import Event
    from runagent.hookspecs import RegisterTransport
    from runagent.limits import Limits
    from runagent.net.base import Address
    from runagent.seam import OLDEST_SEAM_VERSION, SEAM_VERSION, Capability
    from runagent.transports.base import BaseSession, Session, Transport, Wants
    from runagent.transports.counting import ChunkCount
    from runagent.transports.http import HttpSession
    from runagent.transports.invoke import InvokeSession
    from runagent.transports.library import AsyncTransport, Emit
    from runagent.transports.message_session import MessageSession
    from runagent.transports.messages import SurrogateJoiner
    from runagent.transports.request import HttpRequest
    from runagent.wire.jsontext import InvalidJSONError, decode_json, encode_json, quote
    from runagent.wire.ndjson import NDJSONDecoder
    from runagent.wire.sse import ServerSentEvent, SSEDecoder

_HOMES = {
    "runagent.call": ("AgentCall", "ResumePoint", "Route"),
    "runagent.events": ("Event",),
    "runagent.hookspecs": ("RegisterTransport",),
    "runagent.limits": ("Limits",),
    "runagent.net.base": ("Address",),
    "runagent.seam": ("OLDEST_SEAM_VERSION", "SEAM_VERSION", "Capability"),
    "runagent.transports.base": ("BaseSession", "Session", "Transport", "Wants"),
    "runagent.transports.counting": ("ChunkCount",),
    "runagent.transports.http": ("HttpSession",),
    "runagent.transports.invoke": ("InvokeSession",),
    "runagent.transports.library": ("AsyncTransport", "Emit"),
    "runagent.transports.message_session": ("MessageSession",),
    "runagent.transports.messages": ("SurrogateJoiner",),
    "runagent.transports.request": ("HttpRequest",),
    "runagent.wire.jsontext": ("InvalidJSONError", "decode_json", "encode_json", "quote"),
    "runagent.wire.ndjson": ("NDJSONDecoder",),
    "runagent.wire.sse": ("SSEDecoder", "ServerSentEvent"),
}
__all__ = [
    "OLDEST_SEAM_VERSION",
    "SEAM_VERSION",
    "Address",
    "AgentCall",
    "AsyncTransport",
    "BaseSession",
    "Capability",
    "ChunkCount",
    "Emit",
    "Event",
    "HttpRequest",
    "HttpSession",
    "InvalidJSONError",
    "InvokeSession",
    "Limits",
    "MessageSession",
    "NDJSONDecoder",
    "RegisterTransport",
    "ResumePoint",
    "Route",
    "SSEDecoder",
    "ServerSentEvent",
    "Session",
    "SurrogateJoiner",
    "Transport",
    "Wants",
    "decode_json",
    "encode_json",
    "quote",
]

if not TYPE_CHECKING:  # a checker that saw it would take every misspelt name for one that is there
    __getattr__ = importer(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
