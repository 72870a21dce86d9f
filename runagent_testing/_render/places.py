"""Where an answer begins in its script: at its first step, or resumed by index, id or snapshot. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.steps import Chunk, Done, Ending, Error, Head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._script.script import Script
    from runagent_testing._script.steps import Step
    from runagent_testing.dialects import DialectRun

__all__ = [
    "asks_to_resume",
    "before_head",
    "honoured",
    "is_end",
    "labels_of",
    "resume_place",
    "steps_to_play",
]

__tracebackhide__ = is_ours

_MAY_END = (Done, Error, Ending)  # a union of types would be made at each use
_MOST_DIGITS = 15  # of an event id that is an index


def before_head(script: Script) -> int:
    """Count the steps before the answer's head."""
    return next((number for number, step in enumerate(script.steps) if isinstance(step, Head)), 0)


def is_end(step: Step) -> bool:
    """Whether a step ends the run or the connection."""
    return isinstance(step, _MAY_END) and not (isinstance(step, Ending) and step.kind == "clean")


def honoured(script: Script, run: DialectRun) -> DialectRun:
    """Return the run as far as its script honours the wish to resume."""
    if script.resume == "refuse":
        return replace(run, resume_after=None, sent=None)
    if script.resume == "fake" and (run.resume_after is not None or run.sent is not None):
        raise ValueError("resume='fake' numbers chunks, which this request does not resume by")
    return run


def steps_to_play(
    script: Script, first: int, before: int, past: int
) -> Iterator[tuple[int | None, int, Step]]:
    """Yield the steps from chunk ``first`` and step ``past`` on, with their numbers and the next index."""
    place, ends = 0, False
    for number, step in enumerate(script.steps):
        is_chunk = isinstance(step, Chunk)
        if not is_chunk and is_end(step):
            ends = True
        elif (place < first or number < past) and not isinstance(step, Head) and number >= before:
            place += is_chunk
            continue
        yield number, place, step
        place += is_chunk
    if not ends:
        yield None, place, Done()


def resume_place(script: Script, run: DialectRun, *, known: bool = True) -> int:
    """Return the index of the chunk at which the answer resumes; 0 if the client does not resume.

    It is also 0 if the script ignores the client's wish.

    Args:
        script: The script to resume.
        run: The run to answer.
        known: Whether the script has all its chunks, with their own ids.
    """
    if script.resume == "refuse" or run.resume_after is not None or run.sent is not None:
        return 0
    if run.resume_from is not None:
        return max(run.resume_from, 0)
    if (asked := _asked_index(run.input)) is not None:
        return max(asked, 0)
    seen = run.headers.get("last-event-id")
    if not known:
        numbered = script.ids and seen is not None and seen.isdecimal() and len(seen) <= _MOST_DIGITS
        return int(seen) + 1 if numbered and seen is not None else 0
    if not script.ids or seen is None:
        return 0
    ids = [labels_of(step, place, script)[1] for place, step in enumerate(script.chunks)]
    return ids.index(seen) + 1 if seen in ids else 0


def asks_to_resume(input: Any, headers: Mapping[str, str]) -> bool:  # noqa: A002 - as in RunRequest
    """Whether a request of the built-in dialects asks for the rest of a run."""
    return (_asked_index(input) or 0) > 0 or "last-event-id" in headers


def _asked_index(input: Any) -> int | None:  # noqa: A002 - as above
    parameters = input.get("parameters") if isinstance(input, Mapping) else None
    asked = parameters.get("resume_from_index") if isinstance(parameters, dict) else None
    return asked if isinstance(asked, int) else None


def labels_of(step: Chunk, place: int, script: Script) -> tuple[Any, Any]:
    """Return the index and the id of a chunk, which may be None."""
    index = step.index if step.index is not ... else place if script.indexed else None
    event_id = step.id if step.id is not ... else str(place) if script.ids else None
    return index, event_id
