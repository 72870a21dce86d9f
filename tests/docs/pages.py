"""The pages of the documentation, taken apart: code blocks, tables, headings and links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"```(?P<language>\S*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_OUTPUT = re.compile(r"\s*```text\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]+\]\((?P<target>[^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_CELL_END = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Example:
    """A ``python`` block.

    Attributes:
        line: The line of the page on which the code begins.
        output: What it prints, if a ``text`` block with that follows.
    """

    text: str
    line: int
    output: str | None


@dataclass(frozen=True)
class Block:
    """A block of code in any language, or of none.

    Attributes:
        line: The line of the page on which the text begins.
    """

    language: str
    text: str
    line: int


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The page without its code blocks."""
        return _FENCE.sub("", self.text)

    def examples(self) -> Iterator[Example]:
        text = self.text
        for block in _FENCE.finditer(text):
            if block["language"] == "python":
                output = _OUTPUT.match(text, block.end())
                line = text.count("\n", 0, block.start("text")) + 1
                yield Example(block["text"], line, output["text"] if output else None)

    def blocks(self) -> Iterator[Block]:
        text = self.text
        for block in _FENCE.finditer(text):
            line = text.count("\n", 0, block.start("text")) + 1
            yield Block(block["language"], block["text"], line)

    def block(self, beginning: str) -> str:
        """The one code block that begins so."""
        (text,) = (b["text"] for b in _FENCE.finditer(self.text) if b["text"].startswith(beginning))
        return text

    def outputs(self) -> int:
        """The number of blocks with the output of something."""
        return sum(block["language"] == "text" for block in _FENCE.finditer(self.text))

    def headings(self) -> list[str]:
        return _HEADING.findall(self.prose)

    def section(self, fragment: str) -> str:
        """The heading with this fragment and the text down to the next one of its level or above."""
        level, in_code, found = 0, False, []
        for line in self.text.splitlines():
            in_code ^= line.startswith("```")
            marks = len(line) - len(line.lstrip("#")) if _HEADING.match(line) and not in_code else 0
            if level and 0 < marks <= level:
                break
            if marks and anchor(line.lstrip("# ")) == fragment:
                level = marks
            if level:
                found.append(line)
        return "\n".join(found)

    def links(self) -> list[str]:
        return [match["target"] for match in _LINK.finditer(self.prose)]

    def rows(self) -> list[list[str]]:
        """The cells of every row of every table."""
        lines = (line for line in self.prose.splitlines() if line.startswith("|"))
        return [[cell.strip() for cell in _CELL_END.split(line)[1:-1]] for line in lines]

    def words(self) -> set[str]:
        """Every name in the page, in code blocks and elsewhere."""
        return set(re.findall(r"\w+", self.text))

    def spans(self) -> set[str]:
        """Everything between backticks outside of code blocks."""
        return set(_CODE.findall(self.prose))


def code_in(cell: str) -> list[str]:
    """Return the text between backticks in a table's cell."""
    return _CODE.findall(cell)


def anchor(heading: str) -> str:
    """Return the fragment under which a heading can be linked to."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


README = Page(ROOT / "README.md")
DOCS = {path.stem: Page(path) for path in sorted((ROOT / "docs").glob("*.md"))}
COOKBOOK = {path.stem: Page(path) for path in sorted((ROOT / "docs/cookbook").glob("*.md"))}
# Those whose blocks are programs by themselves, as on the pages above them.
RECIPES = tuple(COOKBOOK[name] for name in ("the-text", "failures", "production", "tests"))
PAGES = (README, *DOCS.values(), *RECIPES)
WITH_COOKBOOK = tuple(dict.fromkeys([*PAGES, *COOKBOOK.values()]))
# How to test code that uses the client of a protocol; tests/interop/protocols/test_cookbook.py runs it.
CLIENT_TESTS = tuple(page for name, page in COOKBOOK.items() if name.startswith("test-"))
