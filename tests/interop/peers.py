"""Which software of other people each protocol is tried with, and how that went."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Peer", "met", "peer_of", "results", "version_of"]

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = Path(__file__).parent / "requirements"
_ROLES = {"server": "our transport reads it", "client": "it reads the fake agent"}


class Peer(NamedTuple):
    """Somebody else's half of a protocol.

    Attributes:
        protocol: The transport's name, or the dialect's.
        package: The distribution, from the Python index or npm, that its tests run.
        role: "server" or "client".
    """

    protocol: str
    package: str
    role: str

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """What tables show: protocol, package, version, role."""
        return self.protocol, self.package, version_of(self.package), _ROLES[self.role]


def met(protocol: str, package: str, role: str) -> pytest.MarkDecorator:
    """Mark tests that try a protocol with a peer; `make interop` counts them."""
    return pytest.mark.peer(*Peer(protocol, package, role))


def peer_of(marks: Iterable[pytest.Mark]) -> Iterator[Peer]:
    """Yield the peers that a test is marked with."""
    for mark in marks:
        if mark.name == "peer":
            yield Peer(*mark.args)


def version_of(package: str) -> str:
    """Return the version that `make interop` runs: that of `.venv`, if it has the package.

    Raises:
        LookupError: No environment has the package.
    """
    pinned = re.compile(rf"^{re.escape(package)}(?:\[[^]]*\])?==(\S+)$", re.MULTILINE)
    for path in (ROOT / "constraints.txt", *sorted(REQUIREMENTS.glob("*.txt"))):
        if found := pinned.search(path.read_text(encoding="utf-8")):
            return found[1]
    packages = json.loads((REQUIREMENTS / "node" / "package.json").read_text(encoding="utf-8"))
    version: str | None = packages["dependencies"].get(package)
    if version is None:
        raise LookupError(f"no environment of tests/interop/requirements has {package}")
    return version


def results(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """Yield the lines of the table that `make interop` prints: for each peer, how its tests went."""
    counts: dict[Peer, Counter[str]] = {}
    for report in reports:
        is_call = report.when == "call" or report.outcome != "passed"  # what is skipped has no call
        for name, peer in report.user_properties if is_call else ():
            if name == "peer":
                assert isinstance(peer, list | tuple)
                counts.setdefault(Peer(*peer), Counter())[report.outcome] += 1
    for peer, outcomes in sorted(counts.items()):
        went = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        yield f"{peer.protocol:17}{peer.package:22}{version_of(peer.package):12}{_ROLES[peer.role]:26}{went}"
