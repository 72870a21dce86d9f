"""The stage of a check's runs: a concurrency style, a player, an agent to script and a client to use."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from runagent import Timeouts
from runagent._errors import RunAgentError
from runagent._events import Chunk, Completed
from runagent_testing.conformance._harness.differences import brief
from runagent_testing.conformance._harness.styles import SyncClient, drive
from runagent_testing.conformance._harness.subject import AGENT, Subject
from runagent_testing.conformance._harness.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from runagent_testing._host.agent import Agent
    from runagent_testing._host.host import AgentHost
    from runagent_testing._journal.exchange import Exchange

__all__ = ["PATIENCE", "Shown", "Stage"]

PATIENCE = 5.0  # seconds that real sockets may take for something that is due at once
_NETWORKS = {"sync": "blocking", "asyncio": "aio", "trio": "trio"}
_VIRTUAL = Timeouts(connect=30, first_event=60, idle=60, total=3600)
_REAL = Timeouts(connect=PATIENCE, first_event=PATIENCE, idle=PATIENCE, total=3 * PATIENCE)


@dataclass
class Shown:
    """What a client delivered of a stream.

    Attributes:
        events: In order.
        error: The error that it raised; None if it completed.
        report: The stream's.
    """

    events: list[Any] = field(default_factory=list)
    error: BaseException | None = None
    report: Any = None

    @property
    def contents(self) -> list[Any]:
        """The chunks' contents."""
        return [event.content for event in self.events if isinstance(event, Chunk)]

    @property
    def completed(self) -> bool:
        """Whether the stream delivered Completed."""
        return any(isinstance(event, Completed) for event in self.events)

    def summarize(self) -> str:
        """Describe events and end in one line."""
        end = "a good end" if self.error is None else f"{type(self.error).__name__}: {self.error}"
        return f"{brief(self.contents)}, then {end}"


class Stage:
    """One style on one player; a context manager that serves the agents.

    Attributes:
        subject: The transport under test.
        style: "sync", "asyncio" or "trio".
        player: "memory" or "socket".
        host: The fake agents.
    """

    host: AgentHost

    def __init__(self, subject: Subject, style: str, player: str, *, api_key: str | None = None) -> None:
        self.subject = subject
        self._api_key = api_key
        self._open = ExitStack()
        self.style = style
        self.player = player

    @property
    def virtual(self) -> bool:
        """Whether time is virtual."""
        return self.player == "memory"

    @property
    def agent(self) -> Agent:
        """The agent that the clients run."""
        return self.host.agent(AGENT)

    def __enter__(self) -> Self:
        self._open.enter_context(self._hosted())
        return self

    def __exit__(self, *details: object) -> None:
        self._open.close()

    def perform(self, check: Callable[[Stage], Awaitable[None]]) -> None:
        """Run a check to its end, in a new event loop if the style has one."""
        if self.style == "sync":
            drive(check(self))
        elif self.style == "asyncio":
            self._perform_on_asyncio(check)
        else:
            self._perform_on_trio(check)

    def client(self, **options: Any) -> Any:
        """Make a client; it has the methods of `AsyncRunAgentClient` in every style."""
        given = {"base_url": self.host.url, "timeout": _VIRTUAL if self.virtual else _REAL} | options
        if self.virtual:
            given["network"] = getattr(self.host, _NETWORKS[self.style])
        client = self.subject.client(self.style, **given)
        return SyncClient(client) if self.style == "sync" else client

    async def show(self, stream: Any) -> Shown:
        """Read a stream to its end.

        Raises:
            Violation: It raised something other than a RunAgentError.
        """
        shown = Shown()
        try:
            async for event in stream.events():
                shown.events.append(event)
        except RunAgentError as exc:
            shown.error = exc
        except Exception as exc:
            raise Violation(f"the client raised {exc!r}, which is not a RunAgentError") from exc
        shown.report = stream.report
        return shown

    async def run(self, input_data: Any = "x", **options: Any) -> Shown:
        """Make a client, run the agent once, and read the stream to its end."""
        async with self.client(**options) as client:
            return await self.show(client.run_generic_stream(input_data))

    async def aside(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a blocking function without blocking the event loop, if there is one."""
        if self.style == "sync":
            return function(*arguments)
        if self.style == "asyncio":
            return await asyncio.to_thread(function, *arguments)
        import trio

        return await trio.to_thread.run_sync(function, *arguments)

    async def has_left(self, exchange: Exchange) -> bool:
        """Whether the agent sees that the client has disconnected."""
        if self.virtual:
            await self.settle()
            return exchange.outcome == "client disconnected" or exchange.client != "still reading"
        return bool(await self.aside(exchange.wait_disconnected, PATIENCE))

    async def settle(self) -> None:
        """Wait until cancelled tasks have ended."""
        if self.style == "asyncio":
            for _ in range(5):
                await asyncio.sleep(0)
        elif self.style == "trio":
            import trio.testing

            await trio.testing.wait_all_tasks_blocked()

    @contextmanager
    def _hosted(self) -> Iterator[None]:
        if self.virtual:
            self.host = self.subject.memory(self._api_key)
            yield
            return
        from runagent_testing._server.server import FakeAgentServer

        with FakeAgentServer(dialects=self.subject.dialects, api_key=self._api_key) as self.host:
            yield

    def _perform_on_asyncio(self, check: Callable[[Stage], Awaitable[None]]) -> None:
        from runagent_testing._memory import VirtualTimeLoop

        async def scenario() -> None:
            await check(self)
            for _ in range(200):  # cancelled tasks may clean up
                if not (left := asyncio.all_tasks() - {asyncio.current_task()}):
                    return
                await asyncio.sleep(0.01)
            raise Violation(f"tasks still run: {left!r}")

        with asyncio.Runner(loop_factory=VirtualTimeLoop if self.virtual else None) as runner:
            runner.run(scenario())

    def _perform_on_trio(self, check: Callable[[Stage], Awaitable[None]]) -> None:
        import trio
        import trio.testing

        trio.run(check, self, clock=trio.testing.MockClock(autojump_threshold=0) if self.virtual else None)
