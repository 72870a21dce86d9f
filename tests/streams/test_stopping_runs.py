"""``stream.cancel()`` asks the service to stop a run that outlives its stream, and closes the stream."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import sniffio
import trio

from runagent import (
    AgentServerError,
    AsyncRunAgentClient,
    Chunk,
    ConfigurationError,
    NetworkError,
    RunAgentClient,
    RunTimeoutError,
    Started,
    StreamError,
)
from runagent.transports import Capability, HttpRequest, Step
from tests.support.lasting import Lasting, Service, StopSession, serving
from tests.support.peer import http
from tests.support.process import run_python
from tests.support.signals import handling, raise_it
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from runagent.transports import AgentCall, HttpSession, Route, StepAnswer
    from tests.support.peer import Peer
    from tests.support.styles import Style

TEXTS = ("a", "b", "c", "d")
AHEAD = pytest.mark.parametrize("ahead", [{}, {"read_ahead_bytes": 1 << 20}], ids=["", "ahead"])


def client_of(style: Style, peer: Peer, **options: Any) -> Any:
    options = {"transport": Lasting(), "retry_delay": 0.0} | options
    return style.client("a", base_url=peer.url, **options)


def cancels(peer: Peer) -> list[str]:
    return [request.line for request in peer.requests if request.target.endswith("/cancel")]


async def begun(client: Any) -> Any:
    """Return a stream of which the first chunk was read."""
    stream = client.run_generic_stream("x")
    assert "a" == await anext(stream)
    return stream


def _wait_for_end(report: Any) -> None:
    """Wait until a thread that reads ahead has noticed that the stream was closed."""
    end = time.monotonic() + 10
    while report.outcome == "running" and time.monotonic() < end:
        time.sleep(0.01)


@AHEAD
@pytest.mark.parametrize("answer", [http(200, {"stopped": True}), http(202), b"HTTP/1.1 204 x\r\n\r\n"])
def test_a_confirmed_stop(
    style: Style, answer: bytes, ahead: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(peer: Peer) -> Any:
        async with client_of(style, peer, api_key="key-of-a-caller", transport_options=ahead) as client:
            stream = await begun(client)
            assert await stream.cancel() is True
            await style.settle()
            return stream

    caplog.set_level(logging.INFO, "runagent.run")
    with serving(Service(*TEXTS, pause=1, stop=answer)) as peer:
        stream = style.run(lambda: scenario(peer))
    _wait_for_end(stream.report)
    assert "closed" == stream.report.outcome
    assert ["POST /runs/r%2F1/cancel HTTP/1.1"] == cancels(peer)
    run, stop = peer.requests
    assert run.headers["authorization"] == stop.headers["authorization"]
    assert run.headers["idempotency-key"] != stop.headers["idempotency-key"]
    assert stream.report.error is None
    assert 1 == len([r for r in caplog.records if r.name == "runagent.run" and r.levelno >= logging.INFO])


class _StopInTwoSteps(StopSession):
    """Asks for the state of the run first."""

    def before(self) -> Generator[Step, StepAnswer]:
        assert self.call.attach_to is not None
        path = f"/runs/{self.call.attach_to.quoted('run')}/state"
        answer = yield Step(HttpRequest("POST", path, self.call.request_headers(accept="*/*")))
        assert 200 == answer.status


def test_a_stop_of_two_requests(style: Style) -> None:
    class Stepping(Lasting):
        def open_cancel(self, call: AgentCall, route: Route) -> HttpSession:
            return _StopInTwoSteps(call, route, None)

    async def scenario(peer: Peer) -> bool:
        async with client_of(style, peer, transport=Stepping()) as client:
            confirmed: bool = await (await begun(client)).cancel()
            return confirmed

    with serving(Service(*TEXTS, pause=1)) as peer:
        assert style.run(lambda: scenario(peer)) is True
    assert ["/runs", "/runs/r%2F1/state", "/runs/r%2F1/cancel"] == [r.target for r in peer.requests]


def test_an_attached_stream_that_was_not_read(style: Style) -> None:
    async def scenario(peer: Peer) -> bool:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            await stream.aclose()
            confirmed: bool = await client.attach(stream.handle).cancel()
            return confirmed

    with serving(Service(*TEXTS, pause=1)) as peer:
        assert style.run(lambda: scenario(peer)) is True
    assert 1 == len(cancels(peer))


def test_the_run_of_a_closed_stream_can_be_stopped(style: Style) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            await stream.aclose()
            assert await stream.cancel() is True

    with serving(Service(*TEXTS, pause=3)) as peer:
        style.run(lambda: scenario(peer))
    assert 1 == len(cancels(peer))


def test_the_run_of_a_broken_stream_can_be_stopped(style: Style) -> None:
    async def scenario(peer: Peer) -> str:
        async with client_of(style, peer, max_resumes=0) as client:
            stream = client.run_generic_stream("x")
            with pytest.raises(StreamError):
                await stream.text()
            assert await stream.cancel() is True
            outcome: str = stream.report.outcome
            return outcome

    with serving(Service(*TEXTS, cut=2)) as peer:
        assert "failed" == style.run(lambda: scenario(peer))
    assert 1 == len(cancels(peer))


@pytest.mark.parametrize("status", [404, 409, 410])
def test_a_run_that_the_service_calls_over(style: Style, status: int) -> None:
    async def scenario(peer: Peer) -> bool:
        async with client_of(style, peer) as client:
            confirmed: bool = await (await begun(client)).cancel()
            return confirmed

    with serving(Service(*TEXTS, pause=1, stop=http(status, {"error": "over"}))) as peer:
        assert style.run(lambda: scenario(peer)) is False


def test_what_has_not_begun_or_is_over_sends_nothing(style: Style) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer) as client:
            assert await client.run_generic_stream("x").cancel() is False
            assert [] == peer.requests
            stream = client.run_generic_stream("x")
            assert "abcd" == await stream.text()
            assert await stream.cancel() is False
            assert "completed" == stream.report.outcome

    with serving(Service(*TEXTS)) as peer:
        style.run(lambda: scenario(peer))
    assert [] == cancels(peer)


def test_a_protocol_that_cannot_be_asked_only_closes(style: Style) -> None:
    async def scenario(peer: Peer) -> str:
        async with client_of(style, peer, transport=Lasting(Capability.CANCEL)) as client:
            stream = await begun(client)
            assert await stream.cancel() is False
            outcome: str = stream.report.outcome
            return outcome

    with serving(Service(*TEXTS, pause=1)) as peer:
        assert "closed" == style.run(lambda: scenario(peer))
    assert [] == cancels(peer)


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
                    async for _ in stream:
                        pass
                assert [] == [content async for content in _rest(stream)]
                return caught.value.code or ""

            code = await style.beside(read, stop)
            await style.settle()
            return code, stream.report

    service = Service(*TEXTS, pause=2)
    with serving(service) as peer:
        code, report = style.run(lambda: scenario(peer, service))
    _wait_for_end(report)
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


def test_a_refused_stop_is_raised_and_the_stream_is_closed(style: Style) -> None:
    async def scenario(peer: Peer) -> Any:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            with pytest.raises(AgentServerError, match="may go on") as caught:
                await stream.cancel()
            return stream.report, caught.value

    with serving(Service(*TEXTS, pause=1, stop=http(503, {"error": "busy"}))) as peer:
        report, error = style.run(lambda: scenario(peer))
    assert "closed" == report.outcome
    assert report.run_id == error.run_id
    assert error.report is report
    assert 1 == len(cancels(peer))


def test_a_stop_that_is_not_answered_ends_after_its_limit(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runagent import Timeouts
    from runagent._run import cancelling

    assert 5.0 == cancelling._TIMEOUTS.total
    monkeypatch.setattr(
        cancelling, "_TIMEOUTS", Timeouts(connect=0.2, first_event=None, idle=None, total=0.2)
    )

    async def scenario(peer: Peer) -> Any:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            with pytest.raises(RunTimeoutError):
                await stream.cancel()
            return stream.report

    with serving(Service(*TEXTS, pause=1, stop=None)) as peer:
        assert "closed" == style.run(lambda: scenario(peer)).outcome


def test_a_service_that_is_no_longer_there(style: Style) -> None:
    with serving(Service(*TEXTS, pause=1)) as peer:
        stream = RunAgentClient("a", base_url=peer.url, transport=Lasting()).run_generic_stream("x")
        next(stream)
        handle = stream.handle
        stream.close()

    async def scenario() -> None:
        async with client_of(style, peer) as client:
            with pytest.raises(NetworkError, match="may go on"):
                await client.attach(handle).cancel()

    style.run(scenario)


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


# Libraries


class Library:
    """An asynchronous library; its service is the list of what was stopped."""

    name = "library"
    api_version = 1
    capabilities = frozenset({Capability.ATTACH, Capability.CANCEL, Capability.RESUME})

    def __init__(self, *loops: str, answer: Any = True) -> None:
        self.runs_on = frozenset(loops or ("asyncio", "trio"))
        self.answer = answer
        self.stopped: list[Any] = []
        self.attached: list[Any] = []

    async def run(self, call: Any, address: Any, resume: Any, emit: Any) -> None:
        self.attached.append(call.attach_to)
        start = resume.next_index if resume else 0
        await emit(Started(invocation_id="i-1", session_id="s-1"))
        for index, text in list(enumerate(TEXTS))[start:]:
            await emit(Chunk(text, index))
        await _for_ever()

    async def cancel(self, call: Any, address: Any) -> Any:
        await _a_moment()
        self.stopped.append(dict(call.attach_to))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def _for_ever() -> None:
    if _on_trio():
        await trio.sleep_forever()
    await asyncio.Event().wait()


async def _a_moment() -> None:
    if _on_trio():
        await trio.sleep(0.01)
    else:
        await asyncio.sleep(0.01)


def _on_trio() -> bool:
    return sniffio.current_async_library() == "trio"


IDS = {"invocation_id": "i-1", "session_id": "s-1"}


@pytest.mark.parametrize("loops", [("asyncio", "trio"), ("asyncio",), ("trio",)])
def test_a_library_is_asked_to_stop_its_run(style: Style, loops: tuple[str, ...]) -> None:
    library = Library(*loops)

    async def scenario() -> None:
        async with style.client("a", base_url="http://127.0.0.1:9", transport=library) as client:
            stream = await begun(client)
            handle = stream.handle
            assert await stream.cancel() is True
            attached = client.attach(handle)
            assert "b" == await anext(attached)
            assert await attached.cancel() is True
            await style.settle()

    style.run(scenario)
    assert [IDS, IDS] == library.stopped
    assert [None, IDS] == library.attached


@pytest.mark.parametrize(
    ("answer", "expected"),
    [(False, "False"), (None, "return True or False"), (OSError("gone"), "gone"), (ValueError("odd"), "odd")],
)
def test_what_a_library_answers_to_a_stop(style: Style, answer: Any, expected: str) -> None:
    async def scenario() -> str:
        async with style.client(
            "a", base_url="http://127.0.0.1:9", transport=Library(answer=answer)
        ) as client:
            stream = await begun(client)
            try:
                return str(await stream.cancel())
            except Exception as exc:  # noqa: BLE001
                return str(exc)
            finally:
                await style.settle()

    assert expected in style.run(scenario)


@pytest.mark.parametrize("transport", [Library, OwnTransport])
def test_a_transport_that_cannot_do_what_it_declares_is_refused(transport: Any) -> None:
    made = transport()
    made.cancel = None
    made.capabilities = frozenset({Capability.CANCEL})
    with pytest.raises(ConfigurationError, match="capability cancel"):
        RunAgentClient("a", transport=made)
