"""Peers that never pause: every limit of time holds against them, in every style and over every transport."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING, Any, cast

import pytest

from runagent import RunTimeoutError, StreamTimeoutError, Timeouts
from tests.support.peer import Peer, PeerConnection, http_chunk, message, sse, upgrade

if TYPE_CHECKING:
    from tests.support.styles import Style

LIMIT = 0.1
LIMIT_WITH_CHUNKS = 0.4  # within which the first chunk comes on a busy machine, too
PLENTY = 30.0
IN_TIME = 4.0  # on a busy machine; without the limit a run goes on until the peer is stopped
LONG = 10.0

_SSE = "text/event-stream"
_NDJSON = "application/x-ndjson"


def event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def line(value: Any) -> bytes:
    return json.dumps(value).encode() + b"\n"


# What may be repeated for ever without an event in it.
FLOODS: dict[tuple[str, str], bytes] = {
    ("sse", "comments"): b": still here\n\n",
    ("sse", "unknown events"): event("mood", {"content": "x"}),
    ("sse", "line ends"): b"\n",
    ("chunked", "blank lines"): b"\n",
    ("chunked", "unknown messages"): line({"type": "mood"}),
    ("websocket", "pings"): b"\x89\x00",
    ("websocket", "pongs"): b"\x8a\x01x",
    ("websocket", "unknown messages"): message({"type": "mood"}),
}
CHUNK = {
    "sse": event("chunk", {"content": "x"}),
    "chunked": line({"type": "chunk", "content": "x"}),
    "websocket": message({"type": "chunk", "content": "x"}),
}


class Flood:
    """An act that answers with a beginning, and then sends the same bytes until the client disconnects."""

    def __init__(self, transport: str, begin: bytes, flood: bytes) -> None:
        self._transport = transport
        self._begin = begin
        self._flood = flood * (8192 // len(flood) + 1)

    def __call__(self, connection: PeerConnection) -> None:
        with contextlib.suppress(OSError):
            if self._transport == "websocket":
                upgrade(self._begin)(cast("PeerConnection", _Lasting(connection)))
            else:
                connection.read_request()
                kind = _SSE if self._transport == "sse" else _NDJSON
                head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
                connection.send(head.encode() + (http_chunk(self._begin) if self._begin else b""))
            self._go_on(connection)

    def _go_on(self, connection: PeerConnection) -> None:
        piece = self._flood if self._transport == "websocket" else http_chunk(self._flood)
        until = time.monotonic() + LONG
        while time.monotonic() < until:
            connection.send(piece)


class _Lasting:
    """A connection that `upgrade` does not wait on."""

    def __init__(self, connection: PeerConnection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def wait_gone(self) -> None:
        """Go on at once."""


async def collect(stream: Any, received: list[Any]) -> None:
    async for chunk in stream:
        received.append(chunk)  # noqa: PERF401 - what came before the error counts


def read_to_the_limit(style: Style, peer: Peer, transport: str, **limits: float) -> tuple[int, Any, float]:
    """Return how many chunks came, the error, and how long it took."""

    async def scenario() -> tuple[int, Any, float]:
        timeouts = Timeouts(**{"connect": PLENTY, "first_event": PLENTY, "idle": PLENTY} | limits)
        client = style.client("a", base_url=peer.url, transport=transport, timeout=timeouts, resume=False)
        received: list[Any] = []
        stream, began = client.run_generic_stream("x"), time.monotonic()
        with pytest.raises(RunTimeoutError) as caught:
            await collect(stream, received)
        return len(received), caught.value, time.monotonic() - began

    found: tuple[int, Any, float] = style.run(scenario)
    return found


@pytest.mark.parametrize(("transport", "kind"), FLOODS, ids=" ".join)
@pytest.mark.parametrize("limit", ["first_event", "progress", "total", "total before an event"])
def test_a_peer_that_never_pauses_is_given_up_in_time(
    style: Style, transport: str, kind: str, limit: str
) -> None:
    begun = limit in ("progress", "total")
    phase = limit.split()[0]
    flood = Flood(transport, CHUNK[transport] if begun else b"", FLOODS[transport, kind])
    with Peer(flood) as peer:
        count, error, seconds = read_to_the_limit(style, peer, transport, **{phase: LIMIT})
    assert (int(begun), phase) == (count, error.phase)
    assert begun == isinstance(error, StreamTimeoutError)
    assert LIMIT * 0.9 <= seconds < IN_TIME


def test_nor_does_a_flood_of_chunks_outlast_the_whole_time(style: Style, transport: str) -> None:
    with Peer(Flood(transport, b"", CHUNK[transport])) as peer:
        count, error, seconds = read_to_the_limit(style, peer, transport, total=LIMIT_WITH_CHUNKS)
    assert (count, "total") == (error.chunks_received, error.phase)
    assert count > 0
    assert LIMIT_WITH_CHUNKS * 0.9 <= seconds < IN_TIME


def test_what_the_last_read_brings_is_handed_out_and_its_end_is_good(style: Style) -> None:
    whole = sse(("chunk", {"content": "a"}), ("chunk", {"content": "b"}), ("done", {}))
    cut = whole.index(b"event: chunk", whole.index(b"event: chunk") + 1) - 4

    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(whole[:cut])
        connection.send(whole[cut:])
        connection.wait_gone()

    async def scenario() -> list[Any]:
        client = style.client("a", base_url=peer.url, timeout=Timeouts(total=LIMIT))
        stream = client.run_generic_stream("x")
        first = [await anext(stream)]
        await style.in_thread(time.sleep, LIMIT)  # the reader is late, not the agent
        return first + [chunk async for chunk in stream]

    with Peer(act) as peer:
        assert ["a", "b"] == style.run(scenario)
