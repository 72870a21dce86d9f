"""``stream.cancel()`` while the stream is read elsewhere, and interruptions of it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import AsyncRunAgentClient, RunAgentClient, StreamError
from tests.support.lasting import TEXTS, Lasting, Service, begun, cancels, client_of, serving, wait_for_end
from tests.support.peer import http
from tests.support.process import run_python
from tests.support.signals import handling, raise_it

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.peer import Peer
    from tests.support.styles import Style

AHEAD = pytest.mark.parametrize("ahead", [{}, {"read_ahead_bytes": 1 << 20}], ids=["", "ahead"])


@AHEAD
def test_a_reader_that_waits_elsewhere(style: Style, ahead: dict[str, Any]) -> None:
    async def scenario(peer: Peer, service: Service) -> Any:
        async with client_of(style, peer, transport_options=ahead) as client:
            stream = await begun(client)

            async def stop() -> None:
                assert await style.wait(service.paused)
                assert await stream.cancel() is True

            async def read() -> str:
                with pytest.raises(StreamError) as caught:
                    await read_on(stream)
                assert [] == [content async for content in _rest(stream)]
                return caught.value.code or ""

            code = await style.beside(read, stop)
            await style.settle()
            return code, stream.report

    service = Service(*TEXTS, pause=2)
    with serving(service) as peer:
        code, report = style.run(lambda: scenario(peer, service))
    wait_for_end(report)
    assert "CANCELLED" == code
    assert "closed" == report.outcome
    assert 2 == len(peer.requests)  # nothing was resumed


def test_a_reader_that_waits_for_the_first_event(style: Style) -> None:
    async def scenario(peer: Peer, service: Service) -> str:
        async with client_of(style, peer) as client:
            stream = client.run_generic_stream("x")

            async def stop() -> None:
                assert await style.wait(service.paused)
                assert await stream.cancel() is False  # the run has no id yet

            async def read() -> str:
                with pytest.raises(StreamError) as caught:
                    await stream.text()
                return caught.value.code or ""

            code: str = await style.beside(read, stop)
            return code

    service = Service(*TEXTS, pause=-1)
    with serving(service) as peer:
        assert "CANCELLED" == style.run(lambda: scenario(peer, service))
    assert [] == cancels(peer)


def test_a_reader_that_waits_for_another_attempt(style: Style) -> None:
    async def scenario(peer: Peer, service: Service) -> None:
        async with client_of(style, peer, max_retries=3, retry_delay=0.0, max_retry_wait=9.0) as client:
            stream = client.run_generic_stream("x")

            async def stop() -> None:
                assert await style.wait(service.failed)
                assert await stream.cancel() is True

            async def read() -> None:
                with pytest.raises(StreamError) as caught:
                    await stream.text()
                assert "CANCELLED" == caught.value.code
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)

            await style.beside(read, stop)
            assert "closed" == stream.report.outcome

    service = Service(*TEXTS, cut=2)
    service.failing = [http(503, {"error": "busy"}, retry_after="8")]
    with serving(service) as peer:
        style.run(lambda: scenario(peer, service))
    assert ["POST", "GET", "POST"] == [request.line.split(" ")[0] for request in peer.requests]


async def read_on(stream: Any) -> None:
    """Read to the end; unlike a loop, this may begin after the stream was cancelled."""
    with contextlib.suppress(StopAsyncIteration):
        while True:
            await anext(stream)


async def _rest(stream: Any) -> Any:
    while True:
        try:
            yield await anext(stream)
        except StopAsyncIteration:
            return


@AHEAD
def test_reading_on_afterwards_is_not_taken_for_the_end(style: Style, ahead: dict[str, Any]) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer, transport_options=ahead) as client:
            stream = await begun(client)
            await stream.cancel()
            with pytest.raises(StreamError) as caught:
                await anext(stream)
            assert "CANCELLED" == caught.value.code
            with pytest.raises(StopAsyncIteration):
                await anext(stream)
            await style.settle()

    with serving(Service(*TEXTS, pause=1)) as peer:
        style.run(lambda: scenario(peer))


# Interruptions


def test_ctrl_c_during_a_stop_closes_the_stream() -> None:
    service = Service(*TEXTS, pause=1, stop=None)
    with serving(service) as peer:
        client = RunAgentClient("a", base_url=peer.url, transport=Lasting())
        stream = client.run_generic_stream("x")
        next(stream)

        def interrupt() -> None:
            service.asked_to_stop.wait(10)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        with handling(lambda *_: raise_it(KeyboardInterrupt("struck"))):
            thread = threading.Thread(target=interrupt)
            thread.start()
            with pytest.raises(KeyboardInterrupt):
                stream.cancel()
            thread.join()
        assert "closed" == stream.report.outcome


def test_cancelling_the_task_closes_the_stream() -> None:
    service = Service(*TEXTS, pause=1, stop=None)

    async def on_asyncio(stream: Any) -> None:
        task = asyncio.ensure_future(stream.cancel())
        await asyncio.to_thread(service.asked_to_stop.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def on_trio(stream: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.cancel)
            await trio.to_thread.run_sync(service.asked_to_stop.wait, 10)
            nursery.cancel_scope.cancel()

    async def scenario(interrupt: Callable[[Any], Any]) -> Any:
        client = AsyncRunAgentClient("a", base_url=peer.url, transport=Lasting())
        stream = client.run_generic_stream("x")
        await anext(stream)
        await interrupt(stream)
        return stream.report

    with serving(service) as peer:
        assert "closed" == asyncio.run(scenario(on_asyncio)).outcome
        service.asked_to_stop.clear()
        assert "closed" == trio.run(scenario, on_trio).outcome


PROGRAM = """
import asyncio, sys, trio
from runagent import AsyncRunAgentClient, RunAgentClient
from tests.support.lasting import Lasting

style, url = sys.argv[1:]
options = {"base_url": url, "transport": Lasting()}

async def stop():
    stream = AsyncRunAgentClient("a", **options).run_generic_stream("x")
    await anext(stream)
    print(await stream.cancel())

if style == "sync":
    stream = RunAgentClient("a", **options).run_generic_stream("x")
    next(stream)
    print(stream.cancel())
else:
    (asyncio.run(stop()) if style == "asyncio" else trio.run(stop))
"""


@pytest.mark.parametrize("name", ["sync", "asyncio", "trio"])
def test_a_program_that_ends_right_after_it_has_sent_it(name: str) -> None:
    with serving(Service(*TEXTS, pause=1)) as peer:
        assert "True\n" == run_python(PROGRAM, name, peer.url)
    assert 1 == len(cancels(peer))
