"""`TransportConformance`: the tests that it makes, and how they end."""

from __future__ import annotations

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
    result.stdout.fnmatch_lines(["*the baseline lists an unknown requirement, session.kye"])


def test_the_fixture_has_to_be_overridden(pytester):
    pytester.makepyfile(
        """
        from runagent_testing.conformance import TransportConformance

        class TestMine(TransportConformance):
            requirements = 1
        """
    )
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "session.key")
    result.stdout.fnmatch_lines(["*NotImplementedError: override the fixture `transport`*"])


def test_the_set_has_to_be_named(pytester):
    pytester.makepyfile(
        """
        import pytest
        from runagent_testing.conformance import TransportConformance

        class TestMine(TransportConformance):
            @pytest.fixture
            def transport(self):
                return "sse"
        """
    )
    result = pytester.runpytest_inprocess(*OPTIONS, "-k", "session.done")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["set the number of the requirements: requirements = 1"])
