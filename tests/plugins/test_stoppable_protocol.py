"""A protocol whose runs another request can stop: its two transports, and mistakes in them."""

from __future__ import annotations

import asyncio
import ssl
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, Chunk, Completed, Reasoning, Started, StreamError, ToolCall
from runagent.transports import CancelSession, HttpRequest
from runagent_testing import FakeAgentServer, done, ending, gate, reasoning, status, tool_call
from runagent_testing.conformance import TransportConformance, check_transport
from tests.plugins.protocols.stoppable import (
    LibraryTransport,
    StoppableDialect,
    StoppableSession,
    StoppableTransport,
)
from tests.support.kit import in_short
from tests.support.process import run_python

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from runagent.transports import Address, AgentCall, Event, ResumePoint, Route
    from tests.support.styles import Style

TRANSPORTS = {"session": StoppableTransport, "library": LibraryTransport}


class TestSession(TransportConformance):
    requirements = 1
    styles = in_short("sync")

    @pytest.fixture
    def transport(self) -> StoppableTransport:
        return StoppableTransport()

    @pytest.fixture
    def dialects(self) -> list[StoppableDialect]:
        return [StoppableDialect()]


class TestLibrary(TestSession):
    styles = in_short("asyncio")

    @pytest.fixture
    def transport(self) -> LibraryTransport:
        return LibraryTransport()


@pytest.fixture
def host() -> Iterator[FakeAgentServer]:
    with FakeAgentServer(dialects=[StoppableDialect()]) as server:
        yield server


@pytest.fixture(params=TRANSPORTS)
def stoppable(request: pytest.FixtureRequest) -> Any:
    return TRANSPORTS[request.param]()


def client_of(style: Style, server: FakeAgentServer, transport: Any, **options: Any) -> Any:
    return style.client("writer", base_url=server.url, transport=transport, **options)


def run(style: Style, scenario: Callable[[], Awaitable[Any]]) -> Any:
    """Run a scenario; the task of a library may go on for a moment, to close what it has opened."""

    async def whole() -> Any:
        result = await scenario()
        if style.name in {"asyncio", "uvloop"} and (left := asyncio.all_tasks() - {asyncio.current_task()}):
            await asyncio.wait(left, timeout=5)
        return result

    return style.run(whole)


def stops(server: FakeAgentServer) -> list[str]:
    """Return the paths of the requests that asked to stop a run."""
    return [exchange.path for exchange in server.other_requests]


def test_every_kind_of_line_arrives(style: Style, host: FakeAgentServer, stoppable: Any) -> None:
    host.agent("writer").reply(
        reasoning("Hm"),
        "Once",
        tool_call("weather", {"city": "Oslo"}, id="c1"),
        " upon",
        done(usage={"total_tokens": 7}),
    )

    async def scenario() -> list[Any]:
        async with client_of(style, host, stoppable) as client:
            return [event async for event in client.run_generic_stream("x").events()]

    started, *events = run(style, scenario)
    assert isinstance(started, Started)
    assert started.invocation_id
    assert events == [
        Reasoning("Hm"),
        Chunk("Once"),
        ToolCall("c1", "weather", '{"city": "Oslo"}'),
        Chunk(" upon"),
        Completed(usage={"total_tokens": 7}),
    ]


def test_a_stopped_run_ends_for_the_service_and_for_the_reader(
    style: Style, host: FakeAgentServer, stoppable: Any
) -> None:
    host.agent("writer").reply("Once", gate("never"), " upon")

    async def scenario() -> Any:
        async with client_of(style, host, stoppable) as client:
            stream = client.run_generic_stream("x")
            assert await anext(stream) == "Once"
            assert stream.handle is None  # the service lets nobody else read on
            assert await stream.cancel() is True
            with pytest.raises(StreamError) as caught:
                await anext(stream)
            return caught.value.code, stream.report.outcome, await stream.cancel()

    assert run(style, scenario) == ("CANCELLED", "closed", False)
    assert host.requests[0].outcome == "cancelled"
    assert len(stops(host)) == 2  # the second one found it over


def test_another_thread_or_task_stops_the_run_of_a_waiting_reader(
    style: Style, host: FakeAgentServer, stoppable: Any
) -> None:
    host.agent("writer").reply("Once", gate("never"), " upon")

    async def scenario() -> None:
        async with client_of(style, host, stoppable) as client:
            stream = client.run_generic_stream("x")
            assert await anext(stream) == "Once"

            async def stop() -> None:
                await style.settle()
                assert await stream.cancel() is True

            async def read() -> None:
                with pytest.raises(StreamError) as caught:
                    await anext(stream)
                assert caught.value.code == "CANCELLED"

            await style.beside(read, stop)

    run(style, scenario)
    assert host.requests[0].outcome == "cancelled"


def test_a_run_that_was_over_is_not_stopped(style: Style, host: FakeAgentServer, stoppable: Any) -> None:
    host.agent("writer").reply("Once")

    async def scenario() -> Any:
        async with client_of(style, host, stoppable) as client:
            stream = client.run_generic_stream("x")
            return await stream.text(), await stream.cancel(), stream.report.outcome

    assert run(style, scenario) == ("Once", False, "completed")


def test_a_run_that_broke_is_stopped(style: Style, host: FakeAgentServer, stoppable: Any) -> None:
    agent = host.agent("writer")
    agent.reply("Once", ending("cut"))

    async def scenario() -> Any:
        async with client_of(style, host, stoppable) as client:
            stream = client.run_generic_stream("x")
            with pytest.raises(StreamError):
                await stream.text()
            return await stream.cancel()

    assert run(style, scenario) is True
    assert len(stops(host)) == 1


def test_a_refused_stop_is_an_error_and_closes_the_stream(
    style: Style, host: FakeAgentServer, stoppable: Any
) -> None:
    host.agent("writer").reply("Once", ending("stall"))

    async def scenario() -> Any:
        async with client_of(style, host, stoppable) as client:
            stream = client.run_generic_stream("x")
            run_id = (await anext(stream.events())).invocation_id
            host.on_request(f"DELETE /v2/runs/{run_id}", status(503, message="not now"))
            with pytest.raises(AgentServerError, match="may go on") as caught:
                await stream.cancel()
            return caught.value.status, stream.report.outcome

    assert run(style, scenario) == (503, "closed")
    assert host.requests[0].wait_disconnected(timeout=5)


def test_what_the_service_stops_is_an_error_for_the_reader(
    style: Style, host: FakeAgentServer, stoppable: Any
) -> None:
    host.agent("writer").reply("Once", gate("never"), " upon")

    async def scenario() -> Any:
        async with client_of(style, host, stoppable) as client:
            events = client.run_generic_stream("x").events()
            run_id = (await anext(events)).invocation_id
            assert (await anext(events)).content == "Once"
            stop = urllib.request.Request(f"{host.url}/v2/runs/{run_id}", method="DELETE")
            with await style.in_thread(urllib.request.urlopen, stop) as answer:
                assert answer.status == 204
            with pytest.raises(StreamError) as caught:
                await anext(events)
            return caught.value.code

    assert run(style, scenario) == "CANCELLED"


def test_a_refused_key_is_asked_for_once_more(style: Style, stoppable: Any) -> None:
    keys = iter(["old", "good", "good"])

    async def scenario(server: FakeAgentServer) -> Any:
        async with client_of(style, server, stoppable, api_key=lambda: next(keys)) as client:
            stream = client.run_generic_stream("x")
            assert await anext(stream) == "Once"
            return await stream.cancel()

    with FakeAgentServer(dialects=[StoppableDialect()], api_key="good") as server:
        server.agent("writer").always("Once", gate("never"))
        assert run(style, lambda: scenario(server)) is True
        assert [exchange.raw_headers["x-api-key"] for exchange in server.requests] == ["old", "good"]
        assert [exchange.outcome for exchange in server.requests][-1] == "cancelled"


PROGRAMS = {
    "sync": """
stream = RunAgentClient("writer", **options).run_generic_stream("x")
next(stream)
print(stream.cancel())
""",
    "asyncio": """
async def main():
    stream = AsyncRunAgentClient("writer", **options).run_generic_stream("x")
    await anext(stream)
    print(await stream.cancel())
asyncio.run(main())
""",
    "trio": """
async def main():
    stream = AsyncRunAgentClient("writer", **options).run_generic_stream("x")
    await anext(stream)
    print(await stream.cancel())
trio.run(main)
""",
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_a_program_that_ends_right_after_it_has_stopped_its_run(
    kind: str, host: FakeAgentServer, stoppable: Any
) -> None:
    host.agent("writer").reply("Once", gate("never"), " upon")
    transport = type(stoppable).__name__
    program = f"""
import asyncio, sys, trio
from runagent import AsyncRunAgentClient, RunAgentClient
from tests.plugins.protocols.stoppable import {transport}
options = dict(base_url=sys.argv[1], transport={transport}())
{PROGRAMS[kind]}"""
    assert run_python(program, host.url) == "True\n"
    assert host.requests[0].outcome == "cancelled"


class IgnoresTrust(LibraryTransport):
    def connections(self, address: Address) -> Any:
        if address.ssl_context is None:
            return super().connections(address)
        return super().connections(Elsewhere(address, ssl_context=ssl._create_unverified_context()))  # type: ignore[arg-type]


class IgnoresProxy(LibraryTransport):
    def connections(self, address: Address) -> Any:
        return super().connections(Elsewhere(address, proxy=None))  # type: ignore[arg-type]


class Elsewhere:
    """An address that differs in the given attributes."""

    def __init__(self, address: Address, **changes: Any) -> None:
        self.address = address
        vars(self).update(changes)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.address, name)


class IgnoresPrefix(LibraryTransport):
    def request(self, call: AgentCall) -> HttpRequest:
        request = super().request(call)
        target = request.target[request.target.index("/v2/") :]
        return HttpRequest(request.method, target, request.headers, request.body)


class OwnHeadersOnly(LibraryTransport):
    def request(self, call: AgentCall) -> HttpRequest:
        return super().request(call.replace(headers=()))


class QueryOnly(LibraryTransport):
    def request(self, call: AgentCall) -> HttpRequest:
        return super().request(call.replace(input={"query": call.input.get("query")}))


class ConfirmsItself(LibraryTransport):
    async def cancel(self, call: AgentCall, address: Address) -> bool:
        return True


class KeyInURL(StoppableTransport):
    class Session(StoppableSession):
        def make_request(self) -> HttpRequest:
            request = super().make_request()
            return HttpRequest(
                request.method, f"{request.target}?key={self.call.api_key}", request.headers, request.body
            )

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> StoppableSession:
        return self.Session(call, route, resume)


class StopsNothing(StoppableTransport):
    class Stop(CancelSession):
        def make_request(self) -> HttpRequest:
            path = self.call.path("/api/v1/health", "health_path")
            return HttpRequest("GET", path, self.call.request_headers(accept="*/*"))

    def open_cancel(self, call: AgentCall, route: Route) -> CancelSession:
        return self.Stop(call, route, None)


class WithoutReasoning(StoppableTransport):
    class Session(StoppableSession):
        def read_body(self, data: bytes) -> list[Event]:
            return [event for event in super().read_body(data) if not isinstance(event, Reasoning)]

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> StoppableSession:
        return self.Session(call, route, resume)


MUTANTS = [
    (IgnoresTrust, "run.tls"),
    (IgnoresPrefix, "run.prefix"),
    (IgnoresProxy, "run.proxy"),
    (OwnHeadersOnly, "run.callers-headers"),
    (QueryOnly, "run.input"),
    (ConfirmsItself, "run.cancel"),
    (KeyInURL, "session.key"),
    (StopsNothing, "run.cancel"),
    (WithoutReasoning, "session.other-events"),
    (WithoutReasoning, "run.other-events"),
]


@pytest.mark.parametrize(("mutant", "requirement"), MUTANTS)
def test_a_mistake_is_caught_by_the_requirement_meant_for_it(mutant: Any, requirement: str) -> None:
    sound = LibraryTransport() if issubclass(mutant, LibraryTransport) else StoppableTransport()
    assert results(mutant(), requirement) == {"failed"}
    assert results(sound, requirement) == {"passed"}


def results(transport: Any, requirement: str) -> set[str]:
    report = check_transport(
        transport,
        dialects=[StoppableDialect()],
        requirements=1,
        only=[requirement],
        styles=["sync"],
        players=["socket"] if isinstance(transport, LibraryTransport) else ["memory", "socket"],
    )
    assert {requirement} == {result.requirement.id for result in report.results}
    return {result.status for result in report.results}
