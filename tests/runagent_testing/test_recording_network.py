"""Networks that record what a client's own network carries, and what a replay of that is like."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runagent import RunAgentClient, Started
from runagent_testing import (
    AsyncRecordingNetwork,
    FakeAgentServer,
    MemoryNetwork,
    RecordingNetwork,
    delay,
    done,
    ending,
    head,
    raw,
    raw_response,
    reasoning,
    status,
    tool_call,
)
from runagent_testing._recording.folder import RecordingFolder
from runagent_testing._recording.reading import read_recording
from tests.runagent_testing.recordings import Recorded, pass_through, recorded
from tests.runagent_testing.virtual import STYLES, Virtual
from tests.support.styles import Style

TRANSPORTS = ("sse", "chunked", "websocket")
STEPS = (delay(0.5), "Once", delay(1.25), reasoning("hm"), " upon", delay(0.125), tool_call("f", "{}", "1"))


# Round trips


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("style", STYLES)
def test_a_replay_gives_the_recorded_events_at_the_recorded_times(tmp_path, style, transport):
    first = Recorded(style, tmp_path / "first")
    first.memory.agent("a").always(*STEPS, done(usage={"total_tokens": 3}))
    before = first.events(transport)
    second = Recorded(style, tmp_path / "second")
    (path,) = (tmp_path / "first").iterdir()
    dialect = "published" if transport == "websocket" else "documented"
    assert path.name == f"0001-a-{dialect}.agentstream.jsonl"
    second.memory.agent("a").replay(path)
    after = second.events(transport)
    assert after[1] is before[1] is None
    assert [event for event, _ in after[0]] == [event for event, _ in before[0]]
    assert [time for _, time in after[0]] == [pytest.approx(time, abs=0.002) for _, time in before[0]]
    assert recorded(tmp_path / "second") == recorded(tmp_path / "first")
    second.memory.check()


def test_a_websocket_recorded_on_a_socket_can_be_replayed_to_its_end(tmp_path, server):
    server.agent("a").always("Once", delay(0.01), " upon")
    network = RecordingNetwork(tmp_path)
    with RunAgentClient("a", base_url=server.url, network=network, transport="websocket") as client:
        assert client.run_generic_stream("q").text() == "Once upon"
    memory = MemoryNetwork()
    memory.agent("a").replay(tmp_path)
    options: dict[str, Any] = {"base_url": memory.url, "network": memory.blocking, "transport": "websocket"}
    with RunAgentClient("a", **options) as client:
        assert client.run_generic_stream("q").text() == "Once upon"
    memory.check()


# By the transport: the client's options, and the path behind the address.
OTHERS: dict[str, Any] = {
    "openai": {},
    "openai-responses": {"transport_options": {"openai_api": "responses"}},
    "anthropic": {},
    "gemini": {},
    "ollama": {},
    "ollama-generate": {"transport_options": {"ollama_api": "generate"}},
    "agui": {"base_url": "http://memory.localhost/agui/a"},
    "vercel": {"base_url": "http://memory.localhost/vercel/a"},
}


@pytest.mark.parametrize("end", ["clean", "cut", "refused"])
@pytest.mark.parametrize("transport", OTHERS)
def test_every_protocol_is_replayed_byte_for_byte(tmp_path, transport, end):
    words = [delay(0.5), "Once", delay(1.25), " upon a tïme 🦊", delay(0.125)]
    ends: dict[str, list[Any]] = {
        "clean": words,
        "cut": [*words, ending("cut")],
        "refused": [status(429, message="later")],
    }
    name, options = transport.partition("-")[0], OTHERS[transport]
    first = Recorded("sync", tmp_path / "first")
    first.memory.agent("a").always(*ends[end])
    before = first.events(name, **options)
    second = Recorded("sync", tmp_path / "second")
    second.memory.agent("a").replay(tmp_path / "first")
    after = second.events(name, **options)
    # Some clients make the ids that a run begins with.
    assert [row for row in after[0] if not isinstance(row[0], Started)] == [
        row for row in before[0] if not isinstance(row[0], Started)
    ]
    assert after[1] is before[1]
    first_lines, second_lines = recorded(tmp_path / "first"), recorded(tmp_path / "second")
    assert first_lines[0]["response"] == second_lines[0]["response"]
    assert first_lines[1:] == second_lines[1:]
    second.memory.check()


ENDINGS = ["clean", "cut", "fin-in-chunk", "reset", "no-done"]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", [*ENDINGS, "stall", "close"])
def test_a_replay_ends_as_the_recorded_answer(tmp_path, transport, kind):
    first = Recorded("sync", tmp_path / "first")
    end = ending("close", code=1011, reason="no") if kind == "close" else ending(kind)
    first.memory.agent("a").always("Once", delay(0.25), end)
    before = first.events(transport, timeout=20)
    second = Recorded("sync", tmp_path / "second")
    second.memory.agent("a").replay(tmp_path / "first")
    after = second.events(transport, timeout=20)
    assert after[1] is before[1]
    assert recorded(tmp_path / "second") == recorded(tmp_path / "first")


WRITES = st.lists(st.tuples(st.integers(0, 5), st.binary(min_size=1, max_size=12)), min_size=1, max_size=8)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(WRITES, st.sampled_from(["cut", "reset", "no-done"]))
def test_any_writes_are_replayed_with_the_same_bounds_and_gaps(tmp_path_factory, writes, kind):
    folder = tmp_path_factory.mktemp("any")
    virtual = Recorded("sync", folder / "first")
    steps = [step for gap, data in writes for step in (delay(gap), raw(data))]
    virtual.memory.agent("a").always(head(), *steps, ending(kind), writes="per-step")
    virtual.events(headers={"accept": "text/plain"}, transport="chunked")
    lines = recorded(folder / "first")
    again = Recorded("sync", folder / "second")
    again.memory.agent("a").replay(folder / "first")
    again.events(headers={"accept": "text/plain"}, transport="chunked")
    assert recorded(folder / "second") == lines


def test_a_compressed_body_is_recorded_as_its_text(tmp_path):
    body = gzip.compress(b'event: chunk\ndata: {"content":"a"}\n\nevent: done\ndata: {"type":"done"}\n\n')
    virtual = Recorded("sync", tmp_path)
    first = head(headers={"Content-Encoding": "gzip"}, start=False)
    virtual.memory.agent("a").always(first, raw(body), ending("no-done"))
    virtual.events()
    first, write, end = recorded(tmp_path)
    assert "content-encoding" not in first["response"]["headers"]
    assert write[1:] == ["w", gzip.decompress(body).decode()]
    assert end[2]["kind"] == "complete"


def test_an_encoded_body_that_cannot_be_searched_is_left_out(tmp_path):
    virtual = Recorded("sync", tmp_path)
    virtual.memory.agent("a").always(head(headers={"Content-Encoding": "br"}), "a")
    virtual.events()
    (path,) = tmp_path.iterdir()
    _, comment = path.read_text().splitlines()
    assert comment == "# the body is encoded as 'br', which is not recorded"
    assert read_recording(path).entries == ()


def test_an_answer_that_is_not_http_is_left_out(tmp_path):
    virtual = Recorded("sync", tmp_path)
    virtual.memory.agent("a").always(raw_response(b"SSH-2.0-x\r\n"))
    virtual.events()
    assert list(tmp_path.iterdir()) == []


def test_the_header_shows_what_was_asked_and_answered(tmp_path):
    virtual = Recorded("sync", tmp_path)
    virtual.memory.agent("a").always(
        head(
            headers={"X-RateLimit-Remaining": "3", "X-Request-Id": "r1", "Server": "s", "Set-Cookie": "a=b"}
        ),
        "x",
    )
    virtual.events(api_key="sk-test-1234567890")
    first = recorded(tmp_path)[0]
    assert first == {
        "runagent_recording": 1,
        "agent": "a",
        "dialect": "documented",
        "transport": "sse",
        "request": {
            "method": "POST",
            "path": "/v1/agents/a/stream",
            "headers": {"accept": "text/event-stream", "content-type": "application/json"},
            "body": '{"query":"hello"}',
        },
        "response": {
            "status": 200,
            "headers": {
                "cache-control": "no-cache",
                "content-type": "text/event-stream",
                "x-ratelimit-remaining": "3",
                "x-request-id": "r1",
            },
            "gap": 0.0,
        },
        "redacted": ["authorization"],
        "run": 1,
        "attempt": 1,
    }


def test_the_attempts_of_a_run_are_grouped(tmp_path):
    virtual = Recorded("sync", tmp_path)
    virtual.memory.agent("a").fails(2, status(503, retry_after=0)).always("x")

    async def scenario():
        for _ in range(2):
            async for _ in virtual.client(max_retries=2).run_generic_stream("x"):
                pass

    virtual.run(scenario)
    headers = [json.loads(path.read_text().splitlines()[0]) for path in sorted(tmp_path.iterdir())]
    assert [(header["run"], header["attempt"]) for header in headers] == [(1, 1), (1, 2), (1, 3), (4, 1)]


def test_a_folder_goes_on_with_the_next_number(tmp_path):
    for _ in range(2):
        virtual = Recorded("sync", tmp_path)
        virtual.memory.agent("a").always("x")
        virtual.events()
    assert [path.name[:5] for path in sorted(tmp_path.iterdir())] == ["0001-", "0002-"]


@pytest.mark.parametrize("style", STYLES)
def test_the_usual_network_of_a_client_is_recorded_too(tmp_path, style):
    with FakeAgentServer() as server:
        server.agent("a").always("Once", delay(0.02), " upon")

        async def scenario():
            make: Any = RecordingNetwork if style == "sync" else AsyncRecordingNetwork
            client = Style(style).client("a", base_url=server.url, network=make(tmp_path))
            return [chunk async for chunk in client.run_generic_stream("x")]

        assert Style(style).run(scenario) == ["Once", " upon"]
    entries = read_recording(next(tmp_path.iterdir())).entries
    assert b" upon" in b"".join(entry.data for entry in entries)


def test_a_file_that_cannot_be_written_stops_no_run(tmp_path, caplog):
    virtual = Recorded("sync", tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    virtual.memory.agent("a").always("x")
    events, error = virtual.events()
    assert error is None
    assert len(events) >= 2
    assert "a recording cannot be written: No such file or directory" in caplog.text
    caplog.clear()


def test_a_recording_has_a_largest_size(tmp_path):
    folder = RecordingFolder(tmp_path, max_bytes=2000)
    pass_through(folder, b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 900] * 3, b"")
    (path,) = tmp_path.iterdir()
    assert path.read_text().splitlines()[-1] == "# more than 2000 bytes: the rest is left out"
    assert [len(entry.data) for entry in read_recording(path).entries] == [900]


@pytest.mark.parametrize(("transport", "path"), [("langgraph", ""), ("a2a", "/a2a/a")])
@pytest.mark.parametrize("style", STYLES)
def test_a_run_of_several_requests_is_replayed_as_a_whole(tmp_path, style, transport, path):
    first = Recorded(style, tmp_path / "first")
    first.memory.agent("a").always("Once", delay(0.5), " upon")
    before = first.events(transport, base_url=first.memory.url + path)
    assert len(list((tmp_path / "first").iterdir())) > 1
    second: Any = Virtual(style)
    second.memory.agent("*").replay(tmp_path / "first")
    after = Recorded.events(second, transport, base_url=second.memory.url + path)
    assert after[1] is before[1] is None
    assert after[0] == before[0]
    second.memory.check()


# Ids


def test_ids_become_placeholders_on_request(tmp_path):
    def record(folder):
        virtual = Recorded("sync", folder, stable_ids=True)
        virtual.memory.agent("a").always("x", done(metadata={"trace": "chatcmpl-A1b2C3d4E5f6G7h8I9"}))
        virtual.events("websocket")
        return recorded(folder)

    lines = record(tmp_path / "first")
    assert "chatcmpl" not in str(lines)
    assert lines == record(tmp_path / "second")
