"""The files of recordings: what they mean, and that every fault of one is listed with its line."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runagent_testing._recording.format import Entry, RecordedEnd, entry_line, line_of
from runagent_testing._recording.reading import RecordingError, parse_recording, read_recording
from tests.runagent_testing.recordings import header, rows

BASE64 = base64.b64encode(b"\xff").decode()
WEBSOCKET = header({"status": 101})


def faults(*values):
    with pytest.raises(RecordingError) as caught:
        parse_recording(rows(*values), "r")
    return caught.value.problems


def test_a_recording_has_a_header_entries_and_an_end():
    lines = [
        header(),
        [0.25, "w", "data: é\n"],
        [0.0, "b", BASE64],
        [1, "end", {"kind": "complete", "outcome": "the body ended"}],
    ]
    found = parse_recording(rows(*lines), "r")
    assert (found.agent_id, found.dialect, found.transport) == ("a", "documented", "sse")
    assert (found.status, found.headers, found.head_gap) == (200, {"content-type": "text/event-stream"}, 0.5)
    assert found.entries == (Entry(0.25, "write", "data: é\n".encode()), Entry(0.0, "write", b"\xff"))
    assert found.end == RecordedEnd(1, "complete", "", "the body ended")
    assert found.seconds == 1.75
    assert not found.has_messages


def test_the_messages_of_a_websocket_are_those_of_both_sides():
    lines = [[0.1, "c", "{}"], [0, "C", BASE64], [0.2, "m", "x"], [0, "B", BASE64]]
    found = parse_recording(rows(WEBSOCKET, *lines, [0, "end", {"kind": "close:1011", "reason": "no"}]), "r")
    assert [entry.kind for entry in found.entries] == ["client", "client", "text", "binary"]
    assert found.has_messages
    assert found.end == RecordedEnd(0, "close:1011", "no")


def test_comments_and_parsed_events_are_read_over_and_their_gaps_count():
    text = rows(header(), [0.25, "e", {"any": ["thing"]}], [0.25, "#note", 1]) + b"# hand-made\n\n"
    found = parse_recording(text + rows([0.5, "w", "x"], [0, "end", {"kind": "fin"}]), "r")
    assert found.entries == (Entry(1.0, "write", b"x"),)


def test_unknown_keys_are_ignored():
    lines = [header(later="x"), [0, "end", {"kind": "fin", "later": "x"}]]
    assert parse_recording(rows(*lines), "r").end == RecordedEnd(0, "fin")


@pytest.mark.parametrize("rest", [b"", b'[0.1, "w", "b', b'[0.1, "w", "b"]', b"\n", b'[0.1, "w", "\xc3'])
def test_a_file_that_was_cut_off_is_read_up_to_its_last_whole_line(rest):
    found = parse_recording(rows(header(), [0.1, "w", "a"]) + rest, "r")
    assert found.end is None
    assert found.entries[0] == Entry(0.1, "write", b"a")
    assert len(found.entries) == 1 + rest.endswith(b"]")


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ([-0.1, "w", "x"], "a gap is a number of seconds from 0 to 86400 (a day), not -0.1"),
        ([float("nan"), "w", "x"], "a gap is a number of seconds from 0 to 86400 (a day), not NaN"),
        ([86_401, "w", "x"], "a gap is a number of seconds from 0 to 86400 (a day), not 86401"),
        ([True, "w", "x"], "a gap is a number of seconds from 0 to 86400 (a day), not true"),
        ([0, "x", "x"], "the kind 'x' is unknown: known are w, b, m, B, c, C, e, #, end"),
        ([0, "w"], 'a line is [gap, kind, value], not [0, "w"]'),
        ([0, "w", 1], "the value of 'w' is text, not 1"),
        ([0, "b", "?"], "the value of 'b' is not base64"),
        ([0, "b", "é"], "the value of 'b' is not base64"),
        ([0, "w", "\ud800"], "this text has half a surrogate pair, which is not UTF-8"),
        ([0, "m", "x"], "'m' is a message of a WebSocket, which an answer with status 200 does not have"),
        (
            [0, "end", {}],
            "the kind of an end is one of complete, fin, reset, cut-chunk, timeout, close",
        ),
        ([0, "end", {"kind": "close:x"}], "the kind of an end is one of "),
        ([0, "end", {"kind": "close:65536"}], "the kind of an end is one of "),
        ([0, "end", {"kind": "fin", "reason": "x" * 124}], "the reason of a Close has at most 123 bytes"),
    ],
)
def test_a_fault_is_listed_with_its_line(line, fault):
    ((number, text),) = faults(header(), line)
    assert number == 2
    assert text.startswith(fault)


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        ([], 'this is not the header of a recording: {"runagent_recording": 1, ...}'),
        ({"a": 1}, 'this is not the header of a recording: {"runagent_recording": 1, ...}'),
        ({"runagent_recording": 2}, "version 2 of the format is unknown; known: 1"),
        (header([]), "response is an object, not []"),
        (header({"status": "x"}), "the status of the response is a number from 100 to 999, not 'x'"),
        (header({"headers": {"a": "b\r\nc"}}), "the response's header 'a' is not a field of HTTP"),
        (header(agent=1), "agent is text, not 1"),
        (header({"gap": -1}), "a gap is a number of seconds from 0 to 86400 (a day), not -1"),
    ],
)
def test_a_fault_of_the_header_is_in_line_one(first, fault):
    assert faults(first) == [(1, fault)]


def test_all_faults_are_listed_at_once():
    found = faults(header(), [-1, "w", "x"], [0, "?", ""], [0, "end", {"kind": "fin"}], [0, "w", "x"])
    assert [line for line, _ in found] == [2, 3, 5]
    assert found[-1][1] == "nothing follows the end"
    with pytest.raises(RecordingError, match=r"^r:1: this is not the header .*\nr:3: this is not JSON"):
        parse_recording(b"x\n" + rows([0, "w", "x"]) + b"x\n" + rows([0, "w", "x"]), "r")


def test_an_answer_without_a_head_has_no_body():
    assert parse_recording(rows(header(None), [0.5, "end", {"kind": "reset"}]), "r").status is None
    assert [(2, "nothing precedes the head of an answer: the header has no status of a response")] == faults(
        header(None), [0, "w", "x"]
    )


def test_a_file_that_is_too_large_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "large.agentstream.jsonl"
    path.write_bytes(rows(header()) * 2)
    monkeypatch.setattr("runagent_testing._recording.reading.MAX_RECORDING", 100)
    with pytest.raises(OSError, match="it has more than 100 bytes"):
        read_recording(path)


KINDS = st.sampled_from(["write", "text", "binary", "client"])


@given(st.lists(st.tuples(KINDS, st.binary() | st.text().map(lambda text: text.encode("utf-8", "replace")))))
def test_each_entry_is_read_as_it_was_written(entries):
    messages = [entry for entry in entries if entry[0] != "write"]
    writes = [entry for entry in entries if entry[0] == "write"]
    for first, expected in ((WEBSOCKET, messages), (header(), writes)):
        lines = [line_of(first), *(entry_line(0.5, kind, data) for kind, data in expected)]
        found = parse_recording("".join(lines).encode(), "r")
        kinds = [("binary" if _is_binary(kind, data) else kind, data) for kind, data in expected]
        assert [(entry.kind, entry.data) for entry in found.entries] == kinds


def _is_binary(kind, data):
    # A text message that is not UTF-8 can only be kept as a binary one.
    try:
        data.decode()
    except UnicodeDecodeError:
        return kind == "text"
    return kind == "binary"


def test_text_is_written_for_people():
    assert entry_line(0.25, "write", "é \u2028".encode()) == '[0.25, "w", "é \u2028"]\n'
    assert json.loads(entry_line(0, "write", b"\xff")) == [0, "b", BASE64]
