"""The command's arguments, its help and its version."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys

import pytest

from runagent import __version__
from runagent._cli import main
from runagent._cli.exit_codes import NETWORK_FAILED
from runagent_testing import delay, ending, gate, status
from tests.cli.command import ROOT, error_of, out_of
from tests.support.tracing import environment_without_tracer

pytestmark = pytest.mark.usefixtures("settings")


@pytest.mark.parametrize(
    "arguments",
    [
        ["hi", "--json"],
        ["--json", "hi"],
        ["--json", "--", "hi"],
        ["--input", '{"query": "hi"}', "--json"],
    ],
)
def test_the_query_may_be_anywhere(capfd, server, arguments) -> None:
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


def test_transports_lists_what_is_installed_with_its_source(capfd) -> None:
    version = out_of(capfd, "--version").removeprefix("runagent ").rstrip()
    rows = [line.split() for line in out_of(capfd, "transports").splitlines()]
    assert ["NAME", "SOURCE", "VERSION", "API", "STATUS", "CAPABILITIES"] == rows[0]
    carried = ["heartbeats", "invoke", "reasoning", "structured", "tools"]
    assert ["websocket", "runagent", version, "1", "built-in", *carried] in rows
    listed = json.loads(out_of(capfd, "transports", "--json"))
    (row,) = (row for row in listed if row["name"] == "websocket")
    assert {
        "name": "websocket",
        "distribution": "runagent",
        "version": version,
        "api_version": 1,
        "status": "built-in",
        "capabilities": carried,
    } == row


def test_transports_does_not_import_plugins_and_distinguishes_equal_names(
    capfd, tmp_path, monkeypatch
) -> None:
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


def test_help_shows_where_the_key_belongs(capfd) -> None:
    printed = out_of(capfd, "stream", "--help")
    assert "RUNAGENT_API_KEY" in printed
    assert "--api-key" not in printed


def test_help_imports_little() -> None:
    code = "import sys; from runagent._cli import main; main(['--help']); print(*sorted(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment_without_tracer(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "runagent._cli" in loaded
    heavy = {
        "aiohttp",
        "asyncio",
        "json",
        "logging",
        "msgspec",
        "pluggy",
        "runagent._client.client",
        "socket",
        "ssl",
        "trio",
    }
    assert set() == loaded & heavy


@pytest.mark.parametrize("command", ["stream", "invoke"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["hi"], {"query": "hi", "session_id": "s-1"}),
        (["--input", '{"x": 1}'], {"x": 1, "session_id": "s-1"}),
        (["--input", '{"session_id": "s-1"}'], {"session_id": "s-1"}),
    ],
)
def test_a_session_id_is_part_of_the_input(capfd, server, command, arguments, expected) -> None:
    server.agent("a").always("x").returns("x")
    out_of(capfd, command, "a", "--session-id", "s-1", *arguments)
    assert expected == server.requests[0].input


@pytest.mark.parametrize("command", ["stream", "invoke"])
def test_failed_attempts_are_repeated_as_often_as_asked(capfd, server, command, monkeypatch) -> None:
    monkeypatch.setenv("RUNAGENT_RETRY_DELAY", "0")
    server.agent("a").always(status(503)).returns(status(503))
    error_of(capfd, command, "a", "hi", "--max-retries", "2")
    assert 3 == len(server.requests)


@pytest.mark.parametrize("arguments", [["--no-resume"], ["--max-resumes", "0"]])
def test_a_broken_stream_is_not_resumed_if_asked(capfd, server, monkeypatch, arguments) -> None:
    monkeypatch.setenv("RUNAGENT_MAX_RETRIES", "3")
    server.agent("a").always("x", ending("cut"))
    assert 1 == main(["stream", "a", "hi", *arguments])
    assert 1 == len(server.requests)


def test_what_the_agent_may_have_begun_is_repeated_if_asked(capfd, server) -> None:
    server.agent("a").reply(ending("cut")).reply("x")
    out = out_of(capfd, "stream", "a", "hi", "--max-retries", "1", "--retry-unsafe")
    assert ("x", 2) == (out, len(server.requests))


@pytest.mark.parametrize(
    ("command", "arguments", "script"),
    [
        ("stream", ["--first-event-timeout", "0.1"], [gate("never"), status(503)]),
        ("stream", ["--idle-timeout", "0.1"], ["x", ending("stall")]),
        ("stream", ["--total-timeout", "0.1"], ["x", ending("stall")]),
        ("stream", ["--timeout", "0.1", "--total-timeout", "9"], ["x", ending("stall")]),
        ("invoke", ["--total-timeout", "0.1"], [ending("stall")]),
        ("invoke", ["--first-event-timeout", "0.1"], [gate("never"), status(503)]),
    ],
)
def test_each_phase_has_a_limit(capfd, server, command, arguments, script) -> None:
    agent = server.agent("a")
    agent.always(*script) if command == "stream" else agent.returns(*script)
    assert NETWORK_FAILED == main([command, "a", "hi", *arguments])
    assert "0.1 s" in capfd.readouterr().err


def test_the_connection_has_a_limit(capfd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and never answers in TLS
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        code, message = error_of(capfd, "stream", "a", "hi", "--base-url", url, "--connect-timeout", "0.1")
    assert (NETWORK_FAILED, True) == (code, "no connection within 0.1 s" in message)


def test_none_lifts_the_limit_of_a_phase(capfd, server) -> None:
    server.agent("a").always("x", delay(0.15), "y")
    out = out_of(capfd, "stream", "a", "hi", "--timeout", "0.1", "--idle-timeout", "none")
    assert "xy" == out


@pytest.mark.parametrize("flag", ["-V", "--version"])
@pytest.mark.parametrize(
    "command",
    [[], ["stream"], ["invoke"], ["transports"], ["doctor"], ["demo"], ["timeline"], ["completion"]],
)
def test_every_command_shows_the_version(capfd, command, flag) -> None:
    assert f"runagent {__version__}\n" == out_of(capfd, *command, flag)
