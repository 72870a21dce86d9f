"""Scenarios on a memory network, in each style, and how long they really took."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from runagent_testing import MemoryNetwork
from tests.support.styles import Style, without_asyncio_tasks_left, without_trio_tasks_left

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STYLES = ("sync", "asyncio", "trio")
_NETWORKS = {"sync": "blocking", "asyncio": "aio", "trio": "trio"}


class Virtual:
    """A memory network with a client of one style.

    Attributes:
        seconds: What the last scenario took, in real seconds.
        cpu_seconds: What of them this process was at work, which other processes make no longer.
    """

    def __init__(self, style: str, **options: Any) -> None:
        self.style = style
        self.memory = MemoryNetwork(**options)
        self.network: Any = getattr(self.memory, _NETWORKS[style])
        self.seconds = self.cpu_seconds = 0.0

    def client(self, transport: str = "sse", **options: Any) -> Any:
        options = {"base_url": self.memory.url, "network": self.network, "transport": transport} | options
        return Style(self.style).client("a", **options)

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass in a scenario."""
        passing = self.network.sleep(seconds)
        if passing is not None:
            await passing

    def run(self, scenario: Callable[[], Awaitable[Any]]) -> Any:
        began, worked = time.perf_counter(), time.process_time()
        try:
            if self.style == "asyncio":
                return self.memory.run_asyncio(without_asyncio_tasks_left(scenario))
            if self.style == "trio":
                return self.memory.run_trio(without_trio_tasks_left, scenario)
            return Style("sync").run(scenario)
        finally:
            self.seconds, self.cpu_seconds = time.perf_counter() - began, time.process_time() - worked
