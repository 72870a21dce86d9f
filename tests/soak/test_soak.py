"""The long runs in short; `make soak` has them whole."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from tests.soak.chaos import chaos
from tests.soak.floods import BOMBS, FLOODS, Flood, find_flood, flood_server
from tests.soak.insistence import PEERS, insist
from tests.soak.load import many_at_once, one_after_another
from tests.soak.measure import MIB
from tests.soak.memory import TooMuch, flood, pause
from tests.support.tracing import SLOWDOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.soak.process import Served

STYLES = ("sync", "asyncio", "trio")
EVERY_FLOOD = [*FLOODS, *(find_flood("a gzip bomb", transport) for transport in BOMBS)]
SILENCE = 3.0  # seconds: a busy machine itself is silent for more than 0.5
FRAMES = 40_000  # of a WebSocket's flood
BYTES = MIB // 2  # of another one


@pytest.mark.parametrize(("style", "transport"), [("sync", "sse"), ("asyncio", "chunked"), ("trio", "sse")])
def test_every_stream_arrives_whole_over_a_faulty_path(style: str, transport: str) -> None:
    seed = random.randrange(1 << 32)
    seen = chaos(style, transport, 30, seed, idle=SILENCE * SLOWDOWN)
    assert seen.attempts > 30, f"nothing went wrong, seed {seed}"
    assert seen.resumed > 0, f"nothing was resumed, seed {seed}"


@pytest.mark.parametrize("style", STYLES)
def test_nothing_grows_with_the_number_of_runs(style: str) -> None:
    one_after_another(style, 1000).check()


@pytest.mark.parametrize(
    ("style", "transport"), [("sync", "sse"), ("asyncio", "websocket"), ("trio", "chunked")]
)
def test_many_streams_at_once_leave_nothing(style: str, transport: str) -> None:
    many_at_once(style, transport, 120, waves=2).check()


@pytest.mark.parametrize(("kind", "style"), [(kind, STYLES[n % 3]) for n, kind in enumerate(PEERS)])
def test_a_peer_that_breaks_every_run_is_not_asked_without_end(kind: str, style: str) -> None:
    insist(style, kind, 10)


@pytest.fixture(scope="module")
def floods() -> Iterator[Served]:
    with flood_server() as server:
        yield server


# One style for each: how bytes become events is the same for all of them.
@pytest.mark.parametrize(
    ("wanted", "style"), [(wanted, STYLES[n % 3]) for n, wanted in enumerate(EVERY_FLOOD)], ids=str
)
def test_memory_stays_flat_under(wanted: Flood, style: str, floods: Served) -> None:
    if wanted.transport == "websocket":  # which takes many times as long where each allocation is counted
        size = FRAMES * len(wanted.block)
        flood(floods, style, wanted.transport, wanted.kind, size, exactly=False)
        return
    try:
        flood(floods, style, wanted.transport, wanted.kind, BYTES, exactly=True)
    except TooMuch:
        # Once, a large table of the test process, such as that of interned strings, may grow meanwhile.
        flood(floods, style, wanted.transport, wanted.kind, BYTES, exactly=True)


@pytest.mark.parametrize("read_ahead", [0, MIB // 4])
@pytest.mark.parametrize("style", STYLES)
def test_a_reader_that_pauses_makes_the_agent_wait(style: str, read_ahead: int, floods: Served) -> None:
    transport = ("sse", "chunked", "websocket")[STYLES.index(style)]
    pause(floods, style, transport, 64 * MIB, read_ahead=read_ahead, exactly=False)


def test_what_keeps_everything_is_found_out(floods: Served, monkeypatch: Any) -> None:
    kept: list[bytes] = []
    monkeypatch.setattr("runagent._run.run.Run.received", _keeping(kept))
    with pytest.raises(TooMuch):
        flood(floods, "sync", "chunked", "heartbeats", 4 * MIB, exactly=True)


def _keeping(kept: list[bytes]) -> Any:
    from runagent._run.run import Run

    received = Run.received

    def keep(run: Run, data: bytes, start: float, end: float) -> bytes:
        kept.append(bytes(bytearray(data)))
        return received(run, data, start, end)

    return keep
