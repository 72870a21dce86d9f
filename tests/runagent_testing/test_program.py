"""``runagent-fake serve`` as a child process: what it writes where, what it reads again, how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from urllib.parse import unquote, urlsplit

import pytest

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork
from runagent_testing._standalone.cli import main
from runagent_testing._standalone.demo import DEMO
from runagent_testing._standalone.output import Output
from runagent_testing._standalone.script_file import read_script
from tests.runagent_testing.program import ROOT, START, program, serve_here, until
from tests.runagent_testing.raw_client import PATIENCE, connected, post, stream
from tests.support.process import killed_at_end

TRANSPORTS = ("sse", "chunked", "websocket")


@pytest.fixture
def script(tmp_path):
    def write(text, name="s.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def ask(url, agent="a"):
    with RunAgentClient(agent, base_url=url, max_retries=0, timeout=PATIENCE) as client:
        return client.run_generic_stream("q").text()


def answers(url, agent="a"):
    """Ask for a run on a raw socket: the status and the chunks."""
    with connected(url) as client:
        client.send(stream(agent, connection="close"))
        data = client.rest()[0].decode()
    return data.split()[1], data.count("event: chunk")


# What it writes


def test_stdout_has_the_url_alone_and_the_ready_file_too(script, tmp_path, capfd):
    path = script("agents: {a: {always: [word]}}")
    shown = []
    assert 0 == serve_here(tmp_path, lambda url: shown.append((url, ask(url))), path, "--port", 0)
    ((url, text),) = shown
    out, err = capfd.readouterr()
    assert (f"{url}\n", "word") == (out, text)
    assert err.startswith(f"a at {url} (Ctrl-C ends it)\n")
    assert ["s.yaml"] == [found.name for found in tmp_path.iterdir()]


def test_the_ready_file_of_a_server_that_was_killed_is_removed_first(script, tmp_path, capsys):
    ready = tmp_path / "ready"
    ready.write_text("http://127.0.0.1:1\n", encoding="utf-8")
    assert 2 == main(["serve", str(script("agents: {a: {alway: [word]}}")), "--ready-file", str(ready)])
    assert not ready.exists()
    assert "did you mean 'always'?" in capsys.readouterr().err


def test_a_ready_file_that_another_process_has_written_stays(script, tmp_path):
    path, ready = script("agents: {a: {always: [word]}}"), tmp_path / "ready"

    def replace(_url):
        (tmp_path / "other").write_text("another", encoding="utf-8")
        (tmp_path / "other").replace(ready)

    assert 0 == serve_here(tmp_path, replace, path, "--port", 0)
    assert "another" == ready.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "why"), [("missing/ready", "No such file or directory"), (".", "it is not a file")]
)
def test_a_ready_file_that_cannot_be_written_is_an_error(path, why, script, tmp_path, capsys):
    assert 2 == main(
        [
            "serve",
            str(script("agents: {a: {always: x}}")),
            "--port",
            "0",
            "--ready-file",
            f"{tmp_path}/{path}",
        ]
    )
    assert capsys.readouterr().err.endswith(f": {why}\n")
    assert ["s.yaml"] == [found.name for found in tmp_path.iterdir()]


def test_the_log_is_json_on_request(script, tmp_path, capfd):
    path = script("agents: {a: {always: [one, two], fails: 1}}")

    def run(url):
        with connected(url) as client:
            client.send(stream("a", {"query": "hi\n", "api_key": "s3cret"}))
            client.until(b"}}")
            client.send(stream("a", authorization="Bearer s3cret"))
            client.until(b"0\r\n\r\n")
            client.send(post("/v1/agents/a/streem?token=s3cret"))
            client.until(b"}}")

    assert 0 == serve_here(tmp_path, run, path, "--port", 0, "--log-format", "json")
    err = capfd.readouterr().err
    entries = [json.loads(line) for line in err.splitlines()]
    assert "s3cret" not in err
    assert all(entry.pop("time") for entry in entries)
    first, *runs = [entry for entry in entries if entry["event"] != "message"]
    assert ("listening", ["a"], os.getpid()) == (first["event"], first["agents"], first["pid"])
    common = {"method": "POST", "path": "/v1/agents/a/stream", "transport": "sse"}
    common |= {"agent": "a", "dialect": "documented"}
    assert [entry.pop("seconds", None) is None for entry in runs] == [True, False, True, False, False]
    unmatched = runs.pop()
    assert runs == [
        {"event": "begins", "run": 1, "input": {"query": "hi\n", "api_key": "<redacted>"}, **common},
        {"event": "ends", "run": 1, "outcome": "done", "status": 503, **common},
        {"event": "begins", "run": 2, "input": {}, **common},
        {
            "event": "ends",
            "run": 2,
            "outcome": "done",
            "status": 200,
            "sent_chunks": 2,
            "chunks": 2,
            **common,
        },
    ]
    path = "/v1/agents/a/streem?token=<redacted>"
    assert ("ends", 404, path) == tuple(unmatched[name] for name in ("event", "status", "path"))
    assert "'streem' instead of 'stream'" in unmatched["unmatched"]


def test_closed_standard_streams_stop_nothing(script, tmp_path):
    path, ready = (
        script("agents: {a: {always: [word, {gate: door}]}, b: {always: [word]}}"),
        tmp_path / "ready",
    )
    command = f'exec "$0" -m runagent_testing serve {path} --port 0 --ready-file {ready} <&- >&- 2>&-'
    with killed_at_end(subprocess.Popen(["sh", "-c", command, sys.executable], cwd=ROOT)) as process:
        until(ready.exists, START)
        assert "word" == ask(ready.read_text(encoding="utf-8").strip(), "b")
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(PATIENCE)


# What it serves


def test_several_files_are_served_together(script, tmp_path):
    one, two = (
        script("agents: {a: {always: [one]}}", "a.yaml"),
        script("agents: {b: {always: [two]}}", "b.json.yaml"),
    )
    texts: list[str] = []
    assert 0 == serve_here(
        tmp_path, lambda url: texts.extend((ask(url, "a"), ask(url, "b"))), one, two, "--port", 0
    )
    assert ["one", "two"] == texts


def test_an_agent_in_two_files_is_an_error_with_both_places(script, capsys):
    one = script("agents:\n  a: {always: [one]}\n  b: {always: [x]}\n", "a.yaml")
    two = script("agents:\n\n  b: {always: [two]}\n", "b.yaml")
    assert 2 == main(["serve", str(one), str(two)])
    assert capsys.readouterr().err == (
        f"{two}:3:3: agent 'b' is at {one}:3:3, too\nrunagent-fake: error: an agent has one script file\n"
    )


def test_the_problems_of_all_files_are_shown_at_once(script, capsys):
    one, two = script("agents: {a: {alway: x}}", "a.yaml"), script("agents: 1", "b.yaml")
    assert 2 == main(["serve", str(one), "missing.yaml", str(two)])
    err = capsys.readouterr().err
    assert [f"{one}:1:14: a: ", f"{two}:1:9: a ", "runagent-fake: error: "] == [
        line[: line.index(" ", line.index(" ") + 1) + 1] for line in err.splitlines()
    ]
    assert (
        f"1 problem in {one}; cannot read missing.yaml: No such file or directory; 1 problem in {two}\n"
        in err
    )


def test_without_a_file_there_is_a_demo_to_try(tmp_path, capfd):
    statuses = []
    assert 0 == serve_here(tmp_path, lambda url: statuses.append((url, first_of(url))), "--port", 0)
    ((url, status),) = statuses
    out, err = capfd.readouterr()
    assert ("200", f"{url}\n") == (status, out)
    assert (
        f"export RUNAGENT_API_URL={url}\nrunagent stream demo hello\ndemo at {url} (Ctrl-C ends it)\n" in err
    )


def first_of(url):
    with connected(url) as client:
        client.send(stream("demo"))
        return client.until(b"reasoning").split()[1].decode()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_demo_shows_every_kind_of_event(transport):
    memory = MemoryNetwork()
    read_script(DEMO, "demo.yaml").apply(memory)
    client = RunAgentClient("demo", base_url=memory.url, network=memory.blocking, transport=transport)
    events = list(client.run_generic_stream("hello").events())
    kinds = {type(event).__name__ for event in events}
    assert {"Started", "Reasoning", "ToolCall", "Chunk", "Completed"} == kinds
    assert client.run_generic("hello").startswith("A keeper of a lighthouse")
    memory.check()


# What it reads again


def test_a_file_that_changes_is_read_again(script, tmp_path, capfd):
    path = script("agents: {a: {always: [one]}, b: {always: [x]}}")

    def change(url):
        assert "one" == ask(url)
        script("agents: {a: {alway: [two]}}")
        log.until("s.yaml:1:14: a: 'alway' is nothing an agent has")
        log.until(f"1 problem in {path}: the scripts stay as they were")
        assert "one" == ask(url)
        script("agents: {a: {always: [three]}}")
        log.until("read again: a\n")
        assert "three" == ask(url)
        assert ("404", 0) == answers(url, "b")
        path.unlink()
        log.until("No such file or directory: the scripts stay as they were")
        assert "three" == ask(url)

    log = Log(capfd)
    assert 0 == serve_here(tmp_path, change, path, "--port", 0, "--watch")


class Log:
    """What the program has written to stderr so far, read by another thread."""

    def __init__(self, capfd):
        self.capfd = capfd
        self.text = ""

    def until(self, wanted):
        def has_come():
            self.text += self.capfd.readouterr().err
            return wanted in self.text

        until(has_come)


def test_a_run_waits_at_the_gate_of_an_earlier_version_of_its_file(script):
    path = script("agents: {a: {always: [one, {gate: door}, two]}}")
    with program(path, "--port", 0, "--watch") as served, connected(served.url) as client:
        client.send(stream())
        client.until(b'"one"')
        script("agents: {a: {always: [three, {gate: door}, four]}}")
        served.line("read again: a")
        with connected(served.url) as other:
            other.send(stream())
            other.until(b'"three"')
            served.type("door\n")
            assert b'"four"' in other.until(b"0\r\n\r\n")
            assert b'"two"' in client.until(b"0\r\n\r\n")


def test_without_watch_nothing_is_read_again(script, tmp_path):
    path = script("agents: {a: {always: [one]}}")
    texts: list[str] = []

    def change(url):
        script("agents: {a: {always: [two]}}")
        texts.append(ask(url))

    assert 0 == serve_here(tmp_path, change, path, "--port", 0)
    assert ["one"] == texts


# Where it listens


def test_it_listens_on_a_unix_socket(script, tmp_path, capfd):
    path, place = script("agents: {a: {always: [word]}}"), tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(place))
    urls = []
    assert 0 == serve_here(tmp_path, lambda url: urls.append((url, ask(url))), path, "--unix-socket", place)
    ((url, text),) = urls
    assert (str(place), "word") == (unquote(url.removeprefix("http+unix://")), text)
    assert not place.exists()
    with FakeAgentServer(unix_path=place):
        assert 2 == main(["serve", str(path), "--unix-socket", str(place)])
    assert f"error: cannot listen on {place}: Address already in use\n" in capfd.readouterr().err


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6")
def test_it_serves_both_kinds_of_addresses(script, tmp_path):
    path = script("agents: {a: {always: [word]}}")
    texts: list[str] = []

    def run(url):
        port = urlsplit(url).port
        texts.extend(ask(f"http://{host}:{port}") for host in ("127.0.0.1", "[::1]"))

    assert 0 == serve_here(tmp_path, run, path, "--host", "::", "--port", 0)
    assert ["word", "word"] == texts


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_its_health_can_be_asked_for(method, tmp_path):
    statuses = []

    def run(url):
        client = http.client.HTTPConnection(url.removeprefix("http://"), timeout=PATIENCE)
        client.request(method, "/api/v1/health")
        statuses.append(client.getresponse().status)
        client.close()

    assert 0 == serve_here(tmp_path, run, "--port", 0, "--exit-code")
    assert [200] == statuses


# How it ends

UNUSED = "  - agent 'a': never used: reply with chunk 'half'\n"


def test_unmet_expectations_are_listed_behind_all_lines_of_the_log(script, tmp_path, capfd, monkeypatch):
    closed = threading.Event()
    close, put = FakeAgentServer.close, Output._put

    def close_and_tell(server):
        close(server)
        closed.set()

    def put_once_closed(output, text):
        assert closed.wait(PATIENCE)
        put(output, text)

    monkeypatch.setattr(FakeAgentServer, "close", close_and_tell)
    monkeypatch.setattr(Output, "_put", put_once_closed)
    path = script("agents: {a: {always: [word], replies: [[half]]}}")
    assert 1 == serve_here(tmp_path, bool, path, "--port", 0, "--exit-code")
    assert capfd.readouterr().err.endswith(f"unmet fake-agent expectations:\n{UNUSED}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_unmet_expectations_are_listed_and_are_the_exit_code(number, script, tmp_path, capfd):
    path = script("agents: {a: {always: [word], replies: [[half]]}}")
    arguments = (path, "--port", 0, "--exit-code")
    assert 1 == serve_here(tmp_path, bool, *arguments, number=number)
    assert capfd.readouterr().err.endswith(f"unmet fake-agent expectations:\n{UNUSED}")
    code = {signal.SIGTERM: 0, signal.SIGINT: 130}[number]
    assert code == serve_here(tmp_path, ask, *arguments, number=number)
    assert "unmet" not in capfd.readouterr().err
    assert code == serve_here(tmp_path, bool, *arguments[:-1], number=number)


def test_what_the_journal_has_forgotten_counts_for_the_exit_code(script, tmp_path, capfd):
    path = script("agents: {a: {always: [word]}}")

    def run(url):
        assert ("404", 0) == answers(url, "b")
        for _ in range(4):
            ask(url)

    assert 1 == serve_here(tmp_path, run, path, "--port", 0, "--exit-code", "--keep", 2)
    listed = capfd.readouterr().err.partition("expectations:\n")[2]
    assert listed.startswith("  - unmatched request 1: POST /v1/agents/b/stream (sse): ")
    assert 1 == listed.count("\n")


def test_runs_have_as_long_as_drain_gives_them(script, tmp_path):
    path = script("agents: {a: {always: [word, {ending: stall}]}}")
    with program(path, "--port", 0, "--drain", 0.1) as served, connected(served.url) as client:
        client.send(stream())
        client.until(b"word")
        code, log = served.end(signal.SIGTERM)
    assert 0 == code
    assert "#1 a sse ends: server closed" in log
