"""The results of a check, as data and as text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from runagent_testing._internal.public import publish
from runagent_testing._internal.redaction import escaped
from runagent_testing._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent_testing.conformance._harness.requirements import Requirement

__all__ = ["Report", "Result", "Status"]

__tracebackhide__ = is_ours

Status = Literal["passed", "failed", "stale", "known", "advice", "not applicable"]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one requirement in one variant.

    Attributes:
        requirement: The requirement.
        variant: The style and player, as in "trio-memory"; "" for a requirement of the scope "session".
        status: "passed"; "failed"; "not applicable"; "known" for a failure that the baseline lists;
            "stale" for a pass that it lists as a failure; "advice" for a failure of a requirement that
            is newer than the chosen set. Only "failed" and "stale" are bad.
        reason: Why the status is not "passed".
    """

    requirement: Requirement
    variant: str
    status: Status
    reason: str = ""

    @property
    def id(self) -> str:
        """The requirement's id, with the variant in brackets."""
        return f"{self.requirement.id}[{self.variant}]" if self.variant else self.requirement.id

    @property
    def explained(self) -> str:
        """The command that explains the requirement."""
        return f"runagent-fake explain {self.requirement.id}"

    @property
    def bad(self) -> bool:
        """Whether it makes the transport fail."""
        return self.status in ("failed", "stale")


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all requirements.

    Attributes:
        transport: The transport's name.
        requirements: The number of the set.
        capabilities: The declared capabilities.
        results: In the order of the requirements.
    """

    transport: str
    requirements: int
    capabilities: frozenset[str]
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        """Whether the transport passes."""
        return not any(result.bad for result in self.results)

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results that make the transport fail."""
        return tuple(result for result in self.results if result.bad)

    def check(self) -> None:
        """Raise an error if the transport does not pass.

        Raises:
            AssertionError: The transport does not pass; the message is the whole report.
        """
        if not self.ok:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        counts = Counter(result.status for result in self.results)
        declared = ", ".join(sorted(self.capabilities)) or "nothing"
        verdict = "passes" if self.ok else "does not pass"
        lines = [
            (
                f"transport {self.transport!r} {verdict} the requirements {self.requirements}"
                f" (declared: {declared})"
            ),
            "  " + ", ".join(f"{counts[status]} {status}" for status in get_args(Status) if counts[status]),
        ]
        for alike in _alike(self.results):
            lines += _summarize(*alike)
        return "\n".join(map(escaped, lines))


def _alike(results: Iterable[Result]) -> Iterable[list[Result]]:
    """Collect the results that are shown and have one status and reason, such as 90 of a missing dialect."""
    found: dict[tuple[str, str], list[Result]] = {}
    for status in ("failed", "stale", "advice", "known"):
        for result in results:
            if result.status == status:
                found.setdefault((status, result.reason), []).append(result)
    return found.values()


def _summarize(first: Result, *others: Result) -> list[str]:
    requirement = first.requirement
    return [
        f"{first.status}: {first.id}",
        f"    required: {requirement.sentence} ({requirement.source})",
        f"    explained: {first.explained}",
        *(f"    {line}" for line in first.reason.splitlines()),
        *(
            [f"{first.status} for the same reason: {', '.join(other.id for other in others)}"]
            if others
            else []
        ),
    ]


publish(Report, Result, module="runagent_testing.conformance")
