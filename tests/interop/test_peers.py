"""The page lists the software of other people that `make interop` tries each protocol with, and no other."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docs.pages import DOCS
from tests.interop.peers import Peer, peer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

HEAD = "| protocol | package | version | what it does |\n|---|---|---|---|\n"
HERE = Path(__file__)


def peers_in(path: Path) -> Iterator[Peer]:
    """Yield the peers that a file's tests are marked with: the file, its functions, and their parameters."""
    name = ".".join(path.with_suffix("").relative_to(HERE.parents[2]).parts)
    module = importlib.import_module(name)
    tests = [thing for name, thing in vars(module).items() if name.startswith("test_")]
    for thing in (module, *tests):
        for mark in marks_of(thing):
            yield from peer_of([mark])
            for value in mark.args[1] if mark.name == "parametrize" else ():
                yield from peer_of(mark_of(mark) for mark in getattr(value, "marks", ()))


def marks_of(thing: Any) -> list[pytest.Mark]:
    marks = getattr(thing, "pytestmark", [])
    return [mark_of(mark) for mark in (marks if isinstance(marks, list) else [marks])]


def mark_of(mark: Any) -> Any:
    return getattr(mark, "mark", mark)  # a module's list holds decorators


def test_the_page_lists_each_peer() -> None:
    paths = set(HERE.parent.rglob("test_*.py")) - {HERE}
    peers = {peer for path in paths for peer in peers_in(path)}
    rows = "".join(f"| {' | '.join(peer.cells)} |\n" for peer in sorted(peers))
    assert HEAD + rows in DOCS["reliability"].text, rows
