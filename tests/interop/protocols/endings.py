"""What a caller sees of a stream that ends badly, over each protocol, by its official client and by ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import RunAgentClient, RunAgentError, Timeouts
from runagent_testing import ending
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing import FakeAgentServer

__all__ = ["GOOD", "documented", "table"]

PAGE = ROOT / "docs/reliability.md"
# In the order of the page's columns.
ENDINGS = {
    "clean end, no marker": ending("no-done"),
    "FIN": ending("cut"),
    "RST": ending("reset"),
    "half an event": ending("fin-in-chunk"),
    "silence": ending("stall"),
}
GOOD = "good end"


def table(
    agents: FakeAgentServer, transport: str, path: str, official: Callable[[str], str]
) -> dict[str, list[str]]:
    """Meet each ending, once by the official client of a protocol and once by ours.

    Args:
        agents: Whose agent ``ending`` meets them.
        transport: The protocol's transport.
        path: Where the fake agent has this protocol.
        official: Reads the stream of a URL; returns what its caller sees, `GOOD` or another word.
    """
    url = f"{agents.url}{path}"
    agent = agents.agent("ending")
    for step in ENDINGS.values():
        agent.reply("Once", step)
    theirs = [official(url) for _ in ENDINGS]
    for step in ENDINGS.values():
        agent.reply("Once", step)
    return {"official": theirs, "runagent": [_seen_by_us(transport, url) for _ in ENDINGS]}


def _seen_by_us(transport: str, url: str) -> str:
    options: dict[str, Any] = {"max_retries": 0, "resume": False, "timeout": Timeouts(idle=0.5)}
    with RunAgentClient("ending", base_url=url, transport=transport, **options) as client:
        try:
            client.run_generic_stream("hi").text()
        except RunAgentError as exc:
            return type(exc).__name__
    return GOOD


def documented(transport: str) -> dict[str, list[str]]:
    """Return the rows of the page about a protocol: official client and ours."""
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text(encoding="utf-8").splitlines()]
    rows = [cells for cells in lines if cells[0] == f"`{transport}`"]
    assert len(rows) == 2, f"{PAGE.name} has {len(rows)} rows about {transport}"
    return {"official": rows[0][2:], "runagent": [cell.strip("`") for cell in rows[1][2:]]}
