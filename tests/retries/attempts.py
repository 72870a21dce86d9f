"""Runs against a peer that fails, and their results."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import RunAgentError
from tests.support.peer import Peer, http

if TYPE_CHECKING:
    from tests.support.styles import Style


DONE: tuple[str, Any] = ("done", {})
BUSY = http(503, {"error": {"message": "busy"}}, connection="close")


def chunk(index: int) -> tuple[str, Any]:
    return "chunk", {"content": f"{index} ", "index": index}


class Outcome:
    """The result of a run.

    Attributes:
        chunks: What was delivered before the end.
        error: How it ended, None for a good end.
        report: The run's report.
    """

    def __init__(self) -> None:
        self.chunks: list[Any] = []
        self.error: Any = None
        self.report: Any = None


def run(style: Style, peer: Peer | str, *, times: int = 1, **options: Any) -> Outcome:
    """Run an agent, several times if asked, and report the last run."""

    async def scenario() -> Outcome:
        url = peer if isinstance(peer, str) else peer.url
        client = style.client("a", base_url=url, **options)
        for _ in range(times):
            outcome = Outcome()
            stream = client.run_generic_stream("x")
            try:
                async for content in stream:
                    outcome.chunks.append(content)
            except RunAgentError as exc:
                outcome.error = exc
            outcome.report = stream.report
        return outcome

    found: Outcome = style.run(scenario)
    return found
