"""The examples of the documentation as modules for type checkers, as their readers paste them.

The blocks of a page are one module, as they share their names, unless none of them continues others; one that
defines tests is a separate module, as in tests/project/test_examples.py. Functions in examples have no
annotations: a checker looks into them all the same.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.docs.alone import CONTINUES
from tests.docs.pages import COOKBOOK, Page
from tests.docs.pages import PAGES as PROSE

# The user's page, whose patterns work as they are written there.
PATTERNS = Page(Path(__file__).parent / "patterns.md")
PROGRAMS = (COOKBOOK["ask-several"], COOKBOOK["worker"])
PAGES = [page for page in (PATTERNS, *PROGRAMS, *PROSE) if any(page.examples())]
# Blocks use the same names for other things. These are mypy's comments for one module.
OPTIONS = "# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-redefinition"
_DEFINED = re.compile(r"^(?:async def|def|class) (\w+)", re.MULTILINE)


def modules(page: Page) -> list[str]:
    """Return the examples of a page as modules, with the line numbers of the page.

    A function that a later block defines again has another name from there on, which checkers insist on.
    """
    if page is not PATTERNS and not any(each.text.startswith(CONTINUES) for each in page.examples()):
        return ["\n" * (each.line - 1) + each.text for each in page.examples()]
    lines: list[str] = []
    tests: list[str] = []
    names: dict[str, str] = {}
    for example in page.examples():
        before, text = "\n" * (example.line - 1), example.text
        if re.search(r"^def test_", text, re.MULTILINE):
            tests.append(before + text)
            continue
        lines += [""] * (example.line - 1 - len(lines))
        for name in _DEFINED.findall(text):
            names[name] = f"{name}_{example.line}" if name in names else name
        for name, latest in names.items():
            text = re.sub(rf"\b{name}\b", latest, text)
        lines += text.splitlines()
    return ["\n".join(lines) + "\n", *tests]


def write_examples(folder: Path) -> None:
    """Write the examples of every page as modules."""
    names = set()
    for page in PAGES:
        for number, module in enumerate(modules(page)):
            name = f"{page.path.stem.lower().replace('-', '_')}_{number}.py"
            (folder / name).write_text(f"{module}{OPTIONS}\n", encoding="utf-8")
            names.add(name)
    assert names >= {"readme_0.py", "patterns_0.py", "plugins_0.py", "dialects_0.py", "testing_3.py"}
