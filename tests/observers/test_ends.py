"""Every end of a call is reported once, whatever it is."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

import runagent
from runagent import RunAgentClient, RunAgentError
from runagent_testing import FakeAgentServer, error, gate, status
from tests.observers.watcher import Watcher, read_to_the_end
from tests.support.forks import forks
from tests.support.peer import Peer, answers, http
from tests.support.threads import wait_for_reader
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style


async def stop_behind_the_last_event(client: Any, style: Style) -> None:
    stream = client.run_generic_stream("x")
    async with stream:
        async for event in stream.events():
            if isinstance(event, runagent.Completed):
                break


async def run_plainly(client: Any, style: Style) -> None:
    await client.run_generic("x")


async def read_until_it_fails(client: Any, style: Style) -> None:
    with pytest.raises(RunAgentError):
        await read_to_the_end(client, style)


async def break_off(client: Any, style: Style) -> None:
    async with client.run_generic_stream("x") as stream:
        async for _ in stream:
            break


async def raise_in_the_loop(client: Any, style: Style) -> None:
    async def read() -> None:
        async with client.run_generic_stream("x") as stream:
            async for _ in stream:
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await read()


async def close(client: Any, style: Style) -> None:
    stream = client.run_generic_stream("x")
    await anext(stream)
    await stream.aclose()
    await stream.aclose()


async def drop(client: Any, style: Style) -> None:
    stream = client.run_generic_stream("x")
    await anext(stream)
    del stream
    gc.collect()


async def cancel(client: Any, style: Style) -> None:
    """Be cancelled, or hit by Ctrl-C, while the second chunk is waited for."""

    async def read(cancel: Callable[[], object]) -> None:
        async with client.run_generic_stream("x") as stream:
            async for _ in stream:
                cancel()

    if style.name == "trio":
        with trio.CancelScope() as scope:
            await read(scope.cancel)
    elif style.name == "sync":
        with pytest.raises(KeyboardInterrupt):
            await read(press_ctrl_c_later().start)
    else:
        task = asyncio.ensure_future(read(lambda: task.cancel()))
        with pytest.raises(asyncio.CancelledError):
            await task


def press_ctrl_c_later() -> threading.Thread:
    """Make a thread that waits until somebody reads, and then presses Ctrl-C."""

    def press() -> None:
        wait_for_reader()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    return threading.Thread(target=press)


HANGS = ("a", gate("never"))


@pytest.mark.parametrize(
    ("act", "script", "outcome"),
    [
        (read_to_the_end, ("a", "b"), "completed"),
        (stop_behind_the_last_event, ("a", "b"), "completed"),
        (run_plainly, ("a",), "completed"),
        (read_until_it_fails, (status(401),), "failed"),
        (read_until_it_fails, ("a", error("CODE", "gave up")), "failed"),
        (break_off, HANGS, "closed"),
        (raise_in_the_loop, HANGS, "closed"),
        (close, HANGS, "closed"),
        (drop, HANGS, "closed"),
        (cancel, HANGS, "closed"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_every_end_is_reported_once(
    style: Style, server: FakeAgentServer, watcher: Watcher, act: Any, script: Any, outcome: str
) -> None:
    server.agent("a").always(*script).returns("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, max_retries=0)
        await act(client, style)
        await client.aclose()
        gc.collect()
        await style.settle()

    style.run(scenario)
    assert ["started", outcome] == watcher.outcomes
    report = watcher.noted[-1][1]
    assert ("sse", 1) == (report.transport, len(report.attempts))
    assert (report.total_seconds is None) == (act is drop)


def test_a_failure_to_connect_is_reported_after_its_retries(style: Style, watcher: Watcher) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url="http://127.0.0.1:1", max_retries=2, retry_delay=0)
        await read_until_it_fails(client, style)

    style.run(scenario)
    assert ["started", "failed"] == watcher.outcomes
    assert 3 == len(watcher.noted[-1][1].attempts)


def test_a_call_that_cannot_be_made_is_reported(style: Style, watcher: Watcher) -> None:
    async def scenario() -> None:
        streams_only = OwnTransport(capabilities=frozenset())
        with pytest.raises(runagent.ConfigurationError):
            await style.client("a", base_url="http://127.0.0.1:1", transport=streams_only).run_generic("x")

    style.run(scenario)
    assert ["started", "failed"] == watcher.outcomes


def test_a_bug_in_a_session_is_reported(style: Style, watcher: Watcher) -> None:
    class Faulty(LettersSession):
        def open_body(self, content_type: str, charset: str) -> bool:
            raise ZeroDivisionError

    async def scenario(url: str) -> None:
        client = style.client("a", base_url=url, transport=OwnTransport(session=Faulty))
        with pytest.raises(ZeroDivisionError):
            await anext(client.run_generic_stream("x"))

    with Peer(answers(http(200, "x"))) as peer:
        style.run(lambda: scenario(peer.url))
    assert ["started", "failed"] == watcher.outcomes


def test_a_stream_that_never_began_is_not_reported(
    style: Style, server: FakeAgentServer, watcher: Watcher
) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        stream = client.run_generic_stream("x")
        await stream.aclose()
        client.run_generic_stream("x")  # dropped

    style.run(scenario)
    gc.collect()
    assert [] == watcher.noted


def test_reading_ahead_is_logged_once(style: Style, server: FakeAgentServer, watcher: Watcher) -> None:
    server.agent("a").always("a", "b")

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1000}
        client = style.client("a", base_url=server.url, transport_options=options)
        await read_to_the_end(client, style)
        await style.settle()

    style.run(scenario)
    assert ["started", "completed"] == watcher.outcomes


@forks
def test_a_fork_reports_only_in_the_process_that_reads(server: FakeAgentServer, watcher: Watcher) -> None:
    server.agent("a").always(*HANGS)
    stream = RunAgentClient("a", base_url=server.url).run_generic_stream("x")
    assert "a" == next(stream)
    child = os.fork()
    if child == 0:
        del stream
        gc.collect()
        os._exit(len(watcher.noted))
    assert 1 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    stream.close()
    assert ["started", "closed"] == watcher.outcomes
