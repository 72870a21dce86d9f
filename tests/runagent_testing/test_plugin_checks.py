"""What the plugin checks when a test is over, and what it shows of a failing one."""

from __future__ import annotations

import pytest

from tests.runagent_testing.project import run

UNUSED = """
def test_unused(fake_agent):
    fake_agent.reply("Once", " upon")
"""
UNMATCHED = """
def test_unmatched(fake_agent):
    with pytest.raises(Exception, match="fake-agnt"):
        asked(fake_agent, "fake-agnt")
"""


def test_what_was_left_over_fails_at_the_teardown(project):
    result = run(project, UNUSED)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_unused*",
            "unmet fake-agent expectations:",
            "  - agent 'fake-agent': never used: reply with chunk 'Once', chunk ' upon'",
        ]
    )


def test_what_was_unmatched_fails_at_the_teardown_and_is_shown(project):
    result = run(project, UNMATCHED)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        [
            "  - unmatched request 1: POST /v1/agents/fake-agnt/stream (sse): agent 'fake-agnt': did you*",
            "*fake agents: what was scripted and what was sent*",
            "request 1: POST /v1/agents/fake-agnt/stream (sse), connection 1 (new)",
        ]
    )


@pytest.mark.parametrize(
    ("mark", "errors"),
    [
        ("allow_unused=True", 1),
        ("allow_unmatched=True", 1),
        ("allow_unused=True, allow_unmatched=True", 0),
        ("allow_unused=False, allow_unmatched=True", 1),
    ],
)
def test_the_marker_allows_it(project, mark, errors):
    source = """
def test_both(fake_agent):
    fake_agent.reply("x")
    with pytest.raises(Exception):
        asked(fake_agent, "b")
"""
    result = run(project, f"pytestmark = pytest.mark.fake_agent({mark})\n{source}")
    result.assert_outcomes(passed=1, errors=errors)


def test_the_marker_next_to_the_test_counts(project):
    marks = "pytestmark = pytest.mark.fake_agent(allow_unused=True)\n"
    result = run(project, marks + UNUSED.replace("def ", "@pytest.mark.fake_agent(allow_unused=False)\ndef "))
    result.assert_outcomes(passed=1, errors=1)


@pytest.mark.parametrize(
    ("mark", "message"),
    [
        ("True", "takes keywords: allow_unused, allow_unmatched, fault*"),
        ("allow_unusd=True", "has no keyword 'allow_unusd'; did you mean 'allow_unused'?"),
    ],
)
def test_an_invalid_marker_is_an_error_with_a_suggestion(project, mark, message):
    result = run(project, f"pytestmark = pytest.mark.fake_agent({mark})\n{UNUSED}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"@pytest.mark.fake_agent {message}"])


OVERRIDE = """
@pytest.fixture
def fake_agent_strict():
    return False
"""


@pytest.mark.parametrize(
    ("arguments", "source"),
    [(["--fake-agent-lenient"], ""), (["-o", "fake_agent_strict=false"], ""), ([], OVERRIDE)],
)
def test_strictness_can_be_off_for_all(project, arguments, source):
    run(project, source + UNUSED + UNMATCHED, *arguments).assert_outcomes(passed=2)


def test_a_failing_test_shows_its_timelines_and_is_not_checked(project):
    result = run(
        project,
        """
def test_failing(fake_agent, fake_agent_server_factory, memory_network):
    fake_agent.always("Once", " upon").reply("left")
    fake_agent.reply("over")
    assert "left" == asked(fake_agent, api_key="s3cret")
    other = fake_agent_server_factory()
    other.agent("other").always("x")
    asked(other, "other")
    memory_network.agent("third").always("y")
    asked(memory_network, "third", network=memory_network.blocking)
    assert False
""",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*fake agents: what was scripted and what was sent*",
            "request 1: POST /v1/agents/fake-agent/stream (sse), connection 1 (new)",
            "  input: {'query': 'tell me'}",
            "  scripted * | seconds  sent",
            "     1  chunk 'left' * | * write of * bytes",
            "  done after * s; *",
            "request 1: POST /v1/agents/other/stream (sse)*",
            "request 1: POST /v1/agents/third/stream (sse)*",
        ]
    )
    result.stdout.no_fnmatch_line("*'<Section*")
    assert "s3cret" not in "".join(line for line in result.outlines if "asked(" not in line)


def test_a_client_without_the_memory_network_gets_a_hint(project):
    source = """
def test_it(memory_network):
    memory_network.agent("fake-agent").always("x")
    asked(memory_network)
"""
    result = run(project, source)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["nobody has connected to the memory network: the client needs network=*"])


def test_skipped_and_expected_failures_are_not_checked(project):
    result = run(
        project,
        """
def test_skipped(fake_agent):
    fake_agent.reply("x")
    pytest.skip("not today")

@pytest.mark.xfail(strict=True)
def test_xfail(fake_agent):
    fake_agent.reply("x")
    assert False
""",
    )
    result.assert_outcomes(skipped=1, xfailed=1)
