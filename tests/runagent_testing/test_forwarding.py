"""Runs that a real service answers: every read passed on at once, every ending, and what is recorded."""

from __future__ import annotations

import pytest
import trustme

from runagent import RunAgentClient, RunAgentError
from runagent_testing import (
    FakeAgentServer,
    ForwardingError,
    MemoryNetwork,
    chunk,
    delay,
    done,
    ending,
    gate,
    head,
    raw,
    raw_response,
    reasoning,
    status,
)
from runagent_testing._forwarding.upstream import Upstream
from runagent_testing._server import forwarding
from runagent_testing._standalone.script_file import ScriptFileError, load_script, read_script
from runagent_testing.dialects import Request
from tests.runagent_testing.raw_client import connected, handshake, masked, post, stream
from tests.runagent_testing.virtual import STYLES
from tests.support.styles import Style
from tests.support.tls import server_context

TRANSPORTS = ("sse", "chunked", "websocket")
SECRET = "sk-live-4f9a8b7c6d5e"


@pytest.fixture
def service():
    with FakeAgentServer() as running:
        yield running


@pytest.fixture
def proxy(service):
    with FakeAgentServer() as running:
        running.agent("*").forwards(service.url)
        yield running


def events_of(style, url, transport="sse", **options):
    """Run once: the events and the error."""

    async def scenario():
        client = Style(style).client("a", base_url=url, transport=transport, max_retries=0, **options)
        events, seen = client.run_generic_stream("hello").events(), []
        while True:
            try:
                seen.append(await anext(events))
            except StopAsyncIteration:
                return seen, None
            except RunAgentError as exc:
                return seen, type(exc)

    return Style(style).run(scenario)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("style", STYLES)
def test_a_run_is_what_the_service_answers(service, proxy, style, transport):
    service.agent("a").always("Once", reasoning("hm"), chunk({"a": [1]}), done(usage={"total_tokens": 3}))
    expected = events_of(style, service.url, transport)
    found = events_of(style, proxy.url, transport)
    assert expected[1] is found[1] is None
    assert [type(event) for event in found[0]] == [type(event) for event in expected[0]]
    assert [event for event in found[0] if "Started" not in str(type(event))][:-1] == [
        event for event in expected[0] if "Started" not in str(type(event))
    ][:-1]
    proxy.check()
    service.check()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", ["cut", "fin-in-chunk", "no-done", "reset", "error"])
def test_an_answer_ends_as_that_of_the_service(service, proxy, transport, kind):
    last = ending(kind) if kind != "error" else status(503, message="full")
    service.agent("a").always(*([] if kind == "error" else ["Once"]), last)
    assert events_of("sync", proxy.url, transport)[1] is events_of("sync", service.url, transport)[1]
    assert len(service.requests) == 2


def test_the_bytes_are_those_of_the_service(service, proxy):
    answer = (
        b"HTTP/1.1 200 Fine\r\nX-Odd:  yes\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n"
    )
    service.agent("a").always(raw_response(answer))
    with connected(proxy.url) as client:
        client.send(stream())
        assert client.rest() == (answer, "fin")


def test_every_read_is_passed_on_at_once(service, proxy):
    door = gate("door")
    service.agent("a").always("Once", door, " upon")
    with connected(proxy.url) as client:
        client.send(stream())
        client.until(b"Once")
        door.open()
        assert b"upon" in client.until(b"0\r\n\r\n")


def test_what_the_service_gets_is_the_request_of_the_client(service, proxy):
    service.agent("a").always("x")
    with connected(proxy.url) as client:
        request = {
            "accept-encoding": "gzip",
            "connection": "close",
            "x-mine": "é",
            "authorization": "Bearer k",
        }
        client.send(stream(body={"query": "x" * 100_000}, **request))
        client.rest()
    (exchange,) = service.requests
    headers = dict(exchange.raw_headers)
    assert exchange.input == {"query": "x" * 100_000}
    assert headers["host"] == service.url.removeprefix("http://")
    assert headers["authorization"] == "Bearer k"
    assert headers["x-mine"] == "é"
    assert headers["accept-encoding"] == "identity"


def test_a_plain_run_and_any_other_request_are_passed_on(service, proxy):
    service.agent("a").returns({"answer": 42})
    with RunAgentClient("a", base_url=proxy.url) as client:
        assert client.run_generic("x") == {"answer": 42}
    service.on_request("PUT /any/thing", status(200, body={"a": 1}))
    with connected(proxy.url) as raw_client:
        raw_client.send(post("/any/thing", {}).replace(b"POST", b"PUT"))
        assert raw_client.until(b"}").endswith(b'{"a": 1}')
    proxy.check()


def test_next_to_other_agents_only_unknown_ones_are_passed_on(service):
    service.agent("a").always("from the service")
    with FakeAgentServer() as server:
        server.agent("own").always("own")
        server.agent("a").forwards(service.url)
        for agent, text in (("own", "own"), ("a", "from the service")):
            with RunAgentClient(agent, base_url=server.url) as client:
                assert client.run_generic_stream("x").text() == text
        server.check()


def test_a_rule_passes_on_the_runs_that_meet_it(service):
    service.agent("a").always("from the service")
    with FakeAgentServer() as server:
        server.agent("a").always("own").when(query="go").forwards(service.url)
        with RunAgentClient("a", base_url=server.url) as client:
            assert client.run_generic_stream("go").text() == "from the service"
            assert client.run_generic_stream("stay").text() == "own"


def test_a_function_that_chooses_may_choose_the_service(service):
    service.agent("a").always("from the service")
    with FakeAgentServer() as server:
        server.agent("a").when(matches=lambda exchange: exchange.input == {"query": "go"}).forwards(
            service.url
        )
        with RunAgentClient("a", base_url=server.url) as client:
            assert client.run_generic_stream("go").text() == "from the service"


def test_a_client_that_disconnects_frees_the_service(service, proxy):
    service.agent("a").always("Once", gate("never"), " upon")
    with connected(proxy.url) as client:
        client.send(stream())
        client.until(b"Once")
    assert service.requests[0].wait_disconnected()
    assert proxy.requests[0].wait_disconnected()


def test_a_slow_client_holds_the_service_up(service, proxy):
    service.agent("a").always(
        head(start=False), *[raw(b"x" * 1_000_000)] * 30, ending("no-done"), writes="per-step"
    )
    with connected(proxy.url) as client:
        client.send(stream(connection="close"))
        client.until(b"x" * 1000)
        exchange = service.wait_request()
        assert not exchange.wait_done(0.3)
        assert client.rest()[0].count(b"x") == 30_000_000 - 1000
    assert exchange.wait_done()


def test_the_journal_keeps_the_beginning_of_an_endless_answer(service, proxy, monkeypatch):
    monkeypatch.setattr(forwarding, "_NOTED", 3)
    service.agent("a").always(*[step for n in range(10) for step in (f"chunk {n}", delay(0.005))])
    with connected(proxy.url) as client:
        client.send(stream(connection="close"))
        assert b"chunk 9" in client.rest()[0]
    (exchange,) = proxy.requests
    assert exchange.wait_done()
    assert 1 <= len(exchange.sent) <= 3


def test_the_messages_of_a_websocket_pass_both_ways(service, proxy):
    with connected(proxy.url) as client:
        service.agent("a").always("Once", ending("close", code=1011, reason="no"))
        client.open_websocket()
        assert b"Once" in client.until(b"\x88\x04\x03\xf3no")
        client.send(masked(0x8, b"\x03\xf3"))
        assert client.rest()[1] == "fin"
    assert service.requests[0].client == "closed"


def test_a_refused_handshake_is_that_of_the_service(service, proxy):
    service.agent("a").always(status(429, retry_after=3))
    with connected(proxy.url) as client:
        client.send(handshake())
        head_of = client.until(b"\r\n\r\n")
        assert head_of.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 3" in head_of


def test_a_service_that_cannot_be_reached_is_a_502_and_fails_the_test():
    with FakeAgentServer() as closed:
        url = closed.url
    with FakeAgentServer() as server:
        server.agent("*").forwards(url)
        with connected(server.url) as client:
            client.send(stream(connection="close"))
            data, _ = client.rest()
        assert data.startswith(b"HTTP/1.1 502 ")
        assert b"the upstream cannot be reached" in data
        with pytest.raises(AssertionError, match="the upstream cannot be reached"):
            server.check()


def test_a_service_over_tls_is_verified(tmp_path, monkeypatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with FakeAgentServer(ssl_context=server_context(authority)) as service, FakeAgentServer() as server:
        service.agent("a").always("Once")
        server.agent("*").forwards(service.url)
        with connected(server.url) as client:
            client.send(stream(connection="close"))
            assert client.rest()[0].startswith(b"HTTP/1.1 502 ")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with RunAgentClient("a", base_url=server.url) as client:
            assert client.run_generic_stream("x").text() == "Once"


def test_closing_the_server_ends_what_it_passes_on(service):
    service.agent("a").always("Once", gate("never"))
    with FakeAgentServer() as server:
        server.agent("*").forwards(service.url)
        with connected(server.url) as client:
            client.send(stream())
            client.until(b"Once")
            server.close()
    assert service.requests[0].wait_disconnected()


def test_a_key_of_the_server_is_asked_for(service):
    with FakeAgentServer(api_key="k") as server:
        server.agent("*").forwards(service.url)
        with connected(server.url) as client:
            client.send(stream(connection="close"))
            assert client.rest()[0].startswith(b"HTTP/1.1 401 ")
    assert service.requests == []


# What is refused


def test_a_memory_network_forwards_nothing():
    memory = MemoryNetwork()
    for agent in (memory.agent("a"), memory.scope("s").agent("a"), memory.agent("a").when(query="x")):
        with pytest.raises(ForwardingError, match="a MemoryNetwork forwards nothing, as it has no sockets"):
            agent.forwards("http://127.0.0.1:1")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:80",
        "ftp://h",
        "http://",
        "http://h/a b",
        "http://h:x",
        "http://h:70000",
        "http://h/?a=b",
    ],
)
def test_an_invalid_upstream_is_refused(server, url):
    with pytest.raises(ValueError, match="upstream"):
        server.agent("a").forwards(url)


def test_a_user_in_an_upstream_is_refused_and_not_shown(server):
    with pytest.raises(ValueError, match="the client sends its key") as caught:
        server.agent("a").forwards(f"https://me:{SECRET}@host")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "line", "host"),
    [
        ("http://h", "POST /x?a=b HTTP/1.1", "h"),
        ("https://h:443/v1/", "POST /v1/x?a=b HTTP/1.1", "h"),
        ("http://[::1]:81", "POST /x?a=b HTTP/1.1", "[::1]:81"),
    ],
)
def test_the_path_of_an_upstream_precedes_that_of_the_request(url, line, host):
    written = Upstream.of(url).request(Request("POST", "/x?a=b", {}, 1, b"")).decode().split("\r\n")
    assert written[0] == line
    assert f"host: {host}" in written
    assert "content-length: 0" in written


# Script files


def test_a_script_file_may_name_an_upstream(service, tmp_path):
    service.agent("a").always("Once")
    script = tmp_path / "s.yaml"
    script.write_text(f"agents: {{a: {{forwards: '{service.url}'}}}}")
    with FakeAgentServer() as server:
        load_script(script).apply(server)
        with RunAgentClient("a", base_url=server.url) as client:
            assert client.run_generic_stream("x").text() == "Once"


@pytest.mark.parametrize(
    ("value", "is_local", "fault"),
    [
        ("http://h", False, "can only be set on the fake agent's own machine"),
        ("h", True, "an upstream is http://host or https://host"),
        ("1", True, "forwards is text, not 1"),
    ],
)
def test_an_invalid_upstream_of_a_script_file_is_refused(value, is_local, fault):
    with pytest.raises(ScriptFileError, match=fault):
        read_script(f"agents:\n  a:\n    forwards: {value}\n", "s.yaml", is_local=is_local)
