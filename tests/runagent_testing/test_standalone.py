"""``runagent-fake``: as a separate process, from the first line it prints to the signal that ends it."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import io
import json
import logging
import re
import signal
import ssl
import sys
import tomllib
from pathlib import Path

import pytest
import trustme

from runagent._version import __version__, install_command
from runagent_testing import FakeAgentServer, chunk, ending, every, gate
from runagent_testing._standalone.cli import main
from runagent_testing._standalone.log import ExchangeLog
from tests.runagent_testing.program import program
from tests.runagent_testing.raw_client import NDJSON, PATIENCE, connected, post, stream, until_refused

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests/runagent_testing/scripts/script.yaml"


@pytest.fixture
def serve():
    with contextlib.ExitStack() as running:
        yield lambda *arguments: running.enter_context(program(*arguments))


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_it_serves_logs_and_ends_cleanly(serve, number, expected):
    program = serve(SCRIPT, "--port", 0)
    with connected(program.url) as client:
        client.send(stream("writer", {"query": "hi", "api_key": "hidden"}, authorization="Bearer hidden"))
        assert client.until(b"}").startswith(b"HTTP/1.1 503 ")
        client.send(stream("doorman"))  # fails once
        client.until(b"}}")
        client.send(stream("doorman"))
        client.until(b"before")
        program.type("dor\ndoor\n")
        program.line("there is no gate 'dor'")
        assert b"after" in client.until(b"0\r\n\r\n")
        client.send(stream("writer", accept=NDJSON))
        client.rest()  # the scripted fault
    program.line("#4 writer chunked ends")
    code, log = program.end(number)
    assert log.startswith("type a gate's name to open it: door\nwriter, doorman at http://127.0.0.1:")
    assert (expected, False, False) == (code, "hidden" in log, "Traceback" in log)
    shape = re.sub(r"(?m)^[\d:.]{12} |[\d.]+ s\b", "", log.partition("(Ctrl-C ends it)\n")[2])
    assert shape.splitlines() == [
        '#1 writer sse begins: {"query": "hi", "api_key": "<redacted>"}',
        "#1 writer sse ends: done, status 503, ",
        "#2 doorman sse begins: {}",
        "#2 doorman sse ends: done, status 503, ",
        "#3 doorman sse begins: {}",
        "there is no gate 'dor'",
        "gate door is open",
        "#3 doorman sse ends: done, 2 of 2 chunks, status 200, ",
        "#4 writer chunked begins: {}",
        "#4 writer chunked ends: done, ending 'fin-in-chunk', 1 of 1 chunks, status 200, ",
    ]


def test_sigterm_lets_streams_end(serve, tmp_path):
    script = tmp_path / "s.yaml"
    script.write_text("agents: {a: {always: [word, {delay: 0.5}, last]}}", encoding="utf-8")
    program = serve(script, "--port", 0)
    with connected(program.url) as client:
        client.send(stream())
        client.until(b"word")
        program.process.send_signal(signal.SIGTERM)
        assert b"last" in client.until(b"0\r\n\r\n")
        code, log = program.end(0)
    assert 0 == code
    assert "#1 a sse ends: done, 2 of 2 chunks, status 200, " in log


def test_a_second_sigterm_waits_for_no_stream(serve, tmp_path):
    script = tmp_path / "s.yaml"
    script.write_text("agents: {a: {always: [word, {ending: stall}]}}", encoding="utf-8")
    program = serve(script, "--port", 0)
    with connected(program.url) as client:
        client.send(stream())
        client.until(b"word")
        program.process.send_signal(signal.SIGTERM)
        until_refused(program.url)
        code, log = program.end(signal.SIGTERM)
    assert 0 == code
    assert "#1 a sse ends: server closed" in log


def test_ctrl_c_ends_streams_that_are_open(serve, tmp_path):
    script = tmp_path / "s.yaml"
    script.write_text("agents: {a: {always: [word, {ending: stall}]}}", encoding="utf-8")
    program = serve(script, "--port", 0)
    with connected(program.url) as client:
        client.send(stream())
        client.until(b"word")
        code, log = program.end(signal.SIGINT)
        assert (130, b"") == (code, client.rest()[0].partition(b"\r\n")[2][2:])
    assert "#1 a sse ends: server closed, 1 of 1 chunks, status 200, " in log
    assert "Traceback" not in log


def test_it_serves_tls_and_asks_for_the_key(serve, tmp_path):
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    pem, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.cert_chain_pems[0].write_to_path(pem)
    certificate.private_key_pem.write_to_path(key)
    program = serve(SCRIPT, "--port", 0, "--tls-cert", pem, "--tls-key", key, "--api-key", "k3y")
    assert program.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context()
    authority.configure_trust(context)
    address = program.url.removeprefix("https://")
    statuses = []
    for authorization in ("Bearer wrong", "Bearer k3y"):
        asked = http.client.HTTPSConnection(address, timeout=PATIENCE, context=context)
        with contextlib.closing(asked):
            asked.request(
                "POST", "/v1/agents/writer/invoke", '{"q": "k3y"}', {"Authorization": authorization}
            )
            answer = asked.getresponse()
            statuses.append(answer.status)
            body = json.loads(answer.read())
    assert ([401, 200], {"answer": 42}) == (statuses, body["result"])
    _, log = program.end(signal.SIGINT)
    assert ("k3y" in log, '{"q": "<redacted>"}' in log) == (False, True)


# In this process


def test_check_lists_what_each_agent_sends(capsys):
    assert 0 == main(["check", str(SCRIPT)])
    out, err = capsys.readouterr()
    assert "" == err
    assert out.splitlines()[:10] == [
        "writer",
        "  entrypoints: generic, generic_stream, words_stream",
        "  always (ids=True)",
        '      1  chunk "Once"',
        '      2  chunk " upon a time"',
        "      3  delay 0.01 s",
        "      4  heartbeat",
        '      5  chunk {"page": 1}, id "page-1"',
        '      6  chunk "no"',
        '      7  done, message "The end", usage {"total_tokens": 4}',
    ]
    assert "  fails, times: 1\n      1  status 503, retry_after 0\n" in out


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_bad_script_is_reported_with_its_places(command, tmp_path, capsys):
    script = tmp_path / "s.yaml"
    script.write_text("agents:\n  a: {alway: x}\n  b: {always: [{dely: 1}]}\n", encoding="utf-8")
    assert 2 == main([command, str(script)])
    out, err = capsys.readouterr()
    assert ("", 3) == (out, err.count("\n"))  # a line for each problem, and the error
    assert err.startswith(
        f"{script}:2:7: a: 'alway' is nothing an agent has: did you mean 'always'?\n{script}:3:17: "
    )
    assert err.endswith(f"\nrunagent-fake: error: 2 problems in {script}\n")


def test_many_scripts_are_checked_at_once(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("agents: {a: {alway: x}}", encoding="utf-8")
    good = tmp_path / "good.yaml"
    good.write_text("agents: {a: {always: x}}", encoding="utf-8")
    assert 2 == main(["check", str(bad), "missing.yaml", str(good)])
    out, err = capsys.readouterr()
    assert out.startswith(f"# {good}\na\n")
    begin = "runagent-fake: error: "
    starts = [f"{bad}:1:14: a: ", f"{begin}1 problem in {bad}", f"{begin}cannot read missing.yaml: "]
    assert starts == [line[: len(start)] for line, start in zip(err.splitlines(), starts, strict=True)]
    assert 0 == main(["check", str(good), str(good)])


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["check", "missing.yaml"], "cannot read missing.yaml: No such file or directory\n"),
        (["serve", str(SCRIPT), "--tls-cert", "missing.pem"], "cannot use the certificate missing.pem: "),
        (["serve", str(SCRIPT), "--tls-key", "key.pem"], "--tls-key needs --tls-cert\n"),
        (["serve", str(SCRIPT), "--host", "name.invalid"], "cannot listen on name.invalid:8450: "),
        ([], "the following arguments are required: COMMAND (see runagent-fake --help)\n"),
        (["check"], "the following arguments are required: FILE (see runagent-fake check --help)\n"),
        (
            ["serve", "x", "--port", "70000"],
            "argument --port: it is a whole number from 0 to 65535, not '70000' (see runagent-fake ",
        ),
        (
            ["serve", "x", "--por", "0"],
            "unrecognized arguments: --por 0; did you mean '--port'? (see runagent-fake serve --help)\n",
        ),
        (["play", "x"], "argument COMMAND: invalid choice: 'play'; known: serve, record, health, from-"),
        (["chek", "x"], "argument COMMAND: invalid choice: 'chek'; did you mean check? (see runagent-fake "),
    ],
)
def test_what_cannot_be_is_reported_in_one_line(arguments, fault, capsys):
    assert 2 == main(arguments)
    out, err = capsys.readouterr()
    expected = f"runagent-fake: error: {fault}"
    assert ("", expected, 1) == (out, err[: len(expected)], err.count("\n"))


def test_a_port_in_use_is_reported_in_one_line(server, capsys):
    port = server.url.rpartition(":")[2]
    assert 2 == main(["serve", str(SCRIPT), "--port", port])
    _, err = capsys.readouterr()
    fault = f"cannot listen on 127.0.0.1:{port}: Address already in use; --port chooses another"
    assert f"runagent-fake: error: {fault}\n" == err


@pytest.mark.parametrize("command", [[], ["serve"], ["check"], ["new-transport"], ["check-transport"]])
def test_every_command_shows_the_version(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--version"])
    assert f"runagent-fake {__version__}\n" == capsys.readouterr().out


STARTED = ("runagent_testing._server", "runagent_testing._standalone")


@pytest.mark.parametrize("module", ["yaml", "aiohttp"])
def test_without_the_extra_it_names_what_to_install(module, monkeypatch, capsys):
    for name in sorted((name for name in sys.modules if name.startswith(STARTED)), reverse=True):
        package, _, own = name.rpartition(".")
        # Put back with the module; a package lacks one that this test was the first to import.
        monkeypatch.setattr(sys.modules[package], own, sys.modules[name], raising=False)
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    assert 2 == main(["serve", str(SCRIPT)])
    expected = f"runagent-fake: error: {module} is not installed; run: {install_command('testing')}\n"
    assert expected == capsys.readouterr().err


def test_the_command_is_installed():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, function = scripts["runagent-fake"].partition(":")
    assert main is getattr(importlib.import_module(module), function)


# The log


@pytest.fixture
def log():
    """Collect what an `ExchangeLog` writes of a server of this process."""
    stream = io.StringIO()
    handler = ExchangeLog(stream, api_key="k3y")
    logger = logging.getLogger("runagent_testing")
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield lambda: [re.sub(r"[\d.]+ s$", "", line[13:]) for line in stream.getvalue().splitlines()]
    logger.removeHandler(handler)
    logger.setLevel(before)


@pytest.mark.parametrize(
    ("last", "ends"),
    [
        ("b", "done, 2 of 2 chunks, status 200, "),
        (ending("cut"), "done, ending 'cut', 1 of 1 chunks, status 200, "),
        (ending("stall"), "client disconnected, client closed, 1 of 1 chunks, status 200, "),
        (gate("shut"), "client disconnected, client closed, 1 of 1 chunks, status 200, "),
    ],
)
def test_a_line_ends_with_how_it_went(last, ends, log):
    with FakeAgentServer() as server:
        server.agent("a").always("a", last, writes=every(1))
        with connected(server.url) as client:
            client.send(stream())
            client.until(b'"index": 0}\n\n\r\n')  # nothing unread: its close would be a reset
            if last == "b":
                client.until(b"0\r\n\r\n")
        server.requests[0].wait_done(PATIENCE)
    assert f"#1 a sse ends: {ends}" in log()


def test_an_unscripted_request_is_logged_with_the_nearest_name(log):
    with FakeAgentServer() as server, connected(server.url) as client:
        server.agent("writer").always("x")
        client.send(post("/v1/agents/writer/streem?token=k3y"))
        client.until(b"}}")
    (line,) = log()
    assert line.startswith("POST /v1/agents/writer/streem?token=<redacted> (sse) ends: done, status 404, ")
    assert "nearest is POST /v1/agents/writer/stream: 'streem' instead of 'stream'" in line


def test_control_characters_do_not_reach_the_terminal(log):
    with FakeAgentServer() as server, connected(server.url) as client:
        server.agent("a\x1b[2J").responds(lambda _: [chunk(1 / 0)])
        client.send(stream("a%1b%5b2J", {"q": "\u202e" + "long" * 50}))
        client.until(b"}}")
    text = "\n".join(log())
    assert (True, True) == (text.replace("\n", "").isprintable(), r"#1 a\x1b[2J sse begins" in text)
    assert "was unable to answer: ZeroDivisionError: division by zero" in text
    assert "long..." in text
