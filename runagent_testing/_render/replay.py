"""Renders a recording: the recorded writes, framed as the new connection needs it. No I/O."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from runagent_testing._recording.format import COMPLETE, CUT, CUT_IN_CHUNK, RESET, TIMEOUT, close_code
from runagent_testing._render.http import LAST_CHUNK, http_chunk, replayed_head
from runagent_testing._render.plan import Plan, Wait, Write
from runagent_testing.dialects._frames import BINARY, TEXT, close_frame, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent_testing._recording.format import Entry
    from runagent_testing._recording.replayed import Moment, Replayed
    from runagent_testing._render.plan import End, Move
    from runagent_testing.dialects import DialectRun

__all__ = ["replay_plan"]

_BODILESS = (204, 304)
_ENDS: dict[str, End] = {CUT: "cut", CUT_IN_CHUNK: "cut", RESET: "reset", TIMEOUT: "stall"}


def replay_plan(script: Replayed, run: DialectRun, *, asks_for_websocket: bool) -> Plan:
    """Render a recorded answer; of a WebSocket that was opened, what follows the handshake.

    Args:
        script: The recording.
        run: The run to answer.
        asks_for_websocket: Whether the request is the handshake of a WebSocket.

    Raises:
        ValueError: It was recorded over HTTP and is asked for over a WebSocket, or the other way round.
    """
    recording = script.recording
    if recording.is_websocket != asks_for_websocket:
        recorded, asked = ("a WebSocket", "HTTP") if recording.is_websocket else ("HTTP", "a WebSocket")
        raise ValueError(f"{recording.name} was recorded over {recorded}, and this run came over {asked}")
    kind = CUT if recording.end is None else recording.end.kind
    if recording.has_messages:
        moves, end = _messages(script), _ENDS.get(kind, "cut")
        if close_code(kind) is not None:
            end = "close"
        elif kind == COMPLETE:
            end = "open"
    else:
        serves_on: End = "open" if run.keep_alive else "close"
        moves, end = _joined(_answer(script, run)), _ENDS.get(kind, serves_on)
    return Plan(tuple(_timed(moves)), end, optional_from=_optional_from(script))


def _optional_from(script: Replayed) -> float:
    """Return the number of the first step after the last recorded bytes; infinite if there are none.

    These bytes may be the end of the protocol, at which a client disconnects, also before the service closes.
    """
    *moments, last = script.moments()
    has_bytes = any(moment.entry is not None for moment in moments)
    return last.step - (last.gap > 0) if has_bytes else math.inf


def _messages(script: Replayed) -> Iterator[Move]:
    _, *moments, last = script.moments()  # the handshake is over
    for moment in moments:
        assert moment.entry is not None
        yield from _sent(moment, frame(TEXT if moment.entry.kind == "text" else BINARY, moment.entry.data))
    end = script.recording.end
    code = None if end is None else close_code(end.kind)
    yield from _sent(last, b"" if code is None or end is None else close_frame(code, end.reason))


def _answer(script: Replayed, run: DialectRun) -> Iterator[Move]:
    recording = script.recording
    *moments, last = script.moments()
    kind = CUT if recording.end is None else recording.end.kind
    is_complete = kind not in _ENDS
    length = _length(script, run, is_complete=is_complete)
    framed: Callable[[bytes], bytes] = _chunk if length == "chunked" else bytes
    has_body = recording.status not in _BODILESS
    for moment in moments:
        if moment.entry is None:
            head = replayed_head(recording.status or 200, recording.headers, run, length if has_body else "")
            yield from _sent(moment, head)
        elif has_body:
            is_cut = kind == CUT_IN_CHUNK and length == "chunked" and moment is moments[-1]
            yield from _sent(moment, _half_chunk(moment.entry) if is_cut else framed(moment.entry.data))
    # The end of the body is no step: a client may disconnect once it has its protocol's end.
    ends_body = is_complete and has_body and length == "chunked" and recording.status is not None
    yield from _sent(last, LAST_CHUNK if ends_body else b"", is_step=not is_complete)


def _length(script: Replayed, run: DialectRun, *, is_complete: bool) -> int | str:
    """Choose a framing: a length for a body that was read at once, HTTP chunks for every other one."""
    *_, last = script.moments()
    sizes = [len(entry.data) for entry in script.recording.entries]
    if is_complete and len(sizes) <= 1 and not last.gap:
        return sum(sizes)
    return "chunked" if run.http_1_1 else "close"


def _chunk(data: bytes) -> bytes:
    return b"".join(piece for _, piece in http_chunk(data))


def _half_chunk(entry: Entry) -> bytes:
    """Frame data as an HTTP chunk that lacks its last byte."""
    return b"%x\r\n" % (len(entry.data) + 1) + entry.data


def _sent(moment: Moment, data: bytes, *, is_step: bool = True) -> Iterator[Move]:
    if moment.gap:
        yield Wait(moment.gap, moment.step - 1 if is_step else None)
    if data:
        yield Write(data, (moment.step,) if is_step else ())


def _joined(moves: Iterator[Move]) -> Iterator[Move]:
    """Join what was read at once: the head and the first read, the last read and HTTP's end."""
    before: Move | None = None
    is_head = True
    for move in moves:
        if isinstance(move, Write) and isinstance(before, Write) and (is_head or not move.steps):
            before = Write(before.data + move.data, before.steps + move.steps)
            is_head = False
            continue
        if before is not None:
            yield before
            is_head &= isinstance(before, Wait)
        before = move
    if before is not None:
        yield before


def _timed(moves: Iterator[Move]) -> Iterator[Move]:
    """Note when each wait is over, so that no player's delay adds to those before it."""
    due = 0.0
    for move in moves:
        if isinstance(move, Wait):
            due += move.seconds
            yield move._replace(due=due)
        else:
            yield move
