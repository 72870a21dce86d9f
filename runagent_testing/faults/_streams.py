"""What can be wrong inside a stream whose connection is well: framing, events, codings, limits."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from runagent_testing._render.http import LAST_CHUNK
from runagent_testing._script.steps import Chunk, Step, ending, error, raw, raw_response
from runagent_testing.faults._kind import (
    BUILT_IN_ONLY,
    HTTP_ONLY,
    NO_ERRORS,
    NO_EVENTS,
    ErrorFamily,
    FaultContext,
    FaultKind,
    Position,
    Scenario,
    after_events,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["KINDS", "in_gzip"]

_BETWEEN = (Position("after-start"), *after_events())
_GZIP = 16 + zlib.MAX_WBITS


def _bad_event(data: bytes) -> Callable[[FaultContext], Scenario]:
    """Send an event whose data is this."""
    return lambda context: context.scenario(*context.before(), raw(context.event(data, context.chunk_kind)))


def _bad_chunk_size(line: bytes) -> Callable[[FaultContext], Scenario]:
    def make_scenario(context: FaultContext) -> Scenario:
        good = context.answer(*context.before(), ending("cut")) if context.count else context.head()
        return context.scenario(raw_response(good + line + b"\r\n"))

    return make_scenario


def _no_content(context: FaultContext) -> Scenario:
    return context.scenario(*context.before(), raw(context.message(context.chunk_kind, text="no content")))


def _index(shift: int) -> Callable[[FaultContext], Scenario]:
    """Give a chunk an index that is wrong by ``shift``."""

    def make_scenario(context: FaultContext) -> Scenario:
        return context.scenario(*context.before(indexed=True), Chunk("?", context.count + shift))

    return make_scenario


def _fails(code: str | None, message: str | None) -> Callable[[FaultContext], Scenario]:
    return lambda context: context.scenario(*context.before(), error(code, message))


def _invalid_utf8(context: FaultContext) -> Scenario:
    if context.transport != "text":
        bad = context.event(
            b'{"type": "%b", "content": "\xff"}' % context.chunk_kind.encode(), context.chunk_kind
        )
    else:
        bad = b"\xff"
    contents = context.contents
    if context.transport in ("sse", "text"):
        contents = (*contents, "\ufffd", *context.as_sent(context.chunks[context.count :]))
    return context.scenario(*context.before(), raw(bad), *context.after(shift=1), contents=contents)


def _endless(context: FaultContext) -> Scenario:
    began = b"data: " if context.transport == "sse" else b'{"type": "chunk", "content": "'
    return context.scenario(*context.before(), raw(began + b"x" * context.oversize), ending("stall"))


def _many_lines(context: FaultContext) -> Scenario:
    line = b"data: %b\n" % (b"x" * 1000)
    return context.scenario(*context.before(), raw(line * (context.oversize // 1000 + 1)), ending("stall"))


def in_gzip(context: FaultContext, *steps: Step, end: bytes | None = None) -> bytes:
    """Write an answer in gzip, each event in a separate HTTP chunk; ``end`` replaces that of gzip."""
    coding = zlib.compressobj(wbits=_GZIP)
    events = context.payloads(*steps)
    sent = [context.framed(coding.compress(data) + coding.flush(zlib.Z_SYNC_FLUSH)) for data in events]
    last = context.framed(coding.flush() if end is None else end)
    return b"".join((context.head(**{"Content-Encoding": "gzip"}), *sent, last, LAST_CHUNK))


def _gzip_cut(context: FaultContext) -> Scenario:
    return context.scenario(raw_response(in_gzip(context, *context.before(), ending("cut"), end=b"")))


def _gzip_broken(context: FaultContext) -> Scenario:
    return context.scenario(
        raw_response(in_gzip(context, *context.before(), ending("cut"), end=b"\xff" * 32))
    )


def _event(
    name: str,
    description: str,
    make_scenario: Callable[[FaultContext], Scenario],
    family: ErrorFamily = "protocol",
    positions: tuple[Position, ...] = _BETWEEN,
    absent: Mapping[str, str] = BUILT_IN_ONLY,
) -> FaultKind:
    return FaultKind(name, description, positions, make_scenario, family, absent=absent)


def _http(
    name: str,
    description: str,
    make_scenario: Callable[[FaultContext], Scenario],
    family: ErrorFamily,
    positions: tuple[Position, ...],
    *,
    absent: Mapping[str, str] = HTTP_ONLY,
) -> FaultKind:
    return FaultKind(name, description, positions, make_scenario, family, absent=absent)


_COUNTED = NO_EVENTS | {"dialect": "not every protocol numbers its chunks; the conformance kit asks"}
_FRAMED = (Position("after-head"), *after_events())
_ENDS = (*_BETWEEN, Position("before-end-marker"))
_LINES = HTTP_ONLY | BUILT_IN_ONLY | {"text": "plain text has no lines that have to end"}
_SSE_ONLY = (
    HTTP_ONLY | BUILT_IN_ONLY | dict.fromkeys(("chunked", "text"), "only SSE has events of many lines")
)

KINDS = (
    _http("bad-chunk-size", "a chunk's size is no number", _bad_chunk_size(b"no size"), "protocol", _FRAMED),
    _http(
        "huge-chunk-size",
        "a chunk's size is beyond 64 bits",
        _bad_chunk_size(b"F" * 20),
        "protocol",
        _FRAMED,
    ),
    _event("bad-json", "an event whose data is not JSON", _bad_event(b'{"content": ')),
    _event("no-object", "an event whose data is JSON, but no object", _bad_event(b'["chunk"]')),
    _event("no-content-field", "a chunk without content", _no_content),
    _event("repeated-index", "a chunk comes twice", _index(-1), positions=after_events(), absent=_COUNTED),
    _event("missing-index", "a chunk is missing", _index(1), positions=after_events(), absent=_COUNTED),
    _event(
        "error", "the agent reports an error", _fails("CAPACITY_ERROR", "full"), "agent", _ENDS, NO_ERRORS
    ),
    _event("error-without-text", "the same, without a text", _fails(None, None), "agent", _ENDS, NO_ERRORS),
    FaultKind(
        "invalid-utf8",
        "a byte that is not UTF-8: in SSE and plain text it becomes U+FFFD, JSON it is not",
        _BETWEEN,
        _invalid_utf8,
        "protocol",
        unlike={"sse": "ok", "text": "ok"},
        absent={"dialect": BUILT_IN_ONLY["dialect"]},
    ),
    _http(
        "endless-line", "a line longer than the client's limit", _endless, "limit", _BETWEEN, absent=_LINES
    ),
    _http(
        "endless-event",
        "an event longer than the client's limit, of short lines",
        _many_lines,
        "limit",
        _BETWEEN,
        absent=_SSE_ONLY,
    ),
    FaultKind(
        "gzip-cut",
        "HTTP ends as it should, but the gzip in it does not",
        after_events(),
        _gzip_cut,
        "truncated",
        hidden="cut",
        absent=HTTP_ONLY,
    ),
    _http("gzip-broken", "gzip that turns to junk", _gzip_broken, "protocol", after_events()),
)
