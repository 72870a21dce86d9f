"""Who may use the control API: no page of another origin, no foreign host, nobody without the token."""

from __future__ import annotations

import json

import pytest

from runagent_testing import FakeAgentServer, MemoryNetwork
from runagent_testing._control.api import Control, is_control, may_be_control
from runagent_testing._control.guard import Guard
from runagent_testing._control.messages import MAX_CONTROL_BODY, ControlError, Later, Reply
from runagent_testing.dialects import Request
from tests.runagent_testing.raw_client import connected, post, stream

OWN = "localhost:8450"
JSON = "application/json"


def answer(
    path="/_fake/counts",
    method="GET",
    body=b"",
    *,
    hosts=("127.0.0.1",),
    token=None,
    **headers,
):
    """Return the answer of a control API to one request, by its status and code."""
    named = {"host": OWN} | {name.lower().replace("_", "-"): value for name, value in headers.items()}
    request = Request(
        method, path, {name: value for name, value in named.items() if value is not None}, 1, body
    )
    outcome = Control(MemoryNetwork(), Guard(hosts, token)).answer(request)
    try:
        reply = outcome.look(0.0) if isinstance(outcome, Later) else outcome
    except ControlError as refused:
        reply = refused.reply()
    assert isinstance(reply, Reply)
    content = json.loads(reply.body)
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
    return reply.status, content.get("error", {}).get("code") if isinstance(content, dict) else None


@pytest.mark.parametrize("host", [OWN, "127.0.0.1", "[::1]:8450", "LOCALHOST:1", "127.0.0.1:18450"])
def test_a_loopback_server_is_reached_by_its_names(host):
    assert (200, None) == answer(host=host)


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8450",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "0.0.0.0",
        "localhost@evil.example",
        "evil@localhost",
        "localhost, evil.example",
        "[::1",
        "10.0.0.1",
        "[::1]x",
    ],
)
def test_a_foreign_host_is_refused(host):
    assert (403, "FOREIGN_HOST") == answer(host=host)


@pytest.mark.parametrize(
    ("host", "status"), [("10.0.0.7:8450", 200), ("fake:8450", 200), ("evil.example", 403)]
)
@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::", ""])
def test_a_server_of_all_interfaces_is_reached_by_addresses_and_its_given_names(everywhere, host, status):
    given = answer(host=host, hosts=(everywhere, "fake"), token="t0ken", x_fake_token="t0ken")
    assert status == given[0]


def test_a_unix_socket_has_no_host():
    assert (200, None) == answer(host="anything", hosts=None)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:3000",
        "http://localhost",
        "https://127.0.0.1:8450",
        "",
        "file://",
        "chrome-extension://abc",
        f"ftp://{OWN}",
        f"{OWN}",
        f"http://{OWN}.evil.example",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "DELETE"])
def test_a_foreign_origin_is_refused(origin, method):
    assert (403, "FOREIGN_ORIGIN") == answer(method=method, origin=origin)


def test_the_servers_own_pages_may_use_it():
    assert (200, None) == answer(origin=f"http://{OWN}")
    assert (405, "WRONG_METHOD") == answer(method="OPTIONS", origin=f"http://{OWN}")


@pytest.mark.parametrize(
    ("given", "status"), [(None, 401), ("", 401), ("t0ke", 401), ("t0kenx", 401), ("t0ken", 200)]
)
def test_a_token_has_to_come_in_its_header(given, status):
    assert (status, None if status == 200 else "WRONG_TOKEN") == answer(token="t0ken", x_fake_token=given)
    assert 401 == answer(token="t0ken", authorization="Bearer t0ken")[0]
    assert 401 == answer("/_fake/counts?x-fake-token=t0ken", token="t0ken")[0]


@pytest.mark.parametrize("path", ["/_fake/health", "/_fake/ready"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_probes_need_neither_token_nor_host(path, method):
    assert (200, None) == answer(path, method, token="t0ken", host="10.0.0.1")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", None, "text/json", ""]
)
def test_a_body_has_to_be_declared_as_json(kind):
    assert (415, "NOT_JSON") == answer("/_fake/agents/a", "POST", b'{"always": ["x"]}', content_type=kind)


def test_an_empty_body_may_not_be_declared_as_anything_else():
    assert (415, "NOT_JSON") == answer("/_fake/reset", "POST", content_type="text/plain")


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=utf-8", "Application/JSON"])
def test_json_is_taken(kind):
    assert (200, None) == answer("/_fake/agents/a", "POST", b'{"always": ["x"]}', content_type=kind)


@pytest.mark.parametrize("body", [b"x" * (MAX_CONTROL_BODY + 1), None])
def test_a_large_body_is_refused(body):
    assert (413, "TOO_LARGE") == answer("/_fake/agents/a", "POST", body, content_type=JSON)


@pytest.mark.parametrize("path", ["/_fake/agents/a", "/_fake/agents", "/_fake/gates/x", "/_fake/on-connect"])
@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"{",
        b"\xff",
        b"[]",
        b'"x"',
        b"NaN",
        b'{"open": 1, "open": 2}',
        b"{}",
    ],
    ids=["deep lists", "deep objects", "cut", "no UTF-8", "a list", "a text", "a number", "twice", "empty"],
)
def test_a_body_that_is_no_sound_json_is_refused(path, body):
    method = "PUT" if "gates" in path or "agents" in path else "POST"
    assert answer(path, method, body, content_type=JSON)[0] in (400, 404)


@pytest.mark.parametrize(
    "path",
    [
        "/_fake/../etc/passwd",
        "/_fake/%2e%2e/agents",
        "/_fake//agents",
        "/_fake/agents/",
        "/_fake",
        "/_fake/",
        "/_fake/agents/../../x",
        "/_fake/openapi.json/",
        "/_fake/AGENTS",
    ],
)
def test_a_path_is_never_more_than_a_name(path):
    assert (404, "NOT_FOUND") == answer(path)


@pytest.mark.parametrize("key", ["forwards", "replay"])
def test_no_script_over_http_names_files_or_services(key):
    body = json.dumps({key: "/etc/passwd", "always": ["x"]}).encode()
    assert (400, "INVALID_SCRIPT") == answer("/_fake/agents/a", "PUT", body, content_type=JSON)


@pytest.mark.parametrize(
    ("path", "is_one"),
    [
        ("/_fake", True),
        ("/_fake/x", True),
        ("/_fake?x", True),
        ("/_scope/a/_fake/x", True),
        ("/_scope/a%20b/_fake", True),
        ("/_fakes", False),
        ("/x/_fake/y", False),
        ("/_scope/_fake/x", False),
        ("/v1/agents/a/stream?x=/_fake/", False),
        ("/%5ffake/x", False),
        ("//_fake/x", False),
    ],
)
def test_only_paths_below_the_prefix_are_control_requests(path, is_one):
    assert is_one == is_control(path)
    assert is_one == may_be_control(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.0.2.1", "fake.example"])
def test_a_server_that_others_reach_needs_a_token(host):
    with pytest.raises(ValueError, match="needs control_token="):
        FakeAgentServer(host=host, control=True)
    FakeAgentServer(host=host, control=True, control_token="t0ken")


def test_a_server_without_control_has_no_such_paths(server):
    with connected(server.url) as client:
        client.send(post("/_fake/reset"))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 404")
    assert 1 == len(server.unmatched)


@pytest.mark.parametrize(
    ("line", "more", "status"),
    [
        ("OPTIONS /_fake/reset", "Access-Control-Request-Method: POST\r\n", 403),
        ("POST /_fake/reset", "Content-Type: text/plain\r\n", 403),
        ("GET /_fake/state", "", 403),
        ("GET /_fake/events", "Accept: text/event-stream\r\n", 403),
        ("GET /_fake/health", "", 200),
        ("GET /_scope/a/_fake/state", "", 403),
    ],
)
def test_a_foreign_page_gets_no_cors_fields(line, more, status):
    origin = "Host: localhost\r\nOrigin: http://page.example\r\nContent-Length: 0\r\n"
    with FakeAgentServer(control=True) as server, connected(server.url) as client:
        client.send(f"{line} HTTP/1.1\r\n{origin}{more}\r\n".encode())
        head = client.until(b"\r\n\r\n")
        assert [] == server.scopes()
    assert int(head.split()[1]) == status
    assert b"access-control" not in head.lower()


def test_the_token_is_in_no_log_and_no_journal(caplog):
    caplog.set_level("DEBUG")
    with FakeAgentServer(control=True, control_token="s3cret-t0ken") as server:
        server.agent("a").always("x")
        for request in (
            post("/_fake/reset", b"{", **{"content-type": JSON, "X-Fake-Token": "s3cret-t0ken"}),
            stream("a", {"note": "s3cret-t0ken"}, **{"X-Fake-Token": "s3cret-t0ken"}),
        ):
            with connected(server.url) as client:
                client.send(request)
                client.until(b"\r\n\r\n")
        assert "s3cret-t0ken" not in f"{server.requests[-1].as_dict()}{server.timelines()}{caplog.text}"
        assert 1 == len(server.requests)
