"""A browser's page may ask the fake agent from any origin, also with an EventSource, which can only GET."""

from __future__ import annotations

import pytest

from runagent_testing import FakeAgentServer, status
from tests.runagent_testing.raw_client import SSE, connected, post, stream

ORIGIN = "http://page.example"
EVENT_SOURCE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\nAccept: text/event-stream\r\n"
    "Cache-Control: no-cache\r\nOrigin: http://page.example\r\nSec-Fetch-Mode: cors\r\n"
    "Sec-Fetch-Dest: empty\r\nAccept-Encoding: gzip, deflate, br\r\n{more}\r\n"
)


def event_source(path, more=""):
    return EVENT_SOURCE.format(path=path, more=more).encode()


def headers_of(head):
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}


def allowed(head):
    return {name: value for name, value in headers_of(head).items() if name.startswith("access-control-")}


ANY_ORIGIN = {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}


def test_an_event_source_gets_a_stream(server):
    server.agent("a").always("Once", " upon", ids=True)
    with connected(server.url) as client:
        client.send(event_source("/v1/agents/a/stream?query=Write%21&session_id=s1&empty="))
        head = client.until(b"\r\n\r\n")
        body = client.until(b"0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert (SSE, ANY_ORIGIN) == (headers_of(head)["content-type"], allowed(head))
    assert b'event: start\ndata: {"message": "stream started", "session_id": "s1"}' in body
    assert b'event: chunk\nid: 1\ndata: {"content": " upon", "index": 1}' in body
    (exchange,) = server.requests
    assert ("GET", "sse", "documented") == (exchange.method, exchange.transport, exchange.dialect)
    assert {"query": "Write!", "session_id": "s1", "empty": ""} == exchange.input


def test_an_event_source_that_comes_back_goes_on_behind_what_it_has(server):
    server.agent("a").always("Once", " upon", " a time", ids=True)
    with connected(server.url) as client:
        client.send(event_source("/v1/agents/a/stream", "Last-Event-ID: 1\r\n"))
        body = client.until(b"0\r\n\r\n")
    assert (False, True) == (b" upon" in body, b"id: 2\n" in body)


def test_a_get_without_a_query_has_an_empty_input(server):
    server.agent("a").always("x")
    with connected(server.url) as client:
        client.send(event_source("/v1/agents/a/stream"))
        client.until(b"0\r\n\r\n")
    assert {} == server.requests[0].input


def test_what_an_event_source_is_refused_is_readable_for_the_page(server):
    server.agent("a").always(status(429, retry_after=3))
    with connected(server.url) as client:
        client.send(event_source("/v1/agents/a/stream"))
        head = client.until(b"\r\n\r\n")
    assert (ANY_ORIGIN, "3") == (allowed(head), headers_of(head)["retry-after"])


@pytest.mark.parametrize(
    ("request_data", "code"),
    [
        (stream(origin=ORIGIN), 200),
        (stream("nobody", origin=ORIGIN), 404),
        (post("/v1/agents/a/invoke", origin=ORIGIN), 200),
        (post("/api/v1/agents/a/run", origin=ORIGIN), 422),
        (post("/elsewhere", origin=ORIGIN), 404),
        (event_source("/api/v1/health"), 200),
    ],
)
def test_every_answer_to_a_page_may_be_read(request_data, code, server):
    server.agent("a").always("x").returns(1)
    with connected(server.url) as client:
        client.send(request_data)
        head = client.until(b"\r\n\r\n")
    assert (code, ANY_ORIGIN) == (int(head[9:12]), allowed(head))


@pytest.mark.parametrize("request_data", [stream(), post("/v1/agents/a/invoke"), stream("nobody")])
def test_who_is_no_browser_gets_no_such_headers(request_data, server):
    server.agent("a").always("x").returns(1)
    with connected(server.url) as client:
        client.send(request_data)
        assert {} == allowed(client.until(b"\r\n\r\n"))


def test_both_kinds_of_clients_of_one_script_get_their_own_head(server):
    server.agent("a").always("x")
    with connected(server.url) as client:
        heads = []
        for request_data in (stream(), stream(origin=ORIGIN), stream(), stream(origin="null")):
            client.send(request_data)
            heads.append(allowed(client.until(b"\r\n\r\n")))
            client.until(b"0\r\n\r\n")
    assert [{}, ANY_ORIGIN, {}, ANY_ORIGIN] == heads


def test_a_script_may_override_it(server):
    server.agent("a").always(status(403, headers={"access-control-allow-origin": "http://other.example"}))
    with connected(server.url) as client:
        client.send(stream(origin=ORIGIN))
        head = client.until(b"\r\n\r\n")
    assert "http://other.example" == allowed(head)["access-control-allow-origin"]


@pytest.mark.parametrize("path", ["/v1/agents/a/stream", "/v1/agents/a/invoke", "/api/v1/agents/a/run"])
def test_a_preflight_needs_no_key_and_is_no_run(path):
    with FakeAgentServer(api_key="secret") as server, connected(server.url) as client:
        client.send(
            f"OPTIONS {path} HTTP/1.1\r\nHost: localhost\r\nOrigin: {ORIGIN}\r\n"
            "Access-Control-Request-Method: POST\r\n"
            "Access-Control-Request-Headers: authorization,content-type\r\n\r\n".encode()
        )
        head = client.until(b"\r\n\r\n")
        # The next request on the connection: the answer had no body.
        client.send(stream(origin=ORIGIN))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 401 ")
        assert 1 == len(server.requests)
    assert head.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert "content-length" not in headers_of(head)
    assert allowed(head) == ANY_ORIGIN | {
        "access-control-allow-methods": "GET, POST",
        "access-control-allow-headers": "authorization,content-type",
        "access-control-max-age": "600",
    }
