"""Connections that break off, hang or never begin, at every place of an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from runagent_testing._script.steps import EndingKind, Step, delay, done, ending, heartbeat, raw, raw_response
from runagent_testing.faults._kind import (
    HTTP_ONLY,
    NO_HEARTBEATS,
    ErrorFamily,
    FaultContext,
    FaultKind,
    Position,
    Scenario,
    after_events,
    in_events,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._render.plan import ConnectionFault

__all__ = ["KINDS"]

ON_THE_WAY = (
    Position("before-answer"),
    Position("in-head"),
    Position("after-head"),
    Position("after-start"),
    *after_events(),
    *in_events(),
    Position("before-end-marker"),
    Position("after-done"),
)
# A client that knows that the run is done need not mind how the connection ends.
_FAMILIES: dict[str, ErrorFamily] = {
    "before-accept": "network",
    "before-answer": "network",
    "in-head": "network",
    "after-done": "ok",
}
_ACCEPTED: dict[str, tuple[ErrorFamily, ...]] = {"in-head": ("truncated",)}
_HEARTBEATS = 200  # at one a interval, longer than any client waits


def _cut(kind: EndingKind) -> Callable[[FaultContext], Scenario]:
    def make_scenario(context: FaultContext) -> Scenario:
        last = ending(kind, seconds=context.interval if kind == "stall-reset" else None)
        if context.position.name == "in-event":
            half, _ = context.torn()
            return context.scenario(*context.before(), raw(half), last, contents=context.half_contents())
        return context.scenario(*_until(context), last)

    return make_scenario


def _until(context: FaultContext) -> tuple[Step, ...]:
    """Answer up to a place between two events, or before the first."""
    match context.position.name:
        case "before-answer":
            return (raw_response(b""),)
        case "in-head":
            head = b"HTTP/1.1 101 Switching Protocols\r\nUpgra" if context.websocket else context.head()
            return (raw_response(head[: len(head) // 2]),)
        case "after-head":
            return (raw_response(context.head()),)
        case "after-done":
            return (*context.before(), done())
    return tuple(context.before())


def _at_once(kind: str) -> Callable[[FaultContext], Scenario]:
    fault = cast("ConnectionFault", kind)
    return lambda _: Scenario((), connection=fault)


def _in_chunk(context: FaultContext) -> Scenario:
    half, rest = context.torn()
    size = b"%x\r\n" % (len(half) + len(rest))
    sent = context.answer(*context.before(), ending("cut"))
    return context.scenario(raw_response(sent + size + half), ending("fin"), contents=context.half_contents())


def _in_chunk_size(context: FaultContext) -> Scenario:
    return context.scenario(
        raw_response(context.answer(*context.before(), ending("cut")) + b"1"), ending("fin")
    )


def _short_body(context: FaultContext) -> Scenario:
    return context.scenario(*context.before(), ending("fin"), framing="length")


def _close_delimited_cut(context: FaultContext) -> Scenario:
    return context.scenario(*context.before(), ending("close-delimited-cut"))


def _no_done(context: FaultContext) -> Scenario:
    if context.position.name == "in-event":
        return context.scenario(*context.before(), raw(context.torn()[0]), ending("no-done"))
    return context.scenario(*context.before(), ending("no-done"))


def _only_heartbeats(context: FaultContext) -> Scenario:
    beat: Step
    if context.position.name == "after-head":
        beat = raw(context.framed(context.format.heartbeat))
    else:
        beat = heartbeat()
    beats: list[Step] = [step for _ in range(_HEARTBEATS) for step in (delay(context.interval), beat)]
    return context.scenario(*_until(context), *beats, ending("stall"))


def _fin(name: EndingKind, description: str, absent: dict[str, str], *, loses: bool = False) -> FaultKind:
    return FaultKind(
        name,
        description,
        ON_THE_WAY,
        _cut(name),
        "truncated",
        unlike=_FAMILIES,
        accepted=_ACCEPTED,
        hidden="cut",
        absent=absent,
        loses=loses,
    )


def _on_connect(
    name: str, fault: str, description: str, family: ErrorFamily, absent: dict[str, str]
) -> FaultKind:
    positions = (Position("before-accept"),)
    return FaultKind(name, description, positions, _at_once(fault), family, hidden="retry", absent=absent)


_ACCEPTS = "a socket that listens accepts; for a refusal, connect to a port on which nobody listens"
_NO_HALF = "over TLS there is no half-close: either side's end is everybody's"
_MARKS = "plain text has no closing event: it ends as HTTP ends it"

KINDS = (
    _on_connect("refuse", "refuse", "the connection is refused", "network", {"socket": _ACCEPTS}),
    _on_connect("fin", "close", "the connection is accepted and closed", "network", {}),
    _on_connect("reset", "reset", "the connection is accepted and reset", "network", {}),
    _on_connect("stall", "silent", "the connection is accepted, and then nothing", "timeout", {}),
    _fin("fin", "TCP's FIN without an end marker (WebSocket: without a Close frame, 1006)", {}),
    _fin("reset", "a RST", {}, loses=True),
    _fin("half-close", "a FIN, but the server goes on reading", {"tls": _NO_HALF}),
    _fin("stall-reset", "silence for a interval, then a RST", {}),
    FaultKind(
        "stall",
        "silence, and the connection stays",
        ON_THE_WAY,
        _cut("stall"),
        "timeout",
        unlike={"after-done": "ok"},
        hidden="cut",
    ),
    FaultKind(
        "fin-in-chunk",
        "FIN inside an HTTP chunk",
        in_events(),
        _in_chunk,
        "truncated",
        hidden="cut",
        absent=HTTP_ONLY,
    ),
    FaultKind(
        "fin-in-chunk-size",
        "FIN inside the size line of an HTTP chunk",
        after_events(),
        _in_chunk_size,
        "truncated",
        hidden="cut",
        absent=HTTP_ONLY,
    ),
    FaultKind(
        "short-body",
        "FIN before as many bytes as Content-Length has promised",
        (*after_events(), Position("before-end-marker")),
        _short_body,
        "truncated",
        hidden="cut",
        absent=HTTP_ONLY,
    ),
    FaultKind(
        "close-delimited-cut",
        "neither length nor chunks, and FIN before the closing event",
        (*after_events(), Position("before-end-marker")),
        _close_delimited_cut,
        "truncated",
        unlike={"text": "unproven"},
        hidden="cut",
        absent=HTTP_ONLY,
    ),
    FaultKind(
        "no-done",
        "HTTP ends as it should, without the closing event",
        (Position("after-start"), *after_events(), *in_events(), Position("before-end-marker")),
        _no_done,
        "truncated",
        hidden="cut",
        absent={"text": _MARKS, "websocket": "see close-1000"},
    ),
    FaultKind(
        "only-heartbeats",
        "heartbeats for ever: only a limit on the time without events can end that",
        (Position("after-head"), Position("after-start"), *after_events(1)),
        _only_heartbeats,
        "timeout",
        hidden="cut",
        absent=NO_HEARTBEATS,
    ),
)
