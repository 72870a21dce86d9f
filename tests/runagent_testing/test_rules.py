"""Rules of fake agents: the first one whose conditions hold and that has an answer left answers the run."""

from __future__ import annotations

import re
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runagent import AgentServerError, RunAgentError, ValidationError
from runagent_testing import MemoryNetwork, delay, ending, head, status
from tests.runagent_testing.functions import client_of
from tests.runagent_testing.players import body_of
from tests.runagent_testing.players import client_of as raw_client_of
from tests.runagent_testing.raw_client import PATIENCE, handshake, post
from tests.runagent_testing.virtual import STYLES, Virtual

PATIENT = {"resume": True, "max_retries": 1, "retry_delay": 0.001}
STREAMS = ("sse", "chunked", "websocket")


def asked(host, query="hi", transport="sse", **options):
    with client_of(host, transport, **options) as client:
        return client.run_generic_stream(query).text()


def plainly(host, query="hi", transport="sse"):
    with client_of(host, transport) as client:
        return client.run_generic(query)


def unmatched(host):
    (exchange,) = host.unmatched
    return exchange.unmatched


# Which rule answers


@pytest.mark.parametrize("transport", STREAMS)
def test_the_first_rule_that_applies_answers(host, transport):
    agent = host.agent("a").always("own").returns("plain")
    agent.when(query="hi").always("first").returns(1)
    agent.when(query=re.compile("^h")).always("second").returns(2)
    answers = [asked(host, query, transport) for query in ("hi", "ho", "x")]
    plain = [plainly(host, query, transport) for query in ("hi", "ho", "x")]
    assert (["first", "second", "own"], [1, 2, "plain"]) == (answers, plain)
    host.check()


@pytest.mark.parametrize("style", STYLES)
def test_rules_hold_in_every_style(style):
    virtual = Virtual(style)
    virtual.memory.agent("a").always("own").when(query="hi").reply("rule")

    async def scenario():
        async with virtual.client() as client:
            return [await client.run_generic_stream("hi").text() for _ in range(2)]

    assert ["rule", "own"] == virtual.run(scenario)


@pytest.mark.parametrize("transport", STREAMS)
def test_a_rule_without_an_answer_left_is_passed_over(host, transport):
    agent = host.agent("a").always("own")
    agent.when(query="hi").reply("once").reply("twice")
    agent.when(query="hi").reply("then").returns_once(1)
    assert ["once", "twice", "then", "own"] == [asked(host, "hi", transport) for _ in range(4)]
    assert 1 == plainly(host, "hi", transport)
    host.check()


def test_a_rule_may_fail_first_and_compute_its_answers(host):
    agent = host.agent("a").fails(1)
    agent.when(headers={"X-Tenant": "acme"}).fails(1, status(502)).responds(lambda run: [run.input["query"]])
    with pytest.raises(AgentServerError) as failed:
        asked(host, headers={"x-tenant": "acme"})
    assert (502, "hi") == (failed.value.status, asked(host, headers={"x-tenant": "acme"}))
    assert ["agent 'a': never used: fails with status 503"] == host.problems()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sets(st.sampled_from("abc")), st.integers(0, 2)), max_size=5), st.data())
def test_the_order_decides_however_many_rules_there_are(rules, data):
    memory = MemoryNetwork()
    agent = memory.agent("a").always("own")
    left = []
    for number, (letters, count) in enumerate(rules):
        rule = agent.when(query=re.compile(f"[{''.join(letters)}]" if letters else "(?!)"))
        for _ in range(count):
            rule.reply(str(number))
        left.append([letters, count])
    for letter in data.draw(st.lists(st.sampled_from("abcd"), max_size=8)):
        wanted = next((n for n, (letters, count) in enumerate(left) if letter in letters and count), None)
        if wanted is not None:
            left[wanted][1] -= 1
        assert ("own" if wanted is None else str(wanted)) == asked(memory, letter)


@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_runs_are_counted_and_resumptions_not(host, transport):
    agent = host.agent("a").always("own")
    agent.when(nth=2).reply("Once", ending("reset")).reply("Once", " upon")
    agent.when(nth=3).always("third")
    answers = [asked(host, transport=transport, **PATIENT) for _ in range(3)]
    assert ["own", "Once upon", "third"] == answers
    host.check()


def test_a_retry_is_another_run(host):
    host.agent("a").always("own").when(nth=1).reply(status(503, retry_after=0))
    assert "own" == asked(host, max_retries=1)
    host.check()


def test_streams_and_plain_runs_are_counted_together_and_refused_ones_not(host):
    agent = host.agent("a").always("own")
    agent.when(nth=2).returns("second")
    with raw_client_of(host) as client:
        client.send(post("/v1/agents/a/invoke", b"["))  # refused: no JSON
        assert 400 == body_of(client)[0]
    assert ("own", "second") == (asked(host), plainly(host))
    host.check()


# Functions


@pytest.mark.parametrize("transport", STREAMS)
def test_a_function_is_called_once_and_only_if_it_matters(host, transport):
    calls = []

    def is_long(run):
        calls.append(run.input["query"])
        return len(run.input["query"]) > 3

    agent = host.agent("a").always("own")
    agent.when(query="certain").always("certain")
    agent.when(matches=is_long, headers={"x-none": None}).always("long")
    agent.when(matches=is_long, nth=10).always("never")
    answers = [asked(host, query, transport) for query in ("certain", "longer", "hi")]
    assert (["certain", "long", "own"], ["longer", "hi"]) == (answers, calls)


@pytest.mark.parametrize("transport", STREAMS)
def test_what_a_function_raises_fails_the_run_and_the_test_by_name(host, transport):
    def is_odd(run):
        raise LookupError("no such thing")

    host.agent("a").always("own").when(matches=is_odd).always("rule")
    with pytest.raises(RunAgentError, match="no such thing"):
        asked(host, transport=transport)
    (problem,) = host.problems()
    assert "LookupError: no such thing (in when(matches=...) with " in problem
    assert "is_odd (" in problem
    assert "test_rules.py" in problem


def test_a_slow_function_keeps_no_other_agent_waiting(server, door):
    entered = threading.Event()

    def waits(run):
        entered.set()
        return door.wait(PATIENCE)

    server.agent("a").when(matches=waits).always("slow")
    server.agent("b").always("fast")
    found = []
    thread = threading.Thread(target=lambda: found.append(asked(server)))
    thread.start()
    assert entered.wait(PATIENCE)
    with client_of(server, agent="b") as client:
        assert "fast" == client.run_generic_stream("hi").text()
    door.set()
    thread.join(PATIENCE)
    assert ["slow"] == found


def test_a_function_that_does_not_return_is_named(server, door, monkeypatch):
    monkeypatch.setattr("runagent_testing._host.conditions._PATIENCE", 0.05)

    def hangs(run):
        return door.wait(PATIENCE)

    server.agent("a").when(matches=hangs).always("rule")
    with pytest.raises(AgentServerError, match=r"has not returned within 0\.05 s"):
        asked(server)
    door.set()
    assert "when(matches=...) with " in " ".join(server.problems())


def test_a_rule_that_a_function_chose_may_compute_its_answer(host):
    agent = host.agent("a")
    agent.when(matches=lambda _: True).responds(lambda run: iter(["computed ", run.input["query"]]))
    assert "computed hi" == asked(host)
    host.check()


# WebSockets


def test_a_rule_by_headers_refuses_the_handshake(host):
    agent = host.agent("a").always("own")
    agent.when(headers={"x-tenant": "acme"}).reply(status(429))
    with raw_client_of(host) as client:
        client.send(handshake().replace(b"\r\n\r\n", b"\r\nX-Tenant: acme\r\n\r\n"))
        assert 429 == body_of(client)[0]
    assert "own" == asked(host, transport="websocket")


def test_a_rule_by_the_input_refuses_in_a_message(host):
    host.agent("a").always("own").when(query="hi").reply(status(429, message="slow down"))
    with pytest.raises(ValidationError, match="slow down"):
        asked(host, transport="websocket")
    assert "own" == asked(host, transport="websocket")
    host.check()


@pytest.mark.parametrize("answer", [["x"], [status(429, message="no")]], ids=["stream", "status"])
@pytest.mark.parametrize("function", [False, True], ids=["rule", "responds"])
def test_pauses_before_an_answer_that_is_chosen_late_are_kept(answer, function):
    memory = MemoryNetwork()
    steps = [delay(5), head(), *answer] if answer == ["x"] else [delay(5), *answer]
    if function:
        memory.agent("a").responds(lambda _: steps)
    else:
        memory.agent("a").when(query="hi").reply(*steps)
    began = memory.blocking.now()
    if answer == ["x"]:
        assert "x" == asked(memory, transport="websocket")
    else:
        with pytest.raises(ValidationError, match="no"):
            asked(memory, transport="websocket")
    assert began + 5 == memory.blocking.now()
    assert 5 == memory.requests[0].times[0]  # nothing was sent before
    memory.check()


def test_a_client_that_leaves_after_the_handshake_uses_nothing_up(host):
    agent = host.agent("a").reply("own")
    agent.when(nth=1, query="hi").reply("rule")
    with raw_client_of(host) as client:
        client.send(handshake())
        client.until(b"\r\n\r\n")
    assert ["rule", "own"] == [asked(host, transport="websocket") for _ in range(2)]
    host.check()


# What fails a test


def test_unused_replies_of_a_rule_fail_the_test(host):
    agent = host.agent("a").always("own")
    agent.when(query="hi", headers={"Authorization": "Bearer hush-hush"}).reply("x").reply("x")
    agent.when(nth={1}).always("lasting").returns("lasting")
    rule = "when(query='hi', headers={'authorization': '<redacted>'})"
    assert [f"agent 'a', {rule}: never used: reply with chunk 'x', 2 times"] == host.problems()


@pytest.mark.parametrize("transport", STREAMS)
def test_a_run_that_no_rule_answers_shows_the_nearest_rules(host, transport):
    agent = host.agent("a")
    agent.when(query=re.compile("x"), nth=7).always("x")
    agent.when(query="hi", nth=2).always("x")
    agent.when(query="hi").reply("used up")
    agent.when(query="hi").returns("plain")
    assert "used up" == asked(host, transport=transport)
    agent.when(query="hi", matches=lambda _: False).always("x")
    agent._scripts.rules.pop(1)
    with pytest.raises(RunAgentError):
        asked(host, transport=transport)
    assert unmatched(host) == (
        "agent 'a' has no answer to a stream run: call always(...)"
        "; when(query='hi'): it has used up its reply(...)"
        "; when(query='hi'): it has no answer to a stream run"
        "; when(query='hi', matches="
        "test_a_run_that_no_rule_answers_shows_the_nearest_rules.<locals>.<lambda>):"
        " test_a_run_that_no_rule_answers_shows_the_nearest_rules.<locals>.<lambda> returned False"
        "; and 1 more rule(s)"
    )


def test_what_differs_is_shown_without_secrets(host):
    agent = host.agent("a")
    agent.when(body={"api_key": "other"}).always("x")
    agent.when(headers={"authorization": "Bearer other"}).always("x")
    agent.when(body={"n": [1, {"deep": 2}]}, headers={"x-a": "b"}).always("x")
    with raw_client_of(host) as client:
        body = {"query": "hi", "api_key": "sk-hush-hush", "n": [1, {"deep": 3}]}
        client.send(post("/v1/agents/a/stream", body, authorization="Bearer hush-hush", **{"X-A": "c"}))
        status_code, answer = body_of(client)
    assert 500 == status_code
    assert "hush-hush" not in unmatched(host) + answer.decode()
    assert "'deep' in item 2 of 'n' in the body is 3 and the header 'x-a' is 'c'" in unmatched(host)
