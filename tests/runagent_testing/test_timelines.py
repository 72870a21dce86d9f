"""`runagent timeline`: recordings and saved journals, drawn as text, SVG and HTML."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork, RecordingNetwork, delay, ending, heartbeat, status
from runagent_testing._timeline.model import spans
from runagent_testing._timeline.reading import read_timelines
from tests.cli.command import error_of, out_of
from tests.docs.pages import ROOT
from tests.runagent_testing.recordings import DONE, SSE_HEAD, header, rows, written

SVG = "{http://www.w3.org/2000/svg}"
SCRIPT = (delay(0.25), "Once", delay(1.5), heartbeat(), delay(1.75), " upon")


@pytest.fixture(autouse=True)
def _width(monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def cut(tmp_path) -> Any:
    """Record an answer that is reset; the client's file and the agent's."""

    def run(transport: str) -> tuple[str, str]:
        memory = MemoryNetwork()
        memory.agent("writer").always(*SCRIPT, ending("reset"))
        network = RecordingNetwork(tmp_path / transport, network=memory.blocking)
        options: Any = {"network": network, "transport": transport, "max_retries": 0, "resume": False}
        with contextlib.suppress(RunAgentError):
            RunAgentClient("writer", base_url=memory.url, **options).run_generic_stream("hi").text()
        memory.journal.save(tmp_path / f"{transport}.json")
        (recording,) = (tmp_path / transport).iterdir()
        return str(recording), str(tmp_path / f"{transport}.json")

    return run


def test_the_page_shows_what_the_command_prints(tmp_path, capfd, monkeypatch) -> None:
    page = (ROOT / "docs/recordings.md").read_text(encoding="utf-8")
    recording = re.search(r"write_text\('''\\\n(.*?)'''\)", page, re.DOTALL)
    command, shown = re.findall(r"```console\n\$ runagent (timeline [^\n]*)\n(.*?)```", page, re.DOTALL)[0]
    assert recording is not None
    text = recording[1].replace("\\\\", "\\")
    (tmp_path / "tuesday.agentstream.jsonl").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert shown == out_of(capfd, *command.split())


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_both_sides_of_a_run_are_on_one_axis(cut, transport) -> None:
    client, agent = read_timelines(cut(transport))
    events = [
        [m.seconds for m in each.of("agent") if "Once" in m.text or "upon" in m.text]
        for each in (client, agent)
    ]
    assert [[0.25, 3.5]] * 2 == events
    assert "RST" in client.end
    assert "RST" == agent.end
    assert (3.5, 3.5, False, False) == (client.ended_at, agent.ended_at, client.is_whole, agent.is_whole)


@pytest.mark.parametrize("transport", ["sse", "chunked"])
@pytest.mark.parametrize("side", [0, 1])
def test_limits_are_placed_where_they_were_used_most(cut, transport, side) -> None:
    timeline = read_timelines(cut(transport))[side]
    limits = {"connect": 1.0, "idle": 1.5, "progress": 9.0, "total": 3.0}
    found = {span.name: span for span in spans(timeline, limits)}
    assert (None, False) == (found["connect"].used, found["connect"].is_exceeded)
    assert (0.25, 1.5, True) == (found["idle"].begin, found["idle"].used, found["idle"].is_exceeded)
    assert (0.25, 3.25, False) == (
        found["progress"].begin,
        found["progress"].used,
        found["progress"].is_exceeded,
    )
    assert (0.0, 3.5, True) == (found["total"].begin, found["total"].used, found["total"].is_exceeded)


def test_an_event_in_pieces_counts_when_it_is_complete(tmp_path) -> None:
    reads = [[0.0, "w", ": ping\n\n"], [1.0, "w", "event: chunk\ndata: {}\n"], [1.0, "w", "\n" + DONE]]
    path = written(tmp_path / "a.agentstream.jsonl", header(), *reads, [0, "end", {"kind": "complete"}])
    (timeline,) = read_timelines([str(path)])
    assert [0, 0, 0, 2] == [mark.events for mark in timeline.of("agent")]
    (first,) = spans(timeline, {"first_event": 2.0})
    assert (0.0, 2.5, True) == (first.begin, first.used, first.is_exceeded)


TRUNCATED = "a client gets StreamTruncatedError"


@pytest.mark.parametrize(
    ("end", "named"),
    [
        ([[0, "end", {"kind": "complete"}]], f"end: the body has ended; {TRUNCATED}"),
        ([[0, "end", {"kind": "fin"}]], f"end: FIN before the end of the body; {TRUNCATED}"),
        ([[0, "end", {"kind": "cut-chunk"}]], f"end: FIN inside an HTTP chunk; {TRUNCATED}"),
        ([[0, "end", {"kind": "reset", "outcome": "broken pipe"}]], f"end: RST (broken pipe); {TRUNCATED}"),
        ([[3, "end", {"kind": "timeout"}]], "end: silence until the client disconnected; a client gets "),
        ([], "never  end: cut: the recording has no end"),
    ],
)
def test_every_bad_end_of_a_recording_has_its_name(tmp_path, capfd, end, named) -> None:
    chunk = [0.1, "w", 'event: chunk\ndata: {"content": "Once"}\n\n']
    path = str(written(tmp_path / "a.agentstream.jsonl", header(), chunk, *end))
    assert named in out_of(capfd, "timeline", path).splitlines()[-1]
    assert read_timelines([path])[0].is_whole is False


@pytest.mark.parametrize("end", ["complete", "reset"])
def test_an_end_marker_makes_an_answer_whole_however_the_body_ends(tmp_path, end) -> None:
    path = written(tmp_path / "a.agentstream.jsonl", header(), [0.1, "w", DONE], [0, "end", {"kind": end}])
    (timeline,) = read_timelines([str(path)])
    assert timeline.is_whole is True
    assert timeline.end.endswith(", after the end of the protocol")


def test_a_clean_end_of_an_unknown_protocol_is_not_called_good(tmp_path, capfd) -> None:
    asked = {"method": "POST", "path": "/elsewhere", "headers": {}}
    head = header(dialect="", transport="", request=asked)
    path = str(
        written(tmp_path / "a.agentstream.jsonl", head, [0.1, "w", DONE], [0, "end", {"kind": "complete"}])
    )
    out = out_of(capfd, "timeline", path)
    assert out.endswith("end: the body has ended; no installed transport knows the protocol\n")
    assert re.search(r"^agent +.*\?$", out, re.MULTILINE)
    assert read_timelines([path])[0].is_whole is None


def test_a_close_and_the_messages_of_a_client_are_shown(tmp_path, capfd) -> None:
    asked = {"method": "GET", "path": "/elsewhere", "headers": {"upgrade": "websocket"}}
    head = header({**SSE_HEAD, "status": 101}, request=asked, dialect="", transport="")
    messages = [
        [0.1, "c", "go"],
        [0.4, "m", "an answer"],
        [0, "end", {"kind": "close:1011", "reason": "oops"}],
    ]
    out = out_of(capfd, "timeline", str(written(tmp_path / "a.agentstream.jsonl", head, *messages)))
    assert re.search(r"0\.600  client +go\n", out)
    assert re.search(r"1\.000  agent +9 B  an answer\n", out)
    assert out.endswith("end: WebSocket Close 1011 oops\n")


def test_a_refusal_and_a_client_that_disconnects_are_shown(capfd, tmp_path) -> None:
    memory = MemoryNetwork()
    memory.agent("writer").reply(status(503)).reply("Once", delay(60), " upon")
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking, max_retries=0)
    with contextlib.suppress(RunAgentError):
        client.run_generic_stream("hi").text()
    with client.run_generic_stream("hi") as stream:
        next(stream)
    memory.journal.save(tmp_path / "a.json")
    out = out_of(capfd, "timeline", str(tmp_path / "a.json"))
    assert "a.json: request 1, writer, sse, POST /v1/agents/writer/stream, status 503\n" in out
    assert "client             closed the connection (FIN)\n" in out
    assert "end: client disconnected\n" in out


def test_one_request_of_a_journal_is_drawn_next_to_a_recording(cut, capfd, tmp_path) -> None:
    memory = MemoryNetwork()
    memory.agent("writer").always("Once")
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
    for _ in range(3):
        client.run_generic_stream("hi").text()
    journal = str(tmp_path / "many.json")
    memory.journal.save(journal)
    out = out_of(capfd, "timeline", cut("sse")[0], journal, "--request", "1", "--request", "3")
    assert ["0001-writer-documented.agentstream.jsonl", "many.json", "many.json"] == re.findall(
        r"^([\w.-]+(?:json|jsonl)): ", out, re.MULTILINE
    )
    assert ["1", "3"] == re.findall(r"json: request (\d)", out)
    assert (2, "there is no request 4 in this journal") == error_of(
        capfd, "timeline", journal, "--request", "4"
    )


@pytest.mark.parametrize("form", ["svg", "html"])
def test_ten_thousand_reads_stay_small_and_readable(tmp_path, capfd, form) -> None:
    reads = [[0.001 if number != 5000 else 2.0, "w", f"data: {number}\n\n"] for number in range(10_000)]
    path = written(tmp_path / "a.agentstream.jsonl", header(), *reads)
    lines = out_of(capfd, "timeline", str(path)).splitlines()
    assert len(lines) < 45
    assert all(len(line) <= 100 for line in lines)
    assert any(line.endswith("data: 5000\\n\\n") for line in lines)  # after the longest silence
    drawn = out_of(capfd, "timeline", str(path), "--format", form)
    assert len(re.findall("<rect", drawn)) < 500
    assert drawn.count("<tr>") == (2000 if form == "html" else 0)


def test_pictures_are_well_formed_and_name_everything(cut, capfd, tmp_path) -> None:
    limits = [f"--{name}-timeout=2" for name in ("connect", "first-event", "idle", "progress", "total")]
    files = cut("sse")
    out_of(capfd, "timeline", *files, *limits, "-o", str(tmp_path / "a.svg"))
    root = ET.parse(tmp_path / "a.svg").getroot()
    assert f"{SVG}svg" == root.tag
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"client", "agent", "connect", "first_event", "idle", "progress", "total", "0 s"} <= set(texts)
    assert "exceeded: 3.25 s of 2 s" in texts
    assert "RST" in root.findtext(f"{SVG}desc", "")
    assert "prefers-color-scheme:dark" in root.findtext(f"{SVG}style", "")
    out_of(capfd, "timeline", *files, "-o", str(tmp_path / "a.html"))
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<table>") == 2


def test_what_a_service_sent_changes_neither_terminal_nor_page(tmp_path, capfd) -> None:
    evil = "data: <script>alert(1)</script>\x1b[2J\u202e\x00\n\n"
    path = written(tmp_path / "a.agentstream.jsonl", header(agent="<b>\x1b[1m"), [0.1, "w", evil])
    text = out_of(capfd, "timeline", str(path))
    svg, html = (out_of(capfd, "timeline", str(path), "--format", form) for form in ("svg", "html"))
    assert "\x1b" not in text + svg + html
    assert "<script>" not in svg + html
    ET.fromstring(svg)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (rows(header(), [0.1, "x", "?"]), r"a:2: the kind 'x' is unknown: .*"),
        (rows(header(), [-1, "w", "?"], [0, "y", ""]), r"a:2: a gap is a number .* \(and 1 more\)"),
        (b'{\n "exchanges": [\n oops', r"a:3: this is neither a recording nor the JSON of a journal: .*"),
        (b"", r"a:1: this is neither a recording nor .*"),
        (b"\xff\x00", r"a:1: this is neither a recording nor .*"),
        (b'{"exchanges": [{"arrival": "1"}]}', r"a:1: .* at `\$\.exchanges\[0\]\.arrival`"),
        (b'{"exchanges": []}', "there is no request in this journal"),
    ],
)
def test_an_invalid_file_is_wrong_usage_with_the_line(tmp_path, capfd, monkeypatch, content, message) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_bytes(content)
    code, error = error_of(capfd, "timeline", "a")
    assert 2 == code
    assert re.fullmatch(message, error)


def test_times_of_a_journal_have_to_be_possible(tmp_path, capfd, cut) -> None:
    journal = json.loads((tmp_path / cut("sse")[1]).read_text(encoding="utf-8"))
    for seconds in (-1.0, 1e300):
        journal["exchanges"][0]["writes"][1]["seconds"] = seconds
        (tmp_path / "a.json").write_text(json.dumps(journal), encoding="utf-8")
        code, error = error_of(capfd, "timeline", str(tmp_path / "a.json"))
        assert 2 == code
        assert "`$.exchanges[0].writes[1].seconds`" in error


@pytest.mark.parametrize("name", ["t.png", "t.svgz", "t.SVG.gz"])
def test_a_picture_of_an_unknown_kind_is_refused_with_those_that_are_known(
    tmp_path, capfd, cut, name
) -> None:
    files = cut("sse")
    code, error = error_of(capfd, "timeline", *files, "-o", str(tmp_path / name))
    assert (2, False) == (code, (tmp_path / name).exists())
    assert error.endswith("the endings that are known are .svg, .html, .htm, .txt; or choose a --format")
    out_of(capfd, "timeline", *files, "-o", str(tmp_path / name), "--format", "text")
    assert (tmp_path / name).exists()


def test_files_that_cannot_be_read_or_written_are_named(tmp_path, capfd, cut) -> None:
    assert (2, f"cannot read {tmp_path / 'no'}: No such file or directory") == error_of(
        capfd, "timeline", str(tmp_path / "no")
    )
    target = tmp_path / "no" / "a.svg"
    assert (2, f"cannot write {target}: No such file or directory") == error_of(
        capfd, "timeline", cut("sse")[0], "-o", str(target)
    )


def test_it_needs_no_package_of_the_extra_testing() -> None:
    program = (
        "import sys; import runagent._cli.timeline;"
        "print([name for name in ('aiohttp', 'pytest', 'yaml', 'trio') if name in sys.modules])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert "[]\n" == shown.stdout
