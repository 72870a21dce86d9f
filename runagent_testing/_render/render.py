"""Renders a script for one request, as a plan for one transport. No I/O."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from runagent_testing._render.composer import Composer
from runagent_testing._render.growing import GrowingPlan
from runagent_testing._render.http import handshake_head, plain_answer, refusal
from runagent_testing._render.places import before_head
from runagent_testing._render.plan import End, Plan, Write
from runagent_testing._render.stream import ENDS, Rendering, Unrolling, pause, stall
from runagent_testing._script.gates import Gate
from runagent_testing._script.script import Result, Script
from runagent_testing._script.steps import Chunk, Delay, Ending, Error, Raw, RawResponse, Status, Step
from runagent_testing._script.writes import MERGED
from runagent_testing.dialects._frames import frame_pieces

if TYPE_CHECKING:
    from runagent_testing._render.plan import AnyPlan
    from runagent_testing.dialects import DialectRun

__all__ = [
    "cancelled_plan",
    "frames_plan",
    "growing_plan",
    "handshake_plan",
    "refusal_plan",
    "result_plan",
    "stream_plan",
    "without_body",
]


def stream_plan(script: Script, run: DialectRun, *, is_late: bool = False) -> Plan:
    """Render a stream, without a WebSocket's handshake; the script must not be a refusal.

    Args:
        script: The script.
        run: The run to answer.
        is_late: As of a `Rendering`.
    """
    stream = Rendering(script, run, is_late=is_late)
    return Plan(tuple(itertools.chain.from_iterable(stream.parts())), stream.end)


def growing_plan(script: Script, run: DialectRun) -> GrowingPlan:
    """Render the same as `stream_plan`, but each move only when it is requested."""
    stream = Rendering(script, run)
    return GrowingPlan(stream.parts(), stream.end)


def cancelled_plan(script: Script, run: DialectRun, count: int, *, begun: bool = False) -> Plan:
    """Render a stream that is cancelled after ``count`` steps of its script, without their pauses.

    Args:
        script: The script.
        run: The run to answer.
        count: How many steps are over.
        begun: Whether everything before the end has been sent, so that only the end is rendered.
    """
    if script.framing == "length":  # the length that was promised will never come
        if begun:
            return Plan((), "cut")
        script = replace(script, framing="chunked")
    stream = Unrolling(replace(script, steps=(), pace=None, write_gap=0.0), run)
    first = 0 if run.sent is None else run.past
    played = [step for step in script.steps[first:count] if not isinstance(step, Delay | Gate | Ending)]
    moves = [move for step in played for move in stream.feed(step)]
    due, end = stream.cancel()
    return Plan(tuple(end if begun else [*moves, *due, *end]), stream.end or "close")


def handshake_plan(script: Script | None, run: DialectRun) -> Plan:
    """Render the answer that opens a WebSocket; ``script`` is None if it is not known yet."""
    script = script or Script(steps=())
    out = Composer(script.writes, script.write_gap)
    for number, step in enumerate(script.steps[: before_head(script)]):
        pause(out.pause, step, number)
    out.add(None, ("head", handshake_head(script.head, run)))
    return out.plan("open")


def frames_plan(frames: bytes, steps: tuple[Step, ...] = ()) -> Plan:
    """Render the refusal of a request in a WebSocket's message.

    Args:
        frames: The refusal.
        steps: Those of a script that refuses: pauses, which precede it, and the refusal itself.
    """
    out = Composer(MERGED, 0.0)
    for number, step in enumerate(steps):
        pause(out.pause, step, number)
    out.add(len(steps) - 1 if steps else None, *frame_pieces(frames))
    return out.plan("close")


def result_plan(result: Result, run: DialectRun) -> Plan:
    """Render the answer to a plain run; an ending after the answer withholds its last byte."""
    out = Composer(result.writes, result.write_gap)
    answer: tuple[int | None, bytes] = (None, b"")
    end: End = "open" if run.keep_alive else "close"
    for number, step in enumerate(result.steps):
        match step:
            case Delay() | Gate():
                pause(out.pause, step, number)
            case Chunk() | Error():
                answer = number, plain_answer(step, result, run)
            case Status():
                answer = number, refusal(step, run)
            case RawResponse() | Raw():
                out.add(number, ("payload", step.data))
                end = "close"
            case Ending(kind=kind) if kind != "clean":
                _add_answer(out, answer[0], answer[1][:-1])
                stall(out, step, number)
                return out.plan(ENDS.get(kind, "cut"))
    _add_answer(out, *answer)
    return out.plan(end)


def refusal_plan(steps: tuple[Step, ...], run: DialectRun) -> Plan:
    """Render a refusal: pauses and one status, or bytes from the status line on."""
    return result_plan(Result(steps=steps), run)


def without_body(plan: AnyPlan) -> Plan:
    """Keep only the head of an answer, for a HEAD request (RFC 9110 section 9.3.2)."""
    head, blank, _ = plan.data.partition(b"\r\n\r\n")
    return Plan((Write(head + blank),), plan.end or "close")


def _add_answer(out: Composer, number: int | None, answer: bytes) -> None:
    head, blank, body = answer.partition(b"\r\n\r\n")
    out.add(number, ("head", head + blank), ("payload", body))
