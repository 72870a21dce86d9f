"""Code of users that has to type-check, with mypy --strict and with pyright; they read it, nobody runs it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never, assert_type

import msgspec

import runagent
import runagent.transports
import runagent_testing
import runagent_testing.conformance
from runagent import (
    AgentCall,
    AsyncNetwork,
    Settings,
    Network,
    AsyncRunAgentClient,
    AsyncStream,
    Chunk,
    Completed,
    Custom,
    JSONValue,
    RateLimitError,
    Reasoning,
    RunAgentClient,
    RunReport,
    RunTimeoutError,
    Started,
    StreamEvent,
    StreamResult,
    StreamTruncatedError,
    Timeouts,
    ToolCall,
    hookimpl,
)
from runagent.transports import HttpRequest, MessageSession, RegisterTransport, Transport, mark_error
from runagent_testing import Agent, FakeAgentServer, MemoryNetwork, delay, every
from runagent_testing.conformance import TransportConformance, check_transport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent.transports import Session


def reads(client: RunAgentClient) -> str:
    stream = client.run_generic_stream({"query": "x"}, timeout=Timeouts(connect=1, total=None))
    for chunk in stream:
        print(chunk)
    for event in stream.events():
        if isinstance(event, Chunk):
            assert_type(event.content, JSONValue)
        elif isinstance(event, Completed):
            print(event.metadata)
    assert_type(stream.report, RunReport)
    return stream.text()


def reads_contents_as_they_are(client: RunAgentClient) -> None:
    for chunk in client.run_generic_stream("x"):
        assert_type(chunk, Any)
        print(chunk.upper(), end="")


def goes_on(client: RunAgentClient) -> Any:
    first = client.run_generic_stream("x", transport=("websocket", "sse"), resume="trust", max_resumes=2)
    session = first.started.session_id if first.started is not None else None
    again = client.run_generic_stream("x", resume_after=3, resume=False, transport="sse", session_id=session)
    return again.text(), client.run_generic("x", transport=["sse"], session_id="s")


@dataclass
class Page:
    number: int


class Book(msgspec.Struct):
    pages: list[Page]


class Model:
    def model_dump(self, *, mode: str = "python", indent: int | None = None) -> dict[str, Any]:
        return {}


async def has_types(client: RunAgentClient, other: AsyncRunAgentClient) -> None:
    assert_type(client.run_generic(Page(1), result_type=Book), Book)
    assert_type(client.run_generic(Book([]), result_type=list[Page]), list[Page])
    assert_type(await other.run_generic(Model(), result_type=Page), Page)
    assert_type(client.run_generic("x"), Any)
    client.run_generic_stream(Page(1))


def describes(event: StreamEvent) -> str:
    match event:
        case Started(session_id=session):
            return session or ""
        case Chunk(content=str(text)) | Reasoning(text=text):
            return text
        case Chunk():
            return "data"
        case ToolCall(name=name, arguments=arguments):
            return f"{name}({arguments})"
        case Custom(name=name, value=value):
            assert_type(value, JSONValue)
            return name
        case Completed(stop_reason=reason):
            return reason or ""
        case other:
            assert_never(other)


async def reads_asynchronously(client: AsyncRunAgentClient) -> str:
    async for chunk in client.run_generic_stream("x", timeout=3):
        print(chunk)
    return await client.run_generic_stream("x").text()


async def fetch_key() -> str:
    return "key"


def gives_keys() -> None:
    AsyncRunAgentClient("a", api_key=fetch_key)
    AsyncRunAgentClient("a", api_key=lambda: "key")
    RunAgentClient("a", api_key=lambda: "key")


def handles(client: RunAgentClient) -> float | None:
    try:
        client.run_generic("x")
    except RateLimitError as error:
        assert_type(error.status, int)
        assert_type(error.report, RunReport | None)
        assert_type(error.retryable, bool)
        assert_type(error.key_refused, bool)
        return error.retry_after
    except runagent.TimeoutError as error:
        assert_type(error, RunTimeoutError)
        print(error.phase, error.code)
    except TimeoutError as error:
        print(error)
    except StreamTruncatedError as error:
        return error.chunks_received
    return None


def observes(call: AgentCall, network: Network, other: AsyncNetwork) -> Settings:
    RunAgentClient("a", network=network)
    AsyncRunAgentClient("a", network=other)
    return RunAgentClient("a").settings


def in_memory(memory: MemoryNetwork) -> None:
    RunAgentClient("a", network=memory.blocking)
    AsyncRunAgentClient("a", network=memory.aio)
    AsyncRunAgentClient("a", network=memory.trio)


class Meter:
    def observe_call(self, call: AgentCall) -> Meter:
        return self

    def finished(self, report: RunReport) -> None:
        for attempt in report.attempts:
            assert_type(attempt.error, runagent.RunAgentError | None)
        assert_type(report.tokens, runagent.Tokens | None)


def registers() -> None:
    with runagent.register_observer(Meter()):
        print("observed")


def matches(event: StreamEvent) -> JSONValue:
    match event:
        case Chunk(content=content):
            return content
        case _:
            return None


def scripts(server: FakeAgentServer, memory: MemoryNetwork) -> Agent:
    server.agent("a").always("Once", delay(1), " upon", writes=every(7))
    return memory.agent("b").reply({"value": 1}, ids=True)


@hookimpl
def runagent_register_transports(register: RegisterTransport) -> None:
    print(register)


def uses(transport: Transport, session: Session, request: HttpRequest) -> tuple[Any, ...]:
    return transport.name, session.wants, request.method, MessageSession


class Mine(TransportConformance):
    pass


def marks(error: RateLimitError) -> None:
    assert_type(mark_error(error, retryable=False), RateLimitError)
    raise mark_error(runagent.AuthenticationError("no", key_refused=True), key_refused=False)


def raises() -> None:
    raise RateLimitError("slow down", status=429, retry_after=1.5, code="RATE", details={"a": 1})


def checks() -> None:
    print(check_transport("sse").results, runagent.__version__, runagent.transports.Limits)
    print(runagent_testing.status(429), runagent_testing.conformance.LATEST)


def reads_texts(client: RunAgentClient) -> StreamResult:
    stream = client.run_generic_stream("x")
    stream.accepted()
    assert_type(stream.wait(1), bool)
    for text in stream.texts():
        assert_type(text, str)
    assert_type(stream.started, Started | None)
    assert_type(stream.tool_calls, list[ToolCall])
    print(stream.headers["content-type"])
    assert_type(stream.handle, str | None)
    assert_type(stream.cancel(), bool)
    assert_type(client.attach(stream.handle or "", timeout=3, max_resumes=1, resume=False).text(), str)
    return client.run_generic_stream("x").result()


async def awaits(client: AsyncRunAgentClient) -> Completed | None:
    stream = await client.run_generic_stream("x")
    assert_type(stream, AsyncStream)
    assert_type(await stream.wait(1), bool)
    async for text in stream.texts():
        assert_type(text, str)
    return (await client.run_generic_stream("x").result()).completed


def gateway_view(client: RunAgentClient, query: str) -> Iterator[str]:
    """As the page on streaming relays chunks in a web framework."""
    for chunk in client.run_generic_stream({"query": query}):
        yield f"data: {chunk}\n\n"


async def collects_as_the_page_does(client: AsyncRunAgentClient) -> str:
    chunks = []
    async for chunk in client.run_generic_stream({"query": "x"}):
        chunks.append(chunk)
        print(chunk, end="", flush=True)
    return "".join(chunks)
