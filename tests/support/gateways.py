"""A gateway between a fake agent and a browser, all on virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent.relay import relay
from tests.runagent_testing.virtual import STYLES, Virtual
from tests.support.browsers import Browser, Page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from runagent.relay._core import RelayFormat
    from runagent_testing import Agent, Exchange

__all__ = ["FORMATS", "GATEWAYS", "Gateway"]

FORMATS: tuple[RelayFormat, ...] = ("sse", "ndjson", "websocket")
GATEWAYS = [
    (s, f) for s in STYLES for f in FORMATS if (s, f) != ("sync", "websocket")
]  # WSGI has no WebSockets


class Gateway:
    """A gateway of one style that relays in one format.

    Attributes:
        agent: The fake agent.
        format: The format.
        received: For each write to the last browser, how many bytes had come from the agent by then.
    """

    def __init__(self, style: str, format: RelayFormat) -> None:
        self.format = format
        self.received: list[int] = []
        self._virtual = Virtual(style)
        self.agent: Agent = self._virtual.memory.agent("a")

    @property
    def style(self) -> str:
        return self._virtual.style

    @property
    def network(self) -> Any:
        """The network of the client, which has the time."""
        return self._virtual.network

    @property
    def requests(self) -> list[Exchange]:
        """What the agent was asked."""
        return self._virtual.memory.requests

    @property
    def is_websocket(self) -> bool:
        return self.format == "websocket"

    def visit(
        self,
        *,
        transport: str = "sse",
        client: Mapping[str, Any] | None = None,
        call: Mapping[str, Any] | None = None,
        browser: Mapping[str, Any] | None = None,
        stopping: str = "",
        before: Callable[[Any], Awaitable[object]] | None = None,
        **options: Any,
    ) -> Page:
        """Have a browser ask the agent, and return what it is sent.

        Args:
            transport: Of the client.
            client: Its other options; it makes no retries by default.
            call: The options of the run.
            browser: Those of the browser.
            stopping: The method of the stream that the application calls after the first write.
            before: What the application does with the stream before it makes the relay.
            **options: Those of the relay.
        """

        received = self.received = list[int]()

        async def scenario(stream: Any) -> Page:
            if before is not None:
                await before(stream)
            answer = self.relay(stream, **options)
            visitor = self.browser(**(browser or {}))

            async def after_write(number: int) -> None:
                received.append(stream.report.bytes_received)
                if stopping and number == 1:
                    await getattr(stream, stopping)()

            visitor.after_write = after_write
            return await visitor.visit(answer)

        page: Page = self.run(scenario, transport=transport, client=client, call=call)
        return page

    def relay(self, stream: Any, **options: Any) -> Any:
        """Make the relay of a stream."""
        return relay(getattr(stream, "stream", stream), format=self.format, **options)

    def browser(self, **options: Any) -> Browser:
        """Make a browser that asks relays."""
        return Browser(self._virtual, **options)

    def run(
        self,
        scenario: Callable[[Any], Awaitable[Any]],
        *,
        transport: str = "sse",
        client: Mapping[str, Any] | None = None,
        call: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run a scenario, which gets a stream that has not begun, and return what it returns; see `visit`."""

        async def with_stream() -> Any:
            agent = self._virtual.client(transport, **{"max_retries": 0, **(client or {})})
            return await scenario(agent.run_generic_stream("q", **(call or {})))

        return self._virtual.run(with_stream)
