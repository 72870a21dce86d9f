"""docs/kit.md is true: its table is that of the code, its example is a test, its sources lead somewhere."""

from __future__ import annotations

import re
from typing import Any

import pytest

from runagent_testing.conformance import Baseline, all_requirements, check_transport
from tests.docs.pages import DOCS, code_in

PAGE = DOCS["kit"]


def test_the_table_is_that_of_the_code():
    rows = {code_in(row[0])[0]: row[1:] for row in PAGE.rows() if re.match(r"`\w+\.[a-z-]+`", row[0])}
    assert list(rows) == [requirement.id for requirement in all_requirements()]
    for requirement in all_requirements():
        word = "unless" if requirement.undeclared else "if"
        *most, last = (f"`{name}`" for name in (requirement.capability, *requirement.alternatives))
        applies = "libraries" if requirement.libraries else ""
        if requirement.capability is not None:
            applies = f"{word} {', '.join(most)} or {last}" if most else f"{word} {last}"
        assert [applies, requirement.sentence] == rows[requirement.id]


@pytest.mark.parametrize("requirement", all_requirements(), ids=lambda requirement: requirement.id)
def test_the_source_of_a_requirement_exists(requirement):
    for part in requirement.source.split("; "):
        if match := re.fullmatch(r'docs/([\w-]+)\.md, "([^"]+)"', part):
            assert match[2] in DOCS[match[1]].headings()
        else:
            assert re.fullmatch(r"RFC \d+ sections? [\d.]+( and \d+)?", part)


def test_the_baseline_on_the_page_makes_sense():
    baseline = Baseline.parse(PAGE.block("# protocol 1.x"))
    baseline.check_known(all_requirements())
    assert "see our issue 12" == baseline.reason("run.reuse", "trio-socket")


def test_the_transports_of_the_page_about_the_api_pass():
    namespace: dict[str, Any] = {}
    for example in DOCS["transport-api"].examples():
        if "class StorySession" in example.text or "class CountedSession" in example.text:
            exec(example.text, namespace)  # the examples are the project's
    check_transport(namespace["CountedTransport"](), styles=("sync",)).check()
    failed = check_transport(namespace["StoryTransport"](), styles=("sync",)).failed
    lost = {"session.whole-characters", "session.other-events", "session.usage"}
    lost |= {
        f"run.{name}[sync-{player}]" for name in ("other-events", "usage") for player in ("memory", "socket")
    }
    assert lost == {result.id for result in failed}


def test_the_class_on_the_page_is_a_test(pytester):
    pytester.makepyfile(PAGE.block("import pytest\n"))
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "session.done or run.order")
    result.assert_outcomes(passed=7)
