"""``runagent-fake from-recording``: script files whose agents answer what was recorded."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import Completed, Reasoning, RunAgentClient, RunAgentError, Started
from runagent_testing import (
    MemoryNetwork,
    RecordingNetwork,
    chunk,
    custom,
    delay,
    done,
    ending,
    error,
    head,
    heartbeat,
    raw,
    reasoning,
    status,
    tool_call,
)
from runagent_testing._recording.reading import read_recording
from runagent_testing._standalone.cli import main
from runagent_testing._standalone.conversion import script_text
from runagent_testing._standalone.script_file import read_script
from tests.runagent_testing.recordings import header, rows, written

TRANSPORTS = ("sse", "chunked", "websocket")
# By the transport: the client's options, and the path behind the address.
OTHERS = {
    "openai": ({}, ""),
    "openai-responses": ({"openai_api": "responses"}, ""),
    "anthropic": ({}, ""),
    "gemini": ({}, ""),
    "ollama": ({}, ""),
    "ollama-generate": ({"ollama_api": "generate"}, ""),
    "agui": ({}, "/agui/a"),
    "vercel": ({}, "/vercel/a"),
}


def client_of(memory, network, transport):
    options, path = OTHERS.get(transport, ({}, ""))
    name = transport.partition("-")[0]
    return RunAgentClient(
        "a",
        base_url=memory.url + path,
        network=network,
        transport=name,
        transport_options=options,
        max_retries=0,
    )


def record(folder, transport, *steps, plain=False, **options):
    memory = MemoryNetwork()
    if plain:
        memory.agent("a").returns(*steps)
    else:
        memory.agent("a").always(*steps, **options)
    with client_of(memory, RecordingNetwork(folder, memory.blocking), transport) as client:
        heard(client, memory, plain=plain)
    return [read_recording(path) for path in sorted(folder.iterdir())]


def heard(client, memory, *, plain=False):
    """Run once: the events that are content, with their times, and the error."""
    found: list[Any] = []
    failure: Any = None
    events = iter([client.run_generic("x")] if plain else client.run_generic_stream("x").events())
    while failure is None:
        try:
            found.append((next(events), round(memory.blocking.now(), 2)))
        except StopIteration:
            break
        except RunAgentError as exc:
            failure = type(exc), exc.code, exc.message
    return [(_named(event), at) for event, at in found if not isinstance(event, Started | Completed)], failure


def _named(event):
    # Some protocols name a train of thought by the id of the run.
    return ("Reasoning", event.text) if isinstance(event, Reasoning) else event


def converted(recordings):
    text = script_text(recordings)
    memory = MemoryNetwork()
    read_script(text, "s.yaml").apply(memory)
    return text, memory


STEPS = (
    delay(0.5),
    "Once",
    delay(1.5),
    reasoning("hm"),
    tool_call("f", '{"a": 1}', "c1"),
    delay(0.25),
    " upon",
)


@pytest.mark.parametrize("transport", [*TRANSPORTS, *OTHERS])
def test_the_steps_of_a_known_protocol_are_recovered(tmp_path, transport):
    steps = [
        step
        for step in STEPS
        if transport != "ollama-generate" or "tool_call" not in repr(type(step)).lower()
    ]
    steps = steps if transport != "ollama-generate" else [delay(0.5), "Once", delay(1.75), " upon"]
    recordings = record(tmp_path, transport, *steps, done(usage={"total_tokens": 3}))
    text, memory = converted(recordings)
    assert "raw" not in text
    assert "- Once" in text
    assert "- delay: 0.5" in text
    original = MemoryNetwork()
    original.agent("a").always(*steps, done(usage={"total_tokens": 3}))
    with client_of(original, original.blocking, transport) as client:
        expected = heard(client, original)
    with client_of(memory, memory.blocking, transport) as client:
        assert heard(client, memory) == expected


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    "last",
    [
        ending("cut"),
        ending("reset"),
        ending("no-done"),
        error("FULL", "no room"),
        status(429, message="later"),
    ],
    ids=lambda step: str(getattr(step, "kind", type(step).__name__)),
)
def test_the_end_is_recovered(tmp_path, transport, last):
    steps = [last] if "Status" in type(last).__name__ else ["Once", delay(0.25), last]
    recordings = record(tmp_path, transport, *steps)
    text, memory = converted(recordings)
    original = MemoryNetwork()
    original.agent("a").always(*steps)
    with client_of(original, original.blocking, transport) as client:
        expected = heard(client, original)
    with client_of(memory, memory.blocking, transport) as client:
        assert heard(client, memory) == expected
    assert "raw" not in text


def test_values_and_ids_are_recovered(tmp_path):
    steps = [
        chunk({"a": [1, None, "é"]}),
        chunk("x", id="page-1"),
        custom("state", {"b": 1}),
        chunk("1e3"),
        "no",
    ]
    text, memory = converted(record(tmp_path, "sse", *steps, done("bye", stop_reason="stop")))
    with client_of(memory, memory.blocking, "sse") as client:
        events = list(client.run_generic_stream("x").events())
    assert [event.content for event in events if hasattr(event, "content")] == [
        {"a": [1, None, "é"]},
        *("x", "1e3", "no"),
    ]
    assert (events[-1].message, events[-1].stop_reason) == ("bye", "stop")
    assert 'id: "page-1"' in text


def test_a_plain_run_is_recovered(tmp_path):
    _, memory = converted(record(tmp_path, "sse", {"answer": 42}, plain=True))
    with client_of(memory, memory.blocking, "sse") as client:
        assert client.run_generic("x") == {"answer": 42}


def test_what_no_client_understands_is_raw_text(tmp_path):
    path = tmp_path / "r.agentstream.jsonl"
    lines = [[0.5, "w", "some"], [0.25, "b", "/w=="], [0.0, "end", {"kind": "reset"}]]
    first = header(
        {"status": 200, "headers": {"content-type": "text/x-any"}}, agent="", dialect="", transport=""
    )
    text, memory = converted([read_recording(written(path, first, *lines))])
    assert "raw: some" in text
    assert "encoding: base64" in text
    assert "ending: reset" in text
    assert memory.agent("recorded")


def test_raw_text_keeps_the_bytes(tmp_path):
    recordings = record(tmp_path, "sse", head(start=False), raw(b"data: {oops\n\n"), ending("cut"))
    text, memory = converted(recordings)
    assert 'raw: "data: {oops\\n\\n"' in text
    second = tmp_path / "second"
    with client_of(memory, RecordingNetwork(second, memory.blocking), "sse") as client:
        heard(client, memory)
    (again,) = [read_recording(path) for path in second.iterdir()]
    assert again.entries == recordings[0].entries
    assert again.end == recordings[0].end


def test_several_recordings_of_an_agent_are_replies(tmp_path):
    memory = MemoryNetwork()
    memory.agent("a").reply("1").reply("2").returns(3)
    with client_of(memory, RecordingNetwork(tmp_path, memory.blocking), "sse") as client:
        for _ in range(2):
            client.run_generic_stream("x").text()
        client.run_generic("x")
    _, again = converted([read_recording(path) for path in sorted(tmp_path.iterdir())])
    with client_of(again, again.blocking, "sse") as client:
        texts = [client.run_generic_stream("x").text() for _ in range(2)]
        assert (texts, client.run_generic("x")) == (["1", "2"], 3)
    again.check()


def test_heartbeats_do_not_make_a_stream_raw(tmp_path):
    text, _ = converted(record(tmp_path, "sse", "a", heartbeat(), "b"))
    assert "raw" not in text


def test_the_command_prints_the_script(tmp_path, capsys):
    record(tmp_path, "sse", "Once", delay(0.5), " upon")
    assert 0 == main(["from-recording", *map(str, tmp_path.iterdir())])
    assert capsys.readouterr().out.splitlines() == [
        *("agents:", "  a:", "    always:", "    - Once", "    - delay: 0.5", '    - " upon"'),
    ]


def test_the_command_reports_an_invalid_recording(tmp_path, capsys):
    path = tmp_path / "r.agentstream.jsonl"
    path.write_bytes(rows(header(), [0, "?", ""]))
    assert 2 == main(["from-recording", str(path)])
    assert "the kind '?' is unknown" in capsys.readouterr().err
