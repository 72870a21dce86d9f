"""A read that is cancelled while it connects: the next one goes on with the same attempt, key and limit."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import ConfigurationError, NetworkError, RunTimeoutError, Timeouts
from runagent._net.base import DeadlineExceededError
from tests.runagent_testing.virtual import Virtual

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(params=["asyncio", "trio"])
def virtual(request: pytest.FixtureRequest) -> Virtual:
    """A memory network in each style that can cancel."""
    virtual = Virtual(request.param)
    virtual.memory.agent("a").always("x", "y")
    return virtual


async def read_for(virtual: Virtual, stream: Any, seconds: float) -> Any:
    """Read, and give up after so many seconds; "cancelled" then."""
    try:
        if virtual.style == "trio":
            with trio.fail_after(seconds):
                return await anext(stream)
        async with asyncio.timeout(seconds):
            return await anext(stream)
    except RunTimeoutError:
        raise
    except (TimeoutError, trio.TooSlowError):
        return "cancelled"


class Keys:
    """An async function that gives a key after some seconds."""

    def __init__(self, virtual: Virtual, seconds: float, error: Exception | None = None) -> None:
        self._virtual = virtual
        self._seconds = seconds
        self._error = error
        self.asked = self.given = self.ended = 0

    async def __call__(self) -> str:
        self.asked += 1
        try:
            await self._virtual.sleep(self._seconds)
            if self._error is not None:
                raise self._error
            self.given += 1
        finally:
            self.ended += 1
        return "key"


class SlowNetwork:
    """Connects after some seconds."""

    def __init__(self, virtual: Virtual, seconds: float) -> None:
        self._network = virtual.network
        self._seconds = seconds
        self.asked = 0

    async def connect(self, *args: Any) -> Any:
        self.asked += 1
        left = args[1] - self._network.now()
        await self._network.sleep(min(self._seconds, left))
        if left <= self._seconds:
            raise DeadlineExceededError
        return await self._network.connect(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)


def test_the_key_is_asked_once_for_an_attempt(virtual: Virtual, transport: str) -> None:
    keys = Keys(virtual, 3.5)

    async def scenario() -> Any:
        stream = virtual.client(transport, api_key=keys).run_generic_stream("q")
        began = virtual.network.now()
        assert ["cancelled"] * 3 == [await read_for(virtual, stream, 1) for _ in range(3)]
        assert "x" == await read_for(virtual, stream, 1)
        assert 3.5 == pytest.approx(virtual.network.now() - began, abs=0.01)
        assert "y" == await stream.text()
        return stream.report

    report = virtual.run(scenario)
    assert (1, 1) == (keys.asked, keys.given)
    assert (1, "completed") == (len(report.attempts), report.outcome)


def test_a_key_that_came_between_two_reads_counts(virtual: Virtual) -> None:
    keys = Keys(virtual, 3)

    async def scenario() -> None:
        stream = virtual.client(api_key=keys).run_generic_stream("q")
        assert "cancelled" == await read_for(virtual, stream, 1)
        await virtual.sleep(60)
        assert "xy" == await stream.text()

    virtual.run(scenario)
    assert 1 == keys.asked


def test_the_error_of_a_key_function_waits_for_the_next_read(virtual: Virtual) -> None:
    keys = Keys(virtual, 3, LookupError("no key"))

    async def scenario() -> None:
        stream = virtual.client(api_key=keys).run_generic_stream("q")
        assert "cancelled" == await read_for(virtual, stream, 1)
        await virtual.sleep(60)
        with pytest.raises(LookupError, match="no key"):
            await stream.text()
        assert "failed" == stream.report.outcome

    virtual.run(scenario)


def for_a_key(virtual: Virtual) -> dict[str, Any]:
    return {"api_key": Keys(virtual, 1e6)}


def for_a_connection(virtual: Virtual) -> dict[str, Any]:
    return {"network": SlowNetwork(virtual, 1e6)}


@pytest.mark.parametrize("wait", [for_a_key, for_a_connection])
def test_what_is_left_of_the_limit_is_left_to_the_next_read(
    virtual: Virtual, wait: Callable[[Virtual], dict[str, Any]]
) -> None:
    async def scenario() -> None:
        timeout = Timeouts(connect=5)
        client = virtual.client(timeout=timeout, max_retries=0, **wait(virtual))
        stream = client.run_generic_stream("q")
        for _ in range(2):
            assert "cancelled" == await read_for(virtual, stream, 2)
            await virtual.sleep(60)  # which does not count, as nobody waits for the network
        began = virtual.network.now()
        with pytest.raises(RunTimeoutError, match="no connection within 5 s") as late:
            await read_for(virtual, stream, 10)
        assert "connect" == late.value.phase
        assert 1 == pytest.approx(virtual.network.now() - began, abs=0.01)
        assert 1 == len(stream.report.attempts)

    virtual.run(scenario)


def test_a_connection_counts_what_was_waited_for_it(virtual: Virtual) -> None:
    network = SlowNetwork(virtual, 2)

    async def scenario() -> Any:
        stream = virtual.client(network=network).run_generic_stream("q")
        assert "cancelled" == await read_for(virtual, stream, 1)
        await virtual.sleep(60)
        assert "xy" == await stream.text()
        return stream.report

    report = virtual.run(scenario)
    assert 2 == network.asked
    assert 3 == pytest.approx(report.connect_seconds, abs=0.01)
    assert 1 == len(report.attempts)


def test_a_later_attempt_has_a_key_and_a_limit_of_its_own(virtual: Virtual) -> None:
    keys = Keys(virtual, 3)
    failing = SlowNetwork(virtual, 0)
    connect = failing.connect

    async def fail_once(*args: Any) -> Any:
        if failing.asked == 0:
            failing.asked = 1
            raise NetworkError("refused", code="REFUSED")
        return await connect(*args)

    failing.connect = fail_once  # type: ignore[method-assign]

    async def scenario() -> Any:
        client = virtual.client(api_key=keys, network=failing, timeout=5, retry_delay=0)
        stream = client.run_generic_stream("q")
        assert "cancelled" == await read_for(virtual, stream, 2)
        assert "xy" == await stream.text()
        return stream.report

    report = virtual.run(scenario)
    assert (2, 2) == (keys.asked, len(report.attempts))


async def by_close(stream: Any) -> None:
    await stream.aclose()


async def by_dropping_it(stream: Any) -> None:
    del stream


@pytest.mark.parametrize("leave", [by_close, by_dropping_it])
def test_leaving_ends_the_function_that_gives_the_key(virtual: Virtual, leave: Any) -> None:
    keys = Keys(virtual, 1e6)

    async def scenario() -> None:
        stream = virtual.client(api_key=keys).run_generic_stream("q")
        assert "cancelled" == await read_for(virtual, stream, 1)
        assert 0 == keys.ended
        await leave(stream)
        del stream
        await virtual.sleep(1)  # until then trio holds the cancelled read; from Python 3.12 on it is a cycle
        gc.collect()
        await virtual.sleep(1)
        assert 1 == keys.ended

    virtual.run(scenario)


def test_a_wrong_key_is_refused_after_a_cancelled_read(virtual: Virtual) -> None:
    async def give() -> str:
        await virtual.sleep(2)
        return "two words"

    async def scenario() -> None:
        stream = virtual.client(api_key=give).run_generic_stream("q")
        assert "cancelled" == await read_for(virtual, stream, 1)
        with pytest.raises(ConfigurationError, match="api_key"):
            await stream.text()

    virtual.run(scenario)
