"""``stream.cancel()`` asks the service to stop a run that outlives its stream, and closes the stream."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, NetworkError, RunAgentClient, RunTimeoutError, StreamError
from runagent.transports import Capability, HttpRequest, Step
from tests.support.lasting import (
    TEXTS,
    Lasting,
    Service,
    StopSession,
    begun,
    cancels,
    client_of,
    serving,
    wait_for_end,
    wait_for_lines,
)
from tests.support.peer import http

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import AgentCall, HttpSession, Route, StepAnswer
    from tests.support.peer import Peer
    from tests.support.styles import Style

AHEAD = pytest.mark.parametrize("ahead", [{}, {"read_ahead_bytes": 1 << 20}], ids=["", "ahead"])


@AHEAD
@pytest.mark.parametrize("answer", [http(200, {"stopped": True}), http(202), b"HTTP/1.1 204 x\r\n\r\n"])
def test_a_confirmed_stop(
    style: Style, answer: bytes, ahead: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(peer: Peer) -> Any:
        async with client_of(style, peer, api_key="key-of-a-caller", transport_options=ahead) as client:
            stream = await begun(client)
            assert await stream.cancel() is True
            await style.settle()
            return stream

    caplog.set_level(logging.INFO, "runagent.run")
    with serving(Service(*TEXTS, pause=1, stop=answer)) as peer:
        stream = style.run(lambda: scenario(peer))
    wait_for_end(stream.report)
    assert "closed" == stream.report.outcome
    assert ["POST /runs/r%2F1/cancel HTTP/1.1"] == cancels(peer)
    run, stop = peer.requests
    assert run.headers["authorization"] == stop.headers["authorization"]
    assert run.headers["idempotency-key"] != stop.headers["idempotency-key"]
    assert stream.report.error is None
    assert 1 == len(wait_for_lines(caplog))


class _StopInTwoSteps(StopSession):
    """Asks for the state of the run first."""

    def before(self) -> Generator[Step, StepAnswer]:
        assert self.call.attach_to is not None
        path = f"/runs/{self.call.attach_to.quoted('run')}/state"
        answer = yield Step(HttpRequest("POST", path, self.call.request_headers(accept="*/*")))
        assert 200 == answer.status


def test_a_stop_of_two_requests(style: Style) -> None:
    class Stepping(Lasting):
        def open_cancel(self, call: AgentCall, route: Route) -> HttpSession:
            return _StopInTwoSteps(call, route, None)

    async def scenario(peer: Peer) -> bool:
        async with client_of(style, peer, transport=Stepping()) as client:
            confirmed: bool = await (await begun(client)).cancel()
            return confirmed

    with serving(Service(*TEXTS, pause=1)) as peer:
        assert style.run(lambda: scenario(peer)) is True
    assert ["/runs", "/runs/r%2F1/state", "/runs/r%2F1/cancel"] == [r.target for r in peer.requests]


def test_an_attached_stream_that_was_not_read(style: Style) -> None:
    async def scenario(peer: Peer) -> bool:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            await stream.aclose()
            confirmed: bool = await client.attach(stream.handle).cancel()
            return confirmed

    with serving(Service(*TEXTS, pause=1)) as peer:
        assert style.run(lambda: scenario(peer)) is True
    assert 1 == len(cancels(peer))


def test_the_run_of_a_closed_stream_can_be_stopped(style: Style) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            await stream.aclose()
            assert await stream.cancel() is True

    with serving(Service(*TEXTS, pause=3)) as peer:
        style.run(lambda: scenario(peer))
    assert 1 == len(cancels(peer))


def test_the_run_of_a_broken_stream_can_be_stopped(style: Style) -> None:
    async def scenario(peer: Peer) -> str:
        async with client_of(style, peer, max_resumes=0) as client:
            stream = client.run_generic_stream("x")
            with pytest.raises(StreamError):
                await stream.text()
            assert await stream.cancel() is True
            outcome: str = stream.report.outcome
            return outcome

    with serving(Service(*TEXTS, cut=2)) as peer:
        assert "failed" == style.run(lambda: scenario(peer))
    assert 1 == len(cancels(peer))


@pytest.mark.parametrize("status", [404, 409, 410])
def test_a_run_that_the_service_calls_over(style: Style, status: int) -> None:
    async def scenario(peer: Peer) -> bool:
        async with client_of(style, peer) as client:
            confirmed: bool = await (await begun(client)).cancel()
            return confirmed

    with serving(Service(*TEXTS, pause=1, stop=http(status, {"error": "over"}))) as peer:
        assert style.run(lambda: scenario(peer)) is False


def test_what_has_not_begun_or_is_over_sends_nothing(style: Style) -> None:
    async def scenario(peer: Peer) -> None:
        async with client_of(style, peer) as client:
            assert await client.run_generic_stream("x").cancel() is False
            assert [] == peer.requests
            stream = client.run_generic_stream("x")
            assert "abcd" == await stream.text()
            assert await stream.cancel() is False
            assert "completed" == stream.report.outcome

    with serving(Service(*TEXTS)) as peer:
        style.run(lambda: scenario(peer))
    assert [] == cancels(peer)


def test_a_protocol_that_cannot_be_asked_only_closes(style: Style) -> None:
    async def scenario(peer: Peer) -> str:
        async with client_of(style, peer, transport=Lasting(Capability.CANCEL)) as client:
            stream = await begun(client)
            assert await stream.cancel() is False
            outcome: str = stream.report.outcome
            return outcome

    with serving(Service(*TEXTS, pause=1)) as peer:
        assert "closed" == style.run(lambda: scenario(peer))
    assert [] == cancels(peer)


def test_a_refused_stop_is_raised_and_the_stream_is_closed(style: Style) -> None:
    async def scenario(peer: Peer) -> Any:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            with pytest.raises(AgentServerError, match="may go on") as caught:
                await stream.cancel()
            return stream.report, caught.value

    with serving(Service(*TEXTS, pause=1, stop=http(503, {"error": "busy"}))) as peer:
        report, error = style.run(lambda: scenario(peer))
    assert "closed" == report.outcome
    assert report.run_id == error.run_id
    assert error.report is report
    assert 1 == len(cancels(peer))


def test_a_stop_that_is_not_answered_ends_after_its_limit(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    from runagent import Timeouts
    from runagent._run import cancelling

    assert 5.0 == cancelling._TIMEOUTS.total
    monkeypatch.setattr(
        cancelling, "_TIMEOUTS", Timeouts(connect=0.2, first_event=None, idle=None, total=0.2)
    )

    async def scenario(peer: Peer) -> Any:
        async with client_of(style, peer) as client:
            stream = await begun(client)
            with pytest.raises(RunTimeoutError):
                await stream.cancel()
            return stream.report

    with serving(Service(*TEXTS, pause=1, stop=None)) as peer:
        assert "closed" == style.run(lambda: scenario(peer)).outcome


def test_a_service_that_is_no_longer_there(style: Style) -> None:
    with serving(Service(*TEXTS, pause=1)) as peer:
        stream = RunAgentClient("a", base_url=peer.url, transport=Lasting()).run_generic_stream("x")
        next(stream)
        handle = stream.handle
        stream.close()

    async def scenario() -> None:
        async with client_of(style, peer) as client:
            with pytest.raises(NetworkError, match="may go on"):
                await client.attach(handle).cancel()

    style.run(scenario)
