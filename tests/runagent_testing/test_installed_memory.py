"""A memory network that is installed: clients that nobody gives a network use it."""

from __future__ import annotations

import asyncio
import copy
import os
import warnings

import pytest
import trio

from runagent import AsyncRunAgentClient, ConfigurationError, NetworkError, RunAgentClient, register_network
from runagent_testing import FakeAgentServer, MemoryNetwork, RealTimeWarning, delay, ending
from tests.support.styles import TRANSPORTS


@pytest.fixture(scope="module")
def earlier():
    """Clients that were made before the network was installed, and outlive the tests."""
    return RunAgentClient("writer"), AsyncRunAgentClient("writer")


@pytest.fixture
def memory(monkeypatch):
    monkeypatch.delenv("RUNAGENT_API_URL", raising=False)
    memory = MemoryNetwork()
    memory.agent("writer").always("Once", delay(600), " upon").returns("done")
    with memory.install():
        yield memory
    assert "RUNAGENT_API_URL" not in os.environ


async def read(client):
    return await client.run_generic_stream("hello", timeout=1000).text()


def run_sync(memory, transport):
    with RunAgentClient("writer", transport=transport) as client:
        return client.run_generic_stream("hello", timeout=1000).text()


def run_async(memory, transport, run):
    async def ask():
        async with AsyncRunAgentClient("writer", transport=transport) as client:
            return await read(client)

    return run(memory, ask)


STYLES = {
    "sync": run_sync,
    "asyncio": lambda memory, t: run_async(memory, t, lambda memory, ask: memory.run_asyncio(ask())),
    "trio": lambda memory, t: run_async(memory, t, lambda memory, ask: memory.run_trio(ask)),
}


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("style", STYLES)
def test_code_that_makes_its_own_client_uses_it_on_virtual_time(memory, style, transport):
    assert "Once upon" == STYLES[style](memory, transport)
    assert 600.0 == memory.requests[0].ended_at


@pytest.mark.parametrize("attempt", range(2))
def test_clients_that_live_longer_than_a_test_use_it_too(earlier, memory, attempt):
    client, asynchronous = earlier
    assert "Once upon" == client.run_generic_stream("hello", timeout=1000).text()
    assert "done" == client.run_generic("hello")
    assert "Once upon" == memory.run_asyncio(read(asynchronous))
    assert "Once upon" == memory.run_trio(read, asynchronous)
    assert 4 == len(memory.requests)


def test_clients_of_other_addresses_use_their_own_network(memory):
    with FakeAgentServer() as server:
        server.agent("writer").always("real")
        with RunAgentClient("writer", base_url=server.url) as client:
            assert "real" == client.run_generic_stream("hello").text()
    assert [] == memory.requests


def test_a_network_that_is_given_counts_more(memory):
    other = MemoryNetwork()
    other.agent("writer").always("other")
    with RunAgentClient("writer", network=other.blocking) as client:
        assert "other" == client.run_generic_stream("hello").text()


def test_the_last_installation_counts_and_ends_alone(earlier, memory, monkeypatch):
    client, _ = earlier
    inner = MemoryNetwork()
    inner.agent("writer").always("inner")
    installed = inner.install()
    assert "inner" == client.run_generic_stream("hello").text()
    installed.close()
    installed.close()
    assert memory.url == os.environ["RUNAGENT_API_URL"]
    assert "Once upon" == client.run_generic_stream("hello", timeout=1000).text()


def test_nothing_is_left_of_it(monkeypatch):
    monkeypatch.setenv("RUNAGENT_API_URL", "http://localhost:1")
    memory = MemoryNetwork()
    memory.agent("writer").always("Once")
    with memory.install() as installed, RunAgentClient("writer", max_retries=0) as client:
        assert "Once" == client.run_generic_stream("hello").text()
        installed.close()
        assert "http://localhost:1" == os.environ["RUNAGENT_API_URL"]
        with pytest.raises(NetworkError):
            client.run_generic_stream("hello").text()
    assert 1 == len(memory.requests)
    for one in (installed, memory):
        with pytest.raises(TypeError, match="cannot be pickled or copied"):
            copy.copy(one)


def test_a_client_closes_by_the_time_of_it(memory):
    client = RunAgentClient("writer")
    stream = client.run_generic_stream("hello", timeout=1000)
    next(stream)
    client.close(grace=50)
    assert 50.0 <= memory.blocking.now() < 60.0
    assert "closed" == stream.report.outcome


def test_a_network_is_registered_for_an_address_and_a_kind_of_client():
    memory = MemoryNetwork()
    memory.agent("writer").always("Once")
    with register_network(f"{memory.url}/prefix", memory.blocking) as registration:
        assert "Once" == RunAgentClient("writer", base_url=memory.url).run_generic_stream("x").text()
        with pytest.raises(NetworkError):
            asyncio.run(read(AsyncRunAgentClient("writer", base_url=memory.url, max_retries=0)))
    registration.close()
    for wrong in (None, "x", object()):
        with pytest.raises(ConfigurationError, match="register_network"):
            register_network(memory.url, wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="base_url"):
        register_network("ftp://x", memory.blocking)


@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_a_loop_with_real_time_is_warned_of_with_the_recipe(memory, library):
    memory.agent("writer").always("Once", delay(0.01), " upon", ending("clean"))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        client = AsyncRunAgentClient("writer")
        assert "Once upon" == (asyncio.run(read(client)) if library == "asyncio" else trio.run(read, client))
    (warning,) = caught
    assert warning.category is RealTimeWarning
    assert issubclass(RealTimeWarning, RuntimeWarning)
    assert "Virtual time in every test runner" in str(warning.message)
