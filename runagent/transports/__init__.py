"""The transport API: every name that a third-party transport needs.

A transport turns a call into bytes and bytes into events, without any I/O. Most transports are a subclass of
`HttpSession` or `MessageSession` and a class of five lines that names it; docs/plugins.md makes one
step by step, docs/transport-api.md is the reference. A name is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._internal.lazy import importer

if TYPE_CHECKING:
    from runagent._address.paths import path_segment
    from runagent._address.route import Address, Route
    from runagent._call import AgentCall, ResumePoint, RunIds
    from runagent._events import (
        Chunk,
        Completed,
        Custom,
        Event,
        JSONValue,
        Reasoning,
        RunResult,
        Started,
        StreamEvent,
        ToolCall,
    )
    from runagent._limits import Limits
    from runagent._report import mark_error
    from runagent._wire.jsontext import InvalidJSONError, decode_json, encode_json, quote, write_json
    from runagent._wire.ndjson import NDJSONDecoder
    from runagent._wire.nesting import json_decoder
    from runagent._wire.sse import ServerSentEvent, SSEDecoder
    from runagent.capabilities import OLDEST_TRANSPORT_API_VERSION, TRANSPORT_API_VERSION, Capability
    from runagent.transports._async_transport import AsyncTransport, Emit, RegisterTransport
    from runagent.transports._base import BaseSession, Session, Transport, Wants
    from runagent.transports._cancel import CancelSession
    from runagent.transports._content_session import ContentSession
    from runagent.transports._counting import ChunkCount
    from runagent.transports._event_stream import EventStreamSession
    from runagent.transports._http import HttpSession
    from runagent.transports._id_order import IdOrder
    from runagent.transports._input import AgentInput, InputMessage, InputTool, InterruptAnswer, parse_input
    from runagent.transports._invoke import InvokeSession
    from runagent.transports._json_reader import JSONReader
    from runagent.transports._line_stream import LineStreamSession
    from runagent.transports._message_session import MessageSession
    from runagent.transports._options import check_options
    from runagent.transports._parts import ByteLimit, ToolCallParts
    from runagent.transports._refusals import error_from_answer
    from runagent.transports._request import HttpRequest, post_json
    from runagent.transports._retry_after import should_retry
    from runagent.transports._snapshots import SnapshotParts
    from runagent.transports._steps import Step, StepAnswer, parse_url
    from runagent.transports._surrogates import SurrogateJoiner

_HOMES = {
    "runagent._address.route": ("Address", "Route"),
    "runagent._address.paths": ("path_segment",),
    "runagent._call": ("AgentCall", "ResumePoint", "RunIds"),
    "runagent._events": (
        "Chunk",
        "Completed",
        "Custom",
        "Event",
        "JSONValue",
        "Reasoning",
        "RunResult",
        "Started",
        "StreamEvent",
        "ToolCall",
    ),
    "runagent._limits": ("Limits",),
    "runagent._report": ("mark_error",),
    "runagent.capabilities": ("OLDEST_TRANSPORT_API_VERSION", "TRANSPORT_API_VERSION", "Capability"),
    "runagent.transports._base": ("BaseSession", "Session", "Transport", "Wants"),
    "runagent.transports._cancel": ("CancelSession",),
    "runagent.transports._counting": ("ChunkCount",),
    "runagent.transports._content_session": ("ContentSession",),
    "runagent.transports._event_stream": ("EventStreamSession",),
    "runagent.transports._line_stream": ("LineStreamSession",),
    "runagent.transports._parts": ("ByteLimit", "ToolCallParts"),
    "runagent.transports._json_reader": ("JSONReader",),
    "runagent.transports._options": ("check_options",),
    "runagent.transports._input": (
        "AgentInput",
        "InputMessage",
        "InputTool",
        "InterruptAnswer",
        "parse_input",
    ),
    "runagent.transports._http": ("HttpSession",),
    "runagent.transports._id_order": ("IdOrder",),
    "runagent.transports._invoke": ("InvokeSession",),
    "runagent.transports._async_transport": ("AsyncTransport", "Emit", "RegisterTransport"),
    "runagent.transports._message_session": ("MessageSession",),
    "runagent.transports._request": ("HttpRequest", "post_json"),
    "runagent.transports._snapshots": ("SnapshotParts",),
    "runagent.transports._steps": ("Step", "StepAnswer", "parse_url"),
    "runagent.transports._refusals": ("error_from_answer",),
    "runagent.transports._retry_after": ("should_retry",),
    "runagent.transports._surrogates": ("SurrogateJoiner",),
    "runagent._wire.jsontext": ("InvalidJSONError", "decode_json", "encode_json", "quote", "write_json"),
    "runagent._wire.nesting": ("json_decoder",),
    "runagent._wire.ndjson": ("NDJSONDecoder",),
    "runagent._wire.sse": ("SSEDecoder", "ServerSentEvent"),
}
__all__ = [
    "OLDEST_TRANSPORT_API_VERSION",
    "TRANSPORT_API_VERSION",
    "Address",
    "AgentCall",
    "AgentInput",
    "AsyncTransport",
    "BaseSession",
    "ByteLimit",
    "CancelSession",
    "Capability",
    "Chunk",
    "ChunkCount",
    "Completed",
    "ContentSession",
    "Custom",
    "Emit",
    "Event",
    "EventStreamSession",
    "HttpRequest",
    "HttpSession",
    "IdOrder",
    "InputMessage",
    "InputTool",
    "InterruptAnswer",
    "InvalidJSONError",
    "InvokeSession",
    "JSONReader",
    "JSONValue",
    "Limits",
    "LineStreamSession",
    "MessageSession",
    "NDJSONDecoder",
    "Reasoning",
    "RegisterTransport",
    "ResumePoint",
    "Route",
    "RunIds",
    "RunResult",
    "SSEDecoder",
    "ServerSentEvent",
    "Session",
    "SnapshotParts",
    "Started",
    "Step",
    "StepAnswer",
    "StreamEvent",
    "SurrogateJoiner",
    "ToolCall",
    "ToolCallParts",
    "Transport",
    "Wants",
    "check_options",
    "decode_json",
    "encode_json",
    "error_from_answer",
    "json_decoder",
    "mark_error",
    "parse_input",
    "parse_url",
    "path_segment",
    "post_json",
    "quote",
    "should_retry",
    "write_json",
]

if not TYPE_CHECKING:  # a type checker that saw it would accept every misspelt name
    __getattr__ = importer(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted(__all__)
