"""An example of a page is a complete program, or its first line shows that it continues the ones above."""

from __future__ import annotations

import pytest

from tests.docs import site
from tests.docs.alone import CONTINUES, late_imports, missing_names
from tests.docs.pages import Page

PAGES = [Page(path) for path in site.SOURCES.values() if path.suffix == ".md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_example_is_complete_or_marked(page: Page) -> None:
    for example in page.examples():
        missing = missing_names(example.text)
        marked = example.text.startswith(f"{CONTINUES}\n")
        assert bool(missing) is marked, f"{page.name}:{example.line} lacks {sorted(missing)}"
        assert set() == late_imports(example.text), f"{page.name}:{example.line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_first_example_of_a_page_is_complete(page: Page) -> None:
    for example in [*page.examples()][:1]:
        assert not example.text.startswith(CONTINUES)


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("print(client)", {"client"}),
        ("import asyncio\nasyncio.run(main())", {"main"}),
        ("from a import b as c\nprint(b, c)", {"b"}),
        ("def f(client):\n    return client, other\nclient", {"client", "other"}),
        ("class A(B):\n    x = 1\n    y = x", {"B"}),
        ("for x in [y for y in range(3)]:\n    print(x, __name__)", set()),
        ("try:\n    f = 1\nexcept OSError as e:\n    print(e, f)", set()),
        ("match 1:\n    case int(n):\n        print(n)", set()),
    ],
)
def test_missing_names_are_found_in_every_scope(source: str, missing: set[str]) -> None:
    assert missing == missing_names(source)


@pytest.mark.parametrize(
    ("source", "late"),
    [
        ("x = A()\nfrom a import A, B\nB()", {"A"}),
        ("def f():\n    return A\nfrom a import A\nf()", set()),
        ("import a\na.b()\nimport c", set()),
    ],
)
def test_imports_behind_the_first_use_are_found(source: str, late: set[str]) -> None:
    assert late == late_imports(source)
