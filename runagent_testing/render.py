"""Renders a script for one request: a plan of it, for one transport. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.answers import (
    LAST_CHUNK,
    handshake_head,
    http_chunk,
    plain_answer,
    refusal,
    stream_head,
)
from runagent_testing.dialects import dialect_of
from runagent_testing.frames import BAD_FRAMES, close_frame, frame_pieces
from runagent_testing.plan import Composer, End, Pass, Plan, Wait
from runagent_testing.script import Framing, Result, Script
from runagent_testing.steps import (
    Chunk,
    Delay,
    Done,
    Ending,
    EndingKind,
    Error,
    Gate,
    Head,
    Heartbeat,
    Raw,
    RawAnswer,
    Status,
    Step,
)
from runagent_testing.writes import MERGED, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.formats import Format, Run

__all__ = ["handshake_plan", "refusal_plan", "result_plan", "stream_plan", "words_plan"]

_EXTENSION = b";part=1"
_ENDS: dict[EndingKind, End] = {
    "reset": "reset",
    "stall-reset": "reset",
    "half-close": "half-close",
    "stall": "stall",
    "silent": "silent",
}
_PROPER: tuple[EndingKind, ...] = ("clean", "no-done", "close")


def stream_plan(script: Script, run: Run) -> Plan:
    """Render a stream, on a WebSocket what comes after the handshake; the script must not be a refusal."""
    return _Stream(script, run).plan()


def handshake_plan(script: Script | None, run: Run) -> Plan:
    """Render the answer that opens a WebSocket; None for a script that is not known yet."""
    script = script or Script(steps=())
    out = Composer(script.writes, script.apart)
    pauses = [] if script.head is None else script.steps[: script.steps.index(script.head)]
    for number, step in enumerate(pauses):
        _pause(out, step, number)
    out.say(None, ("head", handshake_head(script.head, run)))
    return out.plan("open")


def words_plan(frames: bytes) -> Plan:
    """Render the refusal of a request that came over a WebSocket."""
    out = Composer(MERGED, 0.0)
    out.say(None, *frame_pieces(frames))
    return out.plan("close")


def result_plan(result: Result, run: Run) -> Plan:
    """Render the answer to a plain run; an ending after the answer withholds its last byte."""
    out = Composer(result.writes, result.apart)
    answer: tuple[int | None, bytes] = (None, b"")
    end: End = "open" if run.keep_alive else "close"
    for number, step in enumerate(result.steps):
        match step:
            case Delay() | Gate():
                _pause(out, step, number)
            case Chunk() | Error():
                answer = number, plain_answer(step, result, run)
            case Status():
                answer = number, refusal(step, run)
            case RawAnswer() | Raw():
                out.say(number, ("payload", step.data))
                end = "close"
            case Ending(kind=kind) if kind != "clean":
                _say_answer(out, answer[0], answer[1][:-1])
                _stall(out, step, number)
                return out.plan(_ENDS.get(kind, "cut"))
    _say_answer(out, *answer)
    return out.plan(end)


def refusal_plan(steps: tuple[Step, ...], run: Run) -> Plan:
    """Render a refusal: pauses and one status, or bytes from the status line on."""
    return result_plan(Result(steps=steps), run)


def _say_answer(out: Composer, number: int | None, answer: bytes) -> None:
    head, blank, body = answer.partition(b"\r\n\r\n")
    out.say(number, ("head", head + blank), ("payload", body))


def _pause(out: Composer, step: Step, number: int) -> None:
    if isinstance(step, Delay):
        out.pause(Wait(step.seconds, number))
    elif isinstance(step, Gate):
        out.pause(Pass(step, number))


def _stall(out: Composer, step: Ending, number: int) -> None:
    if step.kind == "stall-reset":
        out.pause(Wait(step.seconds, number))


class _Stream:
    """One stream being rendered."""

    def __init__(self, script: Script, run: Run) -> None:
        self._script = script
        self._run = run
        self._out = Composer(script.writes, script.apart)
        self._format: Format = dialect_of(run).stream(run)
        self._framing = "frames" if self._format.frames else _framing(script, run)
        self._waits = [0.0] if script.pace is None else script.pace.waits(len(script.chunks))
        self._chunks = 0
        self._claimed = 0

    def plan(self) -> Plan:
        """Render it."""
        first = _resume_place(self._script, self._run)
        if self._script.resume == "fake":
            first, self._claimed = 0, first
        if self._script.head is None or self._framing == "frames":
            self._begin()
        end: End | None = None
        for number, place, step in _steps_to_play(self._script, first):
            end = self._play(number, place, step)
            if end is not None:
                break
        if end is None:
            end = self._finish()
        if self._framing != "frames":
            self._out.put_head(
                self._head_step, stream_head(self._format, self._run, self._script.head, self._length(end))
            )
        return self._out.plan(end)

    def _begin(self, step: int | None = None) -> None:
        self._head_step = step
        self._out.leave_room_for_head()
        self._say(None, self._format.start(self._run))

    def _play(self, number: int | None, place: int, step: Step) -> End | None:
        """Render one step; the end of the plan if it is that."""
        match step:
            case Chunk():  # first, as most are
                if self._script.pace is not None:
                    self._pace(number, place)
                labels = _labels(step, place + self._claimed, self._script)
                self._say(number, self._format.chunk(step, *labels))
                self._chunks += 1
            case Delay() | Gate():
                if number is not None and not self._waited_before_handshake(number):
                    _pause(self._out, step, number)
            case Head():
                if self._framing != "frames":
                    self._begin(number)
            case Error() if not self._format.can_fail:
                return "cut"
            case Ending():
                return self._end(number or 0, step)
            case _:
                self._other(number, step)
        return None

    def _waited_before_handshake(self, number: int) -> bool:
        head = self._script.head
        return self._framing == "frames" and head is not None and number < self._script.steps.index(head)

    def _pace(self, number: int | None, place: int) -> None:
        seconds = self._waits[place] if self._chunks else self._waits[0]
        if seconds:
            self._out.pause(Wait(seconds, number))

    def _other(self, number: int | None, step: Step) -> None:
        match step:
            case Error():
                self._say(number, self._format.error(step))
            case Done():
                self._say(number, self._format.done(step, self._run, self._chunks))
            case Heartbeat():
                self._say(number, self._format.heartbeat)
            case Raw() if self._framing == "frames":
                self._out.say(number, ("payload", step.data))
            case Raw():
                self._say(number, step.data)

    def _end(self, number: int, step: Ending) -> End | None:
        """Render an ending; None for one that leaves HTTP's own end to come."""
        websocket = self._framing == "frames"
        match step.kind:
            case "clean":
                return None
            case "no-done" | "close" if websocket:
                self._say(number, close_frame(step.code, step.reason))
                return "close"
            case "no-done" | "close":
                return None
            case "bad-utf8" | "bad-opcode" | "masked-frame" as kind if websocket:
                self._out.say(number, ("payload", BAD_FRAMES[kind]))
                return "open"
            case "fin-in-chunk":
                self._out.say(number, *self._half_an_event())
                return "cut"
            case "silent" if not websocket:
                return "stall"
        _stall(self._out, step, number)
        return _ENDS.get(step.kind, "cut")

    def _finish(self) -> End:
        if self._framing == "frames":
            return "open"
        if self._framing in ("chunked", "extensions"):
            self._out.say(None, ("chunk-header", LAST_CHUNK))
        return "open" if self._run.keep_alive and self._framing != "close" else "close"

    def _say(self, number: int | None, payload: bytes) -> None:
        if payload:
            self._out.say(number, *self._framed(payload))

    def _framed(self, payload: bytes) -> tuple[Piece, ...]:
        if self._framing == "frames":
            return frame_pieces(payload)
        if self._framing in ("length", "close"):
            return (("payload", payload),)
        return http_chunk(payload, _EXTENSION if self._framing == "extensions" else b"")

    def _half_an_event(self) -> list[Piece]:
        """Frame the closing event, and keep no more than half of it; of plain text, the chunk's size."""
        done = self._format.done(Done(), self._run, self._chunks)
        kept: list[Piece] = []
        for kind, data in self._framed(done or b"?"):
            if kind == "payload":
                return [*kept, (kind, data[: len(data) // 2])] if done else kept
            kept.append((kind, data))
        return kept

    def _length(self, end: End) -> int | str:
        """Say how long the body is, or how it is framed; what was to come after a bad ending counts."""
        if self._framing != "length":
            return "close" if self._framing == "close" else "chunked"
        if self._script.ending in _PROPER and end in ("open", "close"):
            return self._out.size
        return self._out.size + (len(self._format.done(Done(), self._run, self._chunks)) or 1)


def _framing(script: Script, run: Run) -> Framing:
    if script.ending == "close-delimited-cut":
        return "close"
    if not run.http_1_1 and script.framing != "length":
        return "close"
    return script.framing


def _steps_to_play(script: Script, first: int) -> Iterator[tuple[int | None, int, Step]]:
    """Give the steps with their numbers and the place of the next chunk, from chunk ``first`` on."""
    place, ends = 0, False
    for number, step in enumerate(script.steps):
        if isinstance(step, Done | Error) or (isinstance(step, Ending) and step.kind != "clean"):
            ends = True
        elif place < first and not isinstance(step, Head) and not _before_head(script, number):
            place += isinstance(step, Chunk)
            continue
        yield number, place, step
        place += isinstance(step, Chunk)
    if not ends:
        yield None, place, Done()


def _before_head(script: Script, number: int) -> bool:
    return script.head is not None and number < script.steps.index(script.head)


def _resume_place(script: Script, run: Run) -> int:
    """Tell which chunk the client asks for next; 0 where it does not, or is not heard."""
    if script.resume == "refuse":
        return 0
    if run.resume_from is not None:
        return max(run.resume_from, 0)
    parameters = run.input.get("parameters")
    asked = parameters.get("resume_from_index") if isinstance(parameters, dict) else None
    if isinstance(asked, int):
        return max(asked, 0)
    ids = [_labels(step, place, script)[1] for place, step in enumerate(script.chunks)]
    seen = run.headers.get("last-event-id")
    return ids.index(seen) + 1 if script.ids and seen in ids else 0


def _labels(step: Chunk, place: int, script: Script) -> tuple[Any, Any]:
    index = step.index if step.index is not ... else place if script.indexed else None
    event_id = step.id if step.id is not ... else str(place) if script.ids else None
    return index, event_id
