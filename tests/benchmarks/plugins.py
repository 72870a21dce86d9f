"""The transports of plugins, over the wires of their protocols; they need not be installed."""

from __future__ import annotations

import contextlib
import importlib
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent import AsyncRunAgentClient, RunAgentClient, Timeouts
from tests.benchmarks.contenders import Origin, Take, contender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["NAME", "PLUGINS"]

NAME = "runagent plugin"
PLUGINS = ("agui", "anthropic", "ollama", "openai", "vercel")  # each has a wire of its name
_FOLDER = Path(__file__).resolve().parents[2] / "plugins"
_ARMED = Timeouts(idle=30, total=600)


def _options(origin: Origin, plugin: str, name: str) -> dict[str, Any]:
    sys.path.insert(0, str(_FOLDER / f"runagent-{plugin}"))
    found: list[Any] = []
    importlib.import_module(f"runagent_{plugin}").runagent_register_transports(found.append)
    return {"base_url": f"{origin.http}/{name}", "transport": found[0], "timeout": _ARMED}


@contextlib.contextmanager
def _synchronous(origin: Origin, plugin: str) -> Iterator[Any]:
    client = cache(lambda name: RunAgentClient("m", **_options(origin, plugin, name)))

    def ask(name: str, take: Take) -> None:
        for text in client(name).run_generic_stream("hello"):
            take(text)

    yield ask


@contextlib.asynccontextmanager
async def _asynchronous(origin: Origin, plugin: str) -> AsyncIterator[Any]:
    client = cache(lambda name: AsyncRunAgentClient("m", **_options(origin, plugin, name)))

    async def ask(name: str, take: Take) -> None:
        async for text in client(name).run_generic_stream("hello"):
            take(text)

    yield ask


for _style, _manager in (("sync", _synchronous), ("asyncio", _asynchronous), ("trio", _asynchronous)):
    contender(NAME, _style, *PLUGINS)(_manager)
