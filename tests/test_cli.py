"""The command line: what it prints where, and with which code it ends."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from runagent.cli import main
from runagent.cli.console import make_harmless, one_line
from runagent_testing import FakeAgentServer, delay, ending, error, gate, status

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0


@pytest.fixture(autouse=True)
def settings(monkeypatch, server: FakeAgentServer) -> None:
    """Failures are reported at once, and the server needs no option."""
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)
    monkeypatch.setenv("RUNAGENT_MAX_RETRIES", "0")
    monkeypatch.setenv("TERM", "xterm")


def out_of(capfd, *arguments: str) -> str:
    """Run a command that has to go well, and return what it printed."""
    code = main(arguments)
    out, err = capfd.readouterr()
    assert (0, "") == (code, err)
    return str(out)


def error_of(capfd, *arguments: str) -> tuple[int, str]:
    """Run a command that has to fail, and return its code and its one line of complaint."""
    code = main(arguments)
    err = capfd.readouterr().err
    assert re.fullmatch(r"runagent: error: [^\n]+\n", err)
    return code, err.removeprefix("runagent: error: ").rstrip("\n")


def start(*arguments: str, **streams: Any) -> subprocess.Popen[bytes]:
    """Start the command as a shell would: with a Ctrl-C that works, whatever started the tests."""
    command = [sys.executable, "-m", "runagent", *arguments]
    # As most people run it: unbuffered output leaves nothing for the interpreter's last flush to fail at.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, cwd=ROOT, env=buffered, **streams)
    finally:
        signal.signal(signal.SIGINT, handler)


@contextlib.contextmanager
def piped(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], Any, Any]]:
    """Give a process with its standard output and error as unbuffered pipes."""
    process = start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    with process:
        try:
            yield process, process.stdout, process.stderr
        finally:
            process.kill()


def wait_for_request(server: FakeAgentServer) -> None:
    deadline = time.monotonic() + PATIENCE
    while not server.requests:
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Terminal:
    """A command on a pseudo-terminal."""

    def __init__(self, *arguments: str, **streams: Any) -> None:
        self.master, slave = pty.openpty()
        streams = {"stdin": slave, "stdout": slave, "stderr": slave} | streams
        self.process = start(*arguments, **streams)
        os.close(slave)
        self.shown = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def read_until(self, text: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < deadline, self.shown
            assert self._read(), self.shown

    def read_all(self) -> str:
        while self._read():
            pass
        return self.shown

    def _read(self) -> bool:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # EIO: the last program on it has ended
            return False
        self.shown += data.decode()
        return bool(data)


# stream


def test_text_is_printed_as_it_was_sent(capfd, server, transport) -> None:
    text = ["Once", "", " \x1b[31m\u202e\r\n\x85\u2028", "\N{GRINNING FACE}\r"]
    server.agent("a").always(*text)
    assert "".join(text) == out_of(capfd, "stream", "a", "hi", "--transport", transport)
    assert {"query": "hi"} == server.requests[0].input
    assert transport == server.requests[0].transport


def test_chunks_are_printed_when_they_come(server) -> None:
    go_on = gate("go on")
    server.agent("a").always("Once", go_on, " upon")
    with piped("stream", "a", "hi") as (process, out, _):
        assert b"Once" == out.read(100)
        go_on.open()
        assert (b" upon", 0) == (out.read(100), process.wait(PATIENCE))


@pytest.mark.parametrize(
    ("chunks", "printed"),
    [
        (["a", {"n": 1}, "b"], 'a{"n":1}b'),
        ([{"n": [1, None]}, 2, True], '{"n":[1,null]}\n2\ntrue\n'),
        (["a", {}, "", {}, "b", {}], "a{}\n{}b{}\n"),
        (["é", {"é": "\u2028"}], 'é{"é":"\u2028"}\n'),
        ([], ""),
    ],
)
def test_values_are_json_in_lines_unless_between_text(capfd, server, chunks, printed) -> None:
    server.agent("a").always(*chunks)
    assert printed == out_of(capfd, "stream", "a", "hi")


def test_json_prints_each_chunk_in_a_line(capfd, server) -> None:
    chunks = ["a\nb", {"n": 1.5}, "", "é\x1b", None, {"half": "\ud83d"}]
    server.agent("a").always(*chunks)
    lines = out_of(capfd, "stream", "a", "--json", "hi").removesuffix("\n").split("\n")
    assert chunks == [json.loads(line) for line in lines]


def test_events_prints_each_event_with_its_type(capfd, server, transport) -> None:
    server.agent("a").always("x", {"n": 1})
    lines = out_of(capfd, "stream", "a", "hi", "--events", "--transport", transport).splitlines()
    events = [json.loads(line) for line in lines]
    assert ["started", "chunk", "chunk", "completed"] == [e["type"] for e in events]
    assert ["x", {"n": 1}] == [e["content"] for e in events if e["type"] == "chunk"]
    assert {"usage", "execution_time", "proven"} < events[-1].keys()


def test_nothing_is_said_beside_the_answer_in_a_pipe(server) -> None:
    server.agent("a").always("x")
    with piped("stream", "a", "hi") as (_, out, err):
        assert (b"x", b"") == (out.read(), err.read())


def test_verbose_tells_how_it_went(capfd, server) -> None:
    server.agent("a").always("x", "y", "z")
    assert 0 == main(["stream", "a", "hi", "-v"])
    pattern = r"\[first chunk after [\d.]+ s, 3 chunks in [\d.]+ s over sse(, \d+ chunks/s)?\]\n"
    assert re.fullmatch(pattern, capfd.readouterr().err)


def test_verbose_shows_what_is_tried_again_and_goes_over_the_environment(capfd, server, monkeypatch) -> None:
    server.agent("a").reply(status(503)).always("x")
    monkeypatch.setenv("RUNAGENT_MAX_RETRIES", "1")
    monkeypatch.setenv("RUNAGENT_RETRY_DELAY", "0")
    monkeypatch.setenv("RUNAGENT_LOG_LEVEL", "ERROR")
    assert 0 == main(["stream", "a", "hi", "-v"])
    out, err = capfd.readouterr()
    assert "x" == out
    assert re.search("^runagent.run: INFO: attempt 1 over sse failed.*AgentServerError", err)
    assert "1 retry" in err
    server.agent("a").reply(status(503))
    assert "x" == out_of(capfd, "stream", "a", "hi")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_gets_utf_8_whatever_the_locale_says(server, monkeypatch, encoding, unbuffered) -> None:
    server.agent("a").always("é\N{GRINNING FACE}")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with piped("stream", "a", "hi") as (process, out, _):
        assert ("é\N{GRINNING FACE}".encode(), 0) == (out.read(), process.wait(PATIENCE))


# Input and options


@pytest.mark.parametrize(
    "arguments",
    [
        ["hi", "--json"],
        ["--json", "hi"],
        ["--json", "--", "hi"],
        ["--input", '{"query": "hi"}', "--json"],
    ],
)
def test_the_query_stands_anywhere(capfd, server, arguments) -> None:
    server.agent("a").always("x")
    out_of(capfd, "stream", "a", *arguments)
    assert {"query": "hi"} == server.requests[0].input


def test_a_query_may_begin_with_a_dash_behind_two(capfd, server) -> None:
    server.agent("a").always("x")
    out_of(capfd, "stream", "a", "--transport", "sse", "--", "-1 degrees")
    assert {"query": "-1 degrees"} == server.requests[0].input


@pytest.mark.parametrize(
    ("arguments", "given", "expected"),
    [
        (["-"], "Hällo\nyou\n", {"query": "Hällo\nyou"}),
        (["--json", "-"], "two\r\n", {"query": "two"}),
        (["--input", "-"], '{"n": [1]}\n', {"n": [1]}),
    ],
)
def test_a_dash_reads_standard_input(capfd, server, monkeypatch, arguments, given, expected) -> None:
    server.agent("a").always("x")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given.encode()), encoding="ascii"))
    out_of(capfd, "stream", "a", *arguments)
    assert expected == server.requests[0].input


def test_headers_are_sent_and_repeated_ones_joined(capfd, server) -> None:
    server.agent("a").always("x")
    out_of(
        capfd, "stream", "a", "hi", "--header", "X-One: a:b", "--header", "x-two:1", "--header", "X-Two: 2"
    )
    headers = server.requests[0].headers
    assert ("a:b", "1, 2") == (headers["x-one"], headers["x-two"])


def test_the_key_of_the_environment_is_sent(capfd, server, monkeypatch) -> None:
    server.agent("a").always("x")
    monkeypatch.setenv("RUNAGENT_API_KEY", "sk-1")
    out_of(capfd, "stream", "a", "hi")
    assert "Bearer sk-1" == server.requests[0].raw_headers["authorization"]


def test_base_url_goes_over_the_environment(capfd, server, monkeypatch) -> None:
    server.agent("a").always("x")
    monkeypatch.setenv("RUNAGENT_API_URL", "http://127.0.0.1:1")
    assert "x" == out_of(capfd, "stream", "a", "hi", "--base-url", server.url)


def test_local_talks_to_a_port_of_this_machine_with_an_entry_point(capfd, server, monkeypatch) -> None:
    server.agent("a").always("x")
    monkeypatch.delenv("RUNAGENT_API_URL")
    port = server.url.rpartition(":")[2]
    out = out_of(capfd, "stream", "a", "hi", "--local", "--port", port, "--entrypoint-tag", "tell_stream")
    assert "x" == out
    assert "websocket" == server.requests[0].transport
    assert "tell_stream" == server.requests[0].body["entrypoint_tag"]


# invoke, transports, help


@pytest.mark.parametrize(
    ("result", "printed"), [("a\ntext", "a\ntext"), ({"answer": "é"}, '{"answer":"é"}\n'), (None, "null\n")]
)
def test_invoke_prints_the_result(capfd, server, transport, result, printed) -> None:
    server.agent("a").returns(result)
    assert printed == out_of(capfd, "invoke", "a", "hi", "--transport", transport)


def test_invoke_prints_the_metadata_if_asked(capfd, server) -> None:
    server.agent("a").returns("x", usage={"total_tokens": 7}, execution_time=1.5, agent_version="2.0")
    printed = json.loads(out_of(capfd, "invoke", "a", "--metadata", "hi"))
    expected = {"result": "x", "execution_time": 1.5, "agent_version": "2.0", "tokens_used": 7}
    assert expected == {name: printed[name] for name in expected}


def test_transports_lists_what_is_installed_with_its_source(capfd) -> None:
    version = out_of(capfd, "--version").removeprefix("runagent ").rstrip()
    rows = [line.split() for line in out_of(capfd, "transports").splitlines()]
    assert ["NAME", "SOURCE", "VERSION", "SEAM", "STATUS", "CAPABILITIES"] == rows[0]
    assert ["websocket", "runagent", version, "1", "built-in", "heartbeats", "invoke", "structured"] in rows
    listed = json.loads(out_of(capfd, "transports", "--json"))
    (row,) = (row for row in listed if row["name"] == "websocket")
    assert {
        "name": "websocket",
        "distribution": "runagent",
        "version": version,
        "seam": 1,
        "status": "built-in",
        "capabilities": ["heartbeats", "invoke", "structured"],
    } == row


def test_transports_does_not_import_plugins_and_tells_equal_names_apart(capfd, tmp_path, monkeypatch) -> None:
    for name in ("one", "two"):
        metadata = tmp_path / f"runagent_{name}-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: runagent-{name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("[runagent.transports]\nmorse = no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = [line.split() for line in out_of(capfd, "transports").splitlines()]
    assert [f"runagent-{n}:morse" for n in ("one", "two")] == [row[0] for row in rows if "morse" in row[0]]
    assert ["runagent-one:morse", "runagent-one", "1.0", "?", "clash", "?"] in rows


@pytest.mark.parametrize(
    "arguments", [["--help"], ["stream", "--help"], ["invoke", "--help"], ["demo", "--help"]]
)
def test_help_names_the_exit_codes(capfd, arguments) -> None:
    assert "exit codes: 0 success" in out_of(capfd, *arguments)


def test_help_says_where_the_key_belongs(capfd) -> None:
    printed = out_of(capfd, "stream", "--help")
    assert "RUNAGENT_API_KEY" in printed
    assert "--api-key" not in printed


def test_help_imports_little() -> None:
    code = "import sys; from runagent.cli import main; main(['--help']); print(*sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "runagent.cli" in loaded
    heavy = {
        "aiohttp",
        "asyncio",
        "json",
        "logging",
        "msgspec",
        "pluggy",
        "runagent.client",
        "socket",
        "ssl",
        "trio",
    }
    assert set() == loaded & heavy


# Exit codes and messages


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
        (["sream"], "invalid choice: 'sream'"),
        (["stream"], "required: AGENT_ID"),
        (["stream", "a"], "give a query, - to read it from standard input, or --input"),
        (["stream", "a", "hi", "--input", "{}"], "either a query or --input"),
        (["stream", "a", "tell", "me"], "put the query in quotes"),
        (["stream", "a", "hi", "--jsno"], "unrecognized arguments: --jsno (see runagent stream --help)"),
        (["stream", "a", "--jsno"], "unrecognized arguments: --jsno (see"),
        (["stream", "a", "hi", "--json", "--events"], "not allowed with"),
        (["stream", "a", "hi", "--timeout", "soon"], "invalid float value: 'soon'"),
        (["stream", "a", "hi", "--timeout", "-1"], "above 0"),
        (["stream", "a", "hi", "--transport", "webscoket"], "did you mean 'websocket'?"),
        (["stream", "a", "hi", "--header", "sk-secret"], "expected NAME:VALUE"),
        (["stream", "a", "hi", "--header", "X: a\r\nb"], "line break"),
        (["stream", "a", "hi", "--host", "h"], "--host and --port go with --local"),
        (["stream", "a", "hi", "--local", "--base-url", "http://h"], "--base-url goes without it"),
        (["stream", "a", "hi", "--base-url", "ftp://h"], "ftp"),
        (["stream", "", "hi"], "agent_id"),
        (["stream", "a", "lone \udcff"], "lone surrogate"),
        (["stream", "a", "--input", "{"], "--input: not valid JSON"),
        (["stream", "a", "--input", "[]"], "--input: expected a JSON object"),
        (["stream", "a", "--input", '{"x": NaN}'], "--input['x']: nan is no JSON number"),
        (["transports", "sse"], "unrecognized arguments: sse"),
    ],
)
def test_wrong_usage_is_said_in_one_line(capfd, server, arguments, message) -> None:
    code, said = error_of(capfd, *arguments)
    assert 2 == code
    assert message in said
    assert "sk-secret" not in said
    assert [] == server.requests


@pytest.mark.parametrize("arguments", [["--api-key", "sk-secret"], ["--api-key=sk-secret"], ["--api-key"]])
def test_a_key_is_refused_without_showing_it(capfd, server, arguments) -> None:
    code, said = error_of(capfd, "stream", "a", "hi", *arguments)
    assert 2 == code
    assert "RUNAGENT_API_KEY" in said
    assert "sk-secret" not in said


def test_bad_settings_are_wrong_usage(capfd, monkeypatch) -> None:
    monkeypatch.setenv("RUNAGENT_TIMEOUT", "soon")
    assert (2, True) == ((found := error_of(capfd, "stream", "a", "hi"))[0], "RUNAGENT_TIMEOUT" in found[1])


def test_a_broken_plugin_is_wrong_usage(capfd, tmp_path, monkeypatch) -> None:
    metadata = tmp_path / "broken-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[runagent.transports]\nmorse = no_such_module\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    for shared in ("installed._installed", "plugins._default"):
        monkeypatch.setattr(f"runagent.{shared}", None)
    code, said = error_of(capfd, "stream", "a", "hi", "--transport", "morse")
    assert (2, True) == (code, "broken 1.0 cannot be loaded" in said)


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


# Ctrl-C and readers who leave


def test_ctrl_c_keeps_what_came_and_releases_the_connection(server, transport) -> None:
    server.agent("a").always("Once", gate("never"), " upon")
    with piped("stream", "a", "hi", "--transport", transport) as (process, out, err):
        assert b"Once" == out.read(100)
        process.send_signal(signal.SIGINT)
        assert server.requests[0].wait_client_gone(PATIENCE)
        assert (b"", b"", 130) == (out.read(), err.read(), process.wait(PATIENCE))


def test_ctrl_c_before_the_answer(server) -> None:
    server.agent("a").returns(gate("never"), "x")
    with piped("invoke", "a", "hi") as (process, out, err):
        wait_for_request(server)
        process.send_signal(signal.SIGINT)
        assert (b"", b"", 130) == (out.read(), err.read(), process.wait(PATIENCE))


def test_a_reader_who_leaves_ends_the_run_quietly(server) -> None:
    go_on = gate("go on")
    server.agent("a").always("one\n", go_on, "two\n", gate("never"))
    with piped("stream", "a", "hi") as (process, out, err):
        assert b"one\n" == out.read(100)
        out.close()
        go_on.open()
        assert (b"", 141) == (err.read(), process.wait(PATIENCE))
    assert server.requests[0].wait_client_gone(PATIENCE)


def test_output_that_cannot_be_written_is_said(server) -> None:
    server.agent("a").always("x")
    with Path(__file__).open("rb") as not_writable:
        process = start("stream", "a", "hi", stdout=not_writable, stderr=subprocess.PIPE)
    _, err = process.communicate(timeout=PATIENCE)
    expected = b"runagent: error: cannot write the output: Bad file descriptor\n"
    assert (expected, 1) == (err, process.returncode)


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_makes_no_traceback(server, closed) -> None:
    server.agent("a").always("x")
    ran = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -m runagent stream a hi {closed}', sys.executable],
        cwd=ROOT,
        capture_output=True,
        timeout=PATIENCE,
    )
    expected = (1, b"", b"runagent: error: cannot write the output: standard output is closed\n")
    assert (expected if closed == ">&-" else (0, b"x", b"")) == (ran.returncode, ran.stdout, ran.stderr)


# On a terminal


def test_a_terminal_shows_a_sign_of_waiting_and_how_it_went(server) -> None:
    answer = gate("answer")
    server.agent("a").always(answer, "Once", " upon")
    with Terminal("stream", "a", "hi") as terminal:
        terminal.read_until("\r| waiting for the agent")
        answer.open()
        shown = terminal.read_all()
        assert 0 == terminal.process.wait(PATIENCE)
    after = shown.rpartition("\r\x1b[K")[2]
    pattern = (
        r"Once upon\r\n\[first chunk after [\d.]+ s, 2 chunks in [\d.]+ s over sse(, \d+ chunks/s)?\]\r\n"
    )
    assert re.fullmatch(pattern, after)


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_nothing_is_shown_beside_the_answer_unless_both_are_terminals(server, stream) -> None:
    server.agent("a").always(delay(0.3), "Once")  # long enough for a sign of waiting to come
    with Terminal("stream", "a", "hi", **{stream: subprocess.PIPE}) as terminal:
        piped_part = terminal.process.communicate(timeout=PATIENCE)[stream == "stderr"]
        shown = terminal.read_all()
    assert (("Once\r\n", b"") if stream == "stderr" else ("", b"Once")) == (shown, piped_part)


def test_a_dumb_terminal_gets_no_sign_of_waiting(server, monkeypatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    server.agent("a").always(delay(0.3), "Once")
    with Terminal("stream", "a", "hi") as terminal:
        assert terminal.read_all().startswith("Once\r\n[first chunk")


def test_escapes_are_harmless_on_a_terminal(server) -> None:
    server.agent("a").always(
        "\x1b", "[31mred\x07\u202e\x9b1m\x7f", "\r", "\nnew\rold\t|", {"v": "\x1b\u2066\x9b"}
    )
    with Terminal("stream", "a", "hi", stderr=subprocess.DEVNULL) as terminal:
        shown = terminal.read_all()
    expected = r"\x1b[31mred\x07\u202e\u009b1m\u007f" + "\r\r\n" + r"new\x0dold" + "\t|"
    assert expected + r'{"v":"\u001b\u2066\u009b"}' + "\r\n" == shown


def test_a_last_carriage_return_is_not_lost_on_a_terminal(server) -> None:
    server.agent("a").always("x\r")
    with Terminal("stream", "a", "hi", stderr=subprocess.DEVNULL) as terminal:
        assert "x\\x0d\r\n" == terminal.read_all()


def test_a_terminal_without_the_characters_gets_their_names(server, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    server.agent("a").always("é\N{GRINNING FACE}")
    with Terminal("stream", "a", "hi", stderr=subprocess.DEVNULL) as terminal:
        assert "\\xe9\\U0001f600\r\n" == terminal.read_all()


def test_ctrl_c_on_a_terminal_ends_the_line(server) -> None:
    server.agent("a").always("Once", gate("never"))
    with Terminal("stream", "a", "hi") as terminal:
        terminal.read_until("Once")
        terminal.process.send_signal(signal.SIGINT)
        shown = terminal.read_all()
        assert 130 == terminal.process.wait(PATIENCE)
    assert shown.endswith("Once\r\n")


def test_ctrl_c_takes_the_sign_of_waiting_away(server) -> None:
    server.agent("a").always(gate("never"), "x")
    with Terminal("stream", "a", "hi") as terminal:
        terminal.read_until("waiting for the agent")
        terminal.process.send_signal(signal.SIGINT)
        shown = terminal.read_all()
        assert 130 == terminal.process.wait(PATIENCE)
    assert shown.endswith("\r\x1b[K")
    assert "Traceback" not in shown


def test_an_error_on_a_terminal_begins_a_line(server) -> None:
    server.agent("a").always("Once", error("X", "no"))
    with Terminal("stream", "a", "hi") as terminal:
        assert terminal.read_all().endswith("Once\r\nrunagent: error: no\r\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain \t\n\r\n é\u2028\u00a0\N{GRINNING FACE}", None),
        ("".join(map(chr, range(0x80, 0xA0))), "".join(f"\\u{c:04x}" for c in range(0x80, 0xA0))),
        ("\u202a\u202e\u2066\u2069", r"\u202a\u202e\u2066\u2069"),
        ("\x00\x08\x0b\x0c\x0e\x1f\x7f", r"\x00\x08\x0b\x0c\x0e\x1f\u007f"),
        ("a\rb\r", r"a\x0db\x0d"),
    ],
)
def test_what_acts_on_a_terminal_is_escaped(text, expected) -> None:
    assert (text if expected is None else expected) == make_harmless(text)


def test_a_message_is_one_line() -> None:
    assert "a b c\\x1b" == one_line("a\nb\r\nc\x1b")
