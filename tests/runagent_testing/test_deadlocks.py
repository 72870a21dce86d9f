"""Gates on virtual time: what may still open one, and the error of a reader if nothing may."""

from __future__ import annotations

import asyncio
import threading

import pytest
import trio

from runagent import StreamTimeoutError, Timeouts
from runagent_testing import DeadlockError, delay, ending, gate
from runagent_testing._memory import blocking
from tests.runagent_testing.virtual import STYLES, Virtual

TRANSPORTS = ("sse", "chunked", "websocket")
FOREVER = Timeouts(connect=None, first_event=None, idle=None)
DEADLOCK = "^deadlock: gate door, which nothing can open any more"


@pytest.fixture(params=STYLES)
def virtual(request, monkeypatch):
    monkeypatch.setattr(blocking, "_PATIENCE", 0.01)  # pytest may have threads, too
    return Virtual(request.param)


@pytest.fixture(params=["asyncio", "trio"])
def virtual_tasks(request):
    return Virtual(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


async def together(virtual, *functions):
    """Run functions as tasks; they end with the first, as a test's helpers do."""
    if virtual.style == "trio":
        async with trio.open_nursery() as nursery:
            for function in functions[1:]:
                nursery.start_soon(function)
            result = await functions[0]()
            nursery.cancel_scope.cancel()
        return result
    helpers = [asyncio.ensure_future(function()) for function in functions[1:]]
    try:
        return await functions[0]()
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)


@pytest.mark.parametrize("timeout", [FOREVER, 60], ids=["no timeout", "a timeout"])
def test_a_gate_that_is_never_opened_is_a_deadlock(virtual, transport, timeout):
    virtual.memory.agent("a").always("x", gate("door"), "y")

    async def scenario():
        stream = virtual.client(transport, timeout=timeout).run_generic_stream("x")
        assert "x" == await anext(stream)
        with pytest.raises(DeadlockError, match=DEADLOCK):
            await anext(stream)
        return virtual.network.now()

    assert virtual.run(scenario) == 0
    assert "client disconnected" == virtual.memory.requests[0].outcome


def test_a_gate_behind_a_delay_is_one_when_it_is_reached(virtual, transport):
    virtual.memory.agent("a").always("x", delay(30), gate("door"), "y")

    async def scenario():
        with pytest.raises(DeadlockError, match=DEADLOCK):
            await virtual.client(transport, timeout=60).run_generic_stream("x").text()
        return virtual.network.now()

    assert 30 == virtual.run(scenario)


def test_a_gate_that_is_opened_between_two_chunks_is_no_deadlock(virtual, transport):
    door = gate("door")
    virtual.memory.agent("a").always("x", door, "y")

    async def scenario():
        seen = []
        async for content in virtual.client(transport, timeout=FOREVER).run_generic_stream("x"):
            seen.append(content)
            door.open()
        return seen

    assert ["x", "y"] == virtual.run(scenario)


@pytest.mark.parametrize("opened_at", [50, 70])
def test_a_gate_that_a_task_will_open_is_waited_for(virtual_tasks, transport, opened_at):
    virtual, door = virtual_tasks, gate("door")
    virtual.memory.agent("a").always("x", door, "y")

    async def read():
        try:
            client = virtual.client(transport, timeout=60, max_retries=0)
            return await client.run_generic_stream("x").text()
        except StreamTimeoutError as error:
            return f"{error.partial_text}, then {error.phase}"

    async def open_it():
        await virtual.network.sleep(opened_at)
        door.open()

    async def scenario():
        return await together(virtual, read, open_it)

    # Over a WebSocket the agent pings: its client knows that it is alive, and waits on.
    is_in_time = opened_at < 60 or transport == "websocket"
    assert ("xy" if is_in_time else "x, then idle") == virtual.run(scenario)


def test_what_another_stream_brings_may_open_a_gate(virtual_tasks, transport):
    virtual, door = virtual_tasks, gate("door")
    virtual.memory.agent("a").reply("x", door, "y").reply("a", delay(30), "b")

    async def read():
        return await virtual.client(transport, timeout=60).run_generic_stream("x").text()

    async def open_when_the_other_ends():
        await virtual.client(transport).run_generic_stream("x").text()
        door.open()

    async def scenario():
        return await together(virtual, read, open_when_the_other_ends)

    assert "xy" == virtual.run(scenario)


def test_the_timeout_of_another_stream_may_open_a_gate(virtual_tasks, transport):
    virtual, door = virtual_tasks, gate("door")
    virtual.memory.agent("a").reply("x", door, "y").reply("a", ending("stall"))

    async def read():
        return await virtual.client(transport, timeout=60).run_generic_stream("x").text()

    async def open_when_the_other_fails():
        with pytest.raises(StreamTimeoutError):
            await virtual.client(transport, timeout=20, max_retries=0).run_generic_stream("x").text()
        door.open()

    async def scenario():
        return await together(virtual, read, open_when_the_other_fails)

    assert "xy" == virtual.run(scenario)


def test_two_who_wait_for_each_other_both_get_the_deadlock(virtual_tasks):
    virtual, mine, yours = virtual_tasks, gate("mine"), gate("yours")
    virtual.memory.agent("a").reply("x", mine, "y").reply("x", yours, "y")
    messages = []

    async def read():
        stream = virtual.client(timeout=60).run_generic_stream("x")
        assert "x" == await anext(stream)
        with pytest.raises(DeadlockError) as failure:
            await anext(stream)
        messages.append(str(failure.value).split(",")[0])

    async def both():
        if virtual.style == "trio":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read)
                nursery.start_soon(read)
        else:
            await asyncio.gather(read(), read())

    virtual.run(both)
    assert ["deadlock: gate mine", "deadlock: gate yours"] == sorted(messages)


@pytest.fixture
def patient(monkeypatch):
    """Other threads have all the time that a busy machine may take."""
    monkeypatch.setattr(blocking, "_PATIENCE", 30.0)


def test_another_thread_has_a_moment_to_open_a_gate(patient):
    virtual, door = Virtual("sync"), gate("door")
    virtual.memory.agent("a").always("x", door, "y")
    opener = threading.Timer(0.05, door.open)

    async def scenario():
        stream = virtual.client(timeout=60).run_generic_stream("x")
        assert "x" == await anext(stream)
        opener.start()
        return await anext(stream), virtual.network.now()

    assert ("y", 0) == virtual.run(scenario)
    opener.join()


def test_reading_ahead_waits_at_a_gate_for_its_reader(patient):
    virtual, door = Virtual("sync"), gate("door")
    virtual.memory.agent("a").always("x", door, "y")

    async def scenario():
        seen = []
        client = virtual.client(timeout=60, transport_options={"read_ahead_bytes": 1000})
        async for content in client.run_generic_stream("x"):
            seen.append(content)
            door.open()
        return seen

    assert ["x", "y"] == virtual.run(scenario)


@pytest.mark.parametrize("last", [ending("stall"), delay(50)], ids=["a stall", "a delay"])
@pytest.mark.parametrize(
    "limits", [Timeouts(idle=0.8), Timeouts(idle=None, total=0.8)], ids=["idle", "total"]
)
def test_a_limit_is_met_though_another_timer_is_due_a_rounding_error_before_it(
    virtual_tasks, transport, last, limits
):
    virtual_tasks.memory.agent("a").always("x", last)

    async def scenario():
        client = virtual_tasks.client(transport, timeout=limits, max_retries=0, max_resumes=0)
        with pytest.raises(StreamTimeoutError):
            await client.run_generic_stream("x").text()
        assert 0.8 == virtual_tasks.network.now()

    async def others():  # in all 0.7999999999999999 seconds
        await virtual_tasks.sleep(0.7)
        await virtual_tasks.sleep(0.1)

    virtual_tasks.run(lambda: together(virtual_tasks, scenario, others))


def test_a_stall_without_any_timeout_is_a_deadlock(virtual, transport):
    virtual.memory.agent("a").always("x", ending("stall"))

    async def scenario():
        with pytest.raises(DeadlockError, match="a stall without end"):
            await virtual.client(transport, timeout=FOREVER).run_generic_stream("x").text()

    virtual.run(scenario)
