"""What a transport declares to carry besides text: tool calls and reasoning. Samples show both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._events import Reasoning, ToolCall
from runagent_testing.conformance._checks.common import demand
from runagent_testing.conformance._checks.declared import SOURCE, expect_undeclared
from runagent_testing.conformance._harness.requirements import required

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.samples import Sample
    from runagent_testing.conformance._harness.stage import Stage


async def _expect_any(stage: Stage, what: str, kind: type, has: Callable[[Sample], Any]) -> None:
    """Demand that an event of a kind arrives of each sample that has one."""
    samples = [sample for sample in stage.subject.samples if has(sample)]
    demand(
        bool(samples),
        f"no sample has {what}: let the dialect write one, add a sample, or put it into skip_capabilities",
    )
    for sample in samples:
        stage.agent.always(*sample.steps)
        shown = await stage.run()
        arrived = any(isinstance(event, kind) for event in shown.events)
        demand(arrived, f"the sample {sample.name!r}: no {kind.__name__} arrived: {shown.summarize()}")


def _arrives(lab: Lab, kind: type, has: Callable[[Sample], Any]) -> bool:
    samples = [sample for sample in lab.subject.samples if has(sample)]
    return any(isinstance(event, kind) for sample in samples for event in lab.feed(*sample.steps).events)


def _calls(sample: Sample) -> Any:
    return sample.calls


def _thoughts(sample: Sample) -> Any:
    return sample.thoughts


@required(
    "run.tools",
    "A run of a transport that declares 'tools' delivers tool calls.",
    SOURCE,
    capability="tools",
)
async def check_tools(stage: Stage) -> None:
    """Who chooses a transport for an agent that calls tools looks at its declaration.

    To mend it: return or emit a `ToolCall` for each call, once, with all its arguments.
    """
    await _expect_any(stage, "a tool call", ToolCall, _calls)


@required(
    "run.reasoning",
    "A run of a transport that declares 'reasoning' delivers reasoning.",
    SOURCE,
    capability="reasoning",
)
async def check_reasoning(stage: Stage) -> None:
    """Who chooses a transport for an agent that shows its reasoning looks at its declaration.

    To mend it: return or emit `Reasoning` for each piece.
    """
    await _expect_any(stage, "reasoning", Reasoning, _thoughts)


@required(
    "declared.tools",
    "If tool calls arrive, the transport declares 'tools'.",
    SOURCE,
    capability="tools",
    undeclared=True,
)
def check_undeclared_tools(lab: Lab) -> None:
    """What is not declared is not listed: nobody finds the transport for an agent that calls tools.

    To mend it: add `Capability.TOOLS` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.TOOLS})
    """
    expect_undeclared("tools", _arrives(lab, ToolCall, _calls))


@required(
    "declared.reasoning",
    "If reasoning arrives, the transport declares 'reasoning'.",
    SOURCE,
    capability="reasoning",
    undeclared=True,
)
def check_undeclared_reasoning(lab: Lab) -> None:
    """What is not declared is not listed: nobody finds the transport for an agent that reasons.

    To mend it: add `Capability.REASONING` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.REASONING})
    """
    expect_undeclared("reasoning", _arrives(lab, Reasoning, _thoughts))
