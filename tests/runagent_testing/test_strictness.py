"""What `check` complains of, and what `clear` forgets."""

from __future__ import annotations

import contextlib
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    RunAgentClient,
    RunAgentError,
    RunTimeoutError,
    StreamTruncatedError,
)
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    delay,
    done,
    ending,
    gate,
    head,
    heartbeat,
    raw_response,
    status,
)
from runagent_testing._host.suggestions import unknown_agent, unknown_endpoint
from tests.runagent_testing.raw_client import PATIENCE, TEXT, connected, handshake, post, stream


def asked(host, agent="a", **options):
    network = host.blocking if isinstance(host, MemoryNetwork) else None
    with RunAgentClient(agent, base_url=host.url, network=network, max_retries=0, **options) as client:
        return client.run_generic_stream("q").text()


def complaint(host, **allowed):
    with pytest.raises(AssertionError) as raised:
        host.check(**allowed)
    return str(raised.value)


@pytest.fixture(params=["sockets", "memory"])
def host(request):
    if request.param == "memory":
        yield MemoryNetwork()
    else:
        with FakeAgentServer() as server:
            yield server


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_a_test_that_used_all_up_has_no_problems(host, transport):
    host.agent("a").always("z").reply("x").reply("y", delay(0.001)).returns("w")
    assert ["x", "y", "z", "z"] == [asked(host, transport=transport) for _ in range(4)]
    host.check()


def test_answers_for_any_request_may_stay_unused(host):
    host.agent("a").always("x").returns("y")
    host.check()


@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_an_unknown_agent_is_unmatched(host, transport):
    host.agent("writer").always("x")
    with pytest.raises(RunAgentError):
        asked(host, "wrter", transport=transport)
    (exchange,) = host.unmatched
    assert exchange is host.requests[0]
    assert "agent 'wrter': did you mean 'writer'?" == exchange.unmatched
    text = complaint(host)
    assert "unmatched request 1: " in text
    assert "agent 'wrter': did you mean 'writer'?" in text
    host.check(allow_unmatched=True)


def test_an_unknown_endpoint_is_unmatched_and_no_run(server):
    server.agent("a").always("x")
    with connected(server.url) as client:
        client.send(post("/v1/agents/a/strem"))
        client.until(b"}}")
    assert ([], 1) == (server.requests, len(server.unmatched))
    text = complaint(server)
    assert "POST /v1/agents/a/strem" in text
    assert "nearest is POST /v1/agents/a/stream: 'strem' instead of 'stream'" in text


@pytest.mark.parametrize(
    ("request_bytes", "words"),
    [
        (stream("a"), "agent 'a' has no answer to a stream run: call always(...)"),
        (post("/v1/agents/a/invoke"), "agent 'a' has no answer to a plain run: call returns(...)"),
        (handshake("a"), "agent 'a' has no answer to a stream run: call always(...)"),
    ],
)
def test_an_agent_without_a_script_is_unmatched(server, request_bytes, words):
    server.agent("a")
    with connected(server.url) as client:
        client.send(request_bytes)
        client.until(b"}}")
    assert [words] == [exchange.unmatched for exchange in server.unmatched]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        ("run_generic_stream", "agent 'a' has used up its reply(...): call it for each run, or always(...)"),
        (
            "run_generic",
            "agent 'a' has used up its returns_once(...): call it for each run, or returns(...)",
        ),
    ],
)
def test_one_run_more_than_was_queued_is_unmatched_and_reported(server, ask, words):
    server.agent("a").reply("x").returns_once("x")
    client = RunAgentClient("a", base_url=server.url, max_retries=0)
    assert ["x"] == list(getattr(client, ask)("q"))
    with pytest.raises(AgentServerError) as refused:
        list(getattr(client, ask)("q"))
    assert (words, "NO_SCRIPT") == (refused.value.message, refused.value.code)
    assert [words] == [exchange.unmatched for exchange in server.unmatched]


@pytest.mark.parametrize(
    ("transport", "first", "verb"),
    [
        ("sse", ("x", ending("cut")), "resumes"),
        ("sse", (status(503, retry_after=0),), "repeats"),
        ("websocket", (status(503, retry_after=0),), "repeats"),
    ],
)
def test_a_resumption_or_retry_that_finds_no_script_is_named_as_one(server, transport, first, verb):
    server.agent("a").reply("done").reply(*first)
    client = RunAgentClient("a", base_url=server.url, max_retries=1, retry_delay=0.001, transport=transport)
    assert "done" == client.run_generic_stream("q").text()
    with pytest.raises(RunAgentError):
        client.run_generic_stream("q").text()
    (unmatched,) = server.unmatched
    assert unmatched.unmatched.endswith(
        f"always(...); it {verb} request 2, and each attempt at a run takes an answer"
    )


@pytest.mark.parametrize("path", ["/api/v1/health", "/api/v1/agents/a/architecture"])
def test_questions_about_the_server_are_expected(server, path):
    server.agent("a")
    with connected(server.url) as client:
        client.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        client.until(b"\r\n\r\n")
    server.check()


@pytest.mark.parametrize(
    ("agent", "known", "words"),
    [
        ("wrter", ["writer", "reader"], "agent 'wrter': did you mean 'writer'?"),
        ("x", ["writer", "reader"], "agent 'x': there are only 'writer', 'reader'"),
        ("x", ["writer"], "agent 'x': there is only 'writer'"),
        ("x", [], "agent 'x': there are no agents yet, make one with agent('x')"),
    ],
)
def test_the_nearest_agent(agent, known, words):
    assert words == unknown_agent(agent, known)


@pytest.mark.parametrize(
    ("method", "path", "words"),
    [
        ("PUT", "/v1/agents/a/invoke", "POST /v1/agents/a/invoke: the method is PUT instead of POST"),
        (
            "POST",
            "/v1/agents/b/strem?x",
            "POST /v1/agents/a/stream: 'b' instead of 'a', 'strem' instead of 'stream'",
        ),
        ("POST", "/v2/agents/a/stream", "POST /v1/agents/a/stream: 'v2' instead of 'v1'"),
        ("POST", "/prefix/v1/agents/a/stream", "POST /v1/agents/a/stream: '/prefix' comes before it"),
        ("POST", "/api/v1/agents/a/runs", "POST /api/v1/agents/a/run: 'runs' instead of 'run'"),
        ("GET", "/health", "GET /api/v1/health: the path has other parts"),
    ],
)
def test_the_nearest_endpoint(method, path, words):
    assert f"nearest is {words}" == unknown_endpoint(method, path, ["a"])


def test_no_endpoint_is_near():
    assert "/v1/agents/{agent_id}/stream" in unknown_endpoint("POST", "/v1/agents/x/strem", [])


def test_what_is_queued_and_never_asked_for(host):
    host.agent("a").reply("x", gate("g")).reply(*"abcdef").returns_once("r").fails(2)
    host.on_connect("close", times=3)
    text = complaint(host).splitlines()
    assert [
        "unmet fake-agent expectations:",
        "  - agent 'a': never used: fails with status 503, 2 times",
        "  - agent 'a': never used: reply with chunk 'x', gate 'g'",
        "  - agent 'a': never used: reply with chunk 'a', chunk 'b', chunk 'c', chunk 'd', ...",
        "  - agent 'a': never used: returns_once with chunk 'r'",
        "  - on_connect: 3 more faulty connection(s) were expected, but did not come",
    ] == text
    host.check(allow_unused=True)


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_steps_that_a_client_did_not_wait_for(host, transport):
    host.agent("a").always("x", gate("shut"), "y", "z", writes="per-step")
    network = host.blocking if isinstance(host, MemoryNetwork) else None
    with RunAgentClient("a", base_url=host.url, network=network, transport=transport) as client:
        run = client.run_generic_stream("q")
        assert "x" == next(run)
        run.close()
    assert host.requests[0].wait_disconnected(PATIENCE)
    text = complaint(host)
    assert "never played: step 2, gate 'shut' (never opened); step 3, chunk 'y'; step 4, chunk 'z'" in text
    assert "scripted" in text  # the timeline
    host.check(allow_unused=True)


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_an_answer_that_a_client_did_not_wait_for(host, transport):
    host.agent("a").reply(delay(60), head(), "x")
    with pytest.raises(RunTimeoutError):
        asked(host, transport=transport, timeout=0.1)
    text = complaint(host)
    assert 1 == len(host.requests)
    steps = "step 1, delay 60 s; step 2, head; step 3, chunk 'x'"
    assert re.search(rf"never played: {steps} \(the client disconnected after \d+\.\d+ s", text)
    assert "never used" not in text
    assert "3  chunk 'x'" in text  # the timeline
    host.check(allow_unused=True)


def test_many_clients_that_stay_do_not_delay_the_complaint(server):
    server.agent("a").always("x", gate("shut"))
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            client = stack.enter_context(connected(server.url))
            client.send(stream("a"))
            client.until(b"x")
        begin = time.monotonic()
        assert 60 == complaint(server).count("never played: ")
        assert time.monotonic() - begin < 5


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_an_answer_that_never_begins_leaves_nothing_unused(host, transport):
    host.agent("a").reply(raw_response(b""), ending("stall"))
    with pytest.raises(RunTimeoutError):
        asked(host, transport=transport, timeout=0.1)
    host.check()


@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_a_client_that_waits_for_the_head_has_asked(server, transport):
    door = gate("door")
    server.agent("a").reply(door, head(), "x")
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(asked, server, transport=transport)
        assert "a" == server.wait_request(timeout=PATIENCE).agent_id
        door.open()
        assert "x" == answer.result(PATIENCE)
    assert [{"query": "q"}] == [exchange.input for exchange in server.requests]
    server.check()


@pytest.mark.parametrize(
    "after",
    [(ending("stall-reset", seconds=60),), (delay(60), heartbeat())],
    ids=["a late reset", "a late heartbeat"],
)
@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_bytes_after_done_delay_no_reader(host, transport, after):
    host.agent("a").reply("x", done(), *after)
    assert "x" == asked(host, transport=transport)
    host.check()


def test_steps_that_a_resumed_run_skips_are_not_missed(server):
    server.agent("a").always("x", "y", "z")
    with connected(server.url) as client:
        client.send(stream(body={"parameters": {"resume_from_index": 2}}, accept=TEXT))
        assert client.until(b"0\r\n\r\n").endswith(b"1\r\nz\r\n0\r\n\r\n")
    server.check()


def test_a_stall_is_over_when_it_has_begun(server):
    server.agent("a").always("x", ending("stall"))
    with connected(server.url) as client:
        client.send(stream())
        client.until(b'"x"')
        server.check()


def test_the_check_gives_the_agent_time_to_note_its_last_write(server):
    server.agent("a").always("x", delay(0.001), "y", writes="per-step")
    for _ in range(50):
        with connected(server.url) as client:
            client.send(stream())
            client.until(b'"y"')
            server.check()


def test_the_check_does_not_wait_for_what_will_not_come(server):
    server.agent("a").always("x", delay(60), "y")
    with connected(server.url) as client:
        client.send(stream())
        client.until(b'"x"')
        began = time.monotonic()
        assert "step 2, delay 60 s; step 3, chunk 'y'" in complaint(server)
    assert 0.5 > time.monotonic() - began


def test_a_function_that_fails_is_always_a_complaint(server):
    server.agent("a").responds(lambda exchange: [exchange.input["nothing"]])
    with connected(server.url) as client:
        client.send(stream())
        client.until(b"}}")
    assert "KeyError: 'nothing'" in complaint(server, allow_unused=True, allow_unmatched=True)


def test_clear_forgets_everything_and_goes_on(host):
    host.agent("a").always("x").reply("y")
    assert "y" == asked(host)
    host.on_connect("reset", times=5)
    url = host.url
    host.clear()
    assert ([], [], 0, url) == (host.requests, host.unmatched, host.connections, host.url)
    with pytest.raises(AgentNotFoundError):
        asked(host)
    host.agent("a").always("z")
    assert "z" == asked(host)
    assert [1, 2] == [exchange.number for exchange in host.requests]


@pytest.mark.parametrize("kind", ["idle", "running", "handshake", "websocket", "nothing asked", "silent"])
def test_clear_drops_the_connections_of_old_exchanges(server, kind):
    server.agent("a").always("x", gate("never"))
    if kind == "silent":
        server.on_connect("silent")
    with connected(server.url) as client:
        if kind == "idle":
            client.send(post("/v1/agents/b/invoke"))
            assert server.wait_request().wait_done(PATIENCE)
        elif kind == "running":
            client.send(stream())
            client.until(b'"x"')
        elif kind == "handshake":
            client.send(handshake())
            client.until(b"\r\n\r\n")
        elif kind == "websocket":
            client.open_websocket()
            assert server.wait_request().wait_sent(1)
        old = list(server.requests)
        server.clear()
        client.rest()
    assert {"running": "server closed", "websocket": "server closed", "idle": "done"}.get(kind) == next(
        (exchange.outcome for exchange in old), None
    )
    assert {"still reading"} >= {exchange.client for exchange in old}
    assert [] == server.requests


def test_clear_drops_connections_of_the_memory_network():
    memory = MemoryNetwork()
    memory.agent("a").always("x", gate("never"))
    with RunAgentClient("a", base_url=memory.url, network=memory.blocking) as client:
        run = client.run_generic_stream("q")
        assert "x" == next(run)
        (exchange,) = memory.requests
        memory.clear()
        # It was cut off, and asked for the rest.
        with pytest.raises(StreamTruncatedError, match="there is no agent 'a'"):
            next(run)
    assert "server closed" == exchange.outcome


def test_who_computes_a_reply_cannot_clear(server):
    server.agent("a").responds(lambda _: server.clear())
    with connected(server.url) as client:
        client.send(stream())
        assert b"waits for the server's thread" in client.until(b"}}")


def test_a_server_that_does_not_run_can_be_cleared():
    server = FakeAgentServer()
    server.agent("a").reply("x")
    server.clear()
    server.check()
