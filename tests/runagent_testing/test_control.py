"""Another process steers a fake agent server: scripts, gates, waits, journal, checks, resets, scopes."""

from __future__ import annotations

import json
import threading
import time

import pytest

from runagent_testing._standalone.script_file import read_script
from tests.runagent_testing.control_client import ControlClient, text_of
from tests.runagent_testing.raw_client import connected, post, stream

FILE = "agents: {w: {always: [Once, {gate: door}, ' upon'], replies: [[first]]}}"


# Scripts


def test_scripts_are_added_and_replaced(served, control):
    control.change("PUT", "/agents", {"agents": {"w": {"always": ["a"]}, "v": {"always": ["b"]}}})
    assert ["a", "b"] == [text_of(served), text_of(served, "v")]
    control.change("POST", "/agents/w", {"replies": [["one"], ["two"]], "fails": 1})
    assert {"fails": 1, "reply": 2} == control.get("/agents/w")["unused"]
    control.change("PUT", "/agents/w", {"always": ["new"]})
    assert "new" == text_of(served)
    control.change("PUT", "/agents", {"agents": {"v": {"always": ["c"]}}})
    always = {"method": "always", "steps": ["chunk 'c'"]}
    assert [{"id": "v", "unused": {}, "answers": [always]}] == control.get("/agents")["agents"]
    control.change("DELETE", "/agents/v")
    assert [] == control.get("/agents")["agents"]
    assert 404 == control.ask("DELETE", "/agents/v")[0]


def test_rules_are_set_and_shown(served, control):
    rule = {"nth": 2, "replies": [["two"]], "fails": 0}
    control.change("PUT", "/agents/w", {"always": ["own"], "when": [rule], "limit": {"runs": 9, "per": 1000}})
    rules = [{"conditions": "when(nth=2)", "unused": {"reply": 1}}]
    answers = [
        {"method": "when(nth=2).reply", "steps": ["chunk 'two'"]},
        {"method": "always", "steps": ["chunk 'own'"]},
    ]
    wanted = {"id": "w", "unused": {}, "rules": rules, "answers": answers}
    assert wanted == control.get("/agents/w")
    assert ["own", "two", "own"] == [text_of(served) for _ in range(3)]


def test_an_agent_that_python_holds_has_what_was_put_over_http(served, control):
    agent = served.agent("w").always("old")
    control.change("PUT", "/agents/w", {"always": ["new"]})
    assert "new" == text_of(served)
    agent.always("newer")
    assert "newer" == text_of(served)


def test_the_id_of_an_agent_may_be_anything(served, control):
    control.change("PUT", "/agents/a%2Fb%20%C3%A9", {"always": ["x"]})
    assert ["a/b é"] == [agent["id"] for agent in control.get("/agents")["agents"]]


def test_the_problems_of_a_script_have_their_places(control):
    body = {"agents": {"w": {"always": [{"dealy": 1}], "fials": 1}}}
    answered, content = control.ask("POST", "/agents", body)
    assert 400 == answered
    for problem, wrong, right in zip(
        content["error"]["problems"], ("dealy", "fials"), ("delay", "fails"), strict=True
    ):
        assert (1, json.dumps(body).index(f'"{wrong}"') + 1) == (problem["line"], problem["column"])
        assert f"did you mean {right!r}?" in problem["message"]
    assert "INVALID_SCRIPT" == content["error"]["code"]


def test_a_large_script_keeps_no_agent_waiting(served, control):
    served.agent("fast").always("x")
    putting = threading.Thread(target=control.change, args=["PUT", "/agents/large", {"always": ["x"] * 5000}])
    putting.start()
    streamed = 0
    while putting.is_alive():
        assert "x" == text_of(served, "fast")
        streamed += 1
    assert streamed > 1
    putting.join(30)


def test_an_invalid_script_changes_nothing(served, control):
    control.change("PUT", "/agents/w", {"always": ["a"]})
    for method in ("PUT", "POST"):
        assert 400 == control.ask(method, "/agents/w", {"always": ["b"], "returns": [{"nothing": 1}]})[0]
    assert "a" == text_of(served)


def test_requests_that_ask_for_no_run_are_answered(served, control):
    control.change("POST", "/on-request", {"request": "GET /x/*", "answer": [{"status": 418}], "times": 1})
    assert any("on_request: never used" in problem for problem in control.get("/problems")["problems"])
    with connected(served.url) as client:
        client.send(post("/x/1").replace(b"POST", b"GET"))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 418")
    assert 1 == control.get("/counts")["other_requests"]


@pytest.mark.parametrize(
    "body",
    [
        {"request": "GET", "answer": ["x"]},
        {"request": "GET /x", "answer": []},
        {"request": "GET /x"},
        {"request": "GET /x", "answer": ["x"], "times": "2"},
        {"request": "GET /x", "answer": ["x"], "times": -1},
        {"request": 1, "answer": ["x"]},
        {"request": "GET /x", "answer": ["x"], "more": 1},
        {"request": "GET /x", "answer": [{"stauts": 418}]},
    ],
)
def test_an_invalid_answer_is_refused(control, body):
    assert 400 == control.ask("POST", "/on-request", body)[0]


def test_rules_are_made_and_get_their_answers(served, control):
    control.change("PUT", "/agents/w", {"always": ["other"]})
    assert {"rule": 1} == control.change("POST", "/agents/w/rules", {"nth": 2})
    shown = control.change("POST", "/agents/w/rules/1", {"replies": [["second"]]})
    assert [{"reply": 1}] == [rule["unused"] for rule in shown["rules"]]
    assert ["other", "second", "other"] == [text_of(served) for _ in range(3)]
    assert 404 == control.ask("POST", "/agents/w/rules/2", {"always": ["x"]})[0]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("rules", {}),
        ("rules", {"nht": 2}),
        ("rules", {"nth": 0}),
        ("rules", {"query": {"regex": "("}}),
        ("rules", {"matches": "x"}),
        ("rules/1", {}),
        ("rules/1", {"limit": {"runs": 1, "per": 1}}),
        ("rules/1", {"always": [{"dealy": 1}]}),
    ],
)
def test_an_invalid_rule_is_refused(control, path, body):
    control.change("POST", "/agents/w/rules", {"nth": 2})
    assert 400 == control.ask("POST", f"/agents/w/{path}", body)[0]


# Connections


def test_a_faulty_connection_is_that_of_a_client_and_not_of_the_control_api(served):
    with ControlClient(served.url) as before:
        before.change("POST", "/on-connect", {"fault": "reset", "times": 1})
    with ControlClient(served.url) as control:
        assert 1 == len(control.get("/problems")["problems"])
        with connected(served.url) as client:
            client.send(stream("w"))
            with pytest.raises(ConnectionResetError):
                client.until(b"\r\n\r\n")
        assert [] == control.get("/problems")["problems"]


@pytest.mark.parametrize("body", [{"fault": "rest"}, {"fault": "reset", "times": 1.5}, {}, {"fault": 1}])
def test_an_invalid_fault_is_refused(control, body):
    assert 400 == control.ask("POST", "/on-connect", body)[0]


def test_a_client_that_sends_nothing_meets_the_fault_too(served):
    served.on_connect("close")
    with connected(served.url) as client:
        assert b"" == client.socket.recv(1)


def test_connections_of_the_control_api_do_not_count(served, control):
    served.agent("w").always("x")
    assert 0 == control.get("/counts")["connections"]
    text_of(served)
    assert (1, 1) == (control.get("/counts")["connections"], served.connections)


def test_a_connection_that_carries_both_counts_once(served, control):
    served.agent("w").always("x")
    control.get("/counts")
    control.connection.request("POST", "/v1/agents/w/stream", b"{}")
    control.connection.getresponse().read()
    control.get("/counts")
    assert 1 == served.connections
    assert not served.requests[0].reused


# Faults


def test_a_run_meets_a_fault_of_the_catalogue(served, control):
    control.change("PUT", "/agents/w", {"always": ["Once ", "upon ", "a time"]})
    ids = [fault["id"] for fault in control.get("/faults?transport=sse")["faults"]]
    assert "fin-after-event-1" in ids
    control.change("POST", "/faults", {"fault": "fin-after-event-1", "agent": "w"})
    assert any("fin-after-event-1" in problem for problem in control.get("/problems")["problems"])
    with connected(served.url) as client:
        client.send(stream("w"))
        received, _ = client.rest()
    assert (True, False) == (b"Once" in received, b"upon" in received)
    assert "sse/fin-after-event-1" == served.requests[0].fault
    assert [] == control.get("/problems")["problems"]


def test_chaos_breaks_runs_until_it_is_ended(served, control):
    control.change("PUT", "/agents/w", {"always": ["Once ", "upon ", "a time"]})
    control.change("PUT", "/chaos", {"rate": 1, "seed": 7, "only": ["sse/fin-after-event-1"]})
    with connected(served.url) as client:
        client.send(stream("w"))
        client.rest()
    control.change("PUT", "/chaos", {"rate": 0})
    assert "Once upon a time" == text_of(served)
    assert ["sse/fin-after-event-1", None] == [exchange.fault for exchange in served.requests]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/faults", {"fault": "fin-after-evnt-1"}),
        ("POST", "/faults", {"fault": 1}),
        ("POST", "/faults", {"fault": "fin-after-event-1", "run": 0}),
        ("POST", "/faults", {"fault": "fin-after-event-1", "agent": 1}),
        ("POST", "/faults", {}),
        ("PUT", "/chaos", {"rate": 2}),
        ("PUT", "/chaos", {"rate": "1"}),
        ("PUT", "/chaos", {"rate": 1, "only": ["nothing"]}),
        ("PUT", "/chaos", {"rate": 1, "only": "sse"}),
        ("PUT", "/chaos", {"rate": 1, "only": [1]}),
        ("PUT", "/chaos", {"rate": 1, "seed": "x"}),
        ("GET", "/faults?transport=nothing", None),
    ],
)
def test_an_invalid_fault_or_chaos_is_refused(control, method, path, body):
    assert 400 == control.ask(method, path, body)[0]


# Gates and waits


def test_a_run_stops_at_a_gate_and_goes_on(served, control):
    read_script(FILE, "file").apply(served)
    control.change("PUT", "/agents/w", {"always": ["a", "b", "c", {"gate": "door"}, "d"]})
    with connected(served.url) as client:
        client.send(stream("w"))
        assert 1 == control.get("/exchanges?wait=1")["count"]
        reached = control.get("/exchanges/1?until=sent&chunks=3")
        assert (True, 3, {"gate": "door"}) == (
            reached["reached"],
            reached["exchange"]["chunks_sent"],
            reached["exchange"]["waits_for"],
        )
        assert [{"name": "door", "open": False, "waiting": 1}] == control.get("/gates")["gates"]
        (running,) = control.get("/state")["running"]
        assert (["a", "b", "c"], "running") == (running["chunks"], running["outcome"])
        assert control.get("/exchanges/1?until=sent&step=4")["reached"]
        assert not control.get("/exchanges/1?until=sent&step=5&timeout=0.01")["reached"]
        control.change("PUT", "/gates/door", {"open": True})
        assert b'"d"' in client.until(b"0\r\n\r\n")
    assert control.get("/exchanges/1?until=done")["reached"]


def test_a_client_that_disconnects_is_noticed(served, control):
    control.change("PUT", "/agents/w", {"always": ["a", {"gate": "door"}]})
    with connected(served.url) as client:
        client.send(stream("w"))
        client.until(b'"a"')
        assert not control.get("/exchanges/1?until=disconnected&timeout=0.01")["reached"]
    assert control.get("/exchanges/1?until=disconnected")["reached"]


def test_a_gate_is_closed_again(served, control):
    control.change("PUT", "/agents/w", {"always": [{"gate": "door"}, "x"]})
    control.change("PUT", "/gates/door", {"open": True})
    assert "x" == text_of(served)
    assert not control.change("PUT", "/gates/door", {"open": False})["open"]


def test_an_unknown_gate_is_named_with_the_nearest(served, control):
    control.change("PUT", "/agents/w", {"always": [{"gate": "door"}, "x"]})
    answered, content = control.ask("PUT", "/gates/dor", {"open": True})
    assert (404, True) == (answered, "did you mean 'door'?" in content["error"]["message"])
    assert 400 == control.ask("PUT", "/gates/door", {"open": 1})[0]


def test_a_wait_ends_once_it_cannot_be_met(served, control):
    served.agent("w").always("x")
    text_of(served)
    began = time.monotonic()
    assert not control.get("/exchanges/1?until=sent&chunks=2&timeout=30")["reached"]
    assert time.monotonic() - began < 10


def test_a_wait_that_is_not_met_names_what_came_instead(control):
    answered, content = control.ask("GET", "/exchanges?wait=1&timeout=0.05")
    assert (504, "TIMEOUT") == (answered, content["error"]["code"])
    assert "expected 1 request(s) within 0.05 s, but 0 came" == content["error"]["message"]


def test_a_wait_is_over_as_soon_as_the_request_has_come(served, control):
    served.agent("w").always("x")
    timer = threading.Timer(0.05, text_of, [served])
    timer.start()
    assert 1 == control.get("/exchanges?wait=1&agent=w&timeout=30")["count"]
    timer.join(5)


@pytest.mark.parametrize(
    "query",
    [
        "?wait=x",
        "?wait=-1",
        "?timeout=61",
        "?timeout=-1",
        "?timeout=nan",
        "?kind=all&kind=none",
        "?x=1",
        "?full=1",
        "?" + "&".join(f"a{n}=1" for n in range(200)),
        "/1?until=sent",
        "/1?until=done&chunks=1",
        "/1?chunks=1",
    ],
)
def test_an_invalid_query_is_refused(served, control, query):
    served.agent("w").always("x")
    text_of(served)
    assert 400 == control.ask("GET", f"/exchanges{query}")[0]
