"""The gateways that `bench_gateway` compares, each an ASGI or WSGI application; BENCH_GATEWAY names one.

All of them send each chunk as a server-sent event with a JSON object. Those that ask an agent decode its
events, and give up an agent that is silent for a minute, as our client does by default. The applications are
built only when asked for, as each needs its own packages.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from typing import TYPE_CHECKING, Any

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent.relay import relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["ASGI", "WSGI"]

AGENT_URL = os.environ.get("BENCH_AGENT", "http://127.0.0.1:1")
PAUSE = float(os.environ.get("BENCH_PAUSE", "0.1"))  # seconds between two chunks; 0 for a burst
CHUNKS = int(os.environ.get("BENCH_CHUNKS", "1000000"))
WORD = "word of the answer "
HEADERS = {"Cache-Control": "no-cache"}
CONNECT, SILENCE = 30.0, 60.0  # seconds, the defaults of our client


def frame(content: Any) -> str:
    return f"event: chunk\ndata: {json.dumps({'content': content})}\n\n"


def starlette(generate: Callable[[], AsyncIterator[str]]) -> Any:
    """Make an application of Starlette that streams what a generator yields."""
    from starlette.applications import Starlette
    from starlette.responses import StreamingResponse
    from starlette.routing import Route

    async def story(request: Any) -> Any:
        return StreamingResponse(generate(), media_type="text/event-stream", headers=HEADERS)

    return Starlette(routes=[Route("/", story)])


def own() -> Any:
    """Make the chunks here: what the framework and the server cost."""

    async def generate() -> AsyncIterator[str]:
        for _ in range(CHUNKS):
            if PAUSE:
                await asyncio.sleep(PAUSE)
            yield frame(WORD)

    return starlette(generate)


def bare() -> Any:
    """An ASGI function that iterates a stream of our client."""
    client = AsyncRunAgentClient("a", base_url=AGENT_URL)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        async for content in client.run_generic_stream("q"):
            body = frame(content).encode()
            await send({"type": "http.response.body", "body": body, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


def watching() -> Any:
    """The same, but the browser's leaving frees the agent, as it does behind a relay."""
    client = AsyncRunAgentClient("a", base_url=AGENT_URL)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        stream = client.run_generic_stream("q")

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            await stream.aclose()

        watcher = asyncio.create_task(watch())
        try:
            head = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            async for content in stream:
                body = frame(content).encode()
                await send({"type": "http.response.body", "body": body, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            watcher.cancel()

    return app


def relayed() -> Any:
    """Our relay as an ASGI function."""
    client = AsyncRunAgentClient("a", base_url=AGENT_URL)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await relay(client.run_generic_stream("q"))(scope, receive, send)

    return app


def relayed_by_starlette() -> Any:
    """Our relay as what a view of Starlette returns."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    client = AsyncRunAgentClient("a", base_url=AGENT_URL)

    async def story(request: Any) -> Any:
        return relay(client.run_generic_stream("q"))

    return Starlette(routes=[Route("/", story)])


def iterated() -> Any:
    """Our client in a generator of Starlette."""
    client = AsyncRunAgentClient("a", base_url=AGENT_URL)

    async def generate() -> AsyncIterator[str]:
        async for content in client.run_generic_stream("q"):
            yield frame(content)

    return starlette(generate)


def by_aiohttp() -> Any:
    """The client of aiohttp in a generator of Starlette."""
    import aiohttp

    sessions: list[aiohttp.ClientSession] = []

    async def generate() -> AsyncIterator[str]:
        if not sessions:
            connector = aiohttp.TCPConnector(limit=0)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=SILENCE)
            sessions.append(aiohttp.ClientSession(connector=connector, timeout=timeout))
        async with sessions[0].post(f"{AGENT_URL}/v1/agents/a/stream", json={"query": "q"}) as answer:
            async for line in answer.content:
                if line.startswith(b"data: ") and "content" in (found := json.loads(line[6:])):
                    yield frame(found["content"])

    return starlette(generate)


def by_httpx2() -> Any:
    """The client of httpx2 in a generator of Starlette."""
    import httpx2

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    client = httpx2.AsyncClient(limits=limits, timeout=httpx2.Timeout(SILENCE, connect=CONNECT))

    async def generate() -> AsyncIterator[str]:
        async with client.stream("POST", f"{AGENT_URL}/v1/agents/a/stream", json={"query": "q"}) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("data: ") and "content" in (found := json.loads(line[6:])):
                    yield frame(found["content"])

    return starlette(generate)


def by_openai() -> Any:
    """The client of openai in a generator of Starlette; the agent then speaks Chat Completions."""
    import openai

    limits = openai.DefaultAsyncHttpxClient(limits=_no_limits())
    client = openai.AsyncOpenAI(
        base_url=f"{AGENT_URL}/chat",
        api_key="k",
        http_client=limits,
        timeout=openai.Timeout(SILENCE, connect=CONNECT),
    )

    async def generate() -> AsyncIterator[str]:
        messages: Any = [{"role": "user", "content": "q"}]
        async for chunk in await client.chat.completions.create(model="a", messages=messages, stream=True):
            yield frame(chunk.choices[0].delta.content)

    return starlette(generate)


def _no_limits() -> Any:
    import importlib

    for name in ("httpx2", "httpx"):
        try:
            return importlib.import_module(name).Limits(max_connections=None, max_keepalive_connections=None)
        except ImportError:
            continue
    raise ImportError("openai needs httpx2 or httpx")


def wsgi_own() -> Any:
    """Make the chunks here, in a thread for each browser."""

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for _ in range(CHUNKS):
            time.sleep(PAUSE)
            yield frame(WORD).encode()

    return app


def wsgi_bare() -> Any:
    """A WSGI function that iterates a stream of our client."""
    client = RunAgentClient("a", base_url=AGENT_URL)

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        for content in client.run_generic_stream("q"):
            yield frame(content).encode()

    return app


def wsgi_relayed() -> Any:
    """Our relay as a WSGI application."""
    client = RunAgentClient("a", base_url=AGENT_URL)
    return lambda environ, start_response: relay(client.run_generic_stream("q"))(environ, start_response)


ASGI: dict[str, Callable[[], Any]] = {
    "own chunks, Starlette": own,
    "bare ASGI on our client": bare,
    "the same, and it watches": watching,
    "relay, bare ASGI": relayed,
    "relay in Starlette": relayed_by_starlette,
    "our client in Starlette": iterated,
    "aiohttp in Starlette": by_aiohttp,
    "httpx2 in Starlette": by_httpx2,
    "openai in Starlette": by_openai,
}
WSGI: dict[str, Callable[[], Any]] = {
    "own chunks, WSGI": wsgi_own,
    "bare WSGI on our client": wsgi_bare,
    "relay, WSGI": wsgi_relayed,
}

if name := os.environ.get("BENCH_GATEWAY"):
    app = {**ASGI, **WSGI}[name]()
