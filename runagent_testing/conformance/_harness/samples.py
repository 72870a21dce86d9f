"""Samples: streams with everything that a protocol has, as scripts, and the events that have to arrive."""

from __future__ import annotations

import json
import operator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from runagent_testing._script import steps
from runagent_testing._script.script import Script
from runagent_testing._script.steps import Done

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = [
    "CALLS",
    "CUSTOMS",
    "MARK",
    "THOUGHTS",
    "Sample",
    "built_in_samples",
    "checked_samples",
    "end_with_everything",
    "facts_in",
    "missing",
    "same_custom",
    "subsequence",
]

MARK = "a value that only this event has"
_ALLOWED = (
    *(steps.Chunk, steps.Reasoning, steps.ToolCall, steps.Custom, steps.Heartbeat),
    *(steps.Raw, steps.Error, steps.Done),
)
_USAGE = {"input_tokens": 4711, "output_tokens": 815, "total_tokens": 5526}
_ARGUMENTS = '{"city": "Troms\xf8", "days": [1, 2], "note": "a \\"quoted\\" \\ud83e\\udd8a"}'

THOUGHTS = (steps.reasoning("let me "), steps.reasoning("see \N{FOX FACE}"))
CALLS = (
    steps.tool_call("weather", _ARGUMENTS, id="call-weather"),
    steps.tool_call("now", "{}", id="call-now"),
)
CUSTOMS = (steps.custom("kit", {"mark": MARK, "of": [2.5, None, True]}),)
"""What is not content, of each kind."""


@dataclass(frozen=True)
class Sample:
    """One stream.

    Attributes:
        name: How a failure names it.
        steps: Its script: chunks, reasoning, tool calls, custom events, heartbeats, raw bytes, an error, the
            end.
    """

    name: str
    steps: tuple[steps.Step, ...]

    @cached_property
    def contents(self) -> list[Any]:
        """The chunks' contents."""
        return [step.content for step in self.steps if isinstance(step, steps.Chunk)]

    @cached_property
    def thoughts(self) -> str:
        """All of the reasoning."""
        return "".join(step.text for step in self.steps if isinstance(step, steps.Reasoning))

    @cached_property
    def calls(self) -> list[tuple[str, str]]:
        """Name and arguments of each tool call."""
        return [(step.name, step.arguments) for step in self.steps if isinstance(step, steps.ToolCall)]

    @cached_property
    def call_ids(self) -> list[str | None]:
        """The id of each tool call that the script sets, else None."""
        return [step.id for step in self.steps if isinstance(step, steps.ToolCall)]

    @cached_property
    def customs(self) -> list[tuple[str, Any]]:
        """Name and value of each custom event."""
        return [(step.name, step.value) for step in self.steps if isinstance(step, steps.Custom)]

    @property
    def end(self) -> Done:
        """The end that the script sets, or an empty one."""
        return next((step for step in self.steps if isinstance(step, Done)), Done())

    @property
    def has_facts(self) -> bool:
        """Whether the end has anything that `Completed` carries."""
        end = self.end
        return any((end.usage, end.metadata, end.stop_reason, end.interrupts))

    @property
    def fails(self) -> bool:
        """Whether the run fails."""
        return any(isinstance(step, steps.Error) for step in self.steps)

    @property
    def has_raw(self) -> bool:
        """Whether it has bytes of which only their author knows the meaning."""
        return any(isinstance(step, steps.Raw) for step in self.steps)


def checked_samples(given: Mapping[str, Iterable[Any]]) -> tuple[Sample, ...]:
    """Check the samples of an author.

    Raises:
        TypeError: ``given`` is not a mapping, or a step is invalid or has no place in a sample.
    """
    if not hasattr(given, "items"):
        raise TypeError(f"samples= maps names to scripts, as in {{'tools': [...]}}, not {given!r}")
    return tuple(_checked(str(name), script) for name, script in given.items())


def _checked(name: str, script: Iterable[Any]) -> Sample:
    if isinstance(script, str):
        raise TypeError(f"the sample {name!r} is a script, as in ({script!r},), not a text")
    made = Script.of(tuple(script)).steps
    for step in made:
        if not isinstance(step, _ALLOWED):
            raise TypeError(
                f"the sample {name!r} has {step!r}: a sample has chunks, reasoning, tool calls, custom"
                " events, heartbeats, raw bytes, an error and done(...); the kit adds cuts and faults"
            )
    return Sample(name, made)


def built_in_samples(carried: frozenset[str], end_facts: frozenset[str]) -> Iterator[Sample]:
    """Make samples of everything that a dialect can write.

    Args:
        carried: Which of the steps ``reasoning``, ``tool_call`` and ``custom`` it can write.
        end_facts: As `facts_in` returns them.
    """
    if script := _others(carried):
        yield _checked("events that are not content", script)
    if end_facts:
        yield _checked("the facts of the end", ("Once ", "end", _end(end_facts)))


def _others(carried: frozenset[str]) -> tuple[Any, ...]:
    if not carried:
        return ()
    thoughts, calls, customs = (
        made if name in carried else ()
        for name, made in (("reasoning", THOUGHTS), ("tool_call", CALLS), ("custom", CUSTOMS))
    )
    return (*thoughts, "Once ", "upön\u2028", *calls[:1], *customs, 'a "tïme" 🦊\r\n', "end", *calls[1:])


def _end(facts: frozenset[str]) -> Done:
    known = end_with_everything()
    usage = {name: count for name, count in _USAGE.items() if f"usage.{name}" in facts}
    return Done(
        usage=usage or None,
        metadata=known.metadata if "metadata" in facts else None,
        stop_reason=known.stop_reason if "stop_reason" in facts else None,
    )


def end_with_everything() -> Done:
    """Make an end with every fact that a dialect may be able to write."""
    return Done(usage=_USAGE, metadata={"mark": MARK}, stop_reason="length")


def facts_in(written: bytes, without: bytes) -> frozenset[str]:
    """Return which facts of `end_with_everything` a dialect has written; ``without`` is an end without."""
    found = {f"usage.{name}" for name, count in _USAGE.items() if str(count).encode() in written}
    found |= {"metadata"} if MARK.encode() in written else set()
    found |= {"stop_reason"} if b'"length"' in written and b'"length"' not in without else set()
    return frozenset(found)


def _scalars(value: Any) -> list[str]:
    """Return the scalars of a JSON value as JSON, whatever they are inside of."""
    if isinstance(value, dict):
        return [found for item in value.values() for found in _scalars(item)]
    if isinstance(value, list | tuple):
        return [found for item in value for found in _scalars(item)]
    return [json.dumps(value)]


def missing(sent: Any, got: Any) -> list[str]:
    """Return the scalars that were sent and did not arrive."""
    arrived = _scalars(got)
    return [scalar for scalar in _scalars(sent) if scalar not in arrived]


def subsequence(
    expected: Sequence[Any], got: Sequence[Any], same: Callable[[Any, Any], bool] = operator.eq
) -> bool:
    """Whether all expected items are among the received ones, in this order."""
    rest = iter(got)
    return all(any(same(item, other) for other in rest) for item in expected)


def same_custom(sent: tuple[str, Any], got: tuple[str, Any]) -> bool:
    """Whether a custom event is the sent one; its protocol may add a prefix to the name and members."""
    return got[0].endswith(sent[0]) and _within(sent[1], got[1])


def _within(sent: Any, got: Any) -> bool:
    if isinstance(sent, dict) and isinstance(got, dict):
        return all(name in got and _within(value, got[name]) for name, value in sent.items())
    return bool(sent == got)
