"""``runagent-fake record`` and ``serve --upstream``, and recordings that ``check`` reads."""

from __future__ import annotations

import pytest

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, delay
from runagent_testing._standalone.cli import main
from tests.runagent_testing.program import serve_here
from tests.runagent_testing.recordings import header, written


@pytest.fixture
def service():
    with FakeAgentServer() as running:
        running.agent("a").always("Once", delay(0.01), " upon")
        yield running


def ask(url, agent="a"):
    with RunAgentClient(agent, base_url=url, max_retries=0) as client:
        return client.run_generic_stream("q").text()


def test_record_passes_everything_on_and_records_it(service, tmp_path, capsys):
    folder, shown = tmp_path / "made", []
    arguments = ("--upstream", service.url, "--into", folder, "--port", 0)
    assert 0 == serve_here(tmp_path, lambda url: shown.append(ask(url)), *arguments, command="record")
    assert shown == ["Once upon"]
    assert [path.name for path in folder.iterdir()] == ["0001-a-documented.agentstream.jsonl"]
    log = capsys.readouterr().err
    assert f"everything goes to {service.url}, recorded into {folder}" in log
    assert "#1 a sse ends: done" in log
    assert 0 == main(["check", *map(str, folder.iterdir())])
    first, head, reads, end = capsys.readouterr().out.splitlines()
    assert first == "a, documented, sse, POST /v1/agents/a/stream"
    assert head.startswith("  status 200 after 0.0")
    assert reads.startswith("  2 reads of ")
    assert end.endswith(": the body has ended")


def test_serve_passes_on_what_no_script_answers(service, tmp_path):
    script = tmp_path / "s.yaml"
    script.write_text("agents: {own: {always: [own]}}")
    shown = []
    arguments = (script, "--upstream", service.url, "--port", 0)
    assert 0 == serve_here(tmp_path, lambda url: shown.append((ask(url, "own"), ask(url))), *arguments)
    assert shown == [("own", "Once upon")]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["record"], "record needs --upstream URL, the service to record"),
        (["record", "--upstream", "h"], "--upstream: an upstream is http://host or https://host"),
        (["record", "--upstream", "http://h", "--into", "/dev/null/x"], "cannot record into /dev/null/x: "),
        (["serve", "--upstream", "h"], "--upstream: an upstream is http://host or https://host"),
    ],
)
def test_what_cannot_be_is_reported_in_one_line(arguments, fault, capsys):
    assert 2 == main(arguments)
    assert fault in capsys.readouterr().err


def test_check_lists_the_faults_of_a_recording(tmp_path, capsys):
    path = tmp_path / "r.agentstream.jsonl"
    written(path, header(), [-1, "w", "x"], [0, "?", "x"])
    assert 2 == main(["check", str(path)])
    assert capsys.readouterr().err.splitlines() == [
        f"{path}:2: a gap is a number of seconds from 0 to 86400 (a day), not -1",
        f"{path}:3: the kind '?' is unknown: known are w, b, m, B, c, C, e, #, end",
        f"runagent-fake: error: 2 problems in {path}",
    ]


def test_check_shows_what_a_recording_has(tmp_path, capsys):
    path = tmp_path / "r.agentstream.jsonl"
    written(path, header(), *[[gap, "w", "xy"] for gap in (0.1, 0.2, 0.3, 0.4)])
    assert 0 == main(["check", str(path)])
    assert capsys.readouterr().out.splitlines() == [
        "a, documented, sse, POST /v1/agents/a/stream",
        "  status 200 after 0.5 s",
        "  4 reads of 8 bytes, gaps from 0.2 to 0.4 s (median 0.3 s)",
        "  ends after 1.5 s: cut off",
    ]
