"""Our own clients over each transport, used as documented; idle and total deadlines are armed."""

from __future__ import annotations

import contextlib
from functools import cache
from typing import TYPE_CHECKING, Any

from runagent import AsyncRunAgentClient, RunAgentClient, Timeouts
from tests.benchmarks.contenders import Origin, Take, contender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["NAME"]

NAME = "runagent"
_TRANSPORTS = {"sse": "sse", "ndjson": "chunked", "published": "websocket", "plain": "websocket"}
_ARMED = Timeouts(idle=30, total=600)


def _options(origin: Origin, wire: str) -> dict[str, Any]:
    return {
        "base_url": origin.http,
        "transport": _TRANSPORTS[wire],
        "ssl_context": origin.ssl_context(),
        "timeout": _ARMED,
    }


@contender(NAME, "sync", *_TRANSPORTS)
@contextlib.contextmanager
def synchronous(origin: Origin, wire: str) -> Iterator[Any]:
    options = _options(origin, wire)
    client = cache(lambda agent: RunAgentClient(agent, **options))

    def ask(name: str, take: Take) -> None:
        for text in client(name).run_generic_stream({"query": "hello"}):
            take(text)

    yield ask


@contextlib.asynccontextmanager
async def asynchronous(origin: Origin, wire: str) -> AsyncIterator[Any]:
    options = _options(origin, wire)
    client = cache(lambda agent: AsyncRunAgentClient(agent, **options))

    async def ask(name: str, take: Take) -> None:
        async for text in client(name).run_generic_stream({"query": "hello"}):
            take(text)

    yield ask


contender(NAME, "asyncio", *_TRANSPORTS)(asynchronous)
contender(NAME, "uvloop", *_TRANSPORTS)(asynchronous)
contender(NAME, "trio", *_TRANSPORTS)(asynchronous)
