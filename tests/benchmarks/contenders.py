"""Who is measured: each contender opens itself once and then reads one answer after the other.

A contender is a context manager, asynchronous for asyncio and trio. It gives a function that asks for one
answer, by the name that the server finds in a path, and hands each event's text to ``take``.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

__all__ = ["CONTENDERS", "Contender", "Origin", "Take", "contender", "load_all"]

Take = Callable[[str], None]
Ask = Callable[[str, Take], None]
AsyncAsk = Callable[[str, Take], Awaitable[None]]


@dataclass(frozen=True)
class Origin:
    """Where the server is.

    Attributes:
        port: Its port.
        authority: The PEM text of the authority that certifies it; "" for plain TCP.
    """

    port: int
    authority: str = ""

    @property
    def http(self) -> str:
        """The URL up to the path."""
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.port}"

    @property
    def ws(self) -> str:
        """The same for a WebSocket."""
        return f"ws://127.0.0.1:{self.port}"

    def ssl_context(self) -> Any:
        """Make a context that trusts the authority; None for plain TCP."""
        import ssl

        return ssl.create_default_context(cadata=self.authority) if self.authority else None


@dataclass(frozen=True)
class Contender:
    """One way to read one wire.

    Attributes:
        name: What it is called in the tables.
        style: ``sync``, ``asyncio``, ``uvloop`` (asyncio on that loop) or ``trio``.
        wire: The wire, see ``wires``.
        open: Makes the context manager.
        environment: Environment variables of its process, in addition to the usual ones.
    """

    name: str
    style: str
    wire: str
    open: Callable[[Origin], AbstractContextManager[Ask] | AbstractAsyncContextManager[AsyncAsk]]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Name it for the command line of a worker."""
        return f"{self.name}/{self.style}/{self.wire}"


CONTENDERS: dict[str, Contender] = {}
_HOMES = ("baselines", "ours", "peers", "peers_websocket")


def contender(
    name: str, style: str, *wires: str, environment: dict[str, str] | None = None
) -> Callable[[Any], Any]:
    """Enter a context manager into the list; with several wires it gets the wire as its second argument."""

    def enter(manager: Any) -> Any:
        for wire in wires:

            def opener(origin: Origin, wire: str = wire) -> Any:
                return manager(origin) if len(wires) == 1 else manager(origin, wire)

            entry = Contender(name, style, wire, opener, environment or {})
            CONTENDERS[entry.key] = entry
        return manager

    return enter


def load_all() -> dict[str, Contender]:
    """Fill the list; what a contender needs is imported when it opens."""
    for home in _HOMES:
        importlib.import_module(f"tests.benchmarks.{home}")
    return CONTENDERS
