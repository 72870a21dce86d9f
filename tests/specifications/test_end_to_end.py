"""A part of the HTTP and WebSocket cases over real sockets, through the public clients.

It is the part that depends on time and the socket: pauses, holds, resets, redirects, frames that
the client must answer; and every fifth of the others.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import Timeouts
from runagent._errors import RunAgentError
from tests.specifications.checks import check_http, check_websocket
from tests.specifications.loader import Case, http_cases, websocket_cases
from tests.specifications.outcomes import Outcome, http_outcome, websocket_outcome
from tests.specifications.peer import PAUSE, Player
from tests.specifications.replay import limits_of, options_of
from tests.specifications.sessions import RAW_BODY, RAW_WEBSOCKET, RawTransport
from tests.support.peer import Peer
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

IDLE_SECONDS = 0.5  # below what the heartbeats of a case take together, far above what one takes
FIRST_EVENT_SECONDS = 2.0  # far above what a case takes until its first event
LONG_SECONDS = 20.0  # the same for one of 200 000 frames


def _needs_sockets(case: Case) -> bool:
    steps = [step for steps in case["connections"] for step in steps]
    timed = {step for step, _ in steps} & {"pause", "hold", "reset"}
    answered = [argument for step, argument in steps if step == "wait" and not argument.get("optional")]
    return bool(timed or answered or len(case["connections"]) > 1 or "client" in case)


def _chosen(cases: list[Case]) -> dict[str, Case]:
    others = [case["id"] for case in cases if not _needs_sockets(case)][::5]
    return {case["id"]: case for case in cases if _needs_sockets(case) or case["id"] in others}


HTTP = _chosen(http_cases())
WEBSOCKET = _chosen(websocket_cases())


@pytest.fixture(params=["sync", "asyncio", "trio"])
def style(request: pytest.FixtureRequest) -> Style:
    return Style(request.param)


def play(case: Case, transport: RawTransport, style: Style) -> Outcome:
    """Run a case and return what it came to, without a name for it."""
    outcome = Outcome()
    player = Player(case, outcome)
    first_event = LONG_SECONDS if "length" in case.get("tags", ()) else FIRST_EVENT_SECONDS
    with Peer(*player.acts) as peer:

        async def scenario() -> None:
            async with style.client(
                "agent",
                base_url=peer.url,
                transport=transport,
                transport_options=options_of(case) | limits_of(case),
                timeout=Timeouts(connect=5, first_event=first_event, idle=IDLE_SECONDS),
                max_retries=0,
            ) as client:
                await _read(client.run_generic_stream("?"), case, player, outcome, _SLEEP[style.name])

        style.run(scenario)
    return outcome


async def _read(
    stream: Any, case: Case, player: Player, outcome: Outcome, sleep: Callable[[float], Awaitable[None]]
) -> None:
    behaviour = case.get("client", {})
    try:
        async for content in stream:
            outcome.contents.append(content)
            player.delivered(sum(map(len, outcome.contents)))
            if len(outcome.contents) == behaviour.get("close_after"):
                await stream.aclose()
            if len(outcome.contents) == behaviour.get("stop_reading_after"):
                await sleep(behaviour["for_ms"] * PAUSE)
    except RunAgentError as exc:
        outcome.error = exc
    outcome.status = stream.report.status


async def _block(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - this is how synchronous code waits


_SLEEP: dict[str, Callable[[float], Awaitable[None]]] = {
    "sync": _block,
    "asyncio": asyncio.sleep,
    "trio": trio.sleep,
}


@pytest.mark.parametrize("name", HTTP)
def test_an_exchange_over_sockets(name: str, style: Style) -> None:
    outcome = play(HTTP[name], RAW_BODY, style)
    outcome.word = http_outcome(outcome.error)
    check_http(HTTP[name], outcome)


@pytest.mark.parametrize("name", WEBSOCKET)
def test_a_websocket_over_sockets(name: str, style: Style) -> None:
    case = WEBSOCKET[name]
    outcome = play(case, RAW_WEBSOCKET, style)
    if "close_after" in case.get("client", {}):
        assert outcome.error is None
        assert outcome.close_code_sent == 1000
        assert case["expect"]["messages"] == outcome.contents
    else:
        outcome.word = websocket_outcome(outcome.error, outcome.status)
        check_websocket(case, outcome)
