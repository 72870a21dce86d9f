"""Requirements as data: what a transport has to do, the source of that rule, and the check that proves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.public import publish

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LATEST", "PLAYERS", "STYLES", "Requirement", "registered", "required", "variants"]

LATEST = 1
"""The newest set of requirements."""

STYLES = ("sync", "asyncio", "trio")
PLAYERS = ("memory", "socket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One requirement.

    Attributes:
        id: Its name, for example "session.any-split"; never reused.
        sentence: The rule, in one sentence.
        source: The page or specification that states the rule.
        since: The first set that has it. A check never becomes stricter; a stricter rule is a new
            requirement of a later set.
        scope: "session" for checks of a session that is fed by hand; "run" for whole runs of a client,
            once for every style and player.
        capability: Only transports that declare it are checked; None for all of them.
        alternatives: Other capabilities that count as that one.
        undeclared: Only transports that do not declare the capability are checked, instead.
        styles: The styles to check.
        players: The players to check on: "memory" has virtual time, "socket" the kernel.
        guarded: Whether the agents demand the key.
        libraries: Only transports that are libraries are checked; sessions are checked by other
            requirements.
        check: Takes a `Lab` if the scope is "session", else a `Stage`, in whose event loop a coroutine
            function runs. Raises a `Violation` if the requirement is not met, and `NotApplicable` if it
            does not concern the transport.
    """

    id: str
    sentence: str
    source: str
    scope: str
    check: Callable[[Any], Any]
    since: int = 1
    capability: str | None = None
    alternatives: tuple[str, ...] = ()
    undeclared: bool = False
    styles: tuple[str, ...] = STYLES
    players: tuple[str, ...] = PLAYERS
    guarded: bool = False
    libraries: bool = False


_found: dict[str, Requirement] = {}


def required(id: str, sentence: str, source: str, **fields: Any) -> Callable[[Any], Any]:
    """Register the decorated check as a requirement; for the modules of checks."""

    def add(check: Any) -> Any:
        scope = "session" if id.partition(".")[0] in ("session", "declared") else "run"
        made = Requirement(id=id, sentence=sentence, source=source, scope=scope, check=check, **fields)
        known = _found.setdefault(id, made)
        # A module that is imported again, as by a pytest run inside another one, registers its own again.
        if known.check.__qualname__ != check.__qualname__:
            raise ValueError(f"there are two requirements {id!r}")
        return check

    return add


def registered() -> tuple[Requirement, ...]:
    """Return the requirements whose modules have been imported, in order."""
    return tuple(_found.values())


def variants(requirement: Requirement) -> tuple[str, ...]:
    """Return the variants in which a requirement is checked; the only one of a session's is ""."""
    if requirement.scope == "session":
        return ("",)
    return tuple(f"{style}-{player}" for style in requirement.styles for player in requirement.players)


publish(Requirement, module="runagent_testing.conformance")
