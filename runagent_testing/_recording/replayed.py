"""Recordings as scripts, which a fake agent plays like any other one. No I/O."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._recording.format import COMPLETE, CUT, CUT_IN_CHUNK, RESET, TIMEOUT, close_code
from runagent_testing._script.numbers import check_seconds, is_number
from runagent_testing._script.script import Script
from runagent_testing._script.steps import Delay, Ending, EndingKind, Head, Raw

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._recording.format import Entry, Recording
    from runagent_testing._script.steps import Step

__all__ = ["Moment", "Replayed", "check_speed"]

__tracebackhide__ = is_ours

_ENDINGS: dict[str, EndingKind] = {
    CUT: "cut",
    RESET: "reset",
    CUT_IN_CHUNK: "fin-in-chunk",
    TIMEOUT: "stall",
}


class Moment(NamedTuple):
    """Something that a replay sends or does.

    Attributes:
        gap: Seconds to wait before it.
        step: The number, from 0, of its step; the step before it is the wait, if there is one.
        entry: What is sent; None for the head of the answer and for the end.
    """

    gap: float
    step: int
    entry: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed(Script):
    """A recorded answer.

    Attributes:
        recording: The recording.
        speed: By how much it is played faster.
        max_gap: The longest recorded gap, in seconds, that is not shortened; None for any.
    """

    recording: Recording
    speed: float = 1.0
    max_gap: float | None = None

    @classmethod
    def from_recording(cls, recording: Recording, speed: float = 1.0, max_gap: float | None = None) -> Self:
        """Make the script of a recording."""
        empty = cls(steps=(), recording=recording, speed=speed, max_gap=max_gap)
        steps = itertools.chain.from_iterable(_steps(empty))
        return cls(steps=tuple(steps), recording=recording, speed=speed, max_gap=max_gap)

    @property
    def refuses(self) -> bool:
        """Whether the answer is not a stream that a dialect writes: always, except on an open WebSocket."""
        return not self.recording.has_messages

    def shortened(self, gap: float) -> float:
        """Return the seconds for which a replay waits in a recorded gap."""
        return (gap if self.max_gap is None else min(gap, self.max_gap)) / self.speed

    def moments(self) -> Iterator[Moment]:
        """Yield the head of the answer, if there is one, what follows it, and the end."""
        recording = self.recording
        waited, number = 0.0, 0
        rows: list[tuple[float, Entry | None]] = [(entry.gap, entry) for entry in recording.entries]
        if recording.status is not None:
            rows.insert(0, (recording.head_gap, None))
            end_gap = 0.0
        else:
            end_gap = recording.head_gap
        rows.append((end_gap + (0.0 if recording.end is None else recording.end.gap), None))
        has_asked = not recording.has_messages
        for gap, entry in rows:
            waited += self.shortened(gap)
            if entry is not None and entry.kind == "client":
                # An answer begins at the message that asks for it.
                waited, has_asked = (waited if has_asked else 0.0), True
                continue
            number += waited > 0
            yield Moment(waited, number, entry)
            waited, number = 0.0, number + 1


def check_speed(speed: float, max_gap: float | None) -> None:
    """Reject invalid options of a replay.

    Raises:
        TypeError: One is not a number.
        ValueError: One is out of range.
    """
    if not is_number(speed) or isinstance(speed, bool):
        raise TypeError(f"speed= is a number, not {speed!r}")
    if not speed > 0:
        raise ValueError(f"speed= is more than 0 (float('inf') leaves out every gap), not {speed!r}")
    if max_gap is not None:
        check_seconds(max_gap, "max_gap=")


def _steps(script: Replayed) -> Iterator[list[Step]]:
    recording = script.recording
    *moments, last = script.moments()
    for moment in moments:
        step = _head(recording) if moment.entry is None else Raw(moment.entry.data)
        yield [*_delay(moment), step]
    yield _delay(last)
    if (ending := _ending(recording)) is not None:
        yield [ending]


def _delay(moment: Moment) -> list[Step]:
    return [Delay(moment.gap)] if moment.gap > 0 else []


def _head(recording: Recording) -> Head:
    return Head(recording.status, {} if recording.has_messages else recording.headers)


def _ending(recording: Recording) -> Ending | None:
    kind = CUT if recording.end is None else recording.end.kind
    if kind == COMPLETE:
        return None
    if (code := close_code(kind)) is not None:
        return Ending("close", code=code, reason="" if recording.end is None else recording.end.reason)
    return Ending(_ENDINGS[kind])
