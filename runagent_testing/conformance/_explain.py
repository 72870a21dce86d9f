"""What a requirement means, how a failure is mended, and a transport that fails it; as text."""

from __future__ import annotations

import inspect
import textwrap
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing.conformance._broken import BROKEN
from runagent_testing.conformance._broken.base import Broken
from runagent_testing.conformance._checks import all_requirements

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.conformance._harness.requirements import Requirement

__all__ = ["explanation", "overview"]

__tracebackhide__ = is_ours

_WIDTH = 110
_STRIPPED = "Python runs without docstrings (-OO), and so without the explanations."


def overview() -> list[str]:
    """List all requirements, one in each line."""
    return [f"{requirement.id}: {requirement.sentence}" for requirement in all_requirements()]


def explanation(name: str) -> list[str]:
    """Explain a requirement, given its id, perhaps with a variant in brackets.

    Raises:
        ValueError: The id is unknown.
    """
    id = name.partition("[")[0]
    known = {requirement.id: requirement for requirement in all_requirements()}
    if id not in known:
        raise ValueError(f"unknown requirement {id!r}; {nearest(id, known)}")
    requirement = known[id]
    about = [
        f"{id} (set {requirement.since})",
        "",
        *textwrap.wrap(requirement.sentence, _WIDTH, initial_indent="  ", subsequent_indent="  "),
        f"  ({requirement.source}{_applies(requirement)})",
        "",
    ]
    return [
        *about,
        *(inspect.getdoc(requirement.check) or _STRIPPED).splitlines(),
        *_mistakes(requirement),
        "",
        f"To check it alone: pytest -k {id}",
    ]


def _applies(requirement: Requirement) -> str:
    if requirement.libraries:
        return "; for transports that are libraries"
    if requirement.capability is None:
        return ""
    word = "unless" if requirement.undeclared else "if"
    return f"; {word} {requirement.capability!r} is declared"


def _mistakes(requirement: Requirement) -> Iterator[str]:
    """Show the first transport with this mistake that has its source."""
    for broken in BROKEN:
        source = _source(broken) if broken.caught_by == requirement.id else ""
        if source:
            yield from (
                "",
                f"A mistake that it finds, {broken.name!r} of runagent_testing.conformance.BROKEN:",
                "",
            )
            yield from textwrap.indent(source, "    ").splitlines()
            return


def _source(broken: Any) -> str:
    kind = broken.mistake if isinstance(broken, Broken) else type(broken)
    try:
        source = textwrap.dedent(inspect.getsource(kind))
    except (OSError, TypeError):
        return ""
    return source if source.count("\n") > 2 else ""  # the mistake is elsewhere, as in a capability
