"""Where the time goes: the stages of a stream over SSE, each fed by itself with what the one before gives."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

from runagent._report import RunReport
from runagent._run.stream import Stream
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.sse import EventRow, SSEDecoder
from runagent.transports._rows import CHUNKS, decode_row
from tests.benchmarks.tables import Table
from tests.benchmarks.wires import answer
from tests.support.sessions import open_session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runagent._events import Event

__all__ = ["stages"]

_EVENTS = 10_000
_READ_BYTES = 64 * 1024
_REPEATS = 7


class _Ready:
    """A source whose events have all come."""

    def __init__(self, batches: list[list[Event]]) -> None:
        self._batches = iter(batches)

    def next_batch(self, until: object = None) -> list[Event] | None:
        return next(self._batches, None)

    def wait(self, seconds: float) -> list[Event] | None:
        return self.next_batch()

    def close(self) -> None:
        pass

    def drop(self) -> None:
        pass


def _spent(work: Callable[[Any], Any], pieces: Iterable[Any]) -> tuple[float, list[Any]]:
    began = time.process_time()
    made = [work(piece) for piece in pieces]
    return (time.process_time() - began) / _EVENTS * 1e6, made


def _measure(reads: list[bytes], head: bytes) -> list[float]:
    """Return the microseconds that an event costs in each stage."""
    response, session = ResponseDecoder(), open_session("sse")
    response.feed(head)
    framing, bodies = _spent(response.feed, reads)
    cutting, found = _spent(SSEDecoder().feed_rows, bodies)
    rows = [row for rows in found for row in rows if isinstance(row, EventRow)]
    decoding, _ = _spent(lambda row: decode_row(CHUNKS, row.lines, row.count), rows)
    session.data_to_send()
    session.receive_data(head)
    whole, batches = _spent(session.receive_data, reads)
    handing, _ = _spent(list, [Stream(_Ready(batches), RunReport())])
    return [framing, cutting, decoding, whole - framing - cutting - decoding, handing]


def stages(total: float) -> Table:
    """Make the table.

    Args:
        total: What an event of such a burst costs over a real connection, in microseconds.
    """
    burst = answer("sse", _EVENTS)
    data = b"".join(burst.events)
    reads = [data[at : at + _READ_BYTES] for at in range(0, len(data), _READ_BYTES)]
    measured = zip(*(_measure(reads, burst.head) for _ in range(_REPEATS)), strict=True)
    parts = [statistics.median(part) for part in measured]
    names = (
        "HTTP framing (llhttp, one callback for each chunk of the body)",
        "cutting events out of the body, in rows",
        "JSON (msgspec, one call for each row)",
        "making events of messages, the count of the chunks, the end",
        "handing events out, one by one",
    )
    table = Table("Where the time of an SSE burst goes, sync", ("stage", "us for an event"))
    table.rows += zip(names, parts, strict=True)
    table.rows.append(("the socket, the pump, the user's code", total - sum(parts)))
    return table
