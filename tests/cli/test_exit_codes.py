"""With which code the command ends, and what it complains of."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest

from runagent._cli import main
from runagent_testing import ending, error, status
from tests.cli.command import PATIENCE, error_of, piped

pytestmark = pytest.mark.usefixtures("settings")


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ([status(401)], 1, "Unauthorized"),
        ([status(503, message="too\nbusy\x1b[2J")], 1, "too\\nbusy\\x1b[2J"),
        ([error("CAPACITY", "full")], 1, "full"),
        (["x", error("CAPACITY", "full")], 1, "full"),
        (["x", ending("cut")], 1, "the connection ended in the middle of the answer"),
        (["x", ending("stall")], 3, "nothing more from the agent within 0.2 s"),
        ([ending("stall")], 3, "0.2 s"),
        ([status(200, body="<html>")], 3, "expected text/event-stream"),
    ],
)
def test_a_failed_stream_keeps_what_came_and_ends_with_its_code(capfd, server, script, code, message) -> None:
    server.agent("a").always(*script)
    assert code == main(["stream", "a", "hi", "--timeout", "0.2"])
    out, err = capfd.readouterr()
    assert ("x" if "x" in script else "") == out
    assert re.fullmatch(r"runagent: error: [^\n]+\n", err)
    assert message in err


@pytest.mark.parametrize(
    ("script", "code"),
    [([status(422)], 1), ([error("X", "no")], 1), ([ending("stall")], 3), ([status(200, body="<html>")], 3)],
)
def test_a_failed_invoke_ends_with_its_code(capfd, server, script, code) -> None:
    server.agent("a").returns(*script)
    assert code == error_of(capfd, "invoke", "a", "hi", "--timeout", "0.2")[0]


def test_an_unknown_agent_is_an_agent_error_with_the_request_id(capfd, server) -> None:
    code, message = error_of(capfd, "stream", "nobody", "hi")
    assert 1 == code
    assert re.search(r"no agent 'nobody' .*\(request [0-9a-f-]{36}\)", message)


def test_an_unreachable_service_is_a_network_error(capfd) -> None:
    code, message = error_of(capfd, "stream", "a", "hi", "--base-url", "http://127.0.0.1:1")
    assert 3 == code
    assert "127.0.0.1:1" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: COMMAND"),
        (["sream"], "invalid choice: 'sream'; did you mean stream?"),
        (["stream"], "required: AGENT_ID"),
        (["stream", "a"], "give a query, - to read it from standard input, or --input"),
        (["stream", "a", "hi", "--input", "{}"], "either a query or --input"),
        (["stream", "a", "tell", "me"], "put the query in quotes"),
        (
            ["stream", "a", "hi", "--jsno"],
            "arguments: --jsno; did you mean --json? (see runagent",
        ),
        (["stream", "a", "--jsno"], "unrecognized arguments: --jsno; did you mean --json? (see"),
        (["stream", "a", "hi", "--quiet"], "unrecognized arguments: --quiet (see runagent stream --help)"),
        (["stream", "a", "hi", "--json", "--events"], "not allowed with"),
        (["stream", "a", "hi", "--timeout", "soon"], "--timeout: expected seconds above 0, found 'soon'"),
        (["stream", "a", "hi", "--timeout", "none"], "--timeout: expected seconds above 0, found 'none'"),
        (["stream", "a", "hi", "--idle-timeout", "inf"], "--idle-timeout: expected seconds above 0"),
        (["invoke", "a", "hi", "--max-retries", "-1"], "--max-retries: expected a whole number, 0 or more"),
        (["invoke", "a", "hi", "--max-retries", "x"], "--max-retries: expected a whole number, 0 or more"),
        (["invoke", "a", "hi", "--session-id", "\udcff"], "--session-id: the text holds a lone surrogate"),
        (["invoke", "a", "hi", "--session-id", ""], "--session-id: expected a text that is not empty"),
        (
            ["invoke", "a", "--input", '{"session_id": "s-1"}', "--session-id", "s-2"],
            "--session-id: the input has another one",
        ),
        (["stream", "a", "hi", "--timeout", "-1"], "above 0"),
        (["stream", "a", "hi", "--transport", "webscoket"], "did you mean 'websocket'?"),
        (["stream", "a", "hi", "--header", "sk-secret"], "expected NAME:VALUE"),
        (["stream", "a", "hi", "--header", "X: a\r\nb"], "line break"),
        (["stream", "a", "hi", "--host", "h"], "--host and --port go with --local"),
        (["stream", "a", "hi", "--local", "--base-url", "http://h"], "--base-url goes without it"),
        (["stream", "a", "hi", "--base-url", "ftp://h"], "ftp"),
        (["stream", "", "hi"], "AGENT_ID: "),
        (["stream", "a", "lone \udcff"], "lone surrogate"),
        (["stream", "a", "--input", "{"], "--input: not valid JSON"),
        (["stream", "a", "--input", "[]"], "--input: expected a JSON object"),
        (["stream", "a", "--input", '{"x": NaN}'], "--input['x']: nan is not a JSON number"),
        (["transports", "sse"], "unrecognized arguments: sse"),
    ],
)
def test_wrong_usage_is_reported_in_one_line(capfd, server, arguments, message) -> None:
    code, shown = error_of(capfd, *arguments)
    assert 2 == code
    assert message in shown
    assert "sk-secret" not in shown
    assert [] == server.requests


@pytest.mark.parametrize("arguments", [["--api-key", "sk-secret"], ["--api-key=sk-secret"], ["--api-key"]])
def test_a_key_is_refused_without_showing_it(capfd, server, arguments) -> None:
    code, shown = error_of(capfd, "stream", "a", "hi", *arguments)
    assert 2 == code
    assert "RUNAGENT_API_KEY" in shown
    assert "sk-secret" not in shown


def test_bad_settings_are_wrong_usage(capfd, monkeypatch) -> None:
    monkeypatch.setenv("RUNAGENT_TIMEOUT", "soon")
    assert (2, True) == ((found := error_of(capfd, "stream", "a", "hi"))[0], "RUNAGENT_TIMEOUT" in found[1])


def test_a_broken_plugin_is_wrong_usage(tmp_path) -> None:
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[runagent.transports]\nmorse = no_such_module\n")
    command = [sys.executable, "-m", "runagent", "stream", "a", "hi", "--transport", "morse"]
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30)
    assert (2, True) == (result.returncode, "broken 1.0 cannot be loaded" in result.stderr)


def test_standard_input_that_is_no_text_is_wrong_usage(capfd, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"ab\xff")))
    assert (2, "standard input is not UTF-8 text: wrong byte at 2") == error_of(capfd, "stream", "a", "-")


def test_only_very_verbose_shows_a_traceback(capfd, server) -> None:
    server.agent("a").always(error("X", "no\x1b"))
    assert 1 == main(["stream", "a", "hi", "-v"])
    assert "Traceback" not in capfd.readouterr().err
    assert 1 == main(["stream", "a", "hi", "-vv"])
    err = capfd.readouterr().err
    assert "Traceback" in err
    assert "\x1b" not in err


def test_the_module_runs_too() -> None:
    with piped("nonsense") as (process, _, err):
        assert err.read().startswith(b"runagent: error: ")
        assert 2 == process.wait(PATIENCE)
