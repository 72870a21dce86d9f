"""Requests that ask for no run, such as a list of agents or a new thread: a dialect answers them."""

from __future__ import annotations

import json

import pytest

from runagent_testing import ending, raw_response, status
from runagent_testing.dialects import Dialect, Format, RunRequest, Status, parse_json
from tests.runagent_testing.players import PLAYERS, body_of, client_of, player
from tests.runagent_testing.raw_client import post

KEY = "key-that-nobody-guesses"


class Words(Format):
    content_type = "text/plain"

    def start(self, run):
        return b""

    def chunk(self, step, index, id):
        return step.content.encode()

    def error(self, step):
        return b"!"

    def done(self, step, run, total_chunks):
        return b"."


class ThreadDialect(Dialect):
    """Runs on threads, which have to be made first."""

    name = "threads"
    transports = ("threads",)

    def parse_request(self, request):
        parts = request.path.split("/")
        if request.method != "POST" or len(parts) != 4 or parts[1] != "threads":
            return None
        return RunRequest(agent_id=parts[3], transport="threads", body=parse_json(request.body))

    def answer(self, request, host):
        match request.method, request.path:
            case "GET", "/agents":
                return Status(200, body=[{"id": name, "at": f"{host.url}/{name}"} for name in host.agents])
            case "POST", "/threads":
                thread = f"thread-{host.number('thread')}"
                host.state[thread] = parse_json(request.body)
                return Status(201, body={"thread_id": thread}, headers={"Location": f"/threads/{thread}"})
            case "GET", "/threads":
                return Status(200, body=host.state)
            case "GET", path if path.startswith("/agents/"):
                found = host.agent(path.removeprefix("/agents/"))
                return Status(404, message="unknown") if found is None else Status(200, body={"id": found.id})
        return None

    def check_state(self, run_request, host):
        thread = run_request.body and run_request.body.get("on")
        return Status(404, message="no such thread") if thread and thread not in host.state else None

    def find_api_key(self, request):
        return request.headers.get("x-thread-key")

    def wrong_key(self, request):
        return Status(403, body={"no": "entry"})

    def refusal(self, status, run):
        return {"oh": status.message}

    def stream(self, run):
        return Words()


def get(path, method="GET", **headers):
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n".encode()


@pytest.fixture(params=PLAYERS)
def kind(request):
    return request.param


@pytest.fixture
def host(kind):
    with player(kind, dialects=[ThreadDialect()]) as host:
        yield host


def asked(host, *requests):
    with client_of(host) as client:
        answers = []
        for request in requests:
            client.send(request)
            code, body = body_of(client)
            answers.append((code, json.loads(body)))
        return answers


def test_it_knows_the_agents_and_the_url(host):
    host.agent("a")
    host.agent("b")
    cards = [{"id": name, "at": f"{host.url}/{name}"} for name in "ab"]
    assert [(200, cards)] == asked(host, get("/agents"))


def test_its_answers_are_no_runs_of_an_agent(host):
    host.agent("a").reply("Once")
    with client_of(host) as client:
        client.send(post("/threads", {"for": "x"}))
        assert (201, b'{"thread_id": "thread-1"}') == body_of(client)
        client.send(post("/threads/thread-1/a"))
        assert b"Once" in client.until(b"0\r\n\r\n")
    (run,), (thread,) = host.requests, host.other_requests
    assert run.wait_done()
    assert thread.wait_done()
    assert [run] == host.agent("a").requests == [host.wait_request()]
    assert ("/threads", {"for": "x"}, "threads", 0) == (
        thread.path,
        thread.body,
        thread.dialect,
        thread.number,
    )
    host.check()
    assert host.timelines().index("POST /threads (threads)") < host.timelines().index(
        "POST /threads/thread-1"
    )


def test_a_run_may_be_refused_because_of_the_state(host):
    host.agent("a").reply("Once")
    run = post("/threads/x/a", {"on": "thread-1"})
    assert [(404, {"oh": "no such thread"})] == asked(host, run)
    assert "no such thread" == host.requests[0].refused
    asked(host, post("/threads"))
    with client_of(host) as client:
        client.send(run)
        assert b"Once" in client.until(b"0\r\n\r\n")
    host.check()


def test_its_state_and_numbers_are_the_hosts_until_it_is_cleared(kind):
    dialect = ThreadDialect()
    with player(kind, dialects=[dialect]) as one, player(kind, dialects=[dialect]) as two:
        made = [asked(host, post("/threads"))[0][1]["thread_id"] for host in (one, one, two)]
        assert ["thread-1", "thread-2", "thread-1"] == made
        assert [{"thread-1", "thread-2"}, {"thread-1"}] == [
            set(asked(host, get("/threads"))[0][1]) for host in (one, two)
        ]
        one.clear()
        assert [] == one.other_requests
        assert [(200, {})] == asked(one, get("/threads"))
        assert "thread-1" == asked(one, post("/threads"))[0][1]["thread_id"]


def test_a_wrong_key_is_refused_in_the_dialects_own_way_and_makes_no_thread(kind):
    with player(kind, dialects=[ThreadDialect()], api_key=KEY) as host:
        answers = asked(
            host,
            post("/threads"),
            post("/threads", **{"x-thread-key": "wrong"}),
            post("/threads/x/a", **{"x-thread-key": "wrong"}),
            post("/threads", **{"x-thread-key": KEY}),
        )
        assert [(403, {"no": "entry"})] * 3 + [(201, {"thread_id": "thread-1"})] == answers
        refused = [exchange.refused for exchange in host.other_requests]
        assert ["status 403", "status 403", None] == refused
        assert KEY not in host.timelines()


def test_a_request_can_be_answered_with_a_fault(host):
    host.on_request("POST /threads", status(503, message="full"), times=2)
    host.on_request("POST /threads", raw_response(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{"))
    host.on_request("GET /elsewhere", status(200, body=[]))
    assert [(503, {"oh": "full"})] * 2 == asked(host, post("/threads"), post("/threads"))
    with client_of(host) as client:
        client.send(post("/threads"))
        assert (200, b"{") == body_of(client)
    assert [(201, {"thread_id": "thread-1"})] == asked(host, post("/threads"))
    assert [(200, [])] == asked(host, get("/elsewhere?page=2"))
    host.check()
    assert 5 == len(host.other_requests)


def test_a_star_is_any_one_segment_of_a_path(host):
    host.on_request("GET /*/2", status(200, body=2), times=2)
    host.on_request("GET /agents/2", status(200, body=1))
    requests = [get("/2"), get("/agents/2"), get("/agents/2?page=1"), get("/elsewhere/2"), get("/agents/2/2")]
    assert [1, 2, 2] == [body for _, body in asked(host, *requests)[1:4]]
    assert 4 == len(host.other_requests)


def test_an_answer_can_stall(host):
    host.on_request("POST /threads", raw_response(b"HTTP/1.1 200 OK\r\n\r\n[ "), ending("stall"))
    with client_of(host) as client:
        client.send(post("/threads"))
        client.until(b"\r\n\r\n[")
        assert "running" == host.other_requests[0].outcome
    assert [(201, {"thread_id": "thread-1"})] == asked(host, post("/threads"))


def test_an_answer_that_no_request_takes_is_reported(host):
    host.on_request("POST /threads", status(503), times=2)
    with pytest.raises(AssertionError, match=r"never used: POST /threads with status 503, 2 times"):
        host.check()


@pytest.mark.parametrize("line", ["/threads", "POST", "POST threads", "post /threads"])
def test_what_is_no_method_and_path_is_refused(host, line):
    with pytest.raises(ValueError, match="takes a method and a path"):
        host.on_request(line, status(503))


def test_an_agent_that_is_looked_up_in_vain_is_an_unmatched_request(host):
    host.agent("writer")
    assert [(404, {"oh": "unknown"})] == asked(host, get("/agents/wrtier"))
    assert [200] == [code for code, _ in asked(host, get("/agents/writer"))]
    with pytest.raises(AssertionError, match="writer"):
        host.check()
    host.check(allow_unmatched=True)


def test_a_head_request_has_the_head_only(host):
    with client_of(host) as client:
        client.send(get("/agents", method="HEAD") + get("/nowhere"))
        assert b"\r\nContent-Length: 2\r\n" in client.until(b"\r\n\r\n")
        assert 404 == body_of(client)[0]


class BrokenDialect(ThreadDialect):
    def answer(self, request, host):
        return {"threads": []} if request.path == "/threads" else host.state["missing"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/threads", r"BrokenDialect.answer\(\) returned a dict: return a Status, or None"),
        ("/else", "KeyError: 'missing'"),
    ],
)
def test_what_a_dialect_raises_is_answered_and_reported(kind, path, message):
    with player(kind, dialects=[BrokenDialect()]) as host:
        assert [500] == [code for code, _ in asked(host, post(path))]
        with pytest.raises(AssertionError, match=message):
            host.check()


def test_the_health_and_architecture_are_such_requests(host):
    host.agent("a")
    assert [200] * 2 == [
        code for code, _ in asked(host, get("/api/v1/health"), get("/api/v1/agents/a/architecture"))
    ]
    assert ["published"] * 2 == [exchange.dialect for exchange in host.other_requests]
    assert [] == host.requests
