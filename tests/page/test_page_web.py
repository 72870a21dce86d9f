"""The documentation page on streaming, pattern by pattern: a Flask view and a WebSocket server that relay."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from flask import Flask, Response, request
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from werkzeug.serving import WSGIRequestHandler, make_server

from runagent import AsyncRunAgentClient, RunAgentClient, Timeouts
from runagent_testing import Agent, FakeAgentServer, delay, ending, gate
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request


def flask_app(timeout: Timeouts | None = None) -> Flask:
    """The page's application; its client is a global of the application, shared by the server's threads."""
    app = Flask(__name__)
    client = RunAgentClient(agent_id="your-agent-id")

    @app.route("/stream")
    def stream() -> Response:
        query = request.args.get("query", "Hello")

        def generate() -> Iterator[str]:
            for chunk in client.run_generic_stream({"query": query}, timeout=timeout):
                yield f"data: {chunk}\n\n"

        return Response(
            generate(),
            mimetype="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    return app


class QuietHandler(WSGIRequestHandler):
    """Werkzeug's, but its log, for want of a handler, would go to a captured stream that outlives no test."""

    def log(self, type: str, message: str, *args: Any) -> None:
        """Log nothing."""


@contextmanager
def served(app: Flask) -> Iterator[str]:
    """Serve an application over HTTP, a thread for each request."""
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def open_url(url: str) -> Any:
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10)


def test_flask_passes_each_chunk_on_at_once(agent: Agent, server: FakeAgentServer) -> None:
    rest = gate("rest")
    agent.always("Once", rest, " upon \N{ROCKET}")

    with served(flask_app()) as url, open_url(f"{url}/stream?query={quote('tell me')}") as answer:
        assert "text/event-stream" == answer.headers.get_content_type()
        assert b"data: Once\n\n" == answer.readline() + answer.readline()
        rest.open()
        assert "data:  upon \N{ROCKET}\n\n".encode() == answer.read()

    assert [{"query": "tell me"}] == [exchange.input for exchange in server.requests]


def test_flask_threads_share_the_client(agent: Agent, server: FakeAgentServer, transport: str) -> None:
    agent.always("a", "b", "c")

    def read(url: str) -> bytes:
        with open_url(url) as answer:
            body: bytes = answer.read()
            return body

    with served(flask_app()) as url, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(read, [f"{url}/stream"] * 40))

    assert [b"data: a\n\ndata: b\n\ndata: c\n\n"] * 40 == answers
    assert len(server.requests) == 40
    assert server.connections <= (40 if transport == "websocket" else 8)


def test_a_reader_who_leaves_flask_frees_the_agent(agent: Agent, server: FakeAgentServer) -> None:
    tick = ("tick", delay(0.01))
    agent.always(*tick * 500, ending("stall"))

    with served(flask_app()) as url:
        with open_url(f"{url}/stream") as answer:
            assert b"data: tick\n" == answer.readline()
        assert server.requests[0].wait_disconnected(5)


def starlette_app() -> Starlette:
    """The same view for asyncio."""
    client = AsyncRunAgentClient(agent_id="your-agent-id")

    async def stream(request: Request) -> StreamingResponse:
        async def generate() -> AsyncIterator[str]:
            async for chunk in client.run_generic_stream({"query": "Hello"}):
                yield f"data: {chunk}\n\n"

        return StreamingResponse(generate(), media_type="text/event-stream")

    return Starlette(routes=[Route("/stream", stream)])


def test_a_reader_who_leaves_starlette_frees_the_agent(agent: Agent, server: FakeAgentServer) -> None:
    """Starlette cancels the generator, and keeps the cancellation with all its frames."""
    agent.always("tick", ending("stall"))
    scope = {"type": "http", "method": "GET", "path": "/stream", "query_string": b"", "headers": []}

    async def scenario() -> bool:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                gone.set()

        await starlette_app()(scope, receive, send)
        return await asyncio.to_thread(server.requests[0].wait_disconnected, 5)

    gc.disable()
    try:
        assert asyncio.run(scenario())
    finally:
        gc.enable()


def test_a_reader_who_leaves_flask_in_silence_is_noticed_when_a_limit_ends_the_run(
    agent: Agent, server: FakeAgentServer
) -> None:
    agent.always("tick", ending("stall"))

    with served(flask_app(Timeouts(total=0.3))) as url:
        with open_url(f"{url}/stream") as answer:
            assert b"data: tick\n" == answer.readline()
        assert not server.requests[0].wait_disconnected(0.05)
        assert server.requests[0].wait_disconnected(5)


@pytest.mark.parametrize(("version", "noticed"), [("2.3", True), ("2.4", False)])
def test_starlette_notices_a_reader_who_leaves_in_silence_on_some_servers(
    agent: Agent, server: FakeAgentServer, version: str, noticed: bool
) -> None:
    agent.always("tick", ending("stall"))
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/stream", "query_string": b""}
    scope |= {"headers": [], "asgi": {"spec_version": version}}

    async def scenario() -> None:
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            if message.get("body"):
                gone.set()

        view = asyncio.ensure_future(starlette_app()(scope, receive, send))
        await gone.wait()
        exchange = server.requests[0]
        assert noticed == await asyncio.to_thread(exchange.wait_disconnected, 5 if noticed else 0.1)
        view.cancel()
        await asyncio.wait([view])

    asyncio.run(scenario())


async def handle_websocket(websocket: ServerConnection) -> None:
    client = AsyncRunAgentClient(agent_id="your-agent-id")
    async for message in websocket:
        data = json.loads(message)
        async for chunk in client.run_generic_stream(data):
            await websocket.send(chunk)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_websocket_server_relays_chunks(agent: Agent, server: FakeAgentServer, name: str) -> None:
    rest = gate("rest")
    agent.reply("Once", rest, " upon")
    agent.reply("again \N{ROCKET}", "")

    async def scenario() -> list[Any]:
        async with (
            serve(handle_websocket, "127.0.0.1", 0) as relay,
            connect(f"ws://127.0.0.1:{port_of(relay)}", proxy=None) as websocket,
        ):
            await websocket.send(json.dumps({"query": "first"}))
            received = [await websocket.recv()]
            rest.open()
            received.append(await websocket.recv())
            await websocket.send(json.dumps({"query": "second"}))
            return [*received, await websocket.recv(), await websocket.recv()]

    assert ["Once", " upon", "again \N{ROCKET}", ""] == Style(name).run(scenario)
    assert [{"query": "first"}, {"query": "second"}] == [exchange.input for exchange in server.requests]


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_websocket_server_relays_to_many(agent: Agent, name: str) -> None:
    chunks = [f"{i} " for i in range(100)]
    agent.always(*chunks)

    async def listen(uri: str) -> list[Any]:
        async with connect(uri, proxy=None) as websocket:
            await websocket.send(json.dumps({"query": "x"}))
            return [await websocket.recv() for _ in chunks]

    async def scenario() -> list[list[Any]]:
        async with serve(handle_websocket, "127.0.0.1", 0) as relay:
            uri = f"ws://127.0.0.1:{port_of(relay)}"
            return await asyncio.gather(*(listen(uri) for _ in range(10)))

    assert [chunks] * 10 == Style(name).run(scenario)


@pytest.mark.parametrize("name", ["asyncio", "uvloop"])
def test_a_listener_who_leaves_the_relay_frees_the_agent(
    agent: Agent, server: FakeAgentServer, name: str
) -> None:
    tick = ("tick", delay(0.01))
    agent.always(*tick * 500, ending("stall"))

    async def scenario() -> bool:
        async with serve(handle_websocket, "127.0.0.1", 0) as relay:
            async with connect(f"ws://127.0.0.1:{port_of(relay)}", proxy=None) as websocket:
                await websocket.send(json.dumps({"query": "x"}))
                assert "tick" == await websocket.recv()
            return await asyncio.to_thread(server.requests[0].wait_disconnected, 5)

    assert Style(name).run(scenario)


def port_of(relay: Any) -> int:
    (listener,) = relay.sockets
    port: int = listener.getsockname()[1]
    return port
