"""A server in another process is steered by the methods of one in this process."""

from __future__ import annotations

import re

import pytest

from runagent_testing import (
    RemoteFakeAgentServer,
    chunk,
    delay,
    done,
    ending,
    gate,
    repeat,
    status,
)
from runagent_testing._standalone.script_file import read_script
from tests.runagent_testing.control_client import text_of
from tests.runagent_testing.raw_client import connected, post, stream

KINDS = ("here", "remote", "scope")


@pytest.fixture(params=KINDS)
def steered(request, served):
    """A server here, the same server from outside, and a scope of it from outside."""
    if request.param == "here":
        yield served
        return
    with RemoteFakeAgentServer(served.url, scope="s" if request.param == "scope" else None) as remote:
        yield remote


@pytest.fixture
def prefix(request, steered):
    """What precedes the paths of this scope."""
    return "/_scope/s" if steered.url.endswith("/_scope/s") else ""


@pytest.fixture
def text(served, prefix):
    """Stream from an agent, and return the text."""
    return lambda agent="w": text_of(served, agent, prefix)


def begin(client, prefix, agent="w"):
    client.send(stream(agent).replace(b"POST /", f"POST {prefix}/".encode()))


def test_agents_stream_what_they_were_given(steered, text):
    steered.agent("w").always("Once", " upon").reply("first").reply("second", ids=True, write_gap=0.001)
    assert ["first", "second", "Once upon"] == [text(), text(), text()]


def test_repetitions_are_sent_as_they_are(steered, text, monkeypatch):
    monkeypatch.setattr("runagent_testing._script.unrolling._MOST_STEPS", 10)
    door = gate("door")
    door.open()
    steered.agent("w").always(repeat("a", door, times=6), "b")
    assert "aaaaaab" == text()


def test_chunks_of_every_kind_arrive(steered, served, prefix):
    steered.agent("w").always({"a": 1}, [1, 2], 5, None, chunk("x", index=7, id="i", event=None), done("bye"))
    with connected(served.url) as client:
        begin(client, prefix)
        body = client.until(b"0\r\n\r\n")
    for wanted in (b'"content": {"a": 1}', b'"content": [1, 2]', b'"content": 5', b'"index": 7', b"bye"):
        assert wanted in body


def test_plain_runs_and_failures(steered, served, prefix):
    steered.agent("w").returns({"answer": 42}, usage={"tokens": 1}).returns_once("first").fails(
        1, status(418)
    )
    statuses, bodies = [], []
    for _ in range(3):
        with connected(served.url) as client:
            client.send(post(f"{prefix}/v1/agents/w/invoke", {"query": "x"}, connection="close"))
            answer, _ = client.rest()
        statuses.append(int(answer.split()[1]))
        bodies.append(answer)
    assert [418, 200, 200] == statuses
    assert (True, True) == (b"first" in bodies[1], b"42" in bodies[2])


def test_rules_answer_their_runs(steered, served, prefix):
    agent = steered.agent("w").always("other")
    rule = agent.when(query=re.compile("^hel", re.IGNORECASE)).always("rule")
    rule.reply("first of the rule")
    agent.when(headers={"X-Test": "a"}, nth=range(1, 9)).always("by header")
    seen = []
    for query, headers in (("HELLO", {}), ("hello", {}), ("bye", {}), ("bye", {"X-Test": "a"})):
        with connected(served.url) as client:
            client.send(
                post(f"{prefix}/v1/agents/w/stream", {"query": query}, accept="text/plain", **headers)
            )
            seen.append(client.until(b"0\r\n\r\n").split(b"\r\n")[-4])
    assert [b"first of the rule", b"rule", b"other", b"by header"] == seen


def test_limits_and_entry_points(steered, served, prefix):
    steered.agent("w").always("x").limit(1, 60).entrypoints("generic_stream")
    statuses = []
    for _ in range(2):
        with connected(served.url) as client:
            begin(client, prefix)
            statuses.append(int(client.until(b"\r\n\r\n").split()[1]))
    assert [200, 429] == statuses


def test_a_gate_of_this_process_opens_that_of_the_server(steered, served, prefix):
    door, pause = gate("door"), delay(0.0)
    steered.agent("w").always("a", "b", "c", door, "d", pause)
    with connected(served.url) as client:
        begin(client, prefix)
        exchange = steered.wait_request()
        assert exchange.wait_sent(3)
        assert exchange.wait_sent(door)
        assert ("running", True) == (exchange.outcome, exchange.client == "still reading")
        assert not exchange.wait_sent(4, timeout=0.01)
        assert (False, 1) == (steered.gates["door"].is_open, steered.gates["door"].waiting)
        door.open()
        assert exchange.wait_done()
        assert exchange.wait_sent(pause)
        assert b'"d"' in client.until(b"0\r\n\r\n")
    assert "done" == exchange.outcome
    assert not exchange.wait_sent(9, timeout=5)


def test_a_gate_that_is_open_before_it_is_sent_is_open_there(steered, text):
    door = gate("door")
    door.open()
    steered.agent("w").always(door, "x")
    assert "x" == text()


def test_gates_are_opened_and_closed_by_name(steered, text):
    steered.agent("w").always(gate("door"), "x")
    steered.gates["door"].open()
    assert "x" == text()
    steered.gates["door"].close()
    assert not steered.gates["door"].is_open


def test_requests_show_what_was_asked(steered, served, prefix):
    agent = steered.agent("w").always("x")
    steered.agent("v").always("y")
    with connected(served.url) as client:
        client.send(
            post(f"{prefix}/v1/agents/w/stream", {"query": "hello"}, Authorization="Bearer s3cret-key")
        )
        client.until(b"0\r\n\r\n")
    text_of(served, "v", prefix)
    first, second = steered.requests
    assert ("w", {"query": "hello"}, 1) == (first.agent_id, first.input, first.number)
    assert ("v", 2) == (second.agent_id, second.arrival)
    assert "<redacted>" == first.headers["authorization"]
    assert [1] == [exchange.number for exchange in agent.requests]
    assert agent.wait_request().arrival == first.arrival
    assert steered.wait_request(2).arrival == second.arrival
    assert "hello" in first.timeline()
    assert "hello" in first.transcript()
    assert "w" == first.transcript_dict()["agent_id"]
    assert first.as_dict()["input"] == {"query": "hello"}
    with pytest.raises(AttributeError):
        _ = first.nothing


def test_a_wait_for_requests_has_a_limit(steered):
    with pytest.raises(TimeoutError, match=r"expected 2 request\(s\) within 0.01 s, but 0 came"):
        steered.wait_request(2, timeout=0.01)
    with pytest.raises(TimeoutError, match="of agent 'w'"):
        steered.agent("w").always("x").wait_request(timeout=0.01)
    with pytest.raises(ValueError, match="1 or more"):
        steered.wait_request(0)


def test_a_client_that_leaves_is_noticed(steered, served, prefix):
    steered.agent("w").always("a", ending("stall"))
    with connected(served.url) as client:
        begin(client, prefix)
        client.until(b'"a"')
    exchange = steered.wait_request()
    assert exchange.wait_disconnected()
    assert exchange.client in ("closed", "reset")


def test_leftovers_fail_the_check(steered, text):
    steered.agent("w").always("x").reply("never")
    steered.on_request("GET /x", status(204))
    problems = steered.problems()
    assert 2 == len(problems)
    assert "agent 'w': never used: reply with chunk 'never'" in problems
    with pytest.raises(AssertionError, match="unmet fake-agent expectations:\n  - agent 'w'"):
        steered.check()
    assert [] == steered.problems(allow_unused=True)
    text()
    assert 1 == len(steered.problems())


def test_other_and_unmatched_requests(steered, served, prefix):
    steered.on_request("POST /x", status(204))
    for path in ("/x", "/y"):
        with connected(served.url) as client:
            client.send(post(f"{prefix}{path}"))
            client.until(b"\r\n\r\n")
    assert ["/x"] == [exchange.path for exchange in steered.other_requests]
    (unmatched,) = steered.unmatched
    assert unmatched.unmatched
    assert [] == steered.problems(allow_unmatched=True)
    assert "/y" in steered.timelines()


def test_faults_and_chaos(steered, text):
    agent = steered.agent("w").always("Once ", "upon ", "a time")
    agent.inject("fin-after-event-1")
    steered.inject("fin-after-event-1", agent="w", run=3)
    assert 2 == len(steered.problems())
    steered.chaos(0.5, seed=3, only=["sse"])
    steered.chaos(0)
    with pytest.raises(ValueError, match="fault"):
        steered.inject("nothing")
    with pytest.raises(ValueError, match="rate"):
        steered.chaos(2)


def test_clear_and_reset(steered, served, text):
    read_script("agents: {w: {always: [file], replies: [[once]]}}", "file").apply(served)
    steered.reset()
    assert ["once", "file"] == [text(), text()]
    steered.agent("v").always("x")
    steered.reset()
    assert [] == steered.requests
    assert "once" == text()
    steered.clear()
    assert [] == steered.requests
    assert {} == steered.gates
    steered.agent("w").always("new")
    assert "new" == text()


def test_invalid_scripts_raise_the_same_errors(steered):
    for call, error in (
        (lambda agent: agent.always(delay(1), status(500), "x"), TypeError),
        (lambda agent: agent.always("x", resume="never"), ValueError),
        (lambda agent: agent.always("x", nothing=1), TypeError),
        (lambda agent: agent.reply(["a", "b"]), TypeError),
        (lambda agent: agent.when(), TypeError),
        (lambda agent: agent.limit(0, 1), ValueError),
        (lambda agent: agent.fails(-1), ValueError),
    ):
        with pytest.raises(error):
            call(steered.agent("w"))


def test_the_journal_is_saved_in_every_form(steered, text, tmp_path):
    steered.agent("w").always("x")
    text()
    journal = steered.journal
    assert ["w"] == [exchange.agent_id for exchange in journal.exchanges]
    assert ["w"] == [exchange["agent_id"] for exchange in journal.as_dict()["exchanges"]]
    assert "1.2" == journal.as_har()["log"]["version"]
    assert ["w"] == [exchange["agent_id"] for exchange in journal.transcript_list(sort=True)]
    for ending_ in ("har", "json", "txt"):
        journal.save(tmp_path / f"journal.{ending_}")
    assert f"{journal.transcript()}\n" == (tmp_path / "journal.txt").read_text()
    with pytest.raises(ValueError, match=r"files, not 'journal\.xml'"):
        journal.save(tmp_path / "journal.xml")
