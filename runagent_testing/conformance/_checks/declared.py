"""Working capabilities are declared, because clients do not use an undeclared one.

That a declared capability works is the subject of that capability's own requirement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._errors import RunAgentError
from runagent._events import RunResult
from runagent_testing._script.steps import heartbeat
from runagent_testing.conformance._checks.common import demand, only_where
from runagent_testing.conformance._harness.feeding import Feeding
from runagent_testing.conformance._harness.probe import VALUE
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import AGENT
from runagent_testing.conformance._harness.tape import Tape

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.lab import Lab

SOURCE = 'docs/transport-api.md, "Capabilities"'


def expect_undeclared(name: str, works: bool) -> None:
    """Fail the transport if a capability works that it does not declare."""
    demand(not works, f"{name!r} works, but is not declared: add it to the transport's capabilities")


@required(
    "declared.invoke",
    "If plain runs work, the transport declares 'invoke'.",
    SOURCE,
    capability="invoke",
    undeclared=True,
)
def check_invoke(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses.

    To mend it: add `Capability.INVOKE` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.INVOKE})
    """
    try:
        seen = lab.feed("whole", mode="invoke")
    except RunAgentError:
        return
    expect_undeclared("invoke", any(isinstance(e, RunResult) and e.result == "whole" for e in seen.events))


@required(
    "declared.resume",
    "If resuming works, the transport declares 'resume'.",
    SOURCE,
    capability="resume",
    undeclared=True,
)
def check_resume(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses.

    To mend it: add `Capability.RESUME` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.RESUME})
    """
    texts = ("one", "two", "three")
    tape = Tape()
    places, _ = lab.offsets(*texts, tape=tape)
    point = lab.feed(*texts, until=places[1][1], tape=tape).session.resume_point
    if point is None or point.next_index is None:
        return
    seen = lab.feed(*texts, resume=point)
    expect_undeclared("resume", seen.error is None and seen.contents == ["three"])


@required(
    "declared.heartbeats",
    "If heartbeats work, the transport declares 'heartbeats'.",
    SOURCE,
    capability="heartbeats",
    undeclared=True,
)
def check_heartbeats(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses.

    To mend it: add `Capability.HEARTBEATS` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.HEARTBEATS})
    """
    only_where(lab.subject.traits.heartbeats, "the dialect has no heartbeat")
    seen = lab.feed("a", heartbeat(), heartbeat(), "b")
    expect_undeclared("heartbeats", seen.completed and seen.contents == ["a", "b"])


@required(
    "declared.structured",
    "If JSON chunks arrive as JSON values, the transport declares 'structured'.",
    SOURCE,
    capability="structured",
    undeclared=True,
)
def check_structured(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses.

    To mend it: add `Capability.STRUCTURED` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.STRUCTURED})
    """
    only_where(lab.subject.traits.structured, "the dialect writes text chunks only")
    seen = lab.feed("a", VALUE)
    expect_undeclared("structured", seen.contents == ["a", VALUE])


@required(
    "declared.reuse",
    "If a connection can serve another call, the transport declares 'reuse'.",
    SOURCE,
    capability="reuse",
    undeclared=True,
)
def check_reuse(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses.

    To mend it: add `Capability.REUSE` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.REUSE})
    """
    memory = lab.subject.memory()
    memory.agent(AGENT).always("a")
    session = Feeding(memory, lab.open(memory)).run().session
    expect_undeclared("reuse", session.reusable)
