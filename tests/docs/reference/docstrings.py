"""Docstrings in Google style, taken apart and written as Markdown."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Docstring", "cell", "first_sentence", "markdown", "parse", "table"]

_SECTION = re.compile(r"^(Args|Attributes|Returns|Raises|Yields):\n((?:[ \t]+.*\n?|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^(\*{0,2}[\w.]+)(?: \([^)]*\))?: ")


class Docstring(NamedTuple):
    """The parts of a docstring: its text, and the entries of each section by name."""

    text: str
    sections: dict[str, dict[str, str]]


def parse(docstring: str | None) -> Docstring:
    """Take a docstring apart; the entry of a section without names, such as Returns, is called ""."""
    whole = _plain(inspect.cleandoc(docstring or ""))
    sections = {}
    for name, body in _SECTION.findall(f"{whole}\n"):
        sections[name] = _entries(inspect.cleandoc(f"\n{body}"), named=name != "Returns")
    return Docstring(_SECTION.sub("", f"{whole}\n").strip(), sections)


def _plain(text: str) -> str:
    return text.replace("``", "`")


def _entries(body: str, *, named: bool) -> dict[str, str]:
    if not named:
        return {"": " ".join(body.split())}
    entries: dict[str, str] = {}
    name = ""
    for line in body.splitlines():
        if match := _ENTRY.match(line):
            name = match[1]
            line = line[match.end() :]
        entries[name] = f"{entries.get(name, '')} {line.strip()}".strip()
    return entries


def first_sentence(docstring: str | None) -> str:
    """Return the first sentence of a docstring, in one line."""
    paragraph = parse(docstring).text.partition("\n\n")[0]
    return re.split(r"(?<=\.)\s", " ".join(paragraph.split()), maxsplit=1)[0]


def markdown(docstring: str | None) -> str:
    """Return a docstring as Markdown, with its sections as lists."""
    text, sections = parse(docstring)
    parts = [text]
    for title, entries in sections.items():
        listed = [f"- `{name}`: {about}" if name else f"- {about}" for name, about in entries.items()]
        parts.append(f"{title.replace('Args', 'Arguments')}:\n\n" + "\n".join(listed))
    return "\n\n".join(filter(None, parts))


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table of Markdown."""
    lines = [head, tuple("---" for _ in head), *(tuple(map(cell, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)
