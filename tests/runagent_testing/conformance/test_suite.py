"""`TransportConformance`: the tests that it makes, and how they end."""

from __future__ import annotations

import pytest

SUITE = """
    import pytest
    from runagent_testing.conformance import TransportConformance
    from runagent_testing.conformance._broken import BROKEN

    class TestMine(TransportConformance):
        requirements = 1
        styles = ("sync", "trio")
        players = ("memory",)
        baseline = {baseline!r}

        @pytest.fixture
        def transport(self):
            return next(broken for broken in BROKEN if broken.name == {name!r})
"""
OPTIONS = ("-p", "no:cacheprovider", "-rs", "--tb=short")


def run(pytester, name, *options, baseline=None):
    pytester.makepyfile(SUITE.format(name=name, baseline=baseline))
    return pytester.runpytest_inprocess(*OPTIONS, *options)


def test_every_requirement_and_variant_is_a_separate_test(pytester):
    result = run(pytester, "key-in-the-address", "--collect-only", "-q")
    result.stdout.fnmatch_lines(
        [
            "*::TestMine::test_requirement[[]session.any-split[]]",
            "*::TestMine::test_requirement[[]run.order-sync-memory[]]",
            "*::TestMine::test_requirement[[]run.order-trio-memory[]]",
            "*::TestMine::test_baseline",
        ],
        consecutive=False,
    )
    result.stdout.no_fnmatch_line("*socket*")


def test_a_failure_names_the_requirement(pytester):
    result = run(pytester, "key-in-the-address", "-k", "session.key or session.done or declared.reuse")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "session.key: The service receives the API key; it appears in no URL*",
            "the key is in the request line: *<the key>*",
        ]
    )
    result.stdout.fnmatch_lines(["SKIPPED*'reuse' is declared"])


def test_a_known_failure_is_expected_and_a_stale_one_fails(pytester):
    known = pytester.path / "known.txt"
    known.write_text("session.key: later\nsession.done: mended\n")
    result = run(
        pytester, "key-in-the-address", "-k", "session.key or session.done or baseline", baseline=str(known)
    )
    result.assert_outcomes(passed=1, failed=1, xfailed=1)
    result.stdout.fnmatch_lines(["it passes: remove it from the baseline (mended)"])
    known.write_text("session.kye: later\n")
    result = run(pytester, "key-in-the-address", "-k", "baseline", baseline=str(known))
    result.stdout.fnmatch_lines(
        ["*the baseline lists an unknown requirement, session.kye; did you mean 'session.key'?"]
    )


VALID = """
    import pytest
    from runagent_testing.conformance import TransportConformance

    class TestMine(TransportConformance):
        requirements = 1
        styles = ("sync",)
        players = ("memory",)

        @pytest.fixture
        def transport(self):
            return "sse"
"""


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("requirements = 0", "set the number of the requirements: requirements = 1"),
        ("requirements = 7", "the sets of requirements are 1 to 1, not 7"),
        ("styles = ['snc']", "unknown style 'snc'; did you mean 'sync'?"),
        ("styles = []", "styles= is empty, so that most would be left out; known are sync, asyncio, trio"),
        ("styles = 'sync'", "styles= takes several names, as in *, not the text 'sync'"),
        ("players = ['sockets']", "unknown player 'sockets'; did you mean 'socket'?"),
        ("players = ()", "players= is empty, so that most would be left out; known are memory, socket"),
        ("skip_capabilities = ['heartbeatz']", "unknown capability 'heartbeatz'; did you mean 'heartbeats'?"),
        ("baseline = 'nope.txt'", "the baseline cannot be read: *No such file or directory: 'nope.txt'"),
    ],
)
def test_an_invalid_attribute_is_one_error_of_the_collection(pytester, line, fault):
    pytester.makepyfile(f"{VALID}\n        {line}\n")
    result = pytester.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"TestMine: {fault}"])


def test_the_fixture_has_to_be_overridden(pytester):
    pytester.makepyfile(VALID.replace("def transport(", "def transprot("))
    result = pytester.runpytest_inprocess(*OPTIONS)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["TestMine: override the fixture `transport`"])


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("def transport(self): return 'nope'", "unknown transport 'nope'; there are: *"),
        ("def transport(self): return object()", "<object object> is not a transport for this runagent: *"),
        ("def dialects(self): return [int]", "<class 'int'> is not a Dialect: *"),
        ("def dialects(self): return ['sse']", "'sse' is not a Dialect: *"),
        (
            "def samples(self): return {'x': 'text'}",
            "the sample 'x' is a script, as in ('text',), not a text",
        ),
    ],
)
def test_what_makes_every_check_impossible_fails_once(pytester, line, fault):
    pytester.makepyfile(f"{VALID}\n        @pytest.fixture\n        {line}\n")
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "requirement")
    counts = result.parseoutcomes()
    assert (1, 0) == (counts["failed"], counts.get("passed", 0))
    assert counts["skipped"] > 50
    result.stdout.fnmatch_lines(
        [fault, "SKIPPED*not checked, for the reason for which session.own-names[[][]] fails*"]
    )


def test_a_missing_dialect_fails_once(pytester):
    pytester.makepyfile(
        VALID.replace(
            "import pytest",
            "import pytest\n    from tests.runagent_testing.conformance.test_foreign import *",
        ).replace('return "sse"', "return LineTransport()")
    )
    result = pytester.runpytest_inprocess(
        *OPTIONS, "-k", "TestMine and (session.done or session.events or run.order)"
    )
    result.assert_outcomes(failed=1, skipped=2)
    result.stdout.fnmatch_lines(
        ["the fake agent does not understand the request of the transport 'lines': *"]
    )


def test_what_is_not_checked_after_three_hung_fails_once(pytester, monkeypatch):
    monkeypatch.setattr("runagent_testing.conformance._watchdog.PROCESSOR_SECONDS", 0.1)
    pytester.makepyfile(
        VALID.replace("import pytest", "import pytest\n    from runagent.transports._sse import SSESession")
        .replace("class TestMine", LOOPING + "\n    class TestMine")
        .replace('return "sse"', 'return Broken("endless", "session.done", Endless)')
    )
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "TestMine and run")
    counts = result.parseoutcomes()
    assert 4 == counts["failed"]
    assert "passed" not in counts
    result.stdout.fnmatch_lines(["not checked, as 3 other checks did not end"])


LOOPING = """
    from runagent_testing.conformance._broken import Broken

    class Endless(SSESession):
        def read_body(self, data):
            while data:
                pass
"""
