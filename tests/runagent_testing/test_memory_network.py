"""The memory network under the real client: the same scripts, virtual time, deadlocks."""

from __future__ import annotations

import logging

import pytest

from runagent import (
    AgentServerError,
    AsyncRunAgentClient,
    ConfigurationError,
    NetworkError,
    ProtocolError,
    RunAgentClient,
    RunTimeoutError,
    StreamError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeouts,
)
from runagent_testing import (
    MemoryNetwork,
    chunk,
    delay,
    done,
    ending,
    error,
    every,
    fixed,
    heartbeat,
    status,
    tokens_per_second,
)
from runagent_testing._memory.wire import Wire
from tests.runagent_testing.virtual import STYLES, Virtual
from tests.support.tracing import SLOWDOWN

TRANSPORTS = ("sse", "chunked", "websocket")
FOREVER = Timeouts(connect=None, first_event=None, idle=None)
QUICK = 0.1 * SLOWDOWN  # real seconds


@pytest.fixture(params=STYLES)
def virtual(request):
    return Virtual(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


def streamed(virtual, transport, **options):
    """Stream once and return the chunks."""

    async def scenario():
        client = virtual.client(transport, **options)
        return [content async for content in client.run_generic_stream("x")]

    return virtual.run(scenario)


def timed(virtual, transport, **options):
    """Stream once; return the chunks with the virtual seconds at which they came, and the error."""

    async def scenario():
        client, seen = virtual.client(transport, **options), []
        begin = virtual.network.now()
        stream = client.run_generic_stream("x")
        while True:
            try:
                seen.append((await anext(stream), round(virtual.network.now() - begin, 6)))
            except StopAsyncIteration:
                return seen, None
            except StreamError as exc:
                return seen, exc

    return virtual.run(scenario)


def is_quick(virtual, act, tries=10):
    """Return whether one of a few tries was: the machine is shared, so most of the time may be others'."""
    for _ in range(tries):
        act()
        if virtual.cpu_seconds < QUICK and virtual.seconds < 10 * QUICK:
            return True
    return False


def test_chunks_come_as_scripted(virtual, transport):
    script = ["Once", "", {"n": [1, None, True]}, 3.5, " upon\n\r\n\u2028a", "🦊"]
    virtual.memory.agent("a").always(*script)
    assert script == streamed(virtual, transport)
    (exchange,) = virtual.memory.requests
    assert ("done", {"query": "x"}) == (exchange.outcome, exchange.input)


def test_a_plain_run_and_many_runs_share_a_connection(virtual):
    virtual.memory.agent("a").returns({"answer": 42}).always("x")

    async def scenario():
        client = virtual.client()
        for _ in range(20):
            assert {"answer": 42} == await client.run_generic("x")
            assert "x" == await client.run_generic_stream("x").text()

    virtual.run(scenario)
    assert 1 == virtual.memory.connections


def test_the_published_protocol_answers_plain_runs(virtual):
    virtual.memory.agent("a").returns("wörld")

    async def scenario():
        return await virtual.client("websocket").run_generic("x")

    assert "wörld" == virtual.run(scenario)


def test_delays_pass_at_once_and_to_the_second(virtual, transport):
    virtual.memory.agent("a").always("x", delay(30), "y", delay(12.5), "z")
    assert ([("x", 0), ("y", 30), ("z", 42.5)], None) == timed(virtual, transport)


def test_a_stall_of_ten_minutes_is_over_in_no_time(virtual, transport):
    virtual.memory.agent("a").always("x", ending("stall"))

    def act():
        seen, failure = timed(virtual, transport, timeout=600, max_retries=0)
        assert [("x", 0)] == seen
        assert isinstance(failure, StreamTimeoutError)
        assert "idle" == failure.phase
        assert "client disconnected" == virtual.memory.requests[-1].outcome

    assert is_quick(virtual, act)


def test_a_retry_after_of_thirty_seconds_is_waited_for(virtual, transport):
    def act():
        virtual.memory.agent("a").always("x").fails(1, status(503, retry_after=30))
        assert ([("x", 30)], None) == timed(virtual, transport)

    assert is_quick(virtual, act)


def test_a_thousand_tokens_a_second_come_at_their_times(virtual, transport):
    tokens = [f"{number} " for number in range(1000)]
    virtual.memory.agent("a").always(*tokens, pace=tokens_per_second(1000, first=1.5))

    def act():
        seen, _ = timed(virtual, transport)
        assert [(token, round(1.5 + number / 1000, 6)) for number, token in enumerate(tokens)] == seen

    assert is_quick(virtual, act)


def test_a_minute_of_tokens_outlasts_no_idle_timeout(virtual, transport):
    virtual.memory.agent("a").always(*["x"] * 61, pace=fixed(1))
    seen, failure = timed(virtual, transport, timeout=1.5)
    assert (("x", 60), None) == (seen[-1], failure)


def test_bytes_at_the_very_deadline_are_in_time(virtual, transport):
    virtual.memory.agent("a").always("x", delay(10), "y")
    assert ([("x", 0), ("y", 10)], None) == timed(virtual, transport, timeout=10)


def test_no_answer_is_a_first_event_timeout(virtual, transport):
    virtual.memory.agent("a").always("x")
    virtual.memory.on_connect("silent")

    async def scenario():
        begin = virtual.network.now()
        with pytest.raises(RunTimeoutError) as failure:
            await virtual.client(transport, timeout=600).run_generic_stream("x").text()
        return failure.value.phase, virtual.network.now() - begin

    assert ("first_event", 600) == virtual.run(scenario)


@pytest.mark.parametrize("kind", ["cut", "fin-in-chunk", "close-delimited-cut", "half-close", "no-done"])
def test_an_end_without_done_is_a_truncation(virtual, transport, kind):
    virtual.memory.agent("a").always("x", ending(kind))
    seen, failure = timed(virtual, transport, max_retries=0)
    assert [("x", 0)] == seen
    assert isinstance(failure, StreamTruncatedError)


@pytest.mark.parametrize(("kind", "after"), [("reset", 0), ("stall-reset", 5)])
def test_what_came_before_a_reset_is_delivered(virtual, transport, kind, after):
    seconds = {"seconds": after} if after else {}
    virtual.memory.agent("a").always("x", ending(kind, **seconds))

    begin = virtual.network.now() if virtual.style == "sync" else 0
    seen, failure = timed(virtual, transport, max_retries=0)
    assert [("x", 0)] == seen
    assert isinstance(failure, StreamTruncatedError)
    assert isinstance(failure.__cause__, ConnectionResetError)
    if virtual.style == "sync":
        assert after == virtual.network.now() - begin


@pytest.mark.parametrize("kind", ["bad-utf8", "bad-opcode", "masked-frame"])
def test_a_broken_frame_is_a_protocol_error(virtual, kind):
    virtual.memory.agent("a").always("x", ending(kind))
    with pytest.raises(ProtocolError):
        streamed(virtual, "websocket")


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_connection_that_ends_at_once(virtual, transport, fault):
    virtual.memory.agent("a").always("x")
    virtual.memory.on_connect(fault, times=2)
    with pytest.raises((NetworkError, StreamTruncatedError)):
        streamed(virtual, transport, max_retries=0)
    assert ["x"] == streamed(virtual, transport, max_retries=1, retry_unsafe=True)


def test_failures_are_tried_again_and_then_given_up(virtual, transport):
    virtual.memory.agent("a").always("x").fails(2)
    assert ["x"] == streamed(virtual, transport)
    virtual.memory.agent("a").fails(2)
    with pytest.raises(AgentServerError):
        streamed(virtual, transport, max_retries=1)


def test_an_error_event_is_raised(virtual, transport):
    virtual.memory.agent("a").always("x", error("CAPACITY_ERROR", "full"))
    seen, failure = timed(virtual, transport, max_retries=0)
    assert ([("x", 0)], "CAPACITY_ERROR") == (seen, failure.code)


def test_a_broken_stream_is_resumed(virtual):
    virtual.memory.agent("a").always("x", "y", "z").reply("x", ending("cut"))
    seen, failure = timed(virtual, "sse")
    assert (["x", "y", "z"], None) == ([content for content, _ in seen], failure)


def test_heartbeats_keep_a_slow_run_alive(virtual, transport):
    script = [step for _ in range(10) for step in (delay(50), heartbeat())]
    virtual.memory.agent("a").always("x", *script, "y")
    assert ([("x", 0), ("y", 500)], None) == timed(virtual, transport)


def test_every_write_is_one_read(virtual, transport, monkeypatch):
    reads, take = [], Wire.take

    def watched(wire, max_bytes):
        data = take(wire, max_bytes)
        if data:
            reads.append(data)
        return data

    monkeypatch.setattr(Wire, "take", watched)
    virtual.memory.agent("a").always("wörld", writes=every(7))
    assert ["wörld"] == streamed(virtual, transport)
    sent = [move.data for move in virtual.memory.requests[0].plan.moves]
    answer = reads[reads.index(sent[0]) :]  # on a WebSocket, without the handshake
    assert sent[: len(answer)] == answer
    assert len(answer) >= len(sent) - 2  # what frames the end may stay unread
    assert {7} == {len(data) for data in sent[:-1]}


def test_pings_keep_a_slow_websocket_alive_as_on_sockets(virtual):
    virtual.memory.agent("a").always("x", delay(190), "y")
    assert ([("x", 0), ("y", 190)], None) == timed(virtual, "websocket", timeout=50)
    pings = [sent for sent in virtual.memory.requests[0].unplanned if sent.data == b"\x89\0"]
    assert list(range(20, 190, 20)) == [round(ping.seconds) for ping in pings]


@pytest.mark.parametrize("style", STYLES)
def test_a_client_that_reads_slowly_slows_the_agent_down(style, transport):
    virtual = Virtual(style, buffer_bytes=1000, ping_interval=1000)
    virtual.memory.agent("a").always(*["x" * 1000] * 10, writes="per-step")

    async def scenario():
        stream = virtual.client(transport).run_generic_stream("x")
        seen = []
        for _ in range(10):
            seen.append(await anext(stream))
            await virtual.sleep(10)
        return seen

    assert ["x" * 1000] * 10 == virtual.run(scenario)
    written = [round(sent.seconds) for sent in virtual.memory.requests[0].sent if len(sent.data) > 1000]
    # The client has one, and one is on its way; the next waits for room.
    assert [0, 0, *range(10, 90, 10)] == written


def test_closing_early_is_seen_by_the_agent(virtual, transport):
    virtual.memory.agent("a").always("x", delay(9), "y")

    async def scenario():
        stream = virtual.client(transport).run_generic_stream("x")
        assert "x" == await anext(stream)
        await stream.aclose()

    virtual.run(scenario)
    assert "client disconnected" == virtual.memory.requests[0].outcome


def test_only_its_own_address_is_known(virtual):
    for url in ("http://elsewhere.localhost", virtual.memory.url.replace("http", "https")):
        with pytest.raises(NetworkError):
            streamed(virtual, "sse", base_url=url, max_retries=0)


def test_two_clients_at_once_share_the_time():
    import asyncio

    virtual = Virtual("asyncio")
    virtual.memory.agent("a").reply("a", delay(3), "b").reply("c", delay(5), "d")

    async def scenario():
        client = virtual.client()
        texts = await asyncio.gather(*(client.run_generic_stream("x").text() for _ in range(2)))
        return texts, virtual.network.now()

    assert (["ab", "cd"], 5) == virtual.run(scenario)


def test_a_thread_of_the_loop_stops_virtual_time():
    import asyncio
    import threading

    virtual, go = Virtual("asyncio"), threading.Event()

    async def scenario():
        work = asyncio.create_task(asyncio.to_thread(go.wait, 5))
        await asyncio.sleep(0)
        threading.Timer(0.02, go.set).start()
        assert await work
        begin = asyncio.get_running_loop().time()
        await asyncio.sleep(1000)
        return begin, asyncio.get_running_loop().time()

    assert (0, 1000) == virtual.run(scenario)


def test_done_carries_usage_and_metadata(virtual):
    virtual.memory.agent("a").always(chunk("x"), done("bye", {"total_tokens": 3}, 1.5, {"k": "v"}))

    async def scenario():
        return [event async for event in virtual.client().run_generic_stream("x").events()][-1]

    completed = virtual.run(scenario)
    assert ({"total_tokens": 3}, 1.5) == (completed.usage, completed.execution_time)


@pytest.mark.parametrize(
    ("kind", "network", "wanted"),
    [
        (RunAgentClient, "aio", "RunAgentClient takes a Network, .* memory.blocking is one"),
        (RunAgentClient, "trio", "RunAgentClient takes a Network, .* memory.blocking is one"),
        (
            AsyncRunAgentClient,
            "blocking",
            "AsyncRunAgentClient takes an AsyncNetwork, .* memory.aio and memory.trio",
        ),
    ],
)
def test_the_network_of_the_other_client_is_refused(kind, network, wanted):
    with pytest.raises(ConfigurationError, match=wanted):
        kind("a", network=getattr(MemoryNetwork(), network))


@pytest.mark.parametrize(
    ("network", "run", "meant"), [("aio", "run_trio", "memory.trio"), ("trio", "run_asyncio", "memory.aio")]
)
def test_the_network_of_another_library_is_an_error_that_names_the_right_one(network, run, meant):
    memory = MemoryNetwork()
    memory.agent("a").always("x")

    async def scenario():
        client = AsyncRunAgentClient("a", base_url=memory.url, network=getattr(memory, network))
        await client.run_generic_stream("q").text()

    with pytest.raises(RuntimeError, match=f"{meant}$"):
        getattr(memory, run)(scenario() if run == "run_asyncio" else scenario)


@pytest.mark.parametrize("kind", ["cut", "reset", "no-done", "stall"])
def test_the_end_of_an_exchange_is_logged_once(virtual, kind, caplog):
    caplog.set_level(logging.INFO, "runagent_testing")
    virtual.memory.agent("a").always("x", ending(kind), indexed=False)

    async def scenario():
        with pytest.raises(StreamError):
            await virtual.client().run_generic_stream("q").text()

    virtual.run(scenario)
    assert ["begins", "ends:"] == [record.getMessage().split()[4] for record in caplog.records]
