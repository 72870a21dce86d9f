"""This client reads a gateway over every transport, also one in front of another one."""

from __future__ import annotations

import contextlib
import json
import threading
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from runagent import (
    AgentNotFoundError,
    AgentServerError,
    AsyncRunAgentClient,
    Chunk,
    Custom,
    RateLimitError,
    Reasoning,
    RunAgentClient,
    RunAgentError,
    StreamError,
    ValidationError,
)
from runagent.relay import relay
from runagent_testing import custom, delay, done, ending, error, reasoning, status, tool_call
from tests.support.asgi_server import serve
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from runagent_testing import FakeAgentServer

STORY = ("Once", " upon", " a", " time")
USAGE = {"total_tokens": 4}
SOON = 0.5  # seconds
EVERYTHING = {"reasoning", "tool_call", "custom", "usage"}
FORMATS = {"sse": "sse", "chunked": "ndjson", "websocket": "websocket"}
STYLES = ("sync", "asyncio", "trio")
CHAINS = [(s, t, n) for s in STYLES for t in FORMATS for n in (1, 2) if (s, t) != ("sync", "websocket")]


class AsyncGateway:
    """An ASGI application that relays what it is asked to the next gateway, or to the agent."""

    def __init__(self, url: str, transport: str, **options: Any) -> None:
        self.client = AsyncRunAgentClient("a", base_url=url, transport=transport, **options)
        self.cuts = 0  # answers to break off
        self._format: Any = FORMATS[transport]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            asked = json.loads((await receive())["text"])["input_kwargs"]
        else:
            asked = json.loads((await receive())["body"])
        send, self.cuts = (cut(send), self.cuts - 1) if self.cuts else (send, 0)
        stream = self.client.run_generic_stream(asked)
        await relay(stream, format=self._format, include=EVERYTHING)(scope, receive, send)


def cut(send: Any) -> Any:
    """Break the answer off behind its second chunk."""

    async def send_or_cut(message: Any) -> None:
        if b'"index":2' in message.get("body", b""):
            raise OSError
        await send(message)

    return send_or_cut


def sync_gateway(url: str, transport: str, **options: Any) -> Callable[..., Any]:
    """Make a WSGI application that relays what it is asked."""
    client = RunAgentClient("a", base_url=url, transport=transport, **options)

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        asked = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        stream = client.run_generic_stream(asked)
        answer = relay(stream, format=FORMATS[transport], include=EVERYTHING, heartbeat=0.1)  # type: ignore[call-overload]
        return answer(environ, start_response)

    return app


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = False


class _Handler(WSGIRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Write no log."""


@contextlib.contextmanager
def serve_wsgi(app: Any) -> Iterator[str]:
    with make_server("127.0.0.1", 0, app, _Server, _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Chain:
    """Gateways in a row in front of an agent, and a client that asks the first of them."""

    def __init__(self, style: str, transport: str, length: int, server: FakeAgentServer) -> None:
        self.style = Style(style)
        self.transport = transport
        self.server = server
        self.agent = server.agent("a")
        self.options: dict[str, Any] = {"max_retries": 0}  # of the gateways' clients
        self.last_options: dict[str, Any] = {}  # of the client that asks the agent
        self.cuts = 0  # how many answers the first gateway breaks off
        self._length = length

    @contextlib.asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Any]:
        """Serve the gateways, and yield a client of the first one."""
        async with contextlib.AsyncExitStack() as running:
            url = self.server.url

            def options_of(number: int) -> dict[str, Any]:
                return self.options | ({} if number else self.last_options)

            for number in range(self._length):
                if self.style.name == "sync":
                    url = running.enter_context(
                        serve_wsgi(sync_gateway(url, self.transport, **options_of(number)))
                    )
                else:
                    app = AsyncGateway(url, self.transport, **options_of(number))
                    app.cuts = self.cuts if number == self._length - 1 else 0
                    running.push_async_callback(app.client.aclose)
                    url = await running.enter_async_context(serve(self.style.name, app))
            options = {"max_retries": 0, **options}
            client = self.style.client("a", base_url=url, transport=self.transport, **options)
            yield await running.enter_async_context(client)

    def events(self, **options: Any) -> tuple[list[Any], Any]:
        """Return the events of a run, and its stream."""

        async def scenario() -> Any:
            async with self.client() as client:
                stream = client.run_generic_stream("q", **options)
                try:
                    return [event async for event in stream.events()], stream
                except RunAgentError as exc:  # which a nursery would put into a group
                    return exc

        found = self.style.run(scenario)
        if isinstance(found, RunAgentError):
            raise found
        events, stream = found
        return events, stream

    def failure(self, kind: type[Exception], **options: Any) -> Any:
        """Return the error of this kind that a run raises."""
        with pytest.raises(kind) as caught:
            self.events(**options)
        return caught.value


numbered = pytest.mark.parametrize(
    "chain",
    [c for c in CHAINS if c[1] != "websocket"],
    indirect=True,
    ids=lambda chain: "-".join(map(str, chain)),
)


def contents(events: list[Any]) -> list[Any]:
    return [event.content for event in events if isinstance(event, Chunk)]


@pytest.fixture(params=CHAINS, ids=lambda chain: "-".join(map(str, chain)))
def chain(request: pytest.FixtureRequest, server: FakeAgentServer) -> Chain:
    """One gateway, and two, in each style and over each transport."""
    style, transport, length = request.param
    return Chain(style, transport, length, server)


def test_everything_arrives_as_the_agent_sent_it(chain: Chain) -> None:
    chain.agent.always(
        reasoning("I think"),
        tool_call("look_up", '{"word": "dragon"}', id="c1"),
        custom("mood", {"joy": 1}),
        *STORY,
        {"a": [1, None]},
        done(usage=USAGE, execution_time=0.2, stop_reason="tool_calls", interrupts=[{"id": "i"}]),
    )
    events, stream = chain.events()
    assert [Reasoning("I think")] == [event for event in events if isinstance(event, Reasoning)]
    assert [Custom("mood", {"joy": 1})] == [event for event in events if isinstance(event, Custom)]
    (call,) = stream.tool_calls
    assert ("c1", "look_up", '{"word": "dragon"}') == (call.id, call.name, call.arguments)
    chunks = [event for event in events if isinstance(event, Chunk)]
    assert [*STORY, {"a": [1, None]}] == [chunk.content for chunk in chunks]
    if chain.transport != "websocket":  # whose chunks have no numbers
        assert [0, 1, 2, 3, 4] == [chunk.index for chunk in chunks]
    last = stream.completed
    assert (USAGE, 0.2, "tool_calls") == (last.usage, last.execution_time, last.stop_reason)
    assert [{"id": "i"}] == last.interrupts
    assert {} == stream.report.ignored


def test_the_conversation_goes_through(chain: Chain) -> None:
    chain.agent.always(*STORY)
    _, stream = chain.events(session_id="evening")
    assert "evening" == chain.server.requests[-1].input["session_id"]
    if chain.transport != "websocket":  # whose fake agent sends none
        assert "evening" == stream.started.session_id


@pytest.mark.parametrize(
    ("number", "kind"),
    [(429, RateLimitError), (404, AgentNotFoundError), (422, ValidationError), (503, AgentServerError)],
)
def test_a_refusal_keeps_its_class(chain: Chain, number: int, kind: type[Exception]) -> None:
    chain.agent.always(status(number, message="db-7.internal"))
    failure = chain.failure(kind)
    assert number == failure.status
    assert "db-7" not in str(failure)


def test_a_wait_that_the_agent_asks_for_goes_through(chain: Chain) -> None:
    chain.agent.always(status(429, retry_after=30))
    assert 30 == chain.failure(RateLimitError).retry_after


def test_an_error_in_the_middle_is_one_and_no_cut(chain: Chain) -> None:
    chain.agent.always("Once", error("X", "db-7.internal"))
    failure = chain.failure(StreamError)
    assert ("BAD_GATEWAY", 1) == (failure.code, failure.chunks_received)
    assert failure.request_id
    assert "db-7" not in str(failure)


def test_a_cut_that_cannot_be_resumed_is_an_error(chain: Chain) -> None:
    chain.agent.always("Once", ending("cut"), indexed=False)
    assert "BAD_GATEWAY" == chain.failure(StreamError).code


@numbered
def test_a_cut_in_front_of_the_agent_is_resumed_there(chain: Chain) -> None:
    chain.options = {"max_retries": 1, "retry_delay": 0}
    chain.agent.reply(*STORY[:2], ending("cut")).reply(*STORY)
    events, stream = chain.events()
    assert [*STORY] == contents(events)
    assert 1 == len(stream.report.attempts)


def test_a_reader_that_leaves_frees_the_silent_agent(chain: Chain) -> None:
    chain.agent.always("Once", ending("stall"))

    async def scenario() -> None:
        async with chain.client() as client:
            async with client.run_generic_stream("q") as stream:
                assert "Once" == await anext(aiter(stream))
            # Under WSGI two heartbeats of 0.1 s for each gateway.
            assert await chain.style.in_thread(chain.server.requests[-1].wait_disconnected, 2 * SOON)

    chain.style.run(scenario)


@numbered
def test_a_place_that_the_caller_asks_for_goes_through(chain: Chain) -> None:
    chain.agent.always(*STORY)
    events, _ = chain.events(resume_after=1)
    assert [" a", " time"] == contents(events)


@numbered
def test_a_place_that_is_not_proven_is_refused(chain: Chain) -> None:
    chain.agent.always(*STORY, resume="refuse")
    assert "NOT_RESUMED" == chain.failure(RunAgentError, resume_after=1).code


@pytest.mark.parametrize("length", [1, 2])
@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_a_cut_between_gateway_and_reader_is_resumed_through_the_gateway(
    transport: str, length: int, server: FakeAgentServer
) -> None:
    chain = Chain("asyncio", transport, length, server)
    chain.agent.always(*[step for text in STORY for step in (text, delay(0.02))])
    chain.cuts = 1

    async def scenario() -> tuple[list[Any], int]:
        async with chain.client(max_retries=1, retry_delay=0) as client:
            stream = client.run_generic_stream("q")
            return [chunk async for chunk in stream], len(stream.report.attempts)

    assert ([*STORY], 2) == chain.style.run(scenario)


@pytest.mark.parametrize("length", [1, 2])
def test_an_end_that_nothing_proves_stays_unproven(length: int, server: FakeAgentServer) -> None:
    chain = Chain("asyncio", "chunked", length, server)
    chain.last_options = {"headers": {"Accept": "text/plain"}}
    chain.agent.always("Once", ending("close-delimited-cut"))
    _, stream = chain.events()
    assert not stream.completed.proven
