"""Several tests share one server or network: each has a scope, named by a header or by the path."""

from __future__ import annotations

import threading

import pytest

from runagent_testing import FakeAgentServer, MemoryNetwork, gate, status
from runagent_testing._host.scopes import MAX_SCOPES, SCOPE_IDLE, Scopes
from runagent_testing._standalone.script_file import read_script
from tests.runagent_testing.players import client_of
from tests.runagent_testing.raw_client import handshake, post, stream

FILE = """
agents:
  writer:
    replies: [[first], [second]]
    always: [Once]
"""


def answer_of(host, request):
    """Return the status and body of an answer."""
    with client_of(host) as client:
        client.send(request)
        head = client.until(b"\r\n\r\n")
        body = client.until(b"0\r\n\r\n") if b"chunked" in head.lower() else b""
    return int(head.split()[1]), body


def in_scope(name, agent="writer"):
    return stream(agent, **{"X-Fake-Scope": name})


def under(name, agent="writer"):
    return post(f"/_scope/{name}/v1/agents/{agent}/stream", accept="text/event-stream")


@pytest.mark.parametrize("request_of", [in_scope, under])
def test_a_scope_has_its_own_replies_and_journal(host, request_of):
    read_script(FILE, "file").apply(host)
    assert b"first" in answer_of(host, request_of("a"))[1]
    assert b"first" in answer_of(host, request_of("b"))[1]
    assert b"second" in answer_of(host, request_of("a"))[1]
    assert b"first" in answer_of(host, stream("writer"))[1]
    counts = [len(scope.requests) for scope in (host.scope("a"), host.scope("b"), host)]
    assert [2, 1, 1] == counts
    assert ["/v1/agents/writer/stream"] * 2 == [exchange.path for exchange in host.scope("a").requests]


def test_leftovers_are_those_of_the_scope(host):
    host.scope("a").agent("w").reply("x")
    host.scope("b").agent("w").always("x")
    assert answer_of(host, in_scope("b", "w"))[0] == 200
    assert ["agent 'w': never used: reply with chunk 'x'"] == host.scope("a").problems()
    assert [] == host.scope("b").problems()
    assert [] == host.problems()


def test_a_request_to_an_agent_of_another_scope_is_unmatched_in_its_own(host):
    host.scope("a").agent("w").always("x")
    assert answer_of(host, in_scope("b", "w"))[0] == 404
    assert 1 == len(host.scope("b").unmatched)
    assert [] == [*host.unmatched, *host.scope("a").unmatched]


def test_answers_to_other_requests_belong_to_a_scope(host):
    host.scope("a").on_request("POST /x", status(418))
    assert 404 == answer_of(host, post("/x"))[0]
    assert 418 == answer_of(host, post("/_scope/a/x"))[0]


def test_a_reset_scope_begins_with_the_file_and_leaves_the_others(host):
    read_script(FILE, "file").apply(host)
    host.scope("a").agent("writer").always("changed")
    for name in ("a", "a", "b"):
        answer_of(host, in_scope(name))
    assert b"changed" in answer_of(host, in_scope("a"))[1]
    host.scope("a").reset()
    assert b"first" in answer_of(host, in_scope("a"))[1]
    assert 1 == len(host.scope("a").requests)
    assert b"second" in answer_of(host, in_scope("b"))[1]


def test_a_reset_host_has_what_the_file_has_and_keeps_other_scopes(host):
    read_script(FILE, "file").apply(host)
    host.agent("other").always("x")
    answer_of(host, stream("writer"))
    answer_of(host, in_scope("a"))
    host.reset()
    assert b"first" in answer_of(host, stream("writer"))[1]
    assert 404 == answer_of(host, stream("other"))[0]
    assert b"second" in answer_of(host, in_scope("a"))[1]


@pytest.mark.parametrize("method", ["always", "reply", "returns", "fails", "limit", "entrypoints", "when"])
def test_an_agent_that_clear_has_forgotten_takes_no_script(host, method):
    agent = host.agent("a")
    rule = agent.when(nth=1)
    host.clear()
    arguments = {"fails": (1,), "limit": (1, 1), "when": ()}.get(method, ("x",))
    with pytest.raises(RuntimeError, match=r"has forgotten this agent\('a'\) .*: call agent\('a'\) again"):
        getattr(agent, method)(*arguments, **({"nth": 1} if method == "when" else {}))
    with pytest.raises(RuntimeError, match=r"call agent\('a'\) again"):
        rule.always("x")
    assert [] == agent.requests
    host.agent("a").always("x")
    host.scope("s").agent("a").always("x")


def test_clear_forgets_the_scopes_and_the_file(host):
    read_script(FILE, "file").apply(host)
    scope = host.scope("a")
    host.clear()
    assert scope is not host.scope("a")
    assert 404 == answer_of(host, in_scope("a"))[0]


def test_a_scope_has_gates_of_its_own(host):
    read_script("agents: {w: {always: [a, {gate: door}, b]}}", "file").apply(host)
    host.scope("a").gates["door"].open()
    assert b"b" in answer_of(host, in_scope("a", "w"))[1]
    assert [True, False, False] == [
        scope.gates["door"].is_open for scope in (host.scope("a"), host.scope("b"), host)
    ]
    host.scope("a").reset()
    assert not host.scope("a").gates["door"].is_open


def test_resetting_a_scope_ends_its_runs_and_no_others():
    with FakeAgentServer() as server, client_of(server) as mine, client_of(server) as other:
        for name, client in (("a", mine), ("b", other)):
            server.scope(name).agent("w").always("x", gate("door"), "y")
            client.send(in_scope(name, "w"))
            client.until(b'"x"')
        server.scope("a").reset()
        assert b"" == mine.socket.recv(100)
        server.scope("b").gates["door"].open()
        assert b'"y"' in other.until(b"0\r\n\r\n")
        assert [] == server.scope("a").requests
        assert 1 == len(server.scope("b").requests)


def test_a_run_that_has_waited_passes_a_gate_that_is_opened_and_closed_at_once(host):
    door = gate("door")
    host.agent("w").always("x", door, "y")

    def open_and_close():
        host.wait_request().wait_sent(1)
        door.open()
        door.close()

    opened = threading.Thread(target=open_and_close)
    opened.start()
    assert b'"y"' in answer_of(host, stream("w"))[1]
    opened.join(5)
    assert not door.is_open
    assert "gate open" in host.requests[0].timeline()


def test_gates_are_found_without_another_look_at_every_step(host):
    class Steps(tuple[object, ...]):
        __slots__ = ()
        looks = 0

        def __iter__(self):
            Steps.looks += 1
            return super().__iter__()

    scripts = host.agent("w").always("x", gate("door"))._scripts
    object.__setattr__(scripts.script, "steps", Steps(scripts.script.steps))
    for _ in range(3):
        assert ["door"] == list(host.gates)
    assert Steps.looks == 1
    host.agent("w").always(gate("other"))
    assert ["other"] == list(host.gates)


def test_the_gates_of_an_endless_answer_are_those_that_are_known(host):
    door = gate("door")

    def steps(_):
        yield "a"
        yield door

    host.agent("w").responds(steps)
    opening = threading.Thread(
        target=lambda: host.wait_request().wait_sent(door) and host.gates["door"].open()
    )
    opening.start()
    assert 200 == answer_of(host, stream("w"))[0]
    opening.join(5)
    assert door.is_open


def test_a_websocket_belongs_to_the_scope_of_its_path():
    with FakeAgentServer() as server, client_of(server) as client:
        server.scope("a").agent("w").always("x")
        client.send(handshake("w").replace(b"GET /", b"GET /_scope/a/"))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101")
        assert [] == server.unmatched


@pytest.mark.parametrize(
    ("path", "body", "wanted"),
    [
        ("v1/chat/completions", {"model": "w", "messages": [], "stream": True}, b"chat.completion.chunk"),
        (
            "v1/messages",
            {"model": "w", "messages": [], "max_tokens": 9, "stream": True},
            b"content_block_delta",
        ),
        ("v1beta/models/w:streamGenerateContent?alt=sse", {"contents": []}, b"candidates"),
        (
            "agui/w",
            {"threadId": "t", "runId": "r", "messages": [], "tools": [], "context": []},
            b"TEXT_MESSAGE",
        ),
    ],
)
def test_the_protocols_of_plugins_are_behind_the_prefix(host, path, body, wanted):
    host.scope("a").agent("w").always("Once")
    with client_of(host) as client:
        client.send(post(f"/_scope/a/{path}", body))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
        assert wanted in client.until(b"Once")
    assert 1 == len(host.scope("a").requests)
    assert [] == [*host.requests, *host.unmatched, *host.scope("a").unmatched]


def test_an_address_that_a_dialect_writes_leads_into_the_scope(host):
    host.scope("a").agent("w").always("x")
    with client_of(host) as client:
        client.send(post("/_scope/a/a2a/w/.well-known/agent-card.json").replace(b"POST", b"GET"))
        assert f'"{host.url}/_scope/a/a2a/w"'.encode() in client.until(b'"protocolVersion"')


def test_the_url_of_a_scope_leads_to_it(host):
    assert f"{host.url}/_scope/a%20b" == host.scope("a b").url
    host.scope("a b").agent("w").always("x")
    assert 200 == answer_of(host, under("a%20b", "w"))[0]
    assert host.scope("a b").url == host.scope("a b").agent("w").url


@pytest.mark.parametrize(
    "request_",
    [in_scope("a/b"), in_scope(""), under("%00"), under(".."), in_scope("x" * 201), under("")],
)
def test_an_invalid_name_is_refused(host, request_):
    assert 400 == answer_of(host, request_)[0]
    assert "the name of a scope is 1 to 200 printable" in host.unmatched[0].unmatched


def test_a_request_that_names_two_scopes_is_refused(host):
    twice = post("/_scope/a/v1/agents/w/stream", **{"X-Fake-Scope": "b"})
    assert 400 == answer_of(host, twice)[0]
    assert "names the scope 'a'" in host.unmatched[0].unmatched


def test_there_is_a_limit_of_scopes(host, monkeypatch):
    monkeypatch.setattr("runagent_testing._host.scopes.MAX_SCOPES", 2)
    host.scope("a")
    host.scope("b")
    assert 503 == answer_of(host, in_scope("c"))[0]
    assert 404 == answer_of(host, in_scope("a"))[0]
    with pytest.raises(RuntimeError, match=r"there are \d+ scopes"):
        host.scope("c")
    assert MAX_SCOPES == 1000


def test_an_idle_scope_is_dropped_unless_a_run_goes_on():
    times = [0.0]
    host = MemoryNetwork()
    scopes = Scopes(host._new_scope, clock=lambda: times[0])
    scope = scopes.get("a")
    times[0] = SCOPE_IDLE
    assert scope is scopes.get("a")
    times[0] = 2 * SCOPE_IDLE + 1
    assert scope is not scopes.get("a")
    assert SCOPE_IDLE == 600.0


def test_a_scope_with_a_run_that_goes_on_is_kept():
    times = [0.0]
    with FakeAgentServer() as server, client_of(server) as client:
        server._scopes.clock = lambda: times[0]
        scope = server.scope("a")
        door = gate("door")
        scope.agent("w").always("x", door)
        client.send(in_scope("a", "w"))
        client.until(b'"x"')
        times[0] = SCOPE_IDLE + 1
        assert scope is server.scope("a")
        door.open()
        client.until(b"0\r\n\r\n")
