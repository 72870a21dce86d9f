"""What came of a check, as data and in print."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from runagent_testing._internal.redaction import escaped

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.requirements import Requirement

__all__ = ["Outcome", "Report", "Word"]

Word = Literal["passed", "failed", "stale", "known", "advice", "not applicable"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one requirement in one variant.

    Attributes:
        requirement: The requirement.
        variant: The style and player, as in "trio-memory"; "" for what is required of a session.
        word: "passed"; "failed"; "not applicable"; "known" for a failure that the baseline lists;
            "stale" for a pass that it lists as a failure; "advice" for a failure of a requirement that
            is newer than the chosen set. Only "failed" and "stale" are bad.
        reason: Why it is not "passed".
    """

    requirement: Requirement
    variant: str
    word: Word
    reason: str = ""

    @property
    def id(self) -> str:
        """The requirement's id, with the variant in brackets."""
        return f"{self.requirement.id}[{self.variant}]" if self.variant else self.requirement.id

    @property
    def bad(self) -> bool:
        """Whether the transport does not pass because of it."""
        return self.word in ("failed", "stale")


@dataclass(frozen=True, slots=True)
class Report:
    """What came of all requirements.

    Attributes:
        transport: The transport's name.
        requirements: The number of the set.
        capabilities: What is declared.
        outcomes: In the order of the requirements.
    """

    transport: str
    requirements: int
    capabilities: frozenset[str]
    outcomes: tuple[Outcome, ...]

    @property
    def ok(self) -> bool:
        """Whether the transport passes."""
        return not any(outcome.bad for outcome in self.outcomes)

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes because of which it does not pass."""
        return tuple(outcome for outcome in self.outcomes if outcome.bad)

    def check(self) -> None:
        """Raise what does not pass.

        Raises:
            AssertionError: The transport does not pass; the text is the report's.
        """
        if not self.ok:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        counts = Counter(outcome.word for outcome in self.outcomes)
        declared = ", ".join(sorted(self.capabilities)) or "nothing"
        verdict = "passes" if self.ok else "does not pass"
        lines = [
            (
                f"transport {self.transport!r} {verdict} the requirements {self.requirements}"
                f" (declared: {declared})"
            ),
            "  " + ", ".join(f"{counts[word]} {word}" for word in get_args(Word) if counts[word]),
        ]
        for word in ("failed", "stale", "advice", "known"):
            for outcome in self.outcomes:
                if outcome.word == word:
                    lines += self._told(outcome)
        return "\n".join(map(escaped, lines))

    def _told(self, outcome: Outcome) -> list[str]:
        requirement = outcome.requirement
        return [
            f"{outcome.word}: {outcome.id}",
            f"    required: {requirement.sentence} ({requirement.source})",
            *(f"    {line}" for line in outcome.reason.splitlines()),
        ]
