"""The command's arguments, its help and its version."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from tests.cli.command import ROOT, out_of

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
    assert ["websocket", "runagent", version, "1", "built-in", "heartbeats", "invoke", "structured"] in rows
    listed = json.loads(out_of(capfd, "transports", "--json"))
    (row,) = (row for row in listed if row["name"] == "websocket")
    assert {
        "name": "websocket",
        "distribution": "runagent",
        "version": version,
        "api_version": 1,
        "status": "built-in",
        "capabilities": ["heartbeats", "invoke", "structured"],
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
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(ran.stdout.splitlines()[-1].split())
    assert "runagent._cli" in loaded
    heavy = {
        "aiohttp",
        "asyncio",
        "json",
        "logging",
        "msgspec",
        "pluggy",
        "runagent._client.clients",
        "socket",
        "ssl",
        "trio",
    }
    assert set() == loaded & heavy
