"""Event loops: which one is running, its network, and the end of all its connections when it ends."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from runagent._errors import ConfigurationError
from runagent._net.pool import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from runagent._net.base import AsyncConnection, AsyncNetwork

__all__ = ["EventLoop", "Pools", "current_loop", "new_network"]

_loops: dict[Any, EventLoop] = {}


class EventLoop:
    """What this process has open in one running event loop.

    Attributes:
        network: The loop's network.
    """

    def __init__(self, network: AsyncNetwork) -> None:
        self.network = network
        self._pools: weakref.WeakSet[Pool[AsyncConnection]] = weakref.WeakSet()
        self._guard: AsyncGenerator[None] | None = None

    def new_pool(self, network: AsyncNetwork | None = None) -> Pool[AsyncConnection]:
        """Make a pool that ends with the loop, by the time of ``network`` if one is given."""
        pool: Pool[AsyncConnection] = Pool((network or self.network).now)
        self._pools.add(pool)
        return pool

    async def guard(self, key: Any) -> None:
        """Have the loop's own shutdown of asynchronous generators close the connections.

        It is the one moment at which asyncio, uvloop and trio alike still run and inform a library
        that they are about to end. The generator is held by the process, not by a client: trio
        warns of generators that are collected early.
        """
        self._guard = self._until_the_end(key)
        await anext(self._guard)

    async def _until_the_end(self, key: Any) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            _loops.pop(key, None)
            for pool in list(self._pools):
                pool.close(active=True)


class Pools:
    """The pools of one client, one for each event loop.

    Args:
        network: Whose time they go by, instead of the loop's.
    """

    def __init__(self, network: AsyncNetwork | None = None) -> None:
        self._network = network
        self._pools: weakref.WeakKeyDictionary[EventLoop, Pool[AsyncConnection]] = weakref.WeakKeyDictionary()

    def of(self, loop: EventLoop) -> Pool[AsyncConnection]:
        """Return the pool of a loop."""
        pool = self._pools.get(loop)
        if pool is None:
            pool = self._pools[loop] = loop.new_pool(self._network)
        return pool

    def close(self) -> None:
        """Close all of them."""
        for pool in list(self._pools.values()):
            pool.close()


async def current_loop() -> EventLoop:
    """Return what belongs to the running event loop.

    Raises:
        ConfigurationError: It is neither asyncio's nor trio's, or none is running.
    """
    library = _library()
    if library == "asyncio":
        import asyncio

        key: Any = asyncio.get_running_loop()
    else:
        import trio

        key = trio.lowlevel.current_trio_token()
    loop = _loops.get(key)
    if loop is None:
        _forget_closed_loops()
        loop = EventLoop(new_network())
        await loop.guard(key)  # first: without it nothing would close the connections
        _loops[key] = loop
    return loop


def _library() -> str:
    from runagent._net.tasks import current_library  # synchronous code does without

    library = current_library()
    if library not in ("asyncio", "trio"):
        raise ConfigurationError(f"the asynchronous client runs on asyncio and trio, not on {library}")
    return library


def new_network() -> AsyncNetwork:
    """Make the network of the running event loop.

    Raises:
        ConfigurationError: It is neither asyncio's nor trio's, or none is running.
    """
    if _library() == "asyncio":
        from runagent._net.aio import AioNetwork

        return AioNetwork()
    from runagent._net.trio import TrioNetwork

    return TrioNetwork()


def _forget_closed_loops() -> None:
    """Drop loops that were closed without shutting down their generators."""
    for key in [k for k in _loops if getattr(k, "is_closed", bool)()]:
        del _loops[key]
