"""The journal as a file: HAR 1.2, JSON, a transcript."""

from __future__ import annotations

import base64
import contextlib
import json
import time

import pytest
import trustme

from runagent import RunAgentClient, RunAgentError
from runagent_testing import FakeAgentServer, MemoryNetwork, delay, ending, every, faults, head, raw, status
from runagent_testing._journal.sent import parse_response
from tests.runagent_testing.players import PLAYERS, client_of, player
from tests.runagent_testing.raw_client import PATIENCE, post, stream
from tests.runagent_testing.test_exchange_dicts import network_of
from tests.support.har import har_faults
from tests.support.styles import TRANSPORTS
from tests.support.tls import client_context, server_context

KEY = "sk-l1ve-90a7812"


def read(host, transport="sse", agent="writer", **options):
    with (
        contextlib.suppress(RunAgentError),
        RunAgentClient(
            agent,
            base_url=host.url,
            transport=transport,
            api_key=KEY,
            max_retries=0,
            resume=False,
            **network_of(host),
            **options,
        ) as client,
    ):
        client.run_generic_stream("hello").text()
    for exchange in [*host.requests, *host.unmatched]:
        exchange.wait_done(0.0 if isinstance(host, MemoryNetwork) else PATIENCE)


def entries_of(host):
    """Return the entries of a HAR that has no faults."""
    har = json.loads(json.dumps(host.journal.as_har()))
    assert ["log"] == list(har)
    assert [] == har_faults(har["log"])
    assert "1.2" == har["log"]["version"]
    return har["log"]["entries"]


def fields(pairs):
    return {pair["name"].lower(): pair["value"] for pair in pairs}


@pytest.mark.parametrize("transport", ["sse", "chunked"])
@pytest.mark.parametrize("writes", ["merged", every(1)], ids=str)
def test_a_stream_is_an_entry_with_its_body(host, transport, writes):
    host.agent("writer").always("Once", delay(0.02), " upon", writes=writes)
    before = time.time()
    read(host, transport)
    (entry,) = entries_of(host)
    request, response = entry["request"], entry["response"]
    assert (f"{host.url}/v1/agents/writer/stream", "POST") == (request["url"], request["method"])
    assert {"query": "hello"} == json.loads(request["postData"]["text"])
    assert "<redacted>" == fields(request["headers"])["authorization"]
    assert (200, "OK", "HTTP/1.1") == (response["status"], response["statusText"], response["httpVersion"])
    assert response["content"]["mimeType"].startswith(fields(response["headers"])["content-type"])
    assert response["content"]["size"] == len(response["content"]["text"])
    assert '"content": "Once"' in response["content"]["text"]
    assert "\r\n" not in response["content"]["text"]
    assert 20 <= entry["timings"]["receive"] <= entry["time"]
    assert before - 1 <= host.requests[0].started_at <= time.time() + 1


def test_times_of_a_har_are_virtual_in_memory():
    memory = MemoryNetwork()
    memory.agent("writer").always(delay(2), head(), "Once", delay(600), " upon")
    read(memory, timeout=1000)
    (entry,) = entries_of(memory)
    assert {"send": 0, "wait": 2000, "receive": 600_000} == entry["timings"]


@pytest.mark.parametrize("kind", PLAYERS)
def test_the_messages_of_a_websocket_are_there_as_browsers_write_them(kind):
    with player(kind) as host:
        host.agent("writer").always("Once", delay(0.01), " upon", writes=every(5))
        read(host, "websocket")
        (entry,) = entries_of(host)
        exchange = host.requests[0]
    assert entry["request"]["url"].startswith("ws://")
    assert (101, "", 0) == (
        entry["response"]["status"],
        entry["response"]["content"]["text"],
        entry["response"]["content"]["size"],
    )
    messages = entry["_webSocketMessages"]
    assert ["send", "receive"] == [message["type"] for message in messages[:2]]
    assert {1} == {message["opcode"] for message in messages}
    contents = [json.loads(message["data"]) for message in messages]
    assert {"query": "hello"} == contents[0]["input_kwargs"]
    sent = [message["content"] for message in contents if message.get("type") == "data"]
    assert ["Once", " upon"] == [json.loads(json.loads(content)["payload"]) for content in sent]
    times = [message["time"] - exchange.started_at for message in messages]
    assert times == sorted(times)
    assert exchange.message_times[0] == pytest.approx(times[0], abs=1e-5)
    assert 0.0099 <= times[-1] <= (exchange.ended_at or 0.0) + 0.001


def test_binary_messages_are_base64():
    memory = MemoryNetwork()
    memory.agent("writer").always("Once", raw(b"\x82\x02\xff\xfe"))
    read(memory, "websocket")
    (entry,) = entries_of(memory)
    binary = [message for message in entry["_webSocketMessages"] if message["opcode"] == 2]
    assert [b"\xff\xfe"] == [base64.b64decode(message["data"]) for message in binary]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("tenth", range(10))
def test_whatever_goes_wrong_is_a_valid_har(transport, tenth):
    memory = MemoryNetwork()
    for fault in faults.for_transport(transport, "memory")[tenth::10]:
        fault.install(memory, "writer", oversize=50_000)
        read(memory, transport, transport_options={"max_event_bytes": 40_000})
    assert len(memory.journal.exchanges) == len(entries_of(memory))


def test_refusals_and_unmatched_requests_are_entries(host):
    host.agent("writer").reply(status(503))
    for agent in ("writer", "wrter"):
        read(host, agent=agent)
    assert [503, 404] == [entry["response"]["status"] for entry in entries_of(host)]


def test_a_request_that_got_no_answer_has_the_error():
    memory = MemoryNetwork()
    memory.agent("writer").always(ending("reset"), framing="close")
    memory.agent("nobody").reply(delay(5), status(500))
    read(memory, agent="nobody", timeout=1)
    (entry,) = entries_of(memory)
    assert (0, "no HTTP response was sent") == (entry["response"]["status"], entry["response"]["_error"])


def test_no_credential_is_in_it(host):
    host.agent("a").always(f"you are {KEY}", writes=every(3))
    with client_of(host) as client:
        client.send(stream("a", {"api_key": KEY}, authorization=f"Bearer {KEY}", cookie=f"session={KEY}"))
        client.until(b"0\r\n\r\n")
        client.send(post(f"/v1/agents/b/stream?key={KEY}&x=%20y"))
        client.until(b"\r\n\r\n")
    text = json.dumps(host.journal.as_har())
    assert KEY not in text
    assert "you are ***************" in text
    assert {"key": "<redacted>", "x": " y"} == fields(entries_of(host)[1]["request"]["queryString"])


def test_over_tls_the_url_shows_it():
    authority = trustme.CA()
    client_tls = client_context(authority)
    with FakeAgentServer(ssl_context=server_context(authority)) as server:
        server.agent("writer").always("Once")
        read(server, ssl_context=client_tls)
        read(server, "websocket", ssl_context=client_tls)
        schemes = [entry["request"]["url"].partition(":")[0] for entry in entries_of(server)]
    assert ["https", "wss"] == schemes


@pytest.mark.parametrize("ending_of_name", [".har", ".json", ".txt"])
def test_a_journal_is_saved_in_the_form_that_the_name_has(host, tmp_path, ending_of_name):
    host.agent("writer").always("Once \ud83d")
    read(host)
    path = tmp_path / f"run{ending_of_name}"
    host.journal.save(str(path))
    text = path.read_text("utf-8")
    wanted = {
        ".har": host.journal.as_har,
        ".json": host.journal.as_dict,
        ".txt": lambda: host.journal.transcript() + "\n",
    }[ending_of_name]()
    assert wanted == (text if ending_of_name == ".txt" else json.loads(text))


def test_another_name_is_refused(host, tmp_path):
    with pytest.raises(ValueError, match=r"^journal.save\(\) writes .har, .json, .txt files, not 'x.yaml'$"):
        host.journal.save(tmp_path / "x.yaml")


def test_the_checks_of_a_har_find_faults():
    memory = MemoryNetwork()
    memory.agent("writer").always("Once")
    read(memory)
    log = memory.journal.as_har()["log"]
    (entry,) = log["entries"]
    entry["time"], entry["connection"], entry["request"]["url"] = 5.0, 1, "/x"
    del entry["response"]["content"], entry["cache"]
    assert {
        "log.entries[0] has no cache",
        "log.entries[0].connection is 1",
        "log.entries[0].request.url: /x",
        "log.entries[0].response has no content",
        "log.entries[0].time is not the sum of timings",
    } == set(har_faults(log))


RESPONSES = {
    b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody": (200, b"body"),
    b"HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n": (200, b"abc"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab": (200, b"ab"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n": (200, b"abzz\r\n"),
    b"HTTP/1.1 200 OK\r\nA: b": (200, b""),
    b"SSH-2.0\r\n": None,
    b"": None,
}


@pytest.mark.parametrize(("data", "wanted"), RESPONSES.items())
def test_a_response_is_understood_as_far_as_it_was_sent(data, wanted):
    found = parse_response(data)
    assert wanted == (None if found is None else (found.status, found.body))
