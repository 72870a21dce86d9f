"""One client for everybody: threads, tasks, one event loop after another, and what happens to it unclosed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent._internal.locks import ForkSafeLock
from runagent_testing import FakeAgentServer, ending, gate
from tests.support.forks import forks, in_child
from tests.support.loops import new_uvloop, run_uvloop
from tests.support.styles import STYLES, Style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CHUNKS = 20


def queue_answers(server: FakeAgentServer, runs: int) -> list[list[str]]:
    """Queue a different answer for each run, so that a chunk in the wrong stream shows."""
    answers = [[f"{run}:{place}" for place in range(CHUNKS)] for run in range(runs)]
    for answer in answers:
        server.agent("a").reply(*answer)
    return answers


def by_run(answers: list[list[str]]) -> list[list[str]]:
    return sorted(answers, key=lambda answer: int(answer[0].partition(":")[0]))


def test_fifty_threads(server: FakeAgentServer, transport: str) -> None:
    answers = queue_answers(server, 200)
    client = RunAgentClient("a", base_url=server.url, transport=transport)

    def several_runs(_: int) -> list[list[str]]:
        return [list(client.run_generic_stream("x")) for _ in range(4)]

    with ThreadPoolExecutor(50) as pool:
        received = [answer for own in pool.map(several_runs, range(50)) for answer in own]

    assert answers == by_run(received)
    assert server.connections <= (200 if transport == "websocket" else 50)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_hundred_asyncio_tasks(server: FakeAgentServer, transport: str, name: str) -> None:
    answers = queue_answers(server, 200)

    async def two_runs(client: AsyncRunAgentClient) -> list[list[str]]:
        return [[chunk async for chunk in client.run_generic_stream("x")] for _ in range(2)]

    async def scenario() -> list[list[str]]:
        client = AsyncRunAgentClient("a", base_url=server.url, transport=transport)
        received = await asyncio.gather(*(two_runs(client) for _ in range(100)))
        return [answer for own in received for answer in own]

    factory = new_uvloop if name == "uvloop" else None
    with asyncio.Runner(debug=True, loop_factory=factory) as runner:
        assert answers == by_run(runner.run(scenario()))
    assert server.connections <= (200 if transport == "websocket" else 100)


def test_a_hundred_trio_tasks(server: FakeAgentServer, transport: str) -> None:
    answers = queue_answers(server, 200)
    received: list[list[str]] = []

    async def two_runs(client: AsyncRunAgentClient) -> None:
        for _ in range(2):
            received.append([chunk async for chunk in client.run_generic_stream("x")])  # noqa: PERF401

    async def scenario() -> None:
        client = AsyncRunAgentClient("a", base_url=server.url, transport=transport)
        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(two_runs, client)

    trio.run(scenario)
    assert answers == by_run(received)
    assert server.connections <= (200 if transport == "websocket" else 100)


def test_one_event_loop_after_another(server: FakeAgentServer, transport: str) -> None:
    server.agent("a").always("x", "y")
    client = AsyncRunAgentClient("a", base_url=server.url, transport=transport)

    async def scenario() -> str:
        first = await client.run_generic_stream("q").text()
        return first + await client.run_generic_stream("q").text()

    texts = [
        asyncio.run(scenario()),
        asyncio.run(scenario()),
        trio.run(scenario),
        asyncio.run(scenario(), debug=True),
        run_uvloop(scenario()),
        trio.run(scenario),
    ]

    assert ["xyxy"] * 6 == texts
    assert (12 if transport == "websocket" else 6) == server.connections


def test_event_loops_side_by_side(server: FakeAgentServer, transport: str) -> None:
    server.agent("a").always("x", "y")
    client = AsyncRunAgentClient("a", base_url=server.url, transport=transport)

    async def scenario() -> str:
        return "".join([await client.run_generic_stream("q").text() for _ in range(5)])

    def run(number: int) -> str:
        loops: list[Callable[[], Any]] = [
            lambda: asyncio.run(scenario()),
            lambda: run_uvloop(scenario()),
            lambda: trio.run(scenario),
        ]
        text: str = loops[number % 3]()
        return text

    with ThreadPoolExecutor(9) as pool:
        assert ["xy" * 5] * 18 == list(pool.map(run, range(18)))


@pytest.mark.parametrize(
    ("home", "elsewhere"),
    [
        (asyncio.run, asyncio.run),
        (asyncio.run, trio.run),
        (run_uvloop, run_uvloop),
        (run_uvloop, trio.run),
        (trio.run, asyncio.run),
    ],
)
def test_a_stream_stays_in_its_event_loop(
    server: FakeAgentServer, transport: str, home: Any, elsewhere: Any
) -> None:
    rest = gate("rest")
    server.agent("a").always("x", rest, "y")

    def run(runner: Any, scenario: Callable[[], Awaitable[Any]]) -> Any:
        return runner(scenario if runner is trio.run else scenario())

    async def scenario() -> list[str]:
        stream = AsyncRunAgentClient("a", base_url=server.url, transport=transport).run_generic_stream("q")
        received = [await anext(stream)]

        async def read() -> None:
            with pytest.raises(RuntimeError, match="begun in another event loop"):
                await anext(stream)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(run, elsewhere, read).result(10)
        rest.open()
        return received + [chunk async for chunk in stream]

    assert ["x", "y"] == run(home, scenario)


@forks
def test_a_fork_leaves_the_stream_to_the_parent(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    rest = gate("rest")
    server.agent("a").reply("first", "at hand", rest, "second", "third")
    server.agent("a").always("x", "y")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport)
        stream = client.run_generic_stream("in the parent")
        assert "first" == await anext(stream)

        async def in_the_child() -> list[str]:
            text = await client.run_generic_stream("in the child").text()
            with pytest.raises(RuntimeError, match="before a fork"):
                await anext(stream)
            await stream.aclose()
            return [text, await client.run_generic_stream("in the child").text()]

        assert ["xy", "xy"] == in_child(style, in_the_child)
        assert "running" == server.requests[0].outcome
        rest.open()
        assert ["at hand", "second", "third"] == [chunk async for chunk in stream]
        assert "xy" == await client.run_generic_stream("in the parent").text()

    style.run(scenario)
    assert (4 if transport == "websocket" else 2) == server.connections


@forks
def test_a_fork_leaves_idle_connections_to_the_parent(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport)

        async def twice() -> list[str]:
            return [await client.run_generic_stream("q").text() for _ in range(2)]

        assert ["xy", "xy"] == await twice()
        assert ["xy", "xy"] == in_child(style, twice)
        assert ["xy", "xy"] == await twice()

    style.run(scenario)
    assert (6 if transport == "websocket" else 2) == server.connections


@forks
def test_a_fork_frees_the_locks_of_other_threads() -> None:
    lock, held, release = ForkSafeLock(), threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            release.wait(10)

    async def in_the_child() -> bool:
        with lock:
            return True

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        assert in_child(Style("sync"), in_the_child)
    finally:
        release.set()
        thread.join()


UNCLOSED = """
import logging
import sys
from runagent import AsyncRunAgentClient, RunAgentClient

# In debug mode asyncio reports slow steps, and the first one imports many modules.
logging.getLogger("asyncio").setLevel(logging.ERROR)
style, url = sys.argv[1:]
kind = RunAgentClient if style == "sync" else AsyncRunAgentClient
clients = [kind("a", base_url=url, transport=t, timeout=10) for t in ("sse", "chunked", "websocket")]
kept = []
"""
UNCLOSED_SYNC = """
for client in clients:
    assert client.run_generic_stream("whole").text() == "xyz"
    for chunk in client.run_generic_stream("left"):
        break
    try:
        for chunk in client.run_generic_stream("failed"):
            raise KeyError(chunk)
    except KeyError:
        pass
    client.run_generic_stream("never begun")
    kept.append(client.run_generic_stream("left open until the interpreter ends"))
    next(kept[-1])
"""
UNCLOSED_ASYNC = """
async def main():
    for client in clients:
        assert await client.run_generic_stream("whole").text() == "xyz"
        async for chunk in client.run_generic_stream("left"):
            break
        try:
            async for chunk in client.run_generic_stream("failed"):
                raise KeyError(chunk)
        except KeyError:
            pass
        client.run_generic_stream("never begun")
        kept.append(client.run_generic_stream("left open until the interpreter ends"))
        await anext(kept[-1])

if style == "trio":
    import trio
    trio.run(main)
elif style == "asyncio":
    import asyncio
    asyncio.run(main())
else:
    import uvloop
    uvloop.run(main())
"""


@pytest.mark.parametrize("name", STYLES)
def test_a_client_that_is_never_closed_warns_of_nothing(server: FakeAgentServer, name: str) -> None:
    for _ in range(3):
        server.agent("a").reply("x", "y", "z")
        for _ in range(3):
            server.agent("a").reply("x", ending("stall"))
    if name == "uvloop":
        pytest.importorskip("uvloop")
    program = UNCLOSED + (UNCLOSED_SYNC if name == "sync" else UNCLOSED_ASYNC)

    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", program, name, server.url],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (0, "", "") == (ended.returncode, ended.stdout, ended.stderr)
    assert ["whole", "left", "failed", "left open until the interpreter ends"] * 3 == [
        exchange.input["query"] for exchange in server.requests
    ]
    assert all(exchange.wait_disconnected(5) for exchange in server.requests if exchange.outcome != "done")
