"""Runs that have to fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import RunAgentError

if TYPE_CHECKING:
    from tests.support.styles import Style

__all__ = ["failure"]


def failure(style: Style, *args: Any, input_data: Any = "x", mode: str = "stream", **options: Any) -> Any:
    """Run an agent and return the error that reaches the user.

    Args:
        style: How it is run.
        args: The agent.
        input_data: What it is asked.
        mode: "stream" or "invoke".
        options: For the client; failed attempts are not tried again unless they are set so.
    """

    async def scenario() -> RunAgentError:
        try:
            client = style.client(*args, **{"max_retries": 0} | options)
            if mode == "stream":
                await client.run_generic_stream(input_data).text()
            else:
                await client.run_generic(input_data)
        except RunAgentError as exc:
            return exc
        raise AssertionError("the run did not fail")

    return style.run(scenario)
