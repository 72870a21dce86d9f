"""What failed tests show of their fake agents, and what is kept of them."""

from __future__ import annotations

import json

from tests.runagent_testing.project import run

FAILING = """
def test_fails(fake_agent, memory_network):
    fake_agent.always("Once", " upon")
    asked(fake_agent, api_key="sk-l1ve-90a7812")
    memory_network.agent("writer").always("Twice")
    asked(memory_network, "writer", network=memory_network.blocking)
    assert False

@pytest.mark.parametrize("name", ["a/b"])
def test_strict(fake_agent, name):
    fake_agent.reply("Once").reply("never")
    asked(fake_agent)

def test_passes(fake_agent):
    fake_agent.always("Once")
    asked(fake_agent)

@pytest.mark.xfail
def test_xfails(fake_agent):
    fake_agent.always("Once")
    asked(fake_agent)
    assert False
"""


def files_in(folder):
    return {path.name for path in folder.iterdir()}


def test_requests_of_failed_tests_are_saved_and_a_verbose_report_has_transcripts(project):
    result = run(project, FAILING, "-v", "--fake-agent-save=kept/here")
    result.assert_outcomes(failed=1, passed=2, errors=1, xfailed=1)
    folder = project.path / "kept" / "here"
    (file,) = project.path.glob("test_*.py")
    names = [f"{file.name}-{name}" for name in ("test_fails", "test_fails-2", "test_strict-a-b")]
    assert {f"{name}{suffix}" for name in names for suffix in (".txt", ".json", ".har")} == files_in(folder)
    assert "chunk 'Once'" in (folder / f"{names[0]}.txt").read_text()
    assert "chunk 'Twice'" in (folder / f"{names[1]}.txt").read_text()
    har = json.loads((folder / f"{names[2]}.har").read_text())
    assert 1 == len(har["log"]["entries"])
    assert all("sk-l1ve" not in path.read_text() for path in folder.iterdir())
    shown = result.stdout.str()
    assert 1 == shown.count(f"kept/here/{names[0]}.har")
    assert 2 == shown.count("fake agents: saved") == shown.count("fake agents: transcripts")
    assert "  authorization: <redacted>" in shown


def test_a_plain_report_has_timelines_and_names_a_folder_that_cannot_be_made(project):
    project.makefile(".txt", taken="x")
    result = run(project, FAILING, "--fake-agent-save=taken.txt")
    result.assert_outcomes(failed=1, passed=2, errors=1, xfailed=1)
    shown = result.stdout.str()
    assert 2 == shown.count("not saved: ") == shown.count("fake agents: what was scripted and what was sent")
    assert "fake agents: transcripts" not in shown
    assert [] == list(project.path.rglob("*.har"))
