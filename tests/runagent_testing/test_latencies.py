"""How soon an agent sees that its client has disconnected, whichever way that was."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
import trio

from runagent_testing import ending
from tests.support.process import killed_at_end
from tests.support.styles import STYLES, TRANSPORTS, Style

SOON = 0.1  # seconds, of one of a few tries: the machine is shared
TRIES = 10
PATIENCE = 10.0


async def by_break(stream):
    async for _ in stream:
        break


async def by_close(stream):
    await anext(stream)
    await stream.aclose()


async def by_an_exception(stream):
    with pytest.raises(KeyError):
        async with stream:
            raise KeyError(await anext(stream))


async def by_a_cancelled_task(stream):
    reading = asyncio.Event()

    async def read():
        async with stream:
            async for _ in stream:
                reading.set()

    task = asyncio.ensure_future(read())
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def by_an_asyncio_timeout(stream):
    with contextlib.suppress(TimeoutError):
        async with stream, asyncio.timeout(None) as limit:
            await anext(stream)
            limit.reschedule(0)
            await anext(stream)
    assert limit.expired()


async def by_a_cancel_scope(stream):
    with trio.CancelScope() as scope:
        async with stream:
            await anext(stream)
            scope.cancel()
            await anext(stream)


ANYWHERE = [by_break, by_close, by_an_exception]
ASYNCIO = [by_a_cancelled_task, by_an_asyncio_timeout]
WAYS_OF = {
    "sync": ANYWHERE,
    "asyncio": [*ANYWHERE, *ASYNCIO],
    "uvloop": [*ANYWHERE, *ASYNCIO],
    "trio": [*ANYWHERE, by_a_cancel_scope],
}
WAYS = [(style, way) for style, ways in WAYS_OF.items() for way in ways]


@pytest.mark.parametrize(("name", "leave"), WAYS, ids=lambda value: getattr(value, "__name__", value))
def test_an_agent_sees_at_once_that_a_stream_was_closed(name, leave, transport, server):
    server.agent("a").always("x", ending("stall"))
    style, seconds = Style(name), []

    async def scenario():
        client = style.client("a", base_url=server.url, transport=transport, timeout=PATIENCE)
        await leave(client.run_generic_stream("q"))
        left = time.monotonic()
        exchange = server.requests[-1]
        assert await style.in_thread(exchange.wait_disconnected, PATIENCE)
        seconds.append(time.monotonic() - left)
        assert ("client disconnected", "closed") == (exchange.outcome, exchange.client)

    for _ in range(TRIES):
        style.run(scenario)
        if seconds[-1] < SOON:
            break
    assert min(seconds) < SOON


READER = """
import sys
from tests.support.styles import Style

name, url = sys.argv[1:]
style = Style(name)

async def main():
    streams = []
    for transport in ("sse", "chunked", "websocket"):
        client = style.client("a", base_url=url, transport=transport)
        streams.append(client.run_generic_stream("q"))
        await anext(streams[-1])
    sys.stdout.write("reading\\n")
    sys.stdout.flush()
    await anext(streams[0])

style.run(main)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill"])
@pytest.mark.parametrize("name", STYLES)
def test_an_agent_sees_soon_that_a_process_has_ended(name, sent, server, pytestconfig):
    server.agent("a").always("x", ending("stall"))
    command = [sys.executable, "-c", READER, name, server.url]
    pipe = subprocess.PIPE
    started = subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=pytestconfig.rootpath)
    with killed_at_end(started) as process:
        assert process.stdout is not None
        assert b"reading\n" == process.stdout.readline()
        began = time.monotonic()
        process.send_signal(sent)
        assert all(exchange.wait_disconnected(PATIENCE) for exchange in server.requests)
        seconds = time.monotonic() - began
        _, errors = process.communicate(timeout=PATIENCE)

    assert len(TRANSPORTS) == len(server.requests)
    assert {"client disconnected"} == {exchange.outcome for exchange in server.requests}
    assert {"closed"} == {exchange.client for exchange in server.requests}
    # Python ends at its own pace after Ctrl-C; after a kill the kernel closes at once.
    assert seconds < PATIENCE / 2
    assert (b"KeyboardInterrupt" in errors) == (sent == signal.SIGINT)
