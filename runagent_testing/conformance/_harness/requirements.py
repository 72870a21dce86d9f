"""Requirements as data: what a transport has to do, where that is written, and the check that proves it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        sentence: What is required.
        source: Where that is written.
        since: The first set that it is in. A check never becomes stricter; what is found later is a new
            requirement of a later set.
        scope: "session" for what is seen of a session fed by hand; "run" for whole runs of a client,
            once for every style and player.
        capability: It concerns only transports that declare this, None for all of them.
        undeclared: It concerns those that do not declare it, instead.
        styles: In which styles.
        players: On which players: "memory" has virtual time, "socket" the kernel.
        guarded: The agents ask for the key.
        check: Of a session, takes a `Lab`; of a run, takes a `Stage`, in whose event loop it runs where it is
            a coroutine function. Raises a `Violation` where it is not met, and `NotApplicable` where it
            makes no sense.
    """

    id: str
    sentence: str
    source: str
    scope: str
    check: Callable[[Any], Any]
    since: int = 1
    capability: str | None = None
    undeclared: bool = False
    styles: tuple[str, ...] = STYLES
    players: tuple[str, ...] = PLAYERS
    guarded: bool = False


_found: dict[str, Requirement] = {}


def required(id: str, sentence: str, source: str, **fields: Any) -> Callable[[Any], Any]:
    """Make a requirement of the check that follows; for the modules of checks."""

    def add(check: Any) -> Any:
        scope = "session" if id.partition(".")[0] in ("session", "declared") else "run"
        made = Requirement(id=id, sentence=sentence, source=source, scope=scope, check=check, **fields)
        known = _found.setdefault(id, made)
        # A module that is imported anew, as in a pytest run inside of another, brings its own once more.
        if known.check.__qualname__ != check.__qualname__:
            raise ValueError(f"there are two requirements {id!r}")
        return check

    return add


def registered() -> tuple[Requirement, ...]:
    """Return the requirements whose modules have been imported, in order."""
    return tuple(_found.values())


def variants(requirement: Requirement) -> tuple[str, ...]:
    """Name the ways in which a requirement is checked; one without a name for a session's."""
    if requirement.scope == "session":
        return ("",)
    return tuple(f"{style}-{player}" for style in requirement.styles for player in requirement.players)
