"""Recordings that a fake agent plays: bytes, writes, gaps and endings, on sockets and on virtual time."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from runagent import RunTimeoutError, StreamError
from runagent_testing import FakeAgentServer
from runagent_testing._standalone.script_file import ScriptFileError, load_script, read_script
from tests.runagent_testing.players import client_of
from tests.runagent_testing.raw_client import handshake, masked, post, stream
from tests.runagent_testing.recordings import DONE, header, rows, written
from tests.runagent_testing.virtual import STYLES, Virtual
from tests.support.styles import Style

CHUNKS = ['event: chunk\ndata: {"content":"a"}\n\n', 'event: chunk\ndata: {"cont', 'ent":"b"}\n\n' + DONE]
LINES = [[0.25, "w", CHUNKS[0]], [3.0, "w", CHUNKS[1]], [0.0, "w", CHUNKS[2]]]
COMPLETE: Any = [1.0, "end", {"kind": "complete"}]
WEBSOCKET = header({"status": 101, "gap": 0.5}, transport="websocket")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "0001-a-documented.agentstream.jsonl"


def played(host):
    """What a raw client gets after the head, and how the connection ends."""
    with client_of(host) as client:
        client.send(post("/v1/agents/a/stream", accept="text/event-stream", connection="close"))
        head = client.until(b"\r\n\r\n")
        body, ended = client.rest()
        return head, body, ended


@pytest.mark.parametrize("style", STYLES)
def test_a_replay_keeps_chunks_and_gaps_on_virtual_time(path, style):
    virtual = Virtual(style)
    virtual.memory.agent("a").replay(written(path, header(), *LINES, COMPLETE))

    async def scenario():
        began = virtual.network.now()
        stream = virtual.client().run_generic_stream("x")
        return [(chunk, virtual.network.now() - began) async for chunk in stream]

    assert [("a", pytest.approx(0.75)), ("b", pytest.approx(3.75))] == virtual.run(scenario)
    assert virtual.cpu_seconds < 1
    virtual.memory.check()


@pytest.mark.parametrize("style", STYLES)
def test_a_replay_keeps_gaps_on_sockets(path, style):
    gaps = [0.03, 0.001, 0.05, 0.02]
    chunks = [[gap, "w", f'event: chunk\ndata: {{"content":"{at}"}}\n\n'] for at, gap in enumerate(gaps)]
    first = header({"status": 200, "headers": {"content-type": "text/event-stream"}, "gap": 0.0})
    recording = written(path, first, *chunks, [0.0, "w", DONE], COMPLETE)
    # A busy machine makes single writes late, so the best of some replays counts.
    replays = [times_of_a_replay(recording, style) for _ in range(5)]
    assert 0.01 > min(middle_error(times, gaps) for times in replays)
    # No wait adds to the lateness of those before it.
    assert sum(gaps) + 0.05 > min(times[4] - times[0] for times in replays)


def times_of_a_replay(recording, style):
    """Return when the fake agent made each write."""
    with FakeAgentServer() as server:
        server.agent("a").replay(recording)

        async def scenario():
            client = Style(style).client("a", base_url=server.url)
            assert 4 == len([chunk async for chunk in client.run_generic_stream("x")])

        Style(style).run(scenario)
        (exchange,) = server.requests
        server.check()
        return [sent.seconds for sent in exchange.sent]


def middle_error(times, gaps):
    found = [later - earlier for earlier, later in itertools.pairwise(times)]
    errors = sorted(abs(a - b) for a, b in zip(found, gaps, strict=False))
    return errors[len(errors) // 2]


def test_the_bytes_of_a_replay_are_those_of_the_recording_framed_for_its_connection(host, path):
    host.agent("a").replay(written(path, header(), *LINES, COMPLETE), speed=float("inf"))
    head, body, ended = played(host)
    chunks = "".join(f"{len(text.encode()):x}\r\n{text}\r\n" for text in CHUNKS)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\ncontent-type: text/event-stream\r\n" in head
    assert body == chunks.encode() + b"0\r\n\r\n"
    assert ended == "fin"
    first, *others = [sent.data for sent in host.requests[0].sent]
    framed = [f"{len(text.encode()):x}\r\n{text}\r\n".encode() for text in CHUNKS]
    assert first == head + framed[0]  # they came at once, as did the last read and the end
    assert others == [framed[1], framed[2] + b"0\r\n\r\n"]
    host.check()


def test_a_client_of_http_1_0_gets_a_body_that_ends_with_the_connection(host, path):
    host.agent("a").replay(written(path, header(), *LINES, COMPLETE), speed=float("inf"))
    with client_of(host) as client:
        client.send(post("/v1/agents/a/stream", version="1.0", accept="text/event-stream"))
        assert b"chunked" not in client.until(b"\r\n\r\n")
        assert client.rest() == ("".join(CHUNKS).encode(), "fin")


@pytest.mark.parametrize(
    ("kind", "last", "ended"),
    [
        ("fin", b"1\r\na\r\n", "fin"),
        ("cut-chunk", b"2\r\na", "fin"),
        ("reset", b"1\r\na\r\n", "reset"),
        (None, b"1\r\na\r\n", "fin"),
        ("close:1000", b"1\r\na\r\n0\r\n\r\n", "fin"),
    ],
)
def test_the_ending_is_the_recorded_one(host, path, kind, last, ended):
    lines = [header(), [0, "w", "bb"], [0, "w", "a"], *([[0, "end", {"kind": kind}]] if kind else [])]
    if kind == "close:1000":
        lines[1:2] = [[0, "w", "bb"]]
    host.agent("a").replay(written(path, *lines), speed=float("inf"))
    _, body, found = played(host)
    assert (b"2\r\nbb\r\n" + last, ended) == (body, found)


@pytest.mark.parametrize("style", STYLES)
def test_a_recorded_silence_is_one(path, style):
    virtual = Virtual(style)
    virtual.memory.agent("a").replay(
        written(path, header(), LINES[0], [30.0, "end", {"kind": "timeout", "outcome": "idle for 30 s"}])
    )

    async def scenario():
        stream = virtual.client(max_retries=0).run_generic_stream("x")
        with pytest.raises(RunTimeoutError):
            async for _ in stream:
                pass

    virtual.run(scenario)


def test_an_answer_that_never_came_is_an_end_without_a_head(host, path):
    host.agent("a").replay(written(path, header(None), [0.01, "end", {"kind": "reset"}]))
    with client_of(host) as client:
        client.send(stream())
        assert client.rest() == (b"", "reset")


def test_a_body_that_came_at_once_has_a_length(host, path):
    refused = header({"status": 429, "headers": {"content-type": "application/json", "retry-after": "3"}})
    host.agent("a").replay(
        written(path, refused, [0, "w", '{"error": "é"}'], [0, "end", {"kind": "complete"}])
    )
    with client_of(host) as client:
        client.send(stream())
        head = client.until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 429 ")
        assert b"Content-Length: 15\r\n" in head
        assert b"retry-after: 3\r\n" in head
        assert client.until(b"}") == '{"error": "é"}'.encode()
        client.send(stream())  # the connection serves on
        assert client.until(b"}").startswith(b"HTTP/1.1 429 ")


def test_a_plain_run_gets_a_recording_too(host, path):
    answer = json.dumps({"data": {"result_data": {"data": "x"}}, "success": True})
    first = header({"status": 200, "headers": {"content-type": "application/json"}})
    host.agent("a").replay(written(path, first, [0, "w", answer], [0, "end", {"kind": "complete"}]))
    with client_of(host) as client:
        client.send(post("/v1/agents/a/invoke"))
        assert client.until(b"}").endswith(b"}")


@pytest.mark.parametrize("style", STYLES)
def test_a_websocket_is_played_from_the_message_that_asks_for_the_run(path, style):
    virtual = Virtual(style)
    text = [
        [0.1, "c", "{}"],
        [0.25, "m", '{"type":"chunk","content":"a"}'],
        [0.5, "m", '{"type":"done"}'],
        [0.0, "end", {"kind": "close:1000"}],
    ]
    virtual.memory.agent("a").replay(written(path, WEBSOCKET, *text))

    async def scenario():
        began = virtual.network.now()
        client = virtual.client("websocket")
        return [(chunk, virtual.network.now() - began) async for chunk in client.run_generic_stream("x")]

    assert [("a", pytest.approx(0.75))] == virtual.run(scenario)
    virtual.memory.check()


def test_the_frames_of_a_websocket_are_one_for_each_message(host, path):
    lines = [[0.0, "m", "early"], [0.1, "c", "{}"], [0.0, "m", "é"], [0.0, "B", "/w=="]]
    host.agent("a").replay(
        written(path, WEBSOCKET, *lines, [0, "end", {"kind": "close:1011", "reason": "no"}]),
        speed=float("inf"),
    )
    with client_of(host) as client:
        client.open_websocket()
        expected = b"\x81\x05early\x81\x02\xc3\xa9\x82\x01\xff\x88\x04\x03\xf3no"
        assert client.until(b"no") == expected
        client.send(masked(0x8, b"\x03\xf3"))


def test_a_refused_handshake_is_refused(host, path):
    asked = {"headers": {"upgrade": "websocket"}}
    first = header({"status": 403}, request=asked)
    host.agent("a").replay(written(path, first, [0, "w", "no"], [0, "end", {"kind": "complete"}]))
    with client_of(host) as client:
        client.send(handshake())
        assert client.until(b"\r\n\r\nno").startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize(
    ("first", "request_of", "why"),
    [
        (WEBSOCKET, stream(), "was recorded over a WebSocket, and this run came over HTTP"),
        (header(), handshake(), "was recorded over HTTP, and this run came over a WebSocket"),
    ],
)
def test_a_recording_of_another_kind_of_connection_is_a_failure_of_the_test(
    host, path, first, request_of, why
):
    host.agent("a").replay(written(path, first, [0, "end", {"kind": "complete"}]))
    with client_of(host) as client:
        client.send(request_of)
        assert client.until(b"\r\n").startswith(b"HTTP/1.1 500 ")
    with pytest.raises(AssertionError, match=why):
        host.check()


# Speed


@pytest.mark.parametrize(
    ("options", "seconds"),
    [({}, 3.75), ({"speed": 2}, 1.875), ({"max_gap": 1.0}, 1.75), ({"speed": float("inf")}, 0.0)],
)
def test_gaps_are_shortened(path, options, seconds):
    virtual = Virtual("sync")
    virtual.memory.agent("a").replay(written(path, header(), *LINES, COMPLETE), **options)

    async def scenario():
        began = virtual.network.now()
        async for _ in virtual.client().run_generic_stream("x"):
            pass
        return virtual.network.now() - began

    assert seconds == pytest.approx(virtual.run(scenario), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "kind", "why"),
    [
        ({"speed": 0}, ValueError, r"speed= is more than 0 \(float\('inf'\) leaves out every gap\), not 0"),
        ({"speed": float("nan")}, ValueError, "speed= is more than 0"),
        ({"speed": "2"}, TypeError, "speed= is a number"),
        ({"max_gap": -1}, ValueError, "max_gap= is a number of seconds, 0 or more"),
    ],
)
def test_invalid_options_are_refused(host, path, options, kind, why):
    with pytest.raises(kind, match=why):
        host.agent("a").replay(written(path, header()), **options)


# Folders


@pytest.fixture
def folder(tmp_path):
    for number, (agent, text) in enumerate([("a", "1"), ("b", "2"), ("a", "3")], 1):
        path = tmp_path / f"{number:04}-{agent}-documented.agentstream.jsonl"
        written(path, header(agent=agent), [0, "w", text], [0, "end", {"kind": "complete"}])
    (tmp_path / "notes.txt").write_text("not a recording")
    return tmp_path


def answers(host, agent, count):
    found = []
    for _ in range(count):
        with client_of(host) as client:
            client.send(post(f"/v1/agents/{agent}/stream", connection="close"))
            status = int(client.until(b"\r\n\r\n").split()[1])
            found.append((status, client.rest()[0]))
    return found


def test_the_recordings_of_a_folder_answer_one_run_each_in_order(host, folder):
    host.agent("a").replay(folder, speed=float("inf"))
    (first, second, (status, text)) = answers(host, "a", 3)
    assert [first, second] == [(200, b"1"), (200, b"3")]
    assert status == 500
    assert b"has used up the recordings of its replay(...)" in text


def test_an_agent_without_recordings_in_a_folder_takes_all_of_them(host, folder):
    host.agent("other").replay(folder, speed=float("inf"))
    assert [text for _, text in answers(host, "other", 3)] == [b"1", b"2", b"3"]
    host.check()


def test_a_recording_of_a_folder_that_is_not_played_fails_the_test(host, folder):
    host.agent("a").replay(folder, speed=float("inf"))
    answers(host, "a", 1)
    with pytest.raises(AssertionError, match="replay"):
        host.check()


def test_a_folder_without_recordings_is_refused(host, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file in it ends in \.agentstream\.jsonl"):
        host.agent("a").replay(tmp_path)


# What the player does meanwhile


def test_a_reader_that_disconnects_leaves_the_rest_unplayed(path):
    with FakeAgentServer() as server:
        server.agent("a").replay(written(path, header(), *LINES, [0, "w", "x"], COMPLETE), speed=30)
        client = Style("sync").client("a", base_url=server.url)

        async def scenario():
            async with client.run_generic_stream("x") as stream:
                await anext(stream)

        Style("sync").run(scenario)
        assert server.requests[0].wait_disconnected()
        with pytest.raises(AssertionError, match=r"never played: .*raw b'event: chu"):
            server.check()
        assert "raw" in server.timelines()


def test_a_cut_recording_is_a_cut_stream(path):
    virtual = Virtual("sync")
    virtual.memory.agent("a").replay(written(path, header(), LINES[0]))

    async def scenario():
        stream = virtual.client(max_retries=0).run_generic_stream("x")
        assert await anext(stream) == "a"
        with pytest.raises(StreamError):
            await anext(stream)

    virtual.run(scenario)


# Script files


def test_a_script_file_names_a_recording_relative_to_its_folder(host, path, tmp_path):
    written(path, header(), [0, "w", "x"], COMPLETE)
    script = tmp_path / "script.yaml"
    script.write_text(f"agents: {{a: {{replay: {{path: {path.name}, speed: .inf}}}}}}")
    load_script(script).apply(host)
    assert answers(host, "a", 2) == [(200, b"x")] * 2


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("replay: missing", "cannot read"),
        ("replay: 1", "replay is text, not 1"),
        ("replay: {speed: 2}", "replay needs a path: replay: PATH"),
        ("replay: {path: x, sped: 2}", "'sped' is no property of replay: did you mean 'speed'?"),
        ("replay: bad.agentstream.jsonl", "bad.agentstream.jsonl:2: the kind '?' is unknown"),
    ],
)
def test_a_script_file_with_an_invalid_replay_is_refused(tmp_path, text, fault):
    written(tmp_path / "bad.agentstream.jsonl", header(), [0, "?", ""])
    with pytest.raises(ScriptFileError) as caught:
        read_script(f"agents:\n  a:\n    {text}\n", str(tmp_path / "s.yaml"))
    (problem,) = caught.value.problems
    assert problem.place.line == 3
    assert fault in problem.text


def test_a_script_from_elsewhere_names_no_recording(path):
    written(path, header())
    with pytest.raises(ScriptFileError, match="can only be set on the fake agent's own machine"):
        read_script(f"agents: {{a: {{replay: {path}}}}}", "s.yaml", is_local=False)


def test_a_recording_needs_no_dialect_of_its_answer(host, path):
    text = rows(header(agent="", dialect="", transport=""), [0, "w", "any"], [0, "end", {"kind": "complete"}])
    path.write_bytes(text)
    host.agent("a").replay(path, speed=float("inf"))
    assert [(200, b"any")] == answers(host, "a", 1)
