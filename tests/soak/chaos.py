"""Chaos: streams over a path on which things go wrong, each of which has to arrive whole all the same."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from runagent import Chunk, Completed, Timeouts
from tests.soak.crowd import crowd
from tests.soak.faulty_path import CHUNKS, serve_faulty_path
from tests.soak.process import served
from tests.support.styles import Style

__all__ = ["Chaos", "chaos"]

AT_ONCE = {"sync": 16}  # threads; elsewhere so many tasks:
TASKS = 100
RETRIES = 200  # one request of five or so gets no chunk at all: nobody has such bad luck so often in a row


@dataclass(frozen=True)
class Chaos:
    """What a run of the chaos has seen.

    Attributes:
        streams: All of which arrived whole.
        attempts: Of all streams together.
        resumed: How many streams went on where they had broken, at least once.
        faults: What the path did to how many requests.
    """

    streams: int
    attempts: int
    resumed: int
    faults: dict[str, int]

    def __str__(self) -> str:
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(self.faults.items()) if kind != "none")
        return f"{self.attempts} attempts, {self.resumed} streams resumed; {faults}"


def chaos(style: str, transport: str, streams: int, seed: int, *, idle: float = 1.0) -> Chaos:
    """Read so many streams of 200 chunks each.

    Args:
        style: As `Style` knows it.
        transport: One that can resume.
        streams: How many.
        seed: Of the faults.
        idle: Seconds of silence after which a stream is given up; only what falls silent behind a
            chunk is meant to be.

    Raises:
        AssertionError: A chunk was lost, repeated, invented or out of order; it names stream and seed.
        RunAgentError: A stream did not arrive.
    """
    attempts: list[int] = []
    with served(serve_faulty_path, seed) as path:
        client = Style(style).client(
            "a",
            base_url=path.url,
            transport=transport,
            timeout=Timeouts(idle=idle),
            retry_unsafe=True,
            max_retries=RETRIES,
            max_resumes=CHUNKS,
            max_retry_wait=0.02,
            retry_delay=0.005,
            retry_backoff=1.0,
        )

        async def read(number: int) -> None:
            stream = client.run_generic_stream({"query": str(number)})
            events = await _events(stream, number, seed)
            expected = [f"{number}:{place}" for place in range(CHUNKS)]
            contents = [event.content for event in events if isinstance(event, Chunk)]
            assert expected == contents, f"stream {number}, seed {seed}"
            assert [event for event in events if isinstance(event, Completed)] == events[-1:], (number, seed)
            assert stream.report.chunks == CHUNKS
            attempts.append(len(stream.report.attempts))

        scenario = crowd(style, streams, min(AT_ONCE.get(style, TASKS), streams), read)

        async def all_of_them() -> None:
            try:
                await scenario()
            finally:
                await client.aclose()

        Style(style, debug=False).run(all_of_them)
        faults, resumed = path.ask("figures")
    assert len(attempts) == streams
    return Chaos(streams, sum(attempts), resumed, faults)


async def _events(stream: Any, number: int, seed: int) -> list[Any]:
    events = []
    try:
        async for event in stream.events():
            events.append(event)  # noqa: PERF401  # seen by who debugs a failure
    except BaseException as exc:
        exc.add_note(f"stream {number}, seed {seed}, after {len(events)} events: {stream.report.attempts}")
        raise
    return events


if __name__ == "__main__":  # python -m tests.soak.chaos asyncio sse 2000 SEED
    sys.stdout.write(f"{chaos(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))}\n")
