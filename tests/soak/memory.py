"""How much memory a client takes for a flood, and for an agent that it makes wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from runagent import RunAgentError
from tests.soak.floods import MAX_EVENT, Flood, find_flood
from tests.soak.measure import MIB, peak_of_memory
from tests.support.styles import Style

if TYPE_CHECKING:
    from tests.soak.process import Served

__all__ = ["Seen", "TooMuch", "flood", "pause"]

MAX_IN_FLIGHT = 16 * MIB  # two kernels' buffers at their largest, and ours
_ALLOCATOR = 4 * MIB  # what it may keep for itself, as seen from outside
_PATIENCE = 120.0  # seconds


class TooMuch(AssertionError):
    """More was held than may be."""


@dataclass(frozen=True)
class Seen:
    """What a client has shown of a flood.

    Attributes:
        sent: Bytes that the server got rid of.
        growth: The highest growth of the client's memory, in bytes.
        outcome: How the run ended: "ok", or the name of an error.
        chunks: How many chunks there were.
    """

    sent: int
    growth: int
    outcome: str
    chunks: int

    def __str__(self) -> str:
        return (
            f"{self.outcome} after {self.sent / MIB:.1f} MiB and {self.chunks} chunks;"
            f" memory {self.growth / MIB:+.1f} MiB"
        )


def flood(
    server: Served, style: str, transport: str, kind: str, size: int, *, exactly: bool, timeout: float = 60
) -> Seen:
    """Let a flood of so many bytes come over a client, and count.

    Raises:
        TooMuch: The memory went past the flood's bound.
        AssertionError: The run ended as it must not.
    """
    expected = find_flood(kind, transport)
    timeout = timeout if expected.drained else 0.5

    async def scenario() -> tuple[str, int]:
        async with _client(server, style, transport, timeout) as client:
            stream, chunks = _stream(client, expected, size), 0
            try:
                async for _ in stream:
                    chunks += 1
            except RunAgentError as exc:
                return type(exc).__name__, chunks
            return "ok", chunks

    _warm_up(server, style, transport)
    with peak_of_memory(exactly=exactly) as peak:
        outcome, chunks = Style(style, debug=False).run(scenario)
    seen = Seen(server.ask("sent"), peak.growth, outcome, chunks)
    assert expected.outcome == outcome, f"{expected}: {seen}"
    if seen.growth > expected.bound + (0 if exactly else _ALLOCATOR):
        raise TooMuch(f"{expected}: {seen}")
    return seen


def pause(
    server: Served, style: str, transport: str, size: int, *, read_ahead: int = 0, exactly: bool
) -> Seen:
    """Read one chunk of a flood of tiny events and then nothing, until the server gets rid of nothing more.

    Raises:
        TooMuch: The server got rid of more than fits into the buffers on the way, or the client's
            memory grew by more than what it may read ahead.
    """
    expected = find_flood("tiny events", transport)

    def stand_still() -> int:
        deadline = time.monotonic() + _PATIENCE
        while not server.ask("blocked"):
            assert time.monotonic() < deadline, "the server never had to wait"
            time.sleep(0.02)
        return int(server.ask("sent"))

    async def scenario() -> int:
        async with (
            _client(server, style, transport, 60, read_ahead) as client,
            _stream(client, expected, size) as stream,
        ):
            await anext(stream)
            sent: int = await Style(style).in_thread(stand_still)
        await Style(style).settle()
        return sent

    _warm_up(server, style, transport)
    with peak_of_memory(exactly=exactly) as peak:
        sent = Style(style, debug=False).run(scenario)
    seen = Seen(sent, peak.growth, "ok", 1)
    # An event of forty bytes becomes an object of some hundred.
    if sent > MAX_IN_FLIGHT + 2 * read_ahead or seen.growth > 4 * MIB + 12 * read_ahead:
        raise TooMuch(f"a pause over {transport}: {seen}")
    return seen


def _client(server: Served, style: str, transport: str, timeout: float, read_ahead: int = 0) -> Any:
    options = {"max_event_bytes": MAX_EVENT} | ({"read_ahead_bytes": read_ahead} if read_ahead else {})
    return Style(style).client(
        "a",
        base_url=server.url,
        transport=transport,
        timeout=timeout,
        resume=False,
        transport_options=options,
    )


def _stream(client: Any, expected: Flood, size: int) -> Any:
    return client.run_generic_stream(
        {"flood": expected.kind, "transport": expected.transport, "size": size, "padding": "x" * 200}
    )


def _warm_up(server: Served, style: str, transport: str) -> None:
    """Import what a run imports, and fill what it keeps for the next ones."""

    async def scenario() -> None:
        async with _client(server, style, transport, 60) as client:
            async for _ in _stream(client, find_flood("tiny events", transport), 1):
                pass

    Style(style, debug=False).run(scenario)
