"""What is odd but right: a sound client shows the whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._script.steps import Step, delay, done, ending, heartbeat, raw, raw_response
from runagent_testing._script.writes import every, inside
from runagent_testing.dialects._jsontext import structured, to_json
from runagent_testing.faults._kind import (
    BUILT_IN_ONLY,
    HTTP_ONLY,
    NO_HEARTBEATS,
    WEBSOCKET_ONLY,
    ErrorFamily,
    FaultContext,
    FaultKind,
    Position,
    Scenario,
    after_events,
)
from runagent_testing.faults._streams import in_gzip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing._script.script import Framing
    from runagent_testing._script.writes import Place

__all__ = ["KINDS"]

_THROUGHOUT = (Position("throughout"),)
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n"


def _drip(context: FaultContext) -> Scenario:
    # A hundredth, so that the head is there before a client gives up that waits for two beats and more.
    return context.scenario(*context.before(), writes=every(1), write_gap=context.interval / 100)


def _split(*places: Place) -> Callable[[FaultContext], Scenario]:
    return lambda context: context.scenario(
        *context.before(), writes=inside(*places), write_gap=context.interval / 100
    )


def _framing(name: Framing) -> Callable[[FaultContext], Scenario]:
    return lambda context: context.scenario(*context.before(), framing=name)


def _heartbeats(context: FaultContext) -> Scenario:
    steps = [part for step in context.before() for part in (step, delay(context.interval), heartbeat())]
    return context.scenario(*steps)


def _interim(context: FaultContext) -> Scenario:
    return context.scenario(raw_response(_INTERIM * 3 + context.answer(*context.before())))


def _gzip(context: FaultContext) -> Scenario:
    return context.scenario(raw_response(in_gzip(context, *context.before())))


def _whole(context: FaultContext, *between: Step) -> Scenario:
    """Put something into an answer that is whole otherwise."""
    return context.scenario(
        *context.before(), *between, *context.after(), contents=context.as_sent(context.chunks)
    )


def _second_start(context: FaultContext) -> Scenario:
    again = {"status": "stream_started"} if context.websocket else {"message": "again"}
    return _whole(context, raw(context.message("status" if context.websocket else "start", **again)))


def _unknown_event(context: FaultContext) -> Scenario:
    return _whole(context, raw(context.message("progress", percent=50)))


def _fields_of_wrong_type(context: FaultContext) -> Scenario:
    usage = {"usage": [], "execution_time": "soon", "message": 7}
    kind = {"status": "stream_completed"} if context.websocket else {}
    ended = raw(context.message("status" if context.websocket else "done", **kind, **usage))
    return context.scenario(*context.before(), ended, ending("no-done"))


def _after_done(context: FaultContext) -> Scenario:
    return context.scenario(*context.before(), done(), raw(context.event(b"{junk", context.chunk_kind)))


def _fragments(context: FaultContext) -> Scenario:
    fields = {"type": "data", "content": structured(context.chunks[context.count])}
    data = to_json(fields).encode()
    # One byte in each, so that characters are cut; a ping may come in between (RFC 6455 section 5.4).
    pieces = [bytes((0x00, 1, byte)) for byte in data]
    pieces.insert(len(pieces) // 2, b"\x89\x00")
    message = b"\x01\x00" + b"".join(pieces) + b"\x80\x00"
    rest = [*context.before(), raw(message), *context.after()[1:]]
    return context.scenario(*rest, contents=context.chunks)


def _closed_after_done(context: FaultContext) -> Scenario:
    return context.scenario(*context.before(), done(), ending("close", code=1011))


def _kind(
    name: str,
    description: str,
    make_scenario: Callable[[FaultContext], Scenario],
    absent: Mapping[str, str] | None = None,
    positions: tuple[Position, ...] = _THROUGHOUT,
    unlike: Mapping[str, ErrorFamily] | None = None,
) -> FaultKind:
    alone = positions == _THROUGHOUT
    return FaultKind(
        name,
        description,
        positions,
        make_scenario,
        "ok",
        unlike=unlike or {},
        absent=absent or {},
        alone=alone,
    )


_BETWEEN = (Position("after-start"), *after_events())

KINDS = (
    _kind("drip", "byte by byte, slowly", _drip),
    _kind("split-characters", "writes end inside characters", _split("characters")),
    _kind(
        "split-framing",
        "writes end inside line ends, chunk sizes and frame headers",
        _split("crlf", "chunk-header", "frame-header"),
    ),
    _kind("heartbeats", "signs of life between the chunks", _heartbeats, NO_HEARTBEATS),
    _kind("interim", "1xx answers before the real one", _interim, HTTP_ONLY),
    _kind("content-length", "the length is known in advance", _framing("length"), HTTP_ONLY),
    _kind("chunk-extensions", "every chunk has an extension", _framing("extensions"), HTTP_ONLY),
    _kind(
        "close-delimited",
        "neither length nor chunks: plain text then proves no end",
        _framing("close"),
        HTTP_ONLY,
        unlike={"text": "unproven"},
    ),
    _kind("gzip", "an answer in gzip, though nobody asked for it", _gzip, HTTP_ONLY),
    _kind("wrong-types", "optional fields of the wrong type", _fields_of_wrong_type, BUILT_IN_ONLY),
    _kind("junk-after-done", "what comes after the closing event does not count", _after_done, BUILT_IN_ONLY),
    _kind("closed-after-done", "Close 1011, after the closing message", _closed_after_done, WEBSOCKET_ONLY),
    _kind("second-start", "the agent begins again", _second_start, BUILT_IN_ONLY, _BETWEEN),
    _kind("unknown-event", "an event of an unknown kind", _unknown_event, BUILT_IN_ONLY, _BETWEEN),
    _kind(
        "fragments",
        "a message in fragments, with a ping among them",
        _fragments,
        WEBSOCKET_ONLY | BUILT_IN_ONLY,
        (Position("after-start"), Position("after-event", 1)),
    ),
)
