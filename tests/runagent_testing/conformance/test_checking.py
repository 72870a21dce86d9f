"""`check_transport` and its report: sets, baselines, choices, and its text."""

from __future__ import annotations

import dataclasses
import functools
import gc
import re
import time
from pathlib import Path
from typing import Any

import pytest

from runagent._errors import ConfigurationError, ProtocolError
from runagent._version import install_command
from runagent.transports._base import Wants
from runagent.transports._sse import SSESession
from runagent_testing._standalone.cli import FAILED, GOOD, INVALID, main
from runagent_testing.conformance import (
    Baseline,
    BaselineError,
    all_requirements,
    check_transport,
)
from runagent_testing.conformance._broken import BROKEN, Broken
from runagent_testing.conformance._harness.requirements import required
from tests.runagent_testing.conformance.test_foreign import LineDialect, LineSession, LineTransport

SET_1 = Path(__file__).with_name("requirements-1.txt").read_text(encoding="utf-8").split()
DEAF: Any = next(broken for broken in BROKEN if broken.name == "key-in-the-address")
QUICK: dict[str, Any] = {"styles": ("sync",), "players": ("memory",)}


def words(report):
    return {result.id: result.status for result in report.results}


def test_the_first_set_is_frozen():
    assert SET_1 == sorted(r.id for r in all_requirements() if r.since == 1)
    assert {1} == {r.since for r in all_requirements()}


def test_an_id_is_not_given_twice():
    with pytest.raises(ValueError, match=r"two requirements 'session\.key'"):
        required("session.key", "Another one.", "nowhere")(print)


def test_ids_are_unique_and_sentences_are_sentences():
    found = all_requirements()
    assert len(found) == len({r.id for r in found})
    for requirement in found:
        assert re.fullmatch(r"(session|run|declared)\.[a-z-]+", requirement.id)
        assert re.fullmatch(r"[A-Z].*\.|receive_data .*\.", requirement.sentence)
        assert requirement.source


def test_a_report_shows_the_requirement_and_what_came():
    report = check_transport(DEAF, only=["session.key", "session.done"])
    assert not report.ok
    assert ["session.key"] == [result.id for result in report.failed]
    text = str(report)
    assert "transport 'key-in-the-address' does not pass the requirements 1" in text
    assert "1 passed, 1 failed" in text
    assert "required: The service receives the API key; it appears in no URL" in text
    assert "the key is in the request line: POST /v1/agents/kit/stream?token=<the key> HTTP/1.1" in text
    with pytest.raises(AssertionError, match=r"failed: session\.key"):
        report.check()


def test_what_the_collector_calls_meanwhile_is_not_the_sessions():
    def tell_the_time(phase, info):
        time.perf_counter()

    before = gc.get_threshold()
    gc.callbacks.append(tell_the_time)
    gc.set_threshold(1)
    try:
        check_transport("sse", only=["session.pure"], **QUICK).check()
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(tell_the_time)


def test_a_report_that_is_good():
    report = check_transport("sse", only=["session.done", "run.order"], **QUICK)
    report.check()
    assert {"session.done": "passed", "run.order[sync-memory]": "passed"} == words(report)
    declared = "heartbeats, invoke, reasoning, resume, reuse, structured, tools"
    assert f"passes the requirements 1 (declared: {declared})" in str(report)


def test_a_known_failure_does_not_fail_and_a_stale_one_does(tmp_path):
    path = tmp_path / "known.txt"
    path.write_text(
        "# what we know\n\nsession.key: the protocol wants it so\nsession.done: mended meanwhile\n"
    )
    report = check_transport(DEAF, only=["session.key", "session.done"], baseline=path)
    assert {"session.done": "stale", "session.key": "known"} == words(report)
    assert "stale: session.done" in str(report)
    assert "it passes: remove it from the baseline (mended meanwhile)" in str(report)
    path.write_text("session.key: the protocol wants it so\n")
    assert check_transport(DEAF, only=["session.key", "session.done"], baseline=path).ok


def test_a_baseline_may_name_one_variant():
    broken = next(broken for broken in BROKEN if broken.caught_by == "run.order")
    baseline = Baseline.parse("run.order[sync-memory]: later")
    report = check_transport(
        broken, only=["run.order"], styles=("sync", "trio"), players=("memory",), baseline=baseline
    )
    assert {"run.order[sync-memory]": "known", "run.order[trio-memory]": "failed"} == words(report)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("session.key", "baseline:1: expected 'id[variant]: reason', found 'session.key'"),
        ("session.kye: x", "the baseline lists an unknown requirement, session.kye"),
        ("run.order[sync-disk]: x", r"the baseline lists an unknown requirement, run.order\[sync-disk\]"),
    ],
)
def test_a_baseline_that_makes_no_sense(line, fault):
    with pytest.raises(BaselineError, match=fault.replace("'id[", r"'id\[").replace("t]:", r"t\]:")):
        check_transport("sse", only=["session.key"], baseline=Baseline.parse(line))


def test_newer_requirements_advise_and_never_fail(monkeypatch):
    newer = [dataclasses.replace(r, since=2) if r.id == "session.key" else r for r in all_requirements()]
    monkeypatch.setattr("runagent_testing.conformance._check.all_requirements", lambda: newer)
    report = check_transport(DEAF, only=["session.key"], requirements=1)
    assert report.ok
    assert {"session.key": "advice"} == words(report)
    assert "advice: session.key" in str(report)
    monkeypatch.setattr("runagent_testing.conformance._arguments.LATEST", 2)
    assert not check_transport(DEAF, only=["session.key"], requirements=2).ok


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ({"requirements": 0}, "the sets of requirements are 1 to 1, not 0"),
        ({"styles": ["curio"]}, r"unknown style 'curio'; did you mean 'trio'\?"),
        ({"styles": "sync"}, r"styles= takes several names, as in \['sync'\], not the text 'sync'"),
        ({"styles": []}, "styles= is empty"),
        ({"players": ["disk"]}, "unknown player 'disk'; known are memory, socket"),
        ({"players": ()}, "players= is empty"),
        ({"skip_capabilities": ["speed"]}, "unknown capability 'speed'; known are invoke"),
        ({"only": ["session.kye"]}, r"unknown requirement 'session.kye'; did you mean 'session.key'\?"),
        ({"only": ["x"]}, "unknown requirement 'x'; runagent-fake explain lists all of them"),
    ],
)
def test_unknown_names(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        check_transport("sse", **arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "fault"),
    [
        ({"transport": "nope"}, ConfigurationError, "unknown transport 'nope'"),
        ({"transport": LineTransport}, ConfigurationError, "it is a class; make an object of it"),
        ({"dialects": LineDialect()}, TypeError, r"dialects= are several, as in \[<.*\], not one"),
        ({"dialects": [LineDialect]}, TypeError, "LineDialect'> is not a Dialect: pass an object"),
        ({"dialects": ["lines"]}, TypeError, "'lines' is not a Dialect"),
        (
            {"dialects": []},
            ValueError,
            "does not understand the request of the transport 'lines': pass the dialect",
        ),
        ({"options": {"hedaers": {}}}, TypeError, r"no argument 'hedaers'; did you mean headers="),
    ],
)
def test_what_makes_every_check_impossible_is_raised_before_the_first(arguments, kind, fault):
    given = {"transport": LineTransport(), "dialects": [LineDialect()]} | arguments
    with pytest.raises(kind, match=fault):
        check_transport(given.pop("transport"), **given)


def test_results_with_one_reason_are_shown_once():
    def opens_nothing(call, route, resume):
        return None

    report = check_transport(Broken("opens-nothing", "session.key", opens_nothing), **QUICK)
    text = str(report)
    alike = [result.id for result in report.failed if "open returned None" in result.reason]
    assert len(alike) > 20
    assert 1 == text.count("open returned None, which has no")
    assert f"failed for the same reason: {', '.join(alike[1:])}" in text


def test_a_forgotten_finish_is_named():
    class Reads(SSESession):
        def finish(self):
            pass

    report = check_transport(Broken("reads-on", "session.done", Reads), only=["session.done"])
    assert re.search(r"then Completed, and after that \w+: .*: call finish\(\) where Completed", str(report))


def test_a_request_that_the_fake_agent_does_not_understand_is_reported():
    def elsewhere(call, route, resume):
        return SSESession(call.replace(options={"stream_path": "/elsewhere"}), route, resume)

    transport = Broken("sse", "session.request-waits", elsewhere)
    report = check_transport(transport, only=["session.request-waits", "session.any-split"])
    assert {"session.request-waits": "failed", "session.any-split": "failed"} == words(report)
    assert "the fake agent does not recognise this as a request: b'POST /elsewhere" in str(report)
    assert "pass the dialect that the transport speaks (dialects=[...])" in str(report)


class Uninitialized(SSESession):
    def __init__(self, *_):
        self.wants = Wants.READ


class Over(SSESession):
    """Represents a session that is kept, and returned again."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.fail(ProtocolError("earlier"))


@pytest.mark.parametrize(
    ("opens", "fault"),
    [
        (
            lambda *_: None,
            "open returned None, which has no accepted, answered, asks_again, close, data_to_send,",
        ),
        (
            Uninitialized,
            ": return a new session, and call super().__init__ if its class overrides __init__",
        ),
        (Over, "open returned a session that is over: each attempt needs a new one"),
    ],
)
def test_a_transport_that_opens_no_new_session_is_reported(opens, fault):
    transport = Broken("forgetful", "session.request-waits", opens)
    report = check_transport(transport, only=["session.request-waits", "session.done"])
    assert {"session.request-waits": "failed", "session.done": "failed"} == words(report)
    assert all(fault in result.reason for result in report.failed)


def test_a_session_that_is_returned_twice_is_reported():
    kept: list[SSESession] = []

    def keeps(*arguments):
        kept.append(SSESession(*arguments))
        return kept[0]

    report = check_transport(Broken("keeps", "session.request-waits", keeps), only=["session.request-waits"])
    assert "open returned the same session twice; make a new one each time" in str(report)


def test_a_dialect_that_fails_is_not_taken_for_the_transport():
    class Speechless(LineDialect):
        def stream(self, run):
            form = super().stream(run)
            form.chunk = lambda *_: "text"
            return form

    report = check_transport(LineTransport(), dialects=[Speechless()], only=["session.done"])
    assert "the dialect was unable to write the answer: TypeError: " in str(report)


def test_an_error_without_a_message_is_fed_to_sessions():
    class Trusting(LineSession):
        def fail(self, error):
            if str(error) == "None":
                raise TypeError("no text")
            super().fail(error)

    transport = Broken("lines", "session.never-raises", Trusting)
    report = check_transport(transport, dialects=[LineDialect()], only=["session.never-raises"])
    assert "an error without code and message: the session raised TypeError('no text')" in str(report)


def test_the_kit_needs_no_pytest_for_the_function():
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from runagent_testing.conformance import check_transport\n"
        "check_transport('sse', only=['session.done', 'run.order'], styles=['sync']).check()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_names_are_those_that_exist():
    from runagent_testing import conformance

    assert set(conformance.__all__) <= set(dir(conformance))
    assert all(getattr(conformance, name) is not None for name in conformance.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'check_transprot'"):
        conformance.check_transprot  # type: ignore[attr-defined]  # noqa: B018  # the look-up is the test


def test_the_command_that_checks_an_installed_transport(capsys, monkeypatch):
    quick = functools.partial(check_transport, only=["session.done", "session.key"])
    monkeypatch.setattr("runagent_testing.conformance.check_transport", quick)
    assert GOOD == main(["check-transport", "sse", "--requirements", "1"])
    assert "transport 'sse' passes the requirements 1" in capsys.readouterr().out


def test_the_command_lists_what_fails(capsys, monkeypatch):
    wrong = functools.partial(lambda _, **given: check_transport(DEAF, only=["session.key"], **given))
    monkeypatch.setattr("runagent_testing.conformance.check_transport", wrong)
    assert FAILED == main(["check-transport", "anything"])
    assert "failed: session.key" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["ssee"], "unknown transport 'ssee'; did you mean 'sse'?"),
        (["sse", "--requirements", "9"], "the sets of requirements are 1 to 1, not 9"),
        (["sse", "--skip-capabilities", "speed"], "unknown capability 'speed'"),
        (["sse", "--baseline", "no/such/file"], "No such file"),
    ],
)
def test_the_command_with_unknown_names(capsys, arguments, fault):
    assert INVALID == main(["check-transport", *arguments])
    assert fault in capsys.readouterr().err


def test_a_missing_trio_is_reported(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    report = check_transport("sse", only=["run.order"], styles=["trio"], players=["memory"])
    assert [f"trio is not installed: {install_command('trio')}"] == [o.reason for o in report.results]


def test_transport_options_are_an_object(capsys):
    assert INVALID == main(["check-transport", "sse", "--transport-options", "[]"])
    # The value is not repeated: it may hold a key.
    assert "argument --transport-options: this is not a JSON object" in capsys.readouterr().err
