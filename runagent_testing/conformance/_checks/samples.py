"""What is required of the events in samples: each of them arrives as the agent sent it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from runagent._events import Chunk, Completed, Custom, Reasoning, ToolCall
from runagent_testing.conformance._checks.common import demand, expect_contents, only_where
from runagent_testing.conformance._harness.differences import difference, text_difference
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.samples import missing, same_custom, subsequence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.probe import Traits
    from runagent_testing.conformance._harness.samples import Sample
    from runagent_testing.conformance._harness.stage import Stage
    from runagent_testing.conformance._harness.subject import Subject


def samples_of(subject: Subject) -> tuple[Sample, ...]:
    """Return the samples.

    Raises:
        NotApplicable: There are none.
    """
    only_where(
        bool(subject.samples),
        "the dialect can write chunks and a bare end only, and no samples of your protocol are given",
    )
    return subject.samples


def _expect_events(subject: Subject, sample: Sample, events: Sequence[Any]) -> None:
    """Compare each kind of event with what was sent."""
    what = f"the sample {sample.name!r}"
    contents = [event.content for event in events if isinstance(event, Chunk)]
    thoughts = "".join(event.text for event in events if isinstance(event, Reasoning))
    calls = [event for event in events if isinstance(event, ToolCall)]
    customs = [(event.name, event.value) for event in events if isinstance(event, Custom)]
    if sample.has_raw:  # whose meaning is unknown, so that there may be more events
        demand(subsequence(sample.contents, contents), f"{what}: chunks are missing or changed")
        demand(sample.thoughts in thoughts, f"{what}: reasoning is missing or changed")
    else:
        expect_contents(subject, contents, sample.contents, f"{what}, chunks")
        demand(
            thoughts == sample.thoughts, f"{what}, reasoning: {text_difference(sample.thoughts, thoughts)}"
        )
    _expect_calls(subject.traits, sample, calls, what)
    apart = f"{what}, custom events: {difference(sample.customs, customs)}"
    demand(subsequence(sample.customs, customs, same_custom), apart)


def _expect_calls(traits: Traits, sample: Sample, calls: Sequence[ToolCall], what: str) -> None:
    as_text = traits.text_arguments
    got = [(call.name, _arguments(call.arguments, as_text)) for call in calls]
    called = [(name, _arguments(text, as_text)) for name, text in sample.calls]
    whole = subsequence(called, got) if sample.has_raw else called == got
    demand(whole, f"{what}, name and arguments of tool calls: {difference(called, got)}")
    if not sample.has_raw and (traits.call_ids or any(call.id for call in calls)):
        sent = [own or call.id for own, call in zip(sample.call_ids, calls, strict=True)]
        ids = [call.id for call in calls]
        demand(ids == sent, f"{what}, ids of tool calls: {difference(sent, ids)}")


def _arguments(text: str, as_text: bool) -> Any:
    """Return arguments as they have to arrive: the same text, or if they were an object the same value."""
    if as_text:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _expect_end(sample: Sample, events: Sequence[Any]) -> None:
    what = f"the sample {sample.name!r}"
    end = next((event for event in events if isinstance(event, Completed)), None)
    demand(end is not None, f"{what}: Completed did not arrive")
    assert end is not None
    sent = sample.end
    for name, value, got in (
        ("usage", sent.usage, end.usage),
        ("metadata", sent.metadata, end.metadata),
        ("stop_reason", sent.stop_reason, end.stop_reason),
        ("interrupts", sent.interrupts, end.interrupts),
    ):
        lost = [] if value is None else missing(value, got)
        demand(not lost, f"{what}: of {name} {', '.join(lost)} did not arrive; Completed has {name}={got!r}")


@required(
    "session.other-events",
    "Reasoning, tool calls and custom events arrive once, whole and not as chunks.",
    'docs/streaming.md, "Events"',
)
def check_events(lab: Lab) -> None:
    """What is not content has types, so that a tool call never ends up in a text, or nowhere.

    To mend it: return `Reasoning`, `ToolCall` (once, with all its arguments) and `Custom` for what the
    protocol sends.
    """
    for sample in samples_of(lab.subject):
        seen = lab.feed(*sample.steps).check_sound()
        demand(seen.completed or sample.fails, f"the sample {sample.name!r}: {seen.summarize()}")
        _expect_events(lab.subject, sample, seen.events)


@required(
    "run.other-events",
    "A run delivers reasoning, tool calls and custom events once, whole and not as chunks.",
    'docs/streaming.md, "Events"',
)
async def check_run(stage: Stage) -> None:
    """The same as `session.other-events`, seen by a caller who iterates `stream.events()`.

    To mend it: return or emit `Reasoning`, `ToolCall` (once, with all its arguments) and `Custom`.
    """
    for sample in samples_of(stage.subject):
        stage.agent.always(*sample.steps)
        shown = await stage.run()
        demand(shown.completed or sample.fails, f"the sample {sample.name!r}: {shown.summarize()}")
        _expect_events(stage.subject, sample, shown.events)


def _with_facts(subject: Subject) -> list[Sample]:
    found = [sample for sample in samples_of(subject) if sample.has_facts]
    only_where(bool(found), "no sample's end has usage, a stop reason, interrupts or metadata")
    return found


@required(
    "session.usage",
    "Completed has the usage, stop reason, interrupts and metadata that the agent sent.",
    'docs/streaming.md, "Events"',
)
def check_end(lab: Lab) -> None:
    """Costs are counted by the usage of the last event.

    To mend it: pass on what the end has: `Completed(usage=..., stop_reason=..., metadata=...)`.
    """
    for sample in _with_facts(lab.subject):
        _expect_end(sample, lab.feed(*sample.steps).check_sound().events)


@required(
    "run.usage",
    "A run's Completed has the usage, stop reason, interrupts and metadata that the agent sent.",
    'docs/streaming.md, "Events"',
)
async def check_run_end(stage: Stage) -> None:
    """The same as `session.usage`, seen by a caller; `stream.completed` and the report have it.

    To mend it: return or emit `Completed(usage=..., stop_reason=..., metadata=...)`.
    """
    for sample in _with_facts(stage.subject):
        stage.agent.always(*sample.steps)
        _expect_end(sample, (await stage.run()).events)
