"""What the command prints of an answer."""

from __future__ import annotations

import json
import re

import pytest

from runagent._cli import main
from runagent_testing import custom, gate, reasoning, status, tool_call
from tests.cli.command import PATIENCE, out_of, piped

pytestmark = pytest.mark.usefixtures("settings")


def test_text_is_printed_as_it_was_sent(capfd, server, transport) -> None:
    text = ["Once", "", " \x1b[31m\u202e\r\n\x85\u2028", "\N{GRINNING FACE}\r"]
    server.agent("a").always(*text)
    assert "".join(text) == out_of(capfd, "stream", "a", "hi", "--transport", transport)
    assert {"query": "hi"} == server.requests[0].input
    assert transport == server.requests[0].transport


def test_chunks_are_printed_when_they_come(server) -> None:
    go_on = gate("go on")
    server.agent("a").always("Once", go_on, " upon")
    with piped("stream", "a", "hi") as (process, out, _):
        assert b"Once" == out.read(100)
        go_on.open()
        assert (b" upon", 0) == (out.read(100), process.wait(PATIENCE))


@pytest.mark.parametrize(
    ("chunks", "printed"),
    [
        (["a", {"n": 1}, "b"], 'a{"n":1}b'),
        ([{"n": [1, None]}, 2, True], '{"n":[1,null]}\n2\ntrue\n'),
        (["a", {}, "", {}, "b", {}], "a{}\n{}b{}\n"),
        (["é", {"é": "\u2028"}], 'é{"é":"\u2028"}\n'),
        ([], ""),
    ],
)
def test_values_are_json_in_lines_unless_between_text(capfd, server, chunks, printed) -> None:
    server.agent("a").always(*chunks)
    assert printed == out_of(capfd, "stream", "a", "hi")


def test_json_prints_each_chunk_in_a_line(capfd, server) -> None:
    chunks = ["a\nb", {"n": 1.5}, "", "é\x1b", None, {"half": "\ud83d"}]
    server.agent("a").always(*chunks)
    lines = out_of(capfd, "stream", "a", "--json", "hi").removesuffix("\n").split("\n")
    assert chunks == [json.loads(line) for line in lines]


def test_events_prints_each_event_with_its_type(capfd, server, transport) -> None:
    server.agent("a").always(
        "x", reasoning("hm"), tool_call("f", "{}", "c1"), custom("state", {"n": 1}), {"n": 1}
    )
    lines = out_of(capfd, "stream", "a", "hi", "--events", "--transport", transport).splitlines()
    events = [json.loads(line) for line in lines]
    others = ["reasoning", "tool_call", "custom"]
    assert ["started", "chunk", *others, "chunk", "completed"] == [e["type"] for e in events]
    assert {"type": "tool_call", "id": "c1", "name": "f", "arguments": "{}", "index": None} == events[3]
    assert ["x", {"n": 1}] == [e["content"] for e in events if e["type"] == "chunk"]
    assert {"usage", "execution_time", "proven"} < events[-1].keys()


def test_nothing_but_the_answer_is_in_a_pipe(server) -> None:
    server.agent("a").always("x")
    with piped("stream", "a", "hi") as (_, out, err):
        assert (b"x", b"") == (out.read(), err.read())


def test_verbose_shows_how_it_went(capfd, server) -> None:
    server.agent("a").always("x", "y", "z")
    assert 0 == main(["stream", "a", "hi", "-v"])
    pattern = r"\[first chunk after [\d.]+ s, 3 chunks in [\d.]+ s over sse(, \d+ chunks/s)?\]\n"
    line, summary = capfd.readouterr().err.splitlines(keepends=True)
    assert re.fullmatch(pattern, summary)
    assert re.fullmatch("runagent.run: INFO: run [0-9a-f]{32} of agent 'a' completed, over sse, .*\n", line)


def test_verbose_shows_what_is_tried_again_and_goes_over_the_environment(capfd, server, monkeypatch) -> None:
    server.agent("a").reply(status(503)).always("x")
    monkeypatch.setenv("RUNAGENT_MAX_RETRIES", "1")
    monkeypatch.setenv("RUNAGENT_RETRY_DELAY", "0")
    monkeypatch.setenv("RUNAGENT_LOG_LEVEL", "ERROR")
    assert 0 == main(["stream", "a", "hi", "-vv"])
    out, err = capfd.readouterr()
    assert "x" == out
    assert re.search("runagent.run: DEBUG: run [0-9a-f]+: attempt 1 over sse failed.*AgentServerError", err)
    assert "1 retry" in err
    server.agent("a").reply(status(503))
    assert "x" == out_of(capfd, "stream", "a", "hi")


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_gets_utf_8_in_any_locale(server, monkeypatch, encoding, unbuffered) -> None:
    server.agent("a").always("é\N{GRINNING FACE}")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    with piped("stream", "a", "hi") as (process, out, _):
        assert ("é\N{GRINNING FACE}".encode(), 0) == (out.read(), process.wait(PATIENCE))


@pytest.mark.parametrize(
    ("result", "printed"), [("a\ntext", "a\ntext"), ({"answer": "é"}, '{"answer":"é"}\n'), (None, "null\n")]
)
def test_invoke_prints_the_result(capfd, server, transport, result, printed) -> None:
    server.agent("a").returns(result)
    assert printed == out_of(capfd, "invoke", "a", "hi", "--transport", transport)


def test_invoke_prints_the_metadata_if_asked(capfd, server) -> None:
    server.agent("a").returns("x", usage={"total_tokens": 7}, execution_time=1.5, agent_version="2.0")
    printed = json.loads(out_of(capfd, "invoke", "a", "--metadata", "hi"))
    expected = {"result": "x", "execution_time": 1.5, "agent_version": "2.0", "tokens_used": 7}
    assert expected == {name: printed[name] for name in expected}


@pytest.mark.parametrize("result", ["two\nlines", {"n": [1, None]}, 2])
def test_invoke_prints_the_result_as_one_line_of_json_if_asked(capfd, server, result) -> None:
    server.agent("a").returns(result)
    printed = out_of(capfd, "invoke", "a", "hi", "--json")
    assert [result] == [json.loads(line) for line in printed.removesuffix("\n").split("\n")]
