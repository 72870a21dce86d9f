"""Plain runs, refusals and everything else that is answered with one JSON body."""

from __future__ import annotations

import json

import pytest
import requests

from runagent_testing import FakeAgentServer, delay, ending, error, gate, status
from runagent_testing.dialects._request import MAX_BODY
from tests.runagent_testing.raw_client import PATIENCE, connected, post

RUN_REQUEST = {"entrypoint_tag": "generic", "input_args": [], "input_kwargs": {"query": "hi"}}
PATHS = {"stream": "/v1/agents/a/stream", "invoke": "/v1/agents/a/invoke", "run": "/api/v1/agents/a/run"}


def ask(server, kind, body=None, **headers):
    request = body if body is not None else (RUN_REQUEST if kind == "run" else {"query": "hi"})
    content = request if isinstance(request, bytes) else json.dumps(request).encode()
    headers = {"Accept": "*/*"} | headers
    return requests.post(server.url + PATHS[kind], data=content, headers=headers, timeout=PATIENCE)


def without(field, values):
    return {name: value for name, value in values.items() if name != field}


def test_invoke_returns_the_documented_shape(server):
    server.agent("a").returns(
        {"answer": 42}, usage={"total_tokens": 7}, execution_time=1.5, agent_version="2.0"
    )
    answer = ask(server, "invoke").json()
    assert answer.pop("metadata").items() >= {"execution_time": 1.5, "agent_version": "2.0"}.items()
    assert {"result": {"answer": 42}, "usage": {"total_tokens": 7}} == answer
    assert ("invoke", {"query": "hi"}) == (server.requests[0].transport, server.requests[0].input)


def test_run_returns_the_published_envelope(server):
    server.agent("a").returns("wörld")
    answer = ask(server, "run").json()
    assert answer.pop("timestamp").endswith("+00:00")
    assert answer.pop("request_id")
    assert answer == {
        "success": True,
        "data": '{"type": "string", "payload": "\\"wörld\\""}',
        "message": "Agent executed successfully",
        "error": None,
    }
    assert ("run", {"query": "hi"}, []) == (
        server.requests[0].transport,
        server.requests[0].input,
        server.requests[0].input_args,
    )


@pytest.mark.parametrize("value", [None, False, "", [], {}, "\ud83d", 1.5])
@pytest.mark.parametrize("kind", ["invoke", "run"])
def test_any_json_value_is_a_result(server, kind, value):
    server.agent("a").returns(value)
    answer = ask(server, kind).json()
    if kind == "run":
        assert value == json.loads(json.loads(answer["data"])["payload"])
    else:
        assert value == answer["result"]


def test_results_are_used_up_in_order_before_the_usual_one(server):
    server.agent("a").returns("usual").returns_once("first").returns_once(delay(0.01), "second")
    answers = [ask(server, "invoke").json()["result"] for _ in range(3)]
    assert ["first", "second", "usual"] == answers


def test_a_failing_run_is_200_in_the_published_protocol_and_500_in_the_documented(server):
    server.agent("a").returns(error("INTERNAL_ERROR", "Agent execution failed: x", retry_after=3))
    published, documented = ask(server, "run"), ask(server, "invoke")
    assert (200, False) == (published.status_code, published.json()["success"])
    assert published.json()["error"] == {
        "code": "INTERNAL_ERROR",
        "message": "Agent execution failed: x",
        "details": None,
        "field": None,
    }
    assert (500, "3") == (documented.status_code, documented.headers["retry-after"])
    assert without("request_id", documented.json()["error"]) == {
        "code": "INTERNAL_ERROR",
        "message": "Agent execution failed: x",
        "status": 500,
        "retry_after": 3,
    }


@pytest.mark.parametrize("kind", ["invoke", "run"])
def test_a_status_refuses_a_plain_run(server, kind):
    server.agent("a").returns("fine").returns_once(
        status(429, retry_after=0.5, headers={"X-RateLimit-Limit": "9"})
    )
    refused, fine = ask(server, kind), ask(server, kind)
    assert (429, "0.5", "9", 200) == (
        refused.status_code,
        refused.headers["retry-after"],
        refused.headers["x-ratelimit-limit"],
        fine.status_code,
    )
    assert ("RATE_LIMITED", 0.5) == (
        refused.json()["error"]["code"],
        refused.json()["error"]["retry_after"],
    )


@pytest.mark.parametrize(("kind", "how"), [("cut", "fin"), ("reset", "reset")])
@pytest.mark.parametrize("path", ["invoke", "run"])
def test_an_ending_after_the_result_withholds_its_last_byte(server, path, kind, how):
    server.agent("a").returns({"answer": 42}, ending(kind))
    with connected(server.url) as client:
        client.send(post(PATHS[path], RUN_REQUEST))
        head = client.until(b"\r\n\r\n")
        received, ended = client.rest()
    length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    assert (length - 1, how) == (len(received), ended)


def test_an_ending_alone_answers_nothing(server):
    server.agent("a").returns(ending("cut"))
    with connected(server.url) as client:
        client.send(post(PATHS["invoke"]))
        assert (b"", "fin") == client.rest()


def test_a_plain_run_can_wait_at_a_gate_and_be_left(server):
    server.agent("a").returns(gate("never"), 1)
    with connected(server.url) as client:
        client.send(post(PATHS["invoke"]))
        client.socket.settimeout(0.05)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
    assert server.requests[0].wait_disconnected(PATIENCE)


@pytest.mark.parametrize("kind", PATHS)
def test_an_unknown_agent_is_404(server, kind):
    answer = ask(server, kind)
    assert (404, "AGENT_NOT_FOUND") == (answer.status_code, answer.json()["error"]["code"])
    assert 1 == len(server.requests)


@pytest.mark.parametrize(
    ("kind", "method"), [("stream", "always"), ("invoke", "returns"), ("run", "returns")]
)
def test_an_agent_without_an_answer_names_the_call_to_make(server, kind, method):
    server.agent("a")
    answer = ask(server, kind)
    assert (500, "NO_SCRIPT") == (answer.status_code, answer.json()["error"]["code"])
    assert f": call {method}(...)" in answer.json()["error"]["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
@pytest.mark.parametrize("kind", ["stream", "invoke"])
def test_a_body_that_is_no_object_is_400(server, kind, body):
    server.agent("a").always("x").returns("x")
    answer = ask(server, kind, body)
    assert (400, "INVALID_FIELD_TYPE") == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        (b"{", [("json_invalid", ["body", 0])]),
        (b"[]", [("model_attributes_type", ["body"])]),
        (
            {},
            [
                ("missing", ["body", "entrypoint_tag"]),
                ("missing", ["body", "input_args"]),
                ("missing", ["body", "input_kwargs"]),
            ],
        ),
        (
            {"entrypoint_tag": 1, "input_args": {}, "input_kwargs": []},
            [
                ("string_type", ["body", "entrypoint_tag"]),
                ("list_type", ["body", "input_args"]),
                ("dict_type", ["body", "input_kwargs"]),
            ],
        ),
    ],
)
def test_a_bad_run_request_is_422_in_the_shape_of_fastapi(server, body, faults):
    server.agent("a").returns("x")
    answer = ask(server, "run", body)
    assert 422 == answer.status_code
    detail = answer.json()["detail"]
    assert faults == [(fault["type"], fault["loc"]) for fault in detail]
    assert all(fault.keys() == {"type", "loc", "msg", "input"} for fault in detail)


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("nope", (404, "NOT_FOUND")), ("words_stream", (400, "VALIDATION_ERROR")), ("words", (200, None))],
)
def test_a_wrong_tag_is_refused_in_the_published_envelope(server, tag, expected):
    server.agent("a").entrypoints("words", "words_stream").returns("x")
    answer = ask(server, "run", RUN_REQUEST | {"entrypoint_tag": tag})
    failure = answer.json()["error"] or {}
    assert expected == (answer.status_code, failure.get("code"))
    assert answer.json()["success"] is (expected[0] == 200)


def test_a_body_of_sixteen_megabytes_is_read(server):
    server.agent("a").returns("x")
    padding = "x" * (MAX_BODY - len('{"p": ""}'))
    assert 200 == ask(server, "invoke", {"p": padding}).status_code
    assert padding == server.requests[0].input["p"]


@pytest.mark.parametrize(
    "framing",
    [{"content-length": str(MAX_BODY + 1)}, {"transfer-encoding": "chunked"}],
    ids=["length", "chunked"],
)
def test_a_larger_body_is_answered_and_closed_without_reading_the_rest(server, framing):
    server.agent("a").returns("x")
    head = f"POST {PATHS['invoke']} HTTP/1.1\r\nhost: localhost\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in framing.items())
    with connected(server.url) as client:
        client.send(f"{head}{lines}\r\n".encode())
        if "transfer-encoding" in framing:
            client.send(f"{MAX_BODY + 1:x}\r\n".encode() + b"x" * (MAX_BODY + 1))
        received, _ = client.rest()
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b"\r\nConnection: close\r\n" in received
    assert b"REQUEST_TOO_LARGE" in received


def test_a_client_that_expects_100_continue_gets_it(server):
    server.agent("a").returns("x")
    head, _, body = post(PATHS["invoke"], {"query": "hi"}, expect="100-continue").partition(b"\r\n\r\n")
    with connected(server.url) as client:
        client.send(head + b"\r\n\r\n")
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == client.until(b"\r\n\r\n")
        client.send(body)
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_refusals_and_answers_share_one_connection(server):
    server.agent("a").always("x").returns("x")
    with requests.Session() as session:
        for kind in ["invoke", "run", "stream"] * 20:
            request = json.dumps(RUN_REQUEST if kind == "run" else {})
            assert 200 == session.post(server.url + PATHS[kind], data=request, timeout=PATIENCE).status_code
            assert (
                404 == session.post(f"{server.url}/v1/agents/b/invoke", json={}, timeout=PATIENCE).status_code
            )
    assert 1 == server.connections


def test_health_and_architecture(server):
    server.agent("a").entrypoints("words_stream")
    health = requests.get(f"{server.url}/api/v1/health", timeout=PATIENCE)
    assert {"status": "healthy", "agent_id": "a", "agent_name": "a", "framework": "fake"} == health.json()
    shown = requests.get(f"{server.url}/api/v1/agents/a/architecture", timeout=PATIENCE).json()
    assert ["words_stream"] == [entry["tag"] for entry in shown["data"]["entrypoints"]]
    assert [{"file", "module", "tag", "extractor"}] == [set(entry) for entry in shown["data"]["entrypoints"]]
    assert [] == server.requests


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "NOT_FOUND"),
        ("/v1/agents/a/dance", "NOT_FOUND"),
        ("/v1/agents/a/invoke", "NOT_FOUND"),  # asked with GET
        ("/v1/v1/agents/a/stream", "NOT_FOUND"),
        ("/api/v1/agents/b/architecture", "AGENT_NOT_FOUND"),
    ],
)
def test_an_unknown_path_is_404(server, path, code):
    server.agent("a").always("x")
    answer = requests.get(server.url + path, timeout=PATIENCE)
    assert (404, code) == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "secret", "Basic secret"])
@pytest.mark.parametrize("kind", [*PATHS, "websocket", "health"])
def test_a_missing_or_wrong_key_is_401_everywhere(kind, authorization):
    headers = {"Authorization": authorization} if authorization else {}
    with FakeAgentServer(api_key="secret") as server:
        server.agent("a").always("x").returns("x")
        if kind in PATHS:
            answer = ask(server, kind, **headers)
        else:
            path = "/api/v1/health" if kind == "health" else "/api/v1/agents/a/run-stream"
            answer = requests.get(server.url + path, headers=headers, timeout=PATIENCE)
        assert (401, "INVALID_API_KEY") == (answer.status_code, answer.json()["error"]["code"])


@pytest.mark.parametrize("kind", PATHS)
def test_the_right_key_is_let_in(kind):
    with FakeAgentServer(api_key="secret") as server:
        server.agent("a").always("x").returns("x")
        assert 200 == ask(server, kind, Authorization="Bearer secret").status_code
