"""The pages of docs/reference, made of the code: ``python -m tests.docs.reference.write`` writes them."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from tests.docs.pages import ROOT
from tests.docs.reference import api, commands, errors, hooks, settings, testing
from tests.docs.reference.docstrings import table

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FOLDER", "PAGES", "text_of", "write"]

FOLDER = ROOT / "docs/reference"
_NOTE = "<!-- Made of the code by: python -m tests.docs.reference.write -->"

_TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "settings.md": ("Settings of clients and calls, and time limits.", settings.settings),
    "limits.md": ("Limits of what a peer may make the client hold or do.", settings.limits),
    "environment.md": ("Environment variables.", settings.environment),
    "errors.md": ("Errors by class and code: the cause, whether it is retried, what to do.", errors.page),
    "commands.md": ("`runagent` and `runagent-fake`, with every option.", commands.page),
    "hooks.md": ("Hooks of plugins, and the methods of observers.", hooks.page),
    "fixtures.md": ("Fixtures, options and markers of the plugin for pytest.", testing.fixtures_page),
    "faults.md": ("Every fault that a test can have a stream meet.", testing.catalogue),
    "requirements.md": ("What the conformance kit demands of a transport.", testing.requirements),
}


def _index() -> str:
    apis = [(f"[`{module}`]({api.file_name(module)})", "The names to import.") for module in api.MODULES]
    tables = [(f"[{name.removesuffix('.md')}]({name})", about) for name, (about, _) in _TABLES.items()]
    introduction = (
        "Made of the code, so that it lacks nothing. The protocols themselves are in [wire](../wire.md)."
    )
    return "\n\n".join(["# Reference", introduction, table(("page", "about"), apis + tables)])


PAGES: dict[str, Callable[[], str]] = {
    "index.md": _index,
    **{api.file_name(module): functools.partial(api.page, module) for module in api.MODULES},
    **{name: make for name, (_, make) in _TABLES.items()},
}


def text_of(name: str) -> str:
    """Return what a page has to be."""
    return f"{_NOTE}\n\n{PAGES[name]()}\n"


def write() -> None:
    """Write every page, and remove those that are not made any more."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path.name not in PAGES:
            path.unlink()
    for name in PAGES:
        (FOLDER / name).write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    write()
