"""A script rendered for one request: the exact bytes of each write, the waits, how it ends. No I/O.

Whoever plays a plan only writes, waits and closes. Writes with no wait between them are one write,
so that the end marker leaves together with what it ends and the client may reuse the connection as
soon as it has seen it; above `WRITE_LIMIT` they are split between events, never inside one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from runagent_testing.answers import LAST_CHUNK, http_chunk, plain_answer, refusal, stream_head
from runagent_testing.formats import Format, Run, stream_format
from runagent_testing.script import (
    Chunk,
    Delay,
    Done,
    Ending,
    Error,
    Gate,
    Heartbeat,
    Raw,
    Result,
    Script,
    Status,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WRITE_LIMIT", "End", "Move", "Plan", "refusal_plan", "result_plan", "stream_plan"]

WRITE_LIMIT = 256 * 1024  # bytes

Move = bytes | Delay | Gate
End = Literal["open", "close", "cut", "reset", "stall"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, in order, and what becomes of the connection.

    Attributes:
        moves: Bytes to write, pauses, gates to wait at.
        end: "open" leaves the connection open for the next request (or the WebSocket's Close); "close"
            means that the bytes have announced a close; the others are those of `script.ending`.
    """

    moves: tuple[Move, ...]
    end: End


class _Composer:
    """Collects the moves of a plan and merges neighbouring writes."""

    def __init__(self) -> None:
        self._moves: list[Move] = []
        self._pending: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> None:
        if self._size + len(data) > WRITE_LIMIT:
            self._flush()
        self._pending.append(data)
        self._size += len(data)

    def pause(self, step: Delay | Gate) -> None:
        self._flush()
        self._moves.append(step)

    def plan(self, end: End) -> Plan:
        self._flush()
        return Plan(tuple(self._moves), end)

    def _flush(self) -> None:
        if self._size:
            self._moves.append(b"".join(self._pending))
        self._pending, self._size = [], 0


def stream_plan(script: Script, run: Run) -> Plan:
    """Render a stream; the script must not be a refusal."""
    out, stream = _Composer(), stream_format(run.transport)
    chunked = run.transport != "websocket" and run.http_1_1
    wrap = http_chunk if chunked else bytes
    out.write(stream_head(stream.content_type, run) + wrap(stream.start(run)))
    total = 0
    for place, step in _steps_to_play(script, run):
        match step:
            case Delay() | Gate():
                out.pause(step)
            case Ending(kind="no-done") if stream.farewell:
                out.write(stream.farewell)
                return out.plan("close")
            case Ending(kind=("cut" | "reset" | "stall") as kind):
                return out.plan(kind)
            case Error() if not stream.can_fail:
                return out.plan("cut")
            case Chunk():
                out.write(wrap(stream.chunk(step, *_labels(step, place, script))))
                total += 1
            case _:
                out.write(wrap(_said(step, stream, run, total)))
    out.write(LAST_CHUNK if chunked else b"")
    return out.plan("open" if run.keep_alive else "close")


def _said(step: Step, stream: Format, run: Run, total_chunks: int) -> bytes:
    match step:
        case Error():
            return stream.error(step)
        case Done():
            return stream.done(step, run, total_chunks)
        case Raw():
            return step.data
        case Heartbeat():
            return stream.heartbeat
        case _:
            return b""


def result_plan(result: Result, run: Run) -> Plan:
    """Render the answer to a plain run; an ending after the answer withholds its last byte."""
    out = _Composer()
    answer = b""
    for step in result.steps:
        match step:
            case Delay() | Gate():
                out.pause(step)
            case Chunk() | Error():
                answer = plain_answer(step, result, run)
            case Status():
                answer = refusal(step, run)
            case Ending(kind=("cut" | "reset" | "stall") as kind):
                out.write(answer[:-1])
                return out.plan(kind)
    out.write(answer)
    return out.plan("open" if run.keep_alive else "close")


def refusal_plan(steps: tuple[Step, ...], run: Run) -> Plan:
    """Render a refusal: pauses and one status."""
    return result_plan(Result(steps), run)


def _steps_to_play(script: Script, run: Run) -> Iterator[tuple[int, Step]]:
    """Pair the steps with the place of the next chunk, without what a resumed run has seen."""
    first, place = _resume_place(script, run), 0
    ends = False
    for step in script.steps:
        if isinstance(step, Done | Error | Ending):
            ends = True
        elif place < first:
            place += isinstance(step, Chunk)
            continue
        yield place, step
        place += isinstance(step, Chunk)
    if not ends:
        yield place, Done()


def _resume_place(script: Script, run: Run) -> int:
    if not script.resume:
        return 0
    parameters = run.input.get("parameters")
    asked = parameters.get("resume_from_index") if isinstance(parameters, dict) else None
    if isinstance(asked, int):
        return asked
    chunks = (step for step in script.steps if isinstance(step, Chunk))
    ids = [_labels(step, place, script)[1] for place, step in enumerate(chunks)]
    seen = run.headers.get("last-event-id")
    return ids.index(seen) + 1 if script.ids and seen in ids else 0


def _labels(step: Chunk, place: int, script: Script) -> tuple[Any, Any]:
    index = step.index if step.index is not ... else place if script.indexed else None
    event_id = step.id if step.id is not ... else str(place) if script.ids else None
    return index, event_id
