"""``runagent-fake explain``: what a requirement means, how a failure is mended, and an example."""

from __future__ import annotations

import subprocess
import sys

import pytest

from runagent_testing._standalone.cli import GOOD, INVALID, main
from runagent_testing.conformance import all_requirements, check_transport
from runagent_testing.conformance._broken import BROKEN
from runagent_testing.conformance._explain import explanation
from tests.docs.pages import DOCS


def body(lines):
    """Return what follows the heading, the sentence and the source."""
    return "\n".join(lines).split("\n\n", 2)[2]


@pytest.mark.parametrize("requirement", all_requirements(), ids=lambda requirement: requirement.id)
def test_every_requirement_is_explained_with_an_example(requirement):
    lines = explanation(requirement.id)
    assert f"{requirement.id} (set 1)" == lines[0]
    meaning, mending = body(lines).split("\n\n", 2)[:2]
    assert meaning.endswith(".")
    assert mending.startswith("To mend it: ")
    examples = ("A mistake that it finds, '", "Example:\n")
    assert any(example in "\n".join(lines) for example in examples)
    assert all(len(line) <= 130 for line in lines)


def test_the_command_prints_the_explanation(capsys):
    assert GOOD == main(["explain", "session.any-split"])
    printed = capsys.readouterr().out
    assert "TCP keeps no boundaries" in printed
    assert "A mistake that it finds, 'loses-what-is-cut' of runagent_testing.conformance.BROKEN:" in printed
    assert '        """Takes every read for whole events, and drops the incomplete rest."""' in printed


def test_a_variant_is_explained_as_its_requirement():
    assert explanation("run.order") == explanation("run.order[trio-socket]")


def test_it_names_the_capability_and_the_libraries():
    assert "if 'reuse' is declared" in explanation("run.reuse")[3]
    assert "unless 'resume' is declared" in "\n".join(explanation("run.not-begun-again"))
    assert "for transports that are libraries" in "\n".join(explanation("run.tls"))


def test_without_an_id_all_are_listed(capsys):
    assert GOOD == main(["explain"])
    printed = capsys.readouterr().out.splitlines()
    assert [f"{r.id}: {r.sentence}" for r in all_requirements()] == printed


def test_a_misspelt_id_gets_the_nearest(capsys):
    assert INVALID == main(["explain", "session.any-splits"])
    assert (
        "unknown requirement 'session.any-splits'; did you mean 'session.any-split'?"
        in capsys.readouterr().err
    )


def test_a_failure_names_the_command():
    broken = next(broken for broken in BROKEN if broken.name == "key-in-the-address")
    report = check_transport(broken, only=["session.key"])
    assert "explained: runagent-fake explain session.key" in str(report)


def test_the_page_shows_what_the_command_prints():
    shown = DOCS["kit"].block("$ runagent-fake explain run.truncated").splitlines()[1:-1]
    assert shown == explanation("run.truncated")[: len(shown)]


def test_without_docstrings_it_still_answers():
    code = "from runagent_testing._standalone.cli import main; main(['explain', 'session.done'])"
    done = subprocess.run(
        [sys.executable, "-OO", "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "Python runs without docstrings (-OO)" in done.stdout
