"""Another process reads the journal of a fake agent server, follows what happens, and resets it."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

from runagent_testing import FakeAgentServer, delay, gate, status
from runagent_testing._control import state
from runagent_testing._control.scripts import agents_of
from runagent_testing._control.state import MAX_EVENTS, Changes
from runagent_testing._standalone.script_file import read_script
from tests.runagent_testing.control_client import ControlClient, text_of
from tests.runagent_testing.raw_client import connected, post, stream
from tests.support.tracing import SLOWDOWN

FILE = "agents: {w: {always: [Once, {gate: door}, ' upon'], replies: [[first]]}}"


# The journal


def test_the_journal_lists_requests_by_kind(served, control):
    served.agent("w").always("x")
    served.on_request("POST /x", status(204))
    text_of(served)
    for path in ("/x", "/nothing"):
        with connected(served.url) as client:
            client.send(post(path))
            client.until(b"\r\n\r\n")
    paths = {
        kind: [exchange["path"] for exchange in control.get(f"/exchanges?kind={kind}")["exchanges"]]
        for kind in ("run", "other", "unmatched", "all")
    }
    run = "/v1/agents/w/stream"
    assert {"run": [run], "other": ["/x"], "unmatched": ["/nothing"], "all": [run, "/x", "/nothing"]} == paths
    assert [3] == [
        exchange["arrival"] for exchange in control.get("/exchanges?kind=all&after=2")["exchanges"]
    ]
    assert {
        "connections": 3,
        "requests": 1,
        "other_requests": 1,
        "unmatched": 1,
        "running": 0,
        "by_agent": {"w": 1},
    } == control.get("/counts")
    assert 1 == len(control.get("/problems")["problems"])
    assert [] == control.get("/problems?allow_unmatched=true")["problems"]
    assert "POST /nothing" in control.get("/timelines")["timelines"]
    (full,) = control.get("/exchanges?full=true")["exchanges"]
    assert control.get("/exchanges/1")["exchange"] == full
    assert 404 == control.ask("GET", "/exchanges/4")[0]


def test_the_journal_is_shown_in_every_form(served, control):
    served.agent("w").always("x")
    text_of(served)
    assert [1] == [exchange["arrival"] for exchange in control.get("/journal")["exchanges"]]
    assert 1 == len(control.get("/journal?format=har")["log"]["entries"])
    shown = control.get("/journal?format=transcript&headers=host,accept&sort=true")["transcripts"]
    assert [control.get("/exchanges/1/transcript?headers=host,accept")["value"]] == shown
    for query in ("format=xml", "sort=1"):
        assert 400 == control.ask("GET", f"/journal?{query}")[0]


def test_what_the_journal_has_forgotten_counts(served, control):
    served.agent("w").always("x")
    served._keep_last(2)
    for _ in range(4):
        text_of(served)
    listed = control.get("/exchanges?wait=4&agent=w")
    assert (4, [3, 4]) == (listed["count"], [exchange["number"] for exchange in listed["exchanges"]])
    assert 4 == control.get("/counts")["requests"]


def test_control_requests_are_in_no_journal(served, control):
    for path in ("/counts", "/nothing", "/problems"):
        control.ask("GET", path)
    control.ask("POST", "/agents/w", {"x": 1})
    assert [] == served.journal.exchanges
    assert [] == served.problems()


# Resets and scopes


def test_a_reset_goes_back_to_the_file_and_drops_runs(served, control):
    read_script(FILE, "file").apply(served)
    served.agent("other").always("x")
    assert "first" == text_of(served)
    with connected(served.url) as client:
        client.send(stream("w"))
        client.until(b"Once")
        control.change("POST", "/reset")
        assert b" upon" not in client.rest()[0]
    assert 0 == control.get("/exchanges")["count"]
    assert "first" == text_of(served)
    assert ["w"] == [agent["id"] for agent in control.get("/agents")["agents"]]


def test_scopes_do_not_meet(served, control):
    read_script(FILE, "file").apply(served)
    with ControlClient(served.url, "a") as a, ControlClient(served.url, **{"X-Fake-Scope": "b"}) as b:
        a.change("PUT", "/agents/w", {"always": ["mine"]})
        assert "mine" == text_of(served, scope="/_scope/a")
        assert "first" == text_of(served, scope="/_scope/b")
        assert [1, 1, 0] == [client.get("/exchanges")["count"] for client in (a, b, control)]
        assert ["a", "b", ""] == [client.get("/state")["scope"] for client in (a, b, control)]
        assert f"{served.url}/_scope/a" == a.get("/state")["url"]
        assert 409 == a.ask("POST", "/on-connect", {"fault": "reset"})[0]
        assert ["a", "b"] == [scope["name"] for scope in control.get("/scopes")["scopes"]]
        a.change("POST", "/reset")
        assert [0, 1] == [client.get("/exchanges")["count"] for client in (a, b)]
        control.change("DELETE", "/scopes/b")
        assert 404 == control.ask("DELETE", "/scopes/b")[0]
        assert 0 == b.get("/exchanges")["count"]


def test_a_control_request_with_an_invalid_scope_is_refused(served):
    with ControlClient(served.url, "a") as control:
        answered, content = control.ask("GET", "/counts", **{"X-Fake-Scope": "b"})
    assert (400, "BAD_SCOPE") == (answered, content["error"]["code"])


# Events


def events_of(client):
    """Yield the events of a stream."""
    while True:
        name, data = client.until(b"\n\n").decode().removesuffix("\n\n").split("\n")[-2:]
        yield name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def test_events_show_what_changes(served, control):
    read_script(FILE, "file").apply(served)
    text_of(served)
    with connected(served.url) as watching, connected(served.url) as client:
        watching.send(b"GET /_fake/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"text/event-stream" in watching.until(b"\r\n\r\n")
        events = events_of(watching)
        seen = [next(events) for _ in range(3)]
        assert ["exchange", "agents", "gates"] == [name for name, _ in seen]
        assert "done" == seen[0][1]["outcome"]
        client.send(stream("w"))
        begun = next(data for name, data in events if name == "exchange" and data["chunks"])
        assert (2, "running", ["Once"]) == (begun["number"], begun["outcome"], begun["chunks"])
        control.change("PUT", "/gates/door", {"open": True})
        ended = next(data for name, data in events if name == "exchange" and data["outcome"] == "done")
        assert (2, [" upon"]) == (ended["chunks_sent"], ended["chunks"])
        control.change("POST", "/reset")
        assert {} == next(data for name, data in events if name == "reset")


def test_more_exchanges_than_a_first_look_shows_are_all_seen_behind_one_that_goes_on(served):
    served.agent("long").always("x", gate("door"))
    served.agent("short").always("y")
    changes = Changes(served)
    with connected(served.url) as client:
        client.send(stream("long"))
        client.until(b"x")
        changes.look()
        for _ in range(MAX_EVENTS + 10):
            text_of(served, "short")
        shown = [data["number"] for name, data in changes.look() if name == "exchange"]
    assert list(range(2, MAX_EVENTS + 12)) == [number for number in shown if number > 1]


def test_a_look_describes_the_agents_only_if_an_answer_has_changed(served, monkeypatch):
    described = []
    agent = served.agent("w").always("x")
    rule = agent.when(query="y")
    changes = Changes(served)

    def describe(scope):
        described.append(scope)
        return agents_of(scope)

    monkeypatch.setattr(state, "agents_of", describe)

    def shown():
        return [data["agents"] for name, data in changes.look() if name == "agents"]

    assert [[{"always": 1}]] == [[methods_of(one) for one in agents] for agents in shown()]
    assert not shown()
    assert 1 == len(described)
    for change, methods in (
        (lambda: agent.reply("once"), {"reply": 1, "always": 1}),
        (lambda: text_of(served), {"always": 1}),
        (lambda: agent.returns("r"), {"always": 1, "returns": 1}),
        (lambda: agent.fails(2), {"fails": 2, "always": 1, "returns": 1}),
        (lambda: rule.reply("z"), {"when(query='y').reply": 1, "fails": 2, "always": 1, "returns": 1}),
    ):
        change()
        assert [methods] == [methods_of(one) for (one,) in shown()]
        assert not shown()
    served.agent("other")
    assert 2 == len(*shown())
    served.clear()
    assert [[]] == shown()


def methods_of(agent):
    return Counter(answer["method"] for answer in agent["answers"])


def test_looks_at_many_queued_answers_cost_little(served):
    agent = served.agent("w")
    agent.reply(gate("door"))
    for _ in range(5_000):
        agent.reply("x")
    changes = Changes(served)
    (_, agents), (_, gates) = changes.look()
    assert ({"reply": 5_001}, ["door"]) == (
        agents["agents"][0]["unused"],
        [gate["name"] for gate in gates["gates"]],
    )
    before = time.process_time()
    for _ in range(20):
        assert not changes.look()
    assert time.process_time() - before < 0.02 * SLOWDOWN


# The server


def test_a_server_that_drains_is_not_ready(served, control):
    served.agent("w").always("x", delay(0.2), "y")
    assert (200, {"status": "ready"}) == control.ask("GET", "/ready")
    with connected(served.url) as client:
        client.send(stream("w"))
        client.until(b"x")
        draining = threading.Thread(target=served.drain, args=[5.0])
        draining.start()
        client.until(b"0\r\n\r\n")
        draining.join(5)
    assert (503, {"status": "draining"}) == control.ask("GET", "/ready")
    assert (200, {"status": "ok"}) == control.ask("GET", "/health")


def test_waiting_requests_keep_no_server_from_closing():
    with FakeAgentServer(control=True) as server:
        began = time.monotonic()
        with connected(server.url) as waiting, connected(server.url) as watching:
            waiting.send(b"GET /_fake/exchanges?wait=1&timeout=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            watching.send(b"GET /_fake/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            watching.until(b"event: gates")
            server.close()
    assert time.monotonic() - began < 4
