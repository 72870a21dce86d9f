"""What people use today to read such streams over HTTP.

If a peer has no parser, the one that its users write is here: it splits lines and calls ``json.loads``.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from tests.benchmarks.contenders import Origin, Take, contender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["HandParser"]

_BODY = {"query": "hello"}


class HandParser:
    """A parser of events as users write it."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._event = ""
        self._data: list[str] = []

    def line(self, raw: bytes | str) -> None:
        """Take a line, with its end or without."""
        line = (raw.decode() if isinstance(raw, bytes) else raw).rstrip("\r\n")
        if line.startswith("data:"):
            self._data.append(line[5:].lstrip())
        elif line.startswith("event:"):
            self._event = line[6:].strip()
        elif not line and self._data:
            if self._event == "chunk":
                self._take(json.loads("\n".join(self._data))["content"])
            self._event, self._data = "", []


class HandLines(HandParser):
    """The same for a JSON text on each line."""

    def line(self, raw: bytes | str) -> None:
        """Take a line, with its end or without."""
        message = json.loads(raw)
        if message["type"] == "chunk":
            self._take(message["content"])


_PARSERS: dict[str, Callable[[Take], HandParser]] = {"sse": HandParser, "ndjson": HandLines}


@contender("requests", "sync", *_PARSERS)
@contextlib.contextmanager
def requests_by_hand(origin: Origin, wire: str) -> Iterator[Any]:
    import requests

    with requests.Session() as session:

        def ask(name: str, take: Take) -> None:
            parser = _PARSERS[wire](take)
            with session.post(f"{origin.http}/{name}", json=_BODY, stream=True) as response:
                for line in response.iter_lines():
                    parser.line(line)

        yield ask


@contender("urllib3", "sync", *_PARSERS)
@contextlib.contextmanager
def urllib3_by_hand(origin: Origin, wire: str) -> Iterator[Any]:
    import urllib3

    with urllib3.PoolManager() as pool:

        def ask(name: str, take: Take) -> None:
            parser = _PARSERS[wire](take)
            response = pool.request("POST", f"{origin.http}/{name}", json=_BODY, preload_content=False)
            tail = b""
            for piece in response.stream(65536):
                lines = (tail + piece).split(b"\n")
                tail = lines.pop()
                for line in lines:
                    parser.line(line)
            response.release_conn()

        yield ask


@contender("httpx2", "sync", "sse")
@contextlib.contextmanager
def httpx2_sync(origin: Origin) -> Iterator[Any]:
    import httpx2

    with httpx2.Client() as client:

        def ask(name: str, take: Take) -> None:
            with client.sse(f"{origin.http}/{name}", method="POST", json=_BODY) as source:
                for event in source:
                    if event.event == "chunk":
                        take(json.loads(event.data)["content"])

        yield ask


@contextlib.asynccontextmanager
async def httpx2_async(origin: Origin) -> AsyncIterator[Any]:
    import httpx2

    async with httpx2.AsyncClient() as client:

        async def ask(name: str, take: Take) -> None:
            async with client.sse(f"{origin.http}/{name}", method="POST", json=_BODY) as source:
                async for event in source:
                    if event.event == "chunk":
                        take(json.loads(event.data)["content"])

        yield ask


contender("httpx2", "asyncio", "sse")(httpx2_async)
contender("httpx2", "trio", "sse")(httpx2_async)


@contender("httpx2 lines", "sync", "ndjson")
@contextlib.contextmanager
def httpx2_lines_sync(origin: Origin) -> Iterator[Any]:
    import httpx2

    with httpx2.Client() as client:

        def ask(name: str, take: Take) -> None:
            parser = HandLines(take)
            with client.stream("POST", f"{origin.http}/{name}", json=_BODY) as response:
                for line in response.iter_lines():
                    parser.line(line)

        yield ask


@contextlib.asynccontextmanager
async def httpx2_lines_async(origin: Origin) -> AsyncIterator[Any]:
    import httpx2

    async with httpx2.AsyncClient() as client:

        async def ask(name: str, take: Take) -> None:
            parser = HandLines(take)
            async with client.stream("POST", f"{origin.http}/{name}", json=_BODY) as response:
                async for line in response.aiter_lines():
                    parser.line(line)

        yield ask


contender("httpx2 lines", "asyncio", "ndjson")(httpx2_lines_async)
contender("httpx2 lines", "trio", "ndjson")(httpx2_lines_async)


@contender("aiohttp", "uvloop", *_PARSERS)
@contender("aiohttp", "asyncio", *_PARSERS)
@contextlib.asynccontextmanager
async def aiohttp_by_hand(origin: Origin, wire: str) -> AsyncIterator[Any]:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=1 << 18) as session:

        async def ask(name: str, take: Take) -> None:
            parser = _PARSERS[wire](take)
            async with session.post(f"{origin.http}/{name}", json=_BODY) as response:
                async for line in response.content:
                    parser.line(line)

        yield ask


@contender("aiohttp-sse-client", "asyncio", "sse")
@contextlib.asynccontextmanager
async def aiohttp_sse_client(origin: Origin) -> AsyncIterator[Any]:
    import aiohttp
    from aiohttp_sse_client.client import EventSource

    async with aiohttp.ClientSession() as session:

        async def ask(name: str, take: Take) -> None:
            option = {"method": "POST"}
            async with EventSource(f"{origin.http}/{name}", option, session=session, json=_BODY) as source:
                async for event in source:
                    if event.type == "chunk":
                        take(json.loads(event.data)["content"])
                    elif event.type == "done":
                        break

        yield ask


@contender("openai", "sync", "openai")
@contextlib.contextmanager
def openai_sync(origin: Origin) -> Iterator[Any]:
    import openai

    def ask(name: str, take: Take) -> None:
        client = openai.OpenAI(api_key="k", base_url=f"{origin.http}/{name}")
        with client, client.chat.completions.create(model="m", messages=[], stream=True) as stream:
            for chunk in stream:
                take(chunk.choices[0].delta.content or "")

    yield ask


@contextlib.asynccontextmanager
async def openai_async(origin: Origin) -> AsyncIterator[Any]:
    import openai

    async def ask(name: str, take: Take) -> None:
        async with openai.AsyncOpenAI(api_key="k", base_url=f"{origin.http}/{name}") as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            async for chunk in stream:
                take(chunk.choices[0].delta.content or "")

    yield ask


contender("openai", "asyncio", "openai")(openai_async)
contender("openai", "trio", "openai")(openai_async)

_MESSAGES: list[Any] = [{"role": "user", "content": "hello"}]


@contender("anthropic", "sync", "anthropic")
@contextlib.contextmanager
def anthropic_sync(origin: Origin) -> Iterator[Any]:
    import anthropic

    def ask(name: str, take: Take) -> None:
        client = anthropic.Anthropic(api_key="k", base_url=f"{origin.http}/{name}")
        with client:
            stream = client.messages.create(model="m", max_tokens=9, messages=_MESSAGES, stream=True)
            for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    take(event.delta.text)

    yield ask


@contextlib.asynccontextmanager
async def anthropic_async(origin: Origin) -> AsyncIterator[Any]:
    import anthropic

    async def ask(name: str, take: Take) -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=f"{origin.http}/{name}") as client:
            stream = await client.messages.create(model="m", max_tokens=9, messages=_MESSAGES, stream=True)
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    take(event.delta.text)

    yield ask


contender("anthropic", "asyncio", "anthropic")(anthropic_async)
contender("anthropic", "trio", "anthropic")(anthropic_async)
