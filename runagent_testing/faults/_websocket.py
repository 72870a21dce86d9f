"""What only a WebSocket can do wrong (RFC 6455), with docs/wire.md section 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._script.steps import ending, heartbeat, raw
from runagent_testing.dialects._frames import BAD_FRAMES, TEXT, frame
from runagent_testing.faults._kind import (
    NO_HEARTBEATS,
    WEBSOCKET_ONLY,
    ErrorFamily,
    FaultContext,
    FaultKind,
    Position,
    Scenario,
    after_events,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["KINDS"]

_BETWEEN = (Position("after-start"), *after_events())
_ENDS = (*_BETWEEN, Position("before-end-marker"))

# Behind each the agent waits for the client's answer, which is its Close.
_FRAMES = {
    "bad-opcode": ("an opcode that is not defined", BAD_FRAMES["bad-opcode"]),
    "masked-frame": ("a server's frames are not masked", BAD_FRAMES["masked-frame"]),
    "reserved-bit": ("a reserved bit, and no extension for it", b"\xc1\x02{}"),
    "stray-continuation": ("a continuation of nothing", b"\x80\x02{}"),
    "interrupted-fragments": ("a message begins within another", b"\x01\x01{\x81\x02{}"),
    "fragmented-ping": ("a control frame in fragments", b"\x09\x00"),
    "long-ping": ("a control frame of more than 125 bytes", b"\x89\x7e\x00\x80" + b"x" * 128),
    "half-close-code": ("a Close frame of one byte", b"\x88\x01\x03"),
    "bad-utf8-in-fragments": ("text in fragments that is not UTF-8", b"\x01\x01\xf0\x80\x01\x28"),
}
_CLOSES = {
    1000: "normal closure",
    1001: "going away",
    1003: "unsupported data",
    1009: "message too big",
    1011: "internal error",
    1012: "service restart",
}


def _frame(data: bytes) -> Callable[[FaultContext], Scenario]:
    return lambda context: context.scenario(*context.before(), raw(data), ending("stall"))


def _close(code: int, reason: str = "") -> Callable[[FaultContext], Scenario]:
    return lambda context: context.scenario(*context.before(), ending("close", code=code, reason=reason))


def _oversized(context: FaultContext) -> Scenario:
    message = b'{"type": "data", "content": "%b"}' % (b"x" * context.oversize)
    return context.scenario(*context.before(), raw(frame(TEXT, message)), ending("stall"))


def _oversized_in_fragments(context: FaultContext) -> Scenario:
    piece = b"\x00\x7d" + b"x" * 125
    fragments = b"\x01\x00" + piece * (context.oversize // 125 + 1)
    return context.scenario(*context.before(), raw(fragments), ending("stall"))


def _no_code(context: FaultContext) -> Scenario:
    return context.scenario(*context.before(), raw(b"\x88\x00"), ending("stall"))


def _silence_after_ping(context: FaultContext) -> Scenario:
    return context.scenario(*context.before(), heartbeat(), ending("silent"))


def _kind(
    name: str,
    description: str,
    make_scenario: Callable[[FaultContext], Scenario],
    family: ErrorFamily,
    positions: tuple[Position, ...] = _BETWEEN,
    absent: Mapping[str, str] = WEBSOCKET_ONLY,
) -> FaultKind:
    return FaultKind(
        name,
        description,
        positions,
        make_scenario,
        family,
        hidden="cut" if family in ("truncated", "timeout") else "nothing",
        absent=absent,
    )


KINDS = (
    *(_kind(name, description, _frame(data), "protocol") for name, (description, data) in _FRAMES.items()),
    *(
        _kind(f"close-{code}", f"Close, {phrase}", _close(code, phrase), "truncated", _ENDS)
        for code, phrase in _CLOSES.items()
    ),
    _kind("close-without-code", "a Close frame without a code", _no_code, "truncated"),
    _kind("close-1005", "a Close code that must not be sent", _close(1005), "protocol"),
    _kind("oversized-message", "a message larger than the client's limit", _oversized, "limit"),
    _kind("oversized-in-fragments", "the same, in fragments", _oversized_in_fragments, "limit"),
    _kind(
        "silence-after-ping",
        "a ping, then no word and no answer",
        _silence_after_ping,
        "timeout",
        absent=WEBSOCKET_ONLY | NO_HEARTBEATS,
    ),
)
