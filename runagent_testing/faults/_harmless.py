"""What is odd but right: a sound client shows the whole answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._script.steps import Step, delay, done, ending, heartbeat, raw, raw_response
from runagent_testing._script.writes import every, inside
from runagent_testing.dialects._jsontext import structured, to_json
from runagent_testing.faults._scene import (
    HTTP_ONLY,
    NO_HEARTBEATS,
    WEBSOCKET_ONLY,
    WORDS,
    Family,
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


def _drip(scene: FaultContext) -> Scenario:
    # A hundredth, so that the head is there before a client gives up that waits for two beats and more.
    return scene.story(*scene.before(), writes=every(1), apart=scene.beat / 100)


def _split(*places: Place) -> Callable[[FaultContext], Scenario]:
    return lambda scene: scene.story(*scene.before(), writes=inside(*places), apart=scene.beat / 100)


def _framing(name: Framing) -> Callable[[FaultContext], Scenario]:
    return lambda scene: scene.story(*scene.before(), framing=name)


def _heartbeats(scene: FaultContext) -> Scenario:
    steps = [part for step in scene.before() for part in (step, delay(scene.beat), heartbeat())]
    return scene.story(*steps)


def _interim(scene: FaultContext) -> Scenario:
    return scene.story(raw_response(_INTERIM * 3 + scene.answer(*scene.before())))


def _gzip(scene: FaultContext) -> Scenario:
    return scene.story(raw_response(in_gzip(scene, *scene.before())))


def _whole(scene: FaultContext, *between: Step) -> Scenario:
    """Put something into an answer that is whole otherwise."""
    return scene.story(*scene.before(), *between, *scene.after(), contents=scene.as_sent(scene.chunks))


def _second_start(scene: FaultContext) -> Scenario:
    again = {"status": "stream_started"} if scene.websocket else {"message": "again"}
    return _whole(scene, raw(scene.message("status" if scene.websocket else "start", **again)))


def _unknown_event(scene: FaultContext) -> Scenario:
    return _whole(scene, raw(scene.message("progress", percent=50)))


def _fields_of_wrong_type(scene: FaultContext) -> Scenario:
    usage = {"usage": [], "execution_time": "soon", "message": 7}
    kind = {"status": "stream_completed"} if scene.websocket else {}
    ended = raw(scene.message("status" if scene.websocket else "done", **kind, **usage))
    return scene.story(*scene.before(), ended, ending("no-done"))


def _after_done(scene: FaultContext) -> Scenario:
    return scene.story(*scene.before(), done(), raw(scene.event(b"{junk", scene.chunk_kind)))


def _fragments(scene: FaultContext) -> Scenario:
    fields = {"type": "data", "content": structured(scene.chunks[scene.count])}
    data = to_json(fields).encode()
    # One byte in each, so that characters are cut; a ping may come in between (RFC 6455 section 5.4).
    pieces = [bytes((0x00, 1, byte)) for byte in data]
    pieces.insert(len(pieces) // 2, b"\x89\x00")
    message = b"\x01\x00" + b"".join(pieces) + b"\x80\x00"
    rest = [*scene.before(), raw(message), *scene.after()[1:]]
    return scene.story(*rest, contents=scene.chunks)


def _closed_after_done(scene: FaultContext) -> Scenario:
    return scene.story(*scene.before(), done(), ending("close", code=1011))


def _kind(
    name: str,
    about: str,
    tell: Callable[[FaultContext], Scenario],
    absent: Mapping[str, str] | None = None,
    positions: tuple[Position, ...] = _THROUGHOUT,
    unlike: Mapping[str, Family] | None = None,
) -> FaultKind:
    alone = positions == _THROUGHOUT
    return FaultKind(
        name, about, positions, tell, "ok", unlike=unlike or {}, absent=absent or {}, alone=alone
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
    _kind("wrong-types", "optional fields of the wrong type", _fields_of_wrong_type, WORDS),
    _kind("junk-after-done", "what comes after the closing event does not count", _after_done, WORDS),
    _kind("closed-after-done", "Close 1011, after the closing message", _closed_after_done, WEBSOCKET_ONLY),
    _kind("second-start", "the agent begins again", _second_start, WORDS, _BETWEEN),
    _kind("unknown-event", "an event of an unknown kind", _unknown_event, WORDS, _BETWEEN),
    _kind(
        "fragments",
        "a message in fragments, with a ping among them",
        _fragments,
        WEBSOCKET_ONLY | WORDS,
        (Position("after-start"), Position("after-event", 1)),
    ),
)
