"""What exchanges show: writes, times, how the client disconnected, and waiting for it."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time

import pytest
import trio

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork, delay, done, ending, gate, heartbeat
from runagent_testing._journal.exchange import Exchange
from runagent_testing._journal.recorder import Recorder
from runagent_testing._render.plan import Plan, Wait, Write
from tests.runagent_testing.raw_client import PATIENCE, connected, handshake, masked, post, stream
from tests.support.tracing import SLOWDOWN

KNOWN = sys.platform == "linux"  # only Linux shows what was acknowledged


def finished(server, number=1):
    exchange = server.wait_request(number)
    assert exchange.wait_done(PATIENCE)
    return exchange


def test_every_write_is_on_record_with_its_step_and_its_bytes(server):
    server.agent("a").always("x", heartbeat(), delay(0.02), "y", writes="per-step")
    with connected(server.url) as client:
        client.send(stream(accept="application/x-ndjson"))
        received = client.until(b"0\r\n\r\n")
        exchange = finished(server)
    assert received == b"".join(sent.data for sent in exchange.sent)
    assert [(), (), (0,), (1,), (3,), (), ()] == [sent.steps for sent in exchange.sent]
    before, after = exchange.sent[3].seconds, exchange.sent[4].seconds
    assert 0.0 <= before
    assert before + 0.02 <= after <= exchange.ended_at


def test_merged_steps_are_one_write(server):
    server.agent("a").always(*["x"] * 50)
    with connected(server.url) as client:
        client.send(stream())
        client.until(b"0\r\n\r\n")
        (only,) = finished(server).sent
    assert tuple(range(50)) == only.steps


def test_times_are_virtual_where_time_is():
    memory = MemoryNetwork()
    memory.agent("a").always("x", delay(600), "y")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking, timeout=1000)
    assert "xy" == client.run_generic_stream("x").text()
    first, second = memory.requests[0].sent
    assert (0.0, 600.0) == (first.seconds, second.seconds)
    assert 600.0 == memory.requests[0].ended_at


def test_keys_are_in_nothing_that_is_printed(server):
    server.agent("a").always("x")
    secrets = {
        "authorization": "Bearer s3cret",
        "proxy-authorization": "Basic s3cret",
        "cookie": "session=s3cret",
        "x-api-key": "s3cret",
    }
    with connected(server.url) as client:
        client.send(post("/v1/agents/a/stream?api_key=s3cret&x=1&token=s3cret", **secrets))
        client.until(b"0\r\n\r\n")
        exchange = finished(server)
        client.send(post("/v1/agents/b/stream", **secrets))
        client.until(b"}}")
    assert dict.fromkeys(secrets, "<redacted>") == {name: exchange.headers[name] for name in secrets}
    assert "localhost" == exchange.headers["host"]
    assert secrets == {name: exchange.raw_headers[name] for name in secrets}
    with pytest.raises(AssertionError) as raised:
        server.check()
    printed = [repr(exchange), exchange.timeline(), str(raised.value), exchange.title, str(exchange.headers)]
    assert [] == [text for text in printed if "s3cret" in text]
    assert "?api_key=<redacted>&x=1&token=<redacted>" in exchange.title


def test_a_kept_connection_is_reused(server):
    server.agent("a").always("x").returns("y")
    with connected(server.url) as client:
        for _ in range(2):
            client.send(post("/v1/agents/a/invoke"))
            client.until(b'"y"')
            client.until(b"}}")
    with connected(server.url) as client:
        client.send(stream())
        client.until(b"0\r\n\r\n")
    assert [(1, False), (1, True), (2, False)] == [(run.connection, run.reused) for run in server.requests]


def test_reuse_is_seen_in_memory_too():
    memory = MemoryNetwork()
    memory.agent("a").always("x")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking)
    for _ in range(2):
        assert "x" == client.run_generic_stream("q").text()
    assert [False, True] == [run.reused for run in memory.requests]


def test_waiting_for_chunks_and_for_steps(server):
    closed = gate("closed")
    pulse = heartbeat()
    server.agent("a").always("x", pulse, closed, "y", "z")
    with connected(server.url) as client:
        client.send(stream())
        exchange = server.wait_request()
        assert exchange.wait_sent(1)
        assert exchange.wait_sent(pulse)
        assert exchange.wait_sent(closed)  # the agent waits there
        assert not exchange.wait_sent(2, timeout=0.01)
        threading.Timer(0.02, closed.open).start()
        assert exchange.wait_sent(3)
        assert exchange.wait_sent(0)
        assert not exchange.wait_sent(4)
        assert not exchange.wait_sent(heartbeat())
        with pytest.raises(TypeError, match=r"takes a number of chunks, or a step itself, not 'x'"):
            exchange.wait_sent("x")
        client.until(b"0\r\n\r\n")


def test_waiting_in_vain_ends_with_the_run(server):
    server.agent("a").always("x", gate("never"), "y")
    with connected(server.url) as client:
        client.send(stream())
        client.until(b'"x"')
        exchange = server.wait_request()
        threading.Timer(0.02, client.socket.close).start()
        began = time.monotonic()
        assert not exchange.wait_sent(2, timeout=60)
        assert not exchange.wait_done(timeout=60)
    assert PATIENCE > time.monotonic() - began


def test_a_waiter_is_woken_while_the_run_goes_on(server):
    here = gate("here")
    server.agent("a").always("x", here, "y", gate("never"))
    with connected(server.url) as client:
        client.send(stream())
        exchange = server.wait_request()
        assert exchange.wait_sent(here)
        threading.Timer(0.05, here.open).start()
        began = time.monotonic()
        assert exchange.wait_sent(2, timeout=60)
    assert PATIENCE > time.monotonic() - began


def test_many_threads_wait_for_different_places(server):
    here = gate("here")
    server.agent("a").always("x", here, *["y"] * 20, writes="per-step")
    reached = []
    with connected(server.url) as client:
        client.send(stream())
        exchange = server.wait_request()
        threads = [
            threading.Thread(target=lambda n=n: reached.append((n, exchange.wait_sent(n))))
            for n in range(1, 22)
        ]
        for thread in threads:
            thread.start()
        here.open()
        for thread in threads:
            thread.join(PATIENCE)
        client.until(b"0\r\n\r\n")
    assert [(n, True) for n in range(1, 22)] == sorted(reached)


def test_a_pace_before_a_chunk_is_not_the_chunk():
    from runagent_testing import fixed

    memory = MemoryNetwork()
    memory.agent("a").always("x", "y", pace=fixed(10))

    async def leave_between():
        client = AsyncRunAgentClient("a", base_url=memory.url, network=memory.aio, timeout=100)
        run = client.run_generic_stream("q")
        assert "x" == await anext(run)
        await memory.aio.sleep(5)
        await run.aclose()

    memory.run_asyncio(leave_between())
    (exchange,) = memory.requests
    assert [1] == exchange.unplayed
    assert exchange.wait_sent(1)
    assert not exchange.wait_sent(2)
    assert 5.0 == exchange.disconnected_at


def test_a_chunk_that_was_only_waited_for_is_unplayed():
    plan = Plan((Write(b"x", (0,)), Wait(1, 1), Write(b"y", (1,)), Wait(1, 2)), "open")
    exchange = Exchange("POST", "sse", "a", "/", {}, 1, plan=plan)
    left = [exchange.unplayed]
    for move in plan.moves:
        Recorder(exchange).note_move(move)
        left.append(exchange.unplayed)
    assert [[0, 1, 2], [1, 2], [1, 2], [2], []] == left


@pytest.mark.parametrize("end", ["stall", "silent"])
def test_a_pause_after_which_nothing_comes_need_not_be_waited_for(end):
    plan = Plan((Wait(1, 0), Write(b"x", (1,)), Wait(1, 2), Wait(1, 3)), end)
    exchange = Exchange("POST", "sse", "a", "/", {}, 1, plan=plan)
    assert [0, 1] == exchange.unplayed
    for move in plan.moves[:2]:
        Recorder(exchange).note_move(move)
    assert [] == exchange.unplayed


def test_timelines_show_what_a_client_has_read_as_sent(server):
    server.agent("a").always("x")
    with RunAgentClient("a", base_url=server.url) as client:
        for _ in range(30):
            client.run_generic_stream("q").text()
            shown = server.timelines()
            assert "never" not in shown
            assert "running" not in shown


def test_waiting_for_requests(server):
    server.agent("a").always("x")

    def ask():
        for agent in ("a", "b", "a"):
            with connected(server.url) as client:
                client.send(stream(agent))
                client.until(b"\r\n\r\n")

    thread = threading.Thread(target=ask)
    thread.start()
    assert "b" == server.wait_request(2).agent_id
    assert server.agent("a").wait_request(2) is server.wait_request(3)
    thread.join(PATIENCE)
    assert [1, 3] == [run.number for run in server.agent("a").requests]
    with pytest.raises(TimeoutError, match=r"expected 4 request\(s\) within 0.01 s, but 3 came"):
        server.wait_request(4, timeout=0.01)
    with pytest.raises(TimeoutError, match="of agent 'c'"):
        server.agent("c").wait_request(timeout=0)


@pytest.mark.parametrize(
    ("run", "words"), [(asyncio.run, "asyncio.to_thread"), (trio.run, "trio.to_thread.run_sync")]
)
def test_waiting_for_a_request_in_a_loop_names_what_it_has_blocked(server, run, words):
    async def scenario():
        server.wait_request(timeout=0.01)

    with pytest.raises(TimeoutError, match=f"0 came; .* blocked .*: call it through {words}"):
        run(scenario() if run is asyncio.run else scenario)


def test_the_timeline_shows_script_and_writes_side_by_side(server):
    shut = gate("go on")
    server.agent("a").always("Once", delay(0.01), " upon", shut, "end", done(), writes="per-step")
    with connected(server.url) as client:
        client.send(stream(body={"query": "tell me"}))
        client.until(b"upon")
        exchange = server.wait_request()
        exchange.wait_sent(shut)
    assert exchange.wait_disconnected(PATIENCE)
    shown = re.sub(r"\d+\.\d{3}", "#", exchange.timeline())
    assert (
        "request 1: POST /v1/agents/a/stream (sse), connection 1 (new)\n  input: {'query': 'tell me'}\n"
        in shown
    )
    rows = [re.split(r" +\| +", line.strip()) for line in shown.splitlines() if " | " in line]
    scripted = [row for row in rows if re.match(r"\d", row[0])]
    assert [
        ["1  chunk 'Once'", f"#  write of {len(exchange.sent[2].data)} bytes"],
        ["2  delay 0.01 s", "#  waited 0.01 s"],
        ["3  chunk ' upon'", f"#  write of {len(exchange.sent[3].data)} bytes"],
        ["4  gate 'go on'", "never  gate shut"],
        ["5  chunk 'end'", f"never  write of {len(exchange.plan.moves[-3].data)} bytes"],
        ["6  done", f"never  write of {len(exchange.plan.moves[-2].data)} bytes"],
    ] == scripted
    assert shown.splitlines()[-1].startswith(
        "  client disconnected after # s; the client closed the connection (FIN)"
    )


@pytest.mark.parametrize(
    ("request_bytes", "why"),
    [
        (post("/v1/agents/a/stream", b"[]"), "the body is not a JSON object"),
        (stream("a", accept="image/png"), "this agent streams text/event-stream, "),
        (
            post("/api/v1/agents/a/run", {"input_args": 1}),
            "body.entrypoint_tag: Field required; body.input_args: ",
        ),
        (handshake("a").replace(b"Version: 13", b"Version: 8"), "Sec-WebSocket-Version is not 13"),
        (handshake("a") + masked(1, b"{}"), "Missing required field: entrypoint_tag"),
    ],
)
def test_the_timeline_shows_what_was_wrong_with_a_request(server, request_bytes, why):
    server.agent("a").always("x").returns("x")
    with connected(server.url) as client:
        client.send(request_bytes)
        exchange = finished(server)
    assert exchange.refused.startswith(why)
    assert f"  refused: {why}" in exchange.timeline()


def test_the_timeline_shows_a_wrong_key():
    with FakeAgentServer(api_key="right") as server, connected(server.url) as client:
        server.agent("a").always("x")
        client.send(stream("a", authorization="Bearer wrong"))
        assert "  refused: the API key is missing or wrong\n" in finished(server).timeline()


def test_the_timeline_names_cuts_and_the_ending(server):
    from runagent_testing import every

    server.agent("a").always("x", ending("reset"), writes=every(100))
    with connected(server.url) as client:
        client.send(stream())
        client.rest()
    shown = finished(server).timeline()
    assert "write of 100 bytes, cut inside an event" in shown
    assert "(more of it)" in shown
    assert re.search(r" 2  ending 'reset' +\| +\d\.\d{3}  RST\n", shown)


def test_a_long_timeline_is_shortened(server):
    server.agent("a").always(*map(str, range(5000)), writes="per-step")
    server.agent("b").always(*map(str, range(5000)))
    for agent in ("a", "b"):
        with connected(server.url) as client:
            client.send(stream(agent))
            client.until(b"0\r\n\r\n")
    assert "more moves ..." in finished(server, 1).timeline()
    assert re.search(r"\.\.\. \d+ more steps \.\.\.", finished(server, 2).timeline())
    assert 60 > max(len(run.timeline().splitlines()) for run in server.requests)


def test_a_write_costs_next_to_nothing_to_record():
    write = Write(b"x", (0,))
    exchange = Exchange("POST", "sse", "a", "/", {}, 1, plan=Plan((write,) * 100_000, "open"))
    seconds = min(_seconds(exchange, write) for _ in range(5))
    assert 0.05 * SLOWDOWN > seconds  # 5 microseconds each, where 0.2 are usual


def _seconds(exchange, write):
    began = time.perf_counter()
    for _ in range(10_000):
        Recorder(exchange).note_move(write)
    return time.perf_counter() - began


@pytest.mark.parametrize("seconds", [1e10, float("inf")])
def test_a_wait_may_be_longer_than_any_system_can_wait(server: FakeAgentServer, seconds: float) -> None:
    opened = gate("door")
    agent = server.agent("a")
    agent.always("x", opened, "y")
    with RunAgentClient("a", base_url=server.url).run_generic_stream("x") as stream:
        assert "x" == next(stream)
        exchange = agent.wait_request(timeout=seconds)
        assert exchange.wait_sent(1, timeout=seconds)
        opened.open()
        assert opened.wait(seconds)
        assert ["y"] == list(stream)
        assert exchange.wait_done(timeout=seconds)


def test_the_bytes_of_a_websocket_are_in_the_order_in_which_they_left_even_if_no_time_passes():
    memory = MemoryNetwork()
    memory.agent("a").always("x", "y", writes="per-step")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking, transport="websocket")
    assert "xy" == client.run_generic_stream("q").text()
    exchange = memory.requests[0]
    assert {0.0} == {sent.seconds for sent in exchange.sent}
    assert exchange.sent[0].data.startswith(b"HTTP/1.1 101 ")
    assert exchange.sent[-1].data.startswith(b"\x88")
    shown = exchange.timeline()
    assert shown.index("chunk 'y'") < shown.rindex("(the protocol)")
