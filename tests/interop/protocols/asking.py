"""One run of an agent over a protocol, in any style, for tests to look at its events and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import RunAgentError

if TYPE_CHECKING:
    from tests.support.styles import Style

__all__ = ["ask_over"]


def ask_over(transport: str, style: Style, url: str, input: Any, **options: str) -> tuple[list[Any], Any]:
    """Run the agent of a URL once; ``options`` are the transport's.

    Returns:
        The events between the begin and the end of the run, and its stream; or its error, if it has failed.
    """

    async def scenario() -> tuple[list[Any], Any]:
        events: list[Any] = []
        named: dict[str, Any] = {"transport": transport, "transport_options": options, "max_retries": 0}
        async with style.client("agent", base_url=url, **named) as client:
            stream = client.run_generic_stream(input)
            try:
                async for event in stream.events():
                    events.append(event)  # noqa: PERF401 - what comes before an error stays
            except RunAgentError as exc:
                return events[1:], exc
        return events[1:-1], stream

    seen: tuple[list[Any], Any] = style.run(scenario)
    return seen
