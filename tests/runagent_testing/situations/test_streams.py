"""Situations of docs/situations.md in which streams begin, wait, break and end."""

from __future__ import annotations

import asyncio

import pytest

from runagent import AgentServerError, AsyncRunAgentClient, StreamTruncatedError
from runagent_testing import FakeAgentServer, MemoryNetwork, delay, ending, gate, status
from tests.runagent_testing.functions import client_of as client
from tests.runagent_testing.players import client_of as raw_client_of
from tests.runagent_testing.raw_client import connected, stream

TRANSPORTS = ("sse", "chunked", "websocket")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_test_decides_when_each_event_comes(host, transport):
    second, third = gate("second"), gate("third")
    host.agent("a").reply("1", second, "2", third, "3")
    with client(host, transport) as asking, asking.run_generic_stream("hi") as chunks:
        shown = [next(chunks)]
        for door in (second, third):
            assert not host.requests[0].wait_done(timeout=0)
            door.open()
            shown.append(next(chunks))
    assert ["1", "2", "3"] == shown


def test_hundreds_of_slow_streams_at_once():
    memory = MemoryNetwork()
    memory.agent("a").always(*["x", delay(6)] * 10)

    async def read_all():
        began = memory.aio.now()
        async with AsyncRunAgentClient("a", base_url=memory.url, network=memory.aio) as asking:
            streams = [asking.run_generic_stream("hi").text() for _ in range(300)]
            texts = await asyncio.gather(*streams)
        return texts, round(memory.aio.now() - began)

    assert (["x" * 10] * 300, 60) == memory.run_asyncio(read_all())


def test_a_hundred_cancelled_tasks_keep_no_server_from_closing():
    async def ask_and_cancel(url):
        async with AsyncRunAgentClient("a", base_url=url) as asking:
            begun = [asyncio.ensure_future(asking.run_generic_stream("hi").text()) for _ in range(100)]
            await asyncio.to_thread(server.wait_request, 100)
            for one in begun:
                one.cancel()
            return await asyncio.gather(*begun, return_exceptions=True)

    with FakeAgentServer() as server:
        server.agent("a").always("Once", ending("stall"))
        results = asyncio.run(ask_and_cancel(server.url))
        assert all(exchange.wait_disconnected() for exchange in server.requests)
    assert {asyncio.CancelledError} == {type(result) for result in results}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_the_first_run_is_slow_the_second_fails_and_the_third_is_good(transport):
    memory = MemoryNetwork()
    memory.agent("a").reply(delay(90), "late").reply(status(503)).always("good")
    with client(memory, transport, timeout=100) as asking:
        assert ("late", 90) == (asking.run_generic_stream("hi").text(), round(memory.blocking.now()))
        with pytest.raises(AgentServerError):
            asking.run_generic_stream("hi").text()
        assert "good" == asking.run_generic_stream("hi").text()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_cut_after_two_chunks_and_some_time_is_in_the_journal(host, transport):
    host.agent("a").reply("1", "2", delay(0.01), ending("reset"))
    with client(host, transport) as asking, pytest.raises(StreamTruncatedError) as cut:
        asking.run_generic_stream("hi").text()
    assert "12" == cut.value.partial_text
    exchange = host.requests[0]
    assert exchange.wait_done()
    assert "done" == exchange.outcome
    assert "ending 'reset'" in exchange.timeline()
    host.check()


def test_a_client_that_closes_right_after_the_end_has_missed_nothing(host):
    host.agent("a").always("Once", " upon")
    for _ in range(20):
        with raw_client_of(host) as raw:
            raw.send(stream())
            raw.until(b"event: done")
    host.check()
    assert 20 == len(host.requests)


def test_servers_take_free_ports_and_a_fixed_one_again():
    with FakeAgentServer() as first, FakeAgentServer() as second:
        port = int(first.url.rpartition(":")[2])
        assert first.url != second.url
    for _ in range(3):
        with FakeAgentServer(port=port) as again, connected(again.url) as raw:
            raw.send(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert raw.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
