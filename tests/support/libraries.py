"""An asynchronous library that does what a test wants, and runs with it in any style."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import trio

from runagent import Chunk, Completed, Started
from runagent._net.tasks import current_library

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runagent.transports import Address, AgentCall, Capability, Emit, ResumePoint
    from tests.support.styles import Style

    Script = Callable[["Library", AgentCall, Emit], Awaitable[None]]

__all__ = ["Library", "collect", "endless", "forever", "pause", "story"]

BOTH = frozenset({"asyncio", "trio"})


async def pause(seconds: float) -> None:
    """Sleep in the loop that runs."""
    await (trio.sleep if current_library() == "trio" else asyncio.sleep)(seconds)


async def forever() -> None:
    """Wait for a cancellation."""
    await pause(3600)


class Library:
    """An `AsyncTransport` that does what a test wants.

    Attributes:
        left: How each run has ended: returned, cancelled, or the error's name.
        threads: The thread of each run.
    """

    name = "library"
    api_version = 1

    def __init__(self, script: Script, *capabilities: Capability, runs_on: frozenset[str] = BOTH) -> None:
        self.capabilities = frozenset(capabilities)
        self.runs_on = runs_on
        self.left: list[str] = []
        self.threads: list[threading.Thread] = []
        self.resumed: list[ResumePoint | None] = []
        self.gone = threading.Event()
        self._script = script

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        self.threads.append(threading.current_thread())
        self.resumed.append(resume)
        try:
            await self._script(self, call, emit)
        except BaseException as exc:
            self.left.append(type(exc).__name__)
            raise
        else:
            self.left.append("returned")
        finally:
            self.gone.set()


async def story(library: Library, call: AgentCall, emit: Emit) -> None:
    """Four words and the end."""
    await emit(Started())
    for word in ("Once", " upon", " a", " time"):
        await emit(Chunk(word))
        await pause(0)
    await emit(Completed())


def collect(style: Style, library: Library, **options: Any) -> tuple[list[Any], Any, Any]:
    """Run a stream to its end; return events, error and report."""

    async def scenario() -> tuple[list[Any], Any, Any]:
        client = style.client("a", base_url="http://127.0.0.1:1", transport=library, **options)
        stream = client.run_generic_stream({"query": "x"})
        events: list[Any] = []
        error = None
        try:
            async for event in stream.events():
                events.append(event)  # noqa: PERF401  # what came before an error has to stay
        except Exception as exc:  # noqa: BLE001  # whatever it is, the test looks at it
            error = exc
        assert await style.wait(library.gone)
        await style.settle()
        return events, error, stream.report

    result: tuple[list[Any], Any, Any] = style.run(scenario)
    return result


async def endless(library: Library, call: AgentCall, emit: Emit) -> None:
    """One word, and no end."""
    await emit(Chunk("first"))
    await forever()
