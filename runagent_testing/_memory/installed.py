"""A memory network that clients use without being given one."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import sniffio

from runagent._plugins.networks import register_network
from runagent_testing._internal.public import publish
from runagent_testing._internal.uncopied import Uncopied

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from runagent._address.route import Address
    from runagent._net.base import AsyncConnection, AsyncNetwork, ConnectAttempt, Network

__all__ = ["AnyLoopMemory", "Installation"]

_VARIABLE = "RUNAGENT_API_URL"


class AnyLoopMemory(Uncopied):
    """A `runagent._net.base.AsyncNetwork` for the event loop that runs, asyncio's or trio's.

    Args:
        aio: Returns the network for asyncio.
        trio: Returns the network for trio.
    """

    def __init__(self, aio: Callable[[], AsyncNetwork], trio: Callable[[], AsyncNetwork]) -> None:
        self._aio = aio
        self._trio = trio

    @property
    def _network(self) -> AsyncNetwork:
        return self._trio() if sniffio.current_async_library() == "trio" else self._aio()

    async def connect(self, address: Address, deadline: float, attempt: ConnectAttempt) -> AsyncConnection:
        """See `runagent._net.base.Network.connect`; takes no time."""
        return await self._network.connect(address, deadline, attempt)

    def now(self) -> float:
        """See `runagent._net.base.Network.now`."""
        return self._network.now()

    async def sleep(self, seconds: float) -> None:
        """See `runagent._net.base.Network.sleep`."""
        await self._network.sleep(seconds)

    async def checkpoint(self) -> None:
        """See `runagent._net.base.AsyncNetwork.checkpoint`."""
        await self._network.checkpoint()


class Installation(Uncopied):
    """Makes clients use a memory network until it is closed, by ``close()`` or at the end of ``with``.

    Args:
        url: The base URL of the network, which ``RUNAGENT_API_URL`` gets.
        networks: What the clients of this URL connect through.
        drop: Closes the connections, as clients may keep them for later runs.
    """

    def __init__(self, url: str, networks: tuple[Network, AsyncNetwork], drop: Callable[[], object]) -> None:
        self._undo = ExitStack()
        for network in networks:
            self._undo.enter_context(register_network(url, network))
        self._undo.callback(drop)
        self._undo.callback(_restore, os.environ.get(_VARIABLE))
        os.environ[_VARIABLE] = url

    def close(self) -> None:
        """Let clients connect through their own networks again; a second call does nothing."""
        self._undo.close()

    def __enter__(self) -> Installation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _restore(value: str | None) -> None:
    if value is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = value


publish(Installation)
