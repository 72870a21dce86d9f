"""Streams rendered step by step: heads, framed events, pauses and ends. No I/O."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from runagent_testing._internal.refused import StepRefusedError
from runagent_testing._render.composer import Composer
from runagent_testing._render.http import LAST_CHUNK, http_chunk, stream_head
from runagent_testing._render.places import (
    before_head,
    honoured,
    is_end,
    labels_of,
    resume_place,
    steps_to_play,
)
from runagent_testing._render.plan import End, Move, Pass, Wait
from runagent_testing._script.describe import described
from runagent_testing._script.gates import Gate
from runagent_testing._script.steps import (
    Chunk,
    Custom,
    Delay,
    Done,
    Ending,
    EndingKind,
    Error,
    Head,
    Heartbeat,
    Raw,
    Reasoning,
    Step,
    ToolCall,
    Unnumbered,
)
from runagent_testing.dialects._frames import BAD_FRAMES, close_frame, frame_pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent_testing._script.script import Framing, Script
    from runagent_testing._script.writes import Piece
    from runagent_testing.dialects import DialectRun, Format

__all__ = ["ENDS", "Rendering", "Unrolling", "pause", "stall"]

T = TypeVar("T")

_EXTENSION = b";part=1"
# By the kind of the ending; all other kinds are a FIN at the wrong time.
ENDS: dict[EndingKind, End] = {
    "reset": "reset",
    "stall-reset": "reset",
    "half-close": "half-close",
    "stall": "stall",
    "silent": "silent",
}
_PROPER: tuple[EndingKind, ...] = ("clean", "no-done", "close")


def pause(add: Callable[[Wait | Pass], None], step: Step, number: int) -> None:
    """Add the pause of a delay or gate."""
    if isinstance(step, Delay):
        add(Wait(step.seconds, number))
    elif isinstance(step, Gate):
        add(Pass(step, number))


def stall(out: Composer, step: Ending, number: int) -> None:
    """Add the pause before an ending."""
    if step.kind == "stall-reset":
        out.pause(Wait(step.seconds, number))


class Rendering:
    """One stream being rendered.

    Args:
        script: The script.
        run: The run to answer.
        is_late: Whether the script was chosen after a WebSocket's handshake, so that the pauses before its
            head are still to come.

    Attributes:
        end: The end, known before anything is rendered.
    """

    def __init__(self, script: Script, run: DialectRun, *, is_late: bool = False) -> None:
        run = honoured(script, run)
        if script.session_id is not None:
            run = replace(run, session_id=script.session_id)
        self._is_late = is_late
        self._script = script
        self._run = run
        # While the client has seen all events so far: the pauses since the last one.
        self._held: list[Wait | Pass] | None = None if run.resume_after is None else []
        self._out = Composer(script.writes, script.write_gap)
        self._format: Format = run.dialect.stream(run)
        self._framing = "frames" if self._format.writes_frames else _framing(script, run)
        self._head = script.head
        self._before_head = before_head(script)
        self._waits = None if script.pace is None else script.pace.drawn()
        self._drawn = 0
        self._chunks = sum(isinstance(step, Chunk) for step in run.sent or ())
        self._claimed = 0
        self.end = self._how_it_ends()
        self._check_unnumbered()

    def _check_unnumbered(self) -> None:
        """Reject steps that the format has no place for before the answer begins, even in a long script."""
        if not self._script.has(*get_args(Unnumbered)):
            return
        steps: dict[type, tuple[int, Unnumbered]] = {}
        for number, step in enumerate(self._script.steps):
            if isinstance(step, Unnumbered):
                steps.setdefault(type(step), (number, step))
        trial: Format | None = self._run.dialect.stream(self._run) if steps else None
        for number, step in steps.values():
            if trial is not None:
                _tried(number, step, _write_unnumbered, trial, step)

    def parts(self) -> Iterator[list[Move]]:
        """Render the stream, and yield its moves as soon as they are certain."""
        first = resume_place(self._script, self._run)
        if self._script.resume == "fake":
            first, self._claimed = 0, first
        if self._is_late:
            for before, held in enumerate(self._script.steps[: self._before_head]):
                pause(self._pause, held, before)
        if self._head is None or self._framing == "frames":
            self._begin()
        past = 0 if self._run.sent is None else self._run.past
        for number, place, step in steps_to_play(self._script, first, self._before_head, past):
            if self._play(number, place, step):
                break
            if self._out.is_ripe and self._framing != "length":
                yield self._out.take()
        else:
            self._finish()
        if self._framing == "length":
            self._out.put_head(self._head_step, self._stream_head(self._length()))
        yield self._out.take(last=True)

    def _begin(self, step: int | None = None) -> None:
        self._head_step = step
        if self._framing == "length":
            self._out.leave_room_for_head()
        elif self._framing != "frames":
            head = self._stream_head("close" if self._framing == "close" else "chunked")
            self._out.add(step, ("head", head))
        if self._head is not None and not self._head.start:
            return
        begin = self._format.start if self._run.sent is None else self._format.snapshot
        if payload := begin(self._run):
            self._out.add(None, *self._framed(payload))

    def _stream_head(self, length: int | str) -> bytes:
        return stream_head(self._format, self._run, self._head, length)

    def _play(self, number: int | None, place: int, step: Step) -> bool:
        """Render one step, and return whether nothing follows it, not even HTTP's end of the body."""
        return _tried(number, step, self._render, number, place, step)

    def _render(self, number: int | None, place: int, step: Step) -> bool:
        match step:
            case Chunk():  # first, as most steps are chunks
                if self._waits is not None and (number is None or number >= self._run.past):
                    self._pace(number, place)
                labels = labels_of(step, place + self._claimed, self._script)
                self._write(number, self._format.chunk(step, *labels))
                self._chunks += 1
            case Delay() | Gate():
                # On a WebSocket, the pauses before the head precede the handshake's answer, and are over.
                first = self._before_head if self._framing == "frames" else 0
                if number is not None and number >= first and number >= self._run.past:
                    self._pause(Wait(step.seconds, number) if isinstance(step, Delay) else Pass(step, number))
            case Head():
                if self._framing != "frames":
                    self._begin(number)
            case Error() if not self._format.supports_errors:
                return True
            case Ending():
                self._write_end(number or 0, step)
                return self._end_of(step) is not None
            case _:
                self._other(number, step)
        return False

    def _pace(self, number: int | None, place: int) -> None:
        assert self._waits is not None
        # The first chunk that is played waits like the script's first chunk.
        count = place + 1 - self._drawn if self._chunks else 1
        *_, seconds = itertools.islice(self._waits, count)
        self._drawn += count
        if seconds:
            self._pause(Wait(seconds, number))

    def _pause(self, move: Wait | Pass) -> None:
        (self._out.pause if self._held is None else self._held.append)(move)

    def _other(self, number: int | None, step: Step) -> None:
        match step:
            case Error():
                self._write(number, self._format.error(step))
            case Done():
                self._write(number, self._format.done(step, self._run, self._chunks))
            case Reasoning() | ToolCall() | Custom():
                self._write(number, _write_unnumbered(self._format, step))
            case Heartbeat() | Raw() if self._held is not None:
                pass
            case Heartbeat():
                self._write(number, self._format.heartbeat)
            case Raw() if self._framing == "frames":
                self._out.add(number, ("payload", step.data))
            case Raw():
                self._write(number, step.data)

    def _write_end(self, number: int, step: Ending) -> None:
        websocket = self._framing == "frames"
        match step.kind:
            case "no-done" | "close" if websocket:
                self._write(number, close_frame(step.code, step.reason))
            case "bad-utf8" | "bad-opcode" | "masked-frame" as kind if websocket:
                self._out.add(number, ("payload", BAD_FRAMES[kind]))
            case "fin-in-chunk":
                self._out.add(number, *self._half_an_event())
            case _:
                stall(self._out, step, number)

    def _end_of(self, step: Ending) -> End | None:
        """Look up the end of the connection; None if the ending lets HTTP's end of the body follow."""
        websocket = self._framing == "frames"
        match step.kind:
            case "clean":
                return None
            case "no-done" | "close":
                return "close" if websocket else None
            case "bad-utf8" | "bad-opcode" | "masked-frame" if websocket:
                return "open"
            case "silent" if not websocket:
                return "stall"
        return ENDS.get(step.kind, "cut")

    def _how_it_ends(self) -> End:
        steps = self._script.steps
        if not self._format.supports_errors and any(isinstance(step, Error) for step in steps):
            return "cut"
        last = steps[-1] if steps else None
        end = self._end_of(last) if isinstance(last, Ending) else None
        if end is not None or self._framing == "frames":
            return end or "open"
        return "open" if self._run.keep_alive and self._framing != "close" else "close"

    def _finish(self) -> None:
        if self._framing in ("chunked", "extensions"):
            self._out.add(None, ("chunk-header", LAST_CHUNK))

    def _write(self, number: int | None, payload: bytes) -> None:
        if not payload:
            if self._held is not None:
                self._held.clear()
            return
        for move in self._held or ():
            self._out.pause(move)
        self._held = None
        self._out.add(number, *self._framed(payload))

    def _framed(self, payload: bytes) -> tuple[Piece, ...]:
        if self._framing == "frames":
            return frame_pieces(payload)
        if self._framing in ("length", "close"):
            return (("payload", payload),)
        return http_chunk(payload, _EXTENSION if self._framing == "extensions" else b"")

    def _half_an_event(self) -> list[Piece]:
        """Frame the closing event, and keep at most half of it; of plain text, only the HTTP chunk's size."""
        done = self._format.done(Done(), self._run, self._chunks)
        kept: list[Piece] = []
        for kind, data in self._framed(done or b"?"):
            if kind == "payload":
                return [*kept, (kind, data[: len(data) // 2])] if done else kept
            kept.append((kind, data))
        return kept

    def _length(self) -> int:
        """Count the body's bytes, including those after a bad ending, which are never sent."""
        if self._script.ending in _PROPER and self.end in ("open", "close"):
            return self._out.size
        return self._out.size + (len(self._format.done(Done(), self._run, self._chunks)) or 1)


class Unrolling(Rendering):
    """A stream whose steps come one by one.

    Attributes:
        is_over: Whether no step may follow.
        has_end: Whether the client has its end, so that it need not wait for further steps.
    """

    def __init__(self, script: Script, run: DialectRun) -> None:
        super().__init__(script, run)
        first = resume_place(script, run, known=False)
        self._first, self._claimed = (0, first) if script.resume == "fake" else (first, 0)
        self._number = self._place = 0
        self.has_end = self._has_begun = self.is_over = False

    def feed(self, step: Step) -> list[Move]:
        """Render a step."""
        number, place = self._number, self._place
        self._number += 1
        self._place += isinstance(step, Chunk)
        self._begin_with(step)
        ends = is_end(step)
        self.has_end |= ends
        if ends or isinstance(step, Head) or place >= self._first:
            self.is_over = self._play(number, place, step)
        if isinstance(step, Ending):
            self.end = self._end_of(step) or self.end
            if not self.is_over:
                self._finish_well()
        elif self.is_over:
            self.end = "cut"
        return self._out.take(last=True)

    def finish(self) -> list[Move]:
        """Render the protocol's normal end, unless the steps had an end."""
        self._begin_with(None)
        self._finish_well()
        return self._out.take(last=True)

    def cancel(self) -> tuple[list[Move], list[Move]]:
        """Render what is due so far, and the end of a run that is cancelled."""
        self._begin_with(None)
        due = self._out.take(last=True)
        self._write(None, self._format.cancelled(self._run))
        self._finish()
        return due, self._out.take(last=True)

    def _finish_well(self) -> None:
        if not self.has_end:
            self._play(None, self._place, Done())
        self._finish()

    def _begin_with(self, step: Step | None) -> None:
        if self._has_begun:
            return
        self._has_begun = True
        if isinstance(step, Head):
            self._head = step
        if not isinstance(step, Head) or self._framing == "frames":  # else it begins by itself
            self._begin()


def _framing(script: Script, run: DialectRun) -> Framing:
    if script.ending == "close-delimited-cut":
        return "close"
    if not run.http_1_1 and script.framing != "length":
        return "close"
    return script.framing


def _write_unnumbered(form: Format, step: Unnumbered) -> bytes:
    match step:
        case Reasoning():
            return form.reasoning(step)
        case ToolCall():
            return form.tool_call(step)
        case Custom():
            return form.custom(step)


def _tried(number: int | None, step: Step, render: Callable[..., T], *arguments: Any) -> T:
    """Call a function that renders a step, and name the step if its format refuses it."""
    try:
        return render(*arguments)
    except UnicodeError:  # a ValueError, too, and yet a mistake of the format
        raise
    except ValueError as exc:
        raise StepRefusedError(number, described(step), str(exc)) from exc
