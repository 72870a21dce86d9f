"""An example of a page is a complete program, or its first line shows that it continues the ones above it.

Every ``python`` block of the README, of docs/ and of the recipes in the cookbook is executed, alone or behind
those above it. A ``text`` block right behind one is exactly what it prints; one that defines tests is a
separate pytest file. The agent ``your-agent-id`` is a fake one, found through ``RUNAGENT_API_URL``. The other
pages of docs/cookbook have separate tests: tests/docs, or tests/interop if their code needs other packages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

import runagent_testing._memory  # noqa: F401 - here, as pytester drops modules that its tests import first
from runagent_testing import FakeAgentServer, done
from runagent_testing._standalone.demo import DEMO
from runagent_testing._standalone.script_file import read_script
from tests.docs import site
from tests.docs.alone import CONTINUES, late_imports, missing_names
from tests.docs.pages import PAGES, Example, Page

if TYPE_CHECKING:
    from collections.abc import Iterator

ALL_PAGES = [Page(path) for path in site.SOURCES.values() if path.suffix == ".md"]
STORY = ("Once", " upon", " a", " time")

by_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
def test_an_example_is_complete_or_marked(page: Page) -> None:
    for example in page.examples():
        missing = missing_names(example.text)
        marked = example.text.startswith(f"{CONTINUES}\n")
        assert bool(missing) is marked, f"{page.name}:{example.line} lacks {sorted(missing)}"
        assert set() == late_imports(example.text), f"{page.name}:{example.line}"


@pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)
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


@pytest.fixture
def your_agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be the agent of the examples, and that of `runagent-fake serve`, at once."""
    with FakeAgentServer() as server:
        read_script(re.sub(r"^ +pace: .+\n", "", DEMO, flags=re.MULTILINE), "demo.yaml").apply(server)
        story = (*STORY, done(usage={"total_tokens": 4}, execution_time=0.2))
        server.agent("your-agent-id").always(*story).returns(
            "".join(STORY), usage={"total_tokens": 4}, execution_time=0.2, agent_version="1.0"
        )
        monkeypatch.setenv("RUNAGENT_API_URL", server.url)
        yield


def run_as_tests(example: Example, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(example.text)
    result = pytester.runpytest_inprocess("-q", "-W", "error", "-p", "no:cacheprovider")
    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed", "warnings"}
    assert 0 < outcomes["passed"]


def run_in(namespace: dict[str, Any], example: Example, page: Page) -> None:
    """Run a block, and add its names; a traceback shows the page's own lines."""
    code = compile("\n" * (example.line - 1) + example.text, str(page.path), "exec", dont_inherit=True)
    names: dict[str, Any] = {"__name__": f"example_of_{page.path.stem}"}
    if example.text.startswith(CONTINUES):
        names = namespace | names
    exec(code, names)  # the examples are the project's
    namespace |= names


@by_page
def test_every_example_does_what_the_page_shows(
    page: Page,
    your_agent: None,
    pytester: pytest.Pytester,
    capsys: pytest.CaptureFixture[str],
) -> None:
    namespace: dict[str, Any] = {}
    for example in page.examples():
        if re.search(r"^def test_", example.text, re.MULTILINE):
            run_as_tests(example, pytester)
        else:
            capsys.readouterr()
            run_in(namespace, example, page)
            shown = capsys.readouterr().out
            if example.output is not None:
                where = f"{page.name}:{example.line}"
                assert (where, example.output.rstrip("\n")) == (where, shown.rstrip("\n"))


@by_page
def test_every_output_belongs_to_an_example(page: Page) -> None:
    assert page.outputs() == sum(example.output is not None for example in page.examples())


def test_pages_show_examples() -> None:
    shown = {page.name for page in PAGES if list(page.examples())}
    assert {page.name for page in PAGES} - shown == {
        "docs/architecture.md",
        "docs/command-line.md",
        "docs/conformance.md",
        "docs/fleets.md",  # whose links lead to examples that need an engine
        "docs/compare.md",
        "docs/glossary.md",
        "docs/install.md",
        "docs/support.md",
        "docs/performance.md",
        "docs/reliability.md",
        "docs/wire.md",
    }
