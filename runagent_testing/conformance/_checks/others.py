"""What is required of the events that are no content: reasoning, tool calls and custom events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._events import Custom, Reasoning, ToolCall
from runagent_testing._script import steps
from runagent_testing.conformance._checks.common import TEXTS, demand, expect_contents, only_where
from runagent_testing.conformance._harness.feeding import byte_by_byte, rechunked, whole
from runagent_testing.conformance._harness.requirements import required

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.stage import Stage
    from runagent_testing.conformance._harness.subject import Subject

_CALLS = (("weather", '{"city": "Troms\xf8", "days": [1, 2]}'), ("now", "{}"))
_THOUGHTS = ("let me ", "see \N{FOX FACE}")
_MARK = "a value that only this event has"


def _script(subject: Subject) -> list[Any]:
    """Write a script with everything that the dialect can carry, between chunks.

    Raises:
        NotApplicable: It can carry nothing of it.
    """
    carried = subject.traits.carries
    only_where(bool(carried), "the dialect can carry neither reasoning nor tool calls nor custom events")
    thoughts = [steps.reasoning(text) for text in _THOUGHTS if "reasoning" in carried]
    calls = [
        steps.tool_call(name, arguments, id=f"call-{name}")
        for name, arguments in _CALLS
        if "tool_call" in carried
    ]
    customs = [steps.custom("kit", {"mark": _MARK})] if "custom" in carried else []
    return [*thoughts, *TEXTS[:2], *calls[:1], *customs, *TEXTS[2:], *calls[1:]]


def _demand_whole(events: Sequence[Any], what: str) -> None:
    """Compare each kind of event with what was sent; a transport may leave out a kind, but then all of it.

    Raises:
        NotApplicable: It leaves out all of them.
    """
    thoughts = [event.text for event in events if isinstance(event, Reasoning)]
    calls = [(event.name, event.arguments) for event in events if isinstance(event, ToolCall)]
    marks = [event for event in events if isinstance(event, Custom) and _MARK in str(event.value)]
    only_where(bool(thoughts or calls or marks), "the transport leaves out every event that is no content")
    if thoughts:
        demand("".join(thoughts) == "".join(_THOUGHTS), f"{what}: expected {_THOUGHTS}, got {thoughts}")
    if calls:
        demand(calls == list(_CALLS), f"{what}: expected the tool calls {_CALLS}, got {calls}")
        ids = [event.id for event in events if isinstance(event, ToolCall)]
        named = [f"call-{name}" for name, _ in _CALLS]
        demand(ids in (named, [None] * len(named)), f"{what}: expected the ids {named}, got {ids}")
    demand(len(marks) <= 1, f"{what}: one custom event was sent, and {marks} arrived")


@required(
    "session.other-events",
    "Reasoning, tool calls and custom events arrive once, whole and not as chunks, or not at all.",
    'docs/streaming.md, "Events"',
)
def check_session(lab: Lab) -> None:
    script = _script(lab.subject)
    for name, cut in (("uncut", whole), ("byte by byte", byte_by_byte), ("cut at random", rechunked(1))):
        seen = lab.feed(*script, cut=cut).check_sound()
        demand(seen.completed, f"{name}: {seen.summarize()}")
        expect_contents(lab.subject, seen.contents, TEXTS, name)
        _demand_whole(seen.events, name)


@required(
    "run.other-events",
    "A run delivers reasoning, tool calls and custom events once, whole and not as chunks, or not at all.",
    'docs/streaming.md, "Events"',
)
async def check_run(stage: Stage) -> None:
    script = _script(stage.subject)
    stage.agent.always(*script)
    shown = await stage.run()
    demand(shown.error is None and shown.completed, shown.summarize())
    expect_contents(stage.subject, shown.contents, TEXTS, "the chunks")
    _demand_whole(shown.events, "events")
