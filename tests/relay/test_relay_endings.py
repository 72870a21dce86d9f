"""What a browser is sent, however a run ends, and when the agent is free."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import delay, ending, error, head, heartbeat, status

if TYPE_CHECKING:
    from tests.support.browsers import Page
    from tests.support.gateways import Gateway

SECRETS = ("db-7.internal", "Traceback", "memory.example", "Error", "agent failed")
READ_BYTES = 64 * 1024
CLOSE_CODES = {"done": 1000, "error": 1011}


def check(gateway: Gateway, page: Page, last: str, **fields: Any) -> None:
    """Check the last event, how a WebSocket is closed, and that no internal word was sent."""
    kind, found = page.last
    assert (kind, found | fields) == (last, found)
    assert sum(kind in CLOSE_CODES for kind in page.kinds) == 1
    if gateway.is_websocket:
        assert page.close_code == CLOSE_CODES[last]
    if gateway.format == "sse":
        assert page.events[-1][2] == "end"
    check_neutral(page)


def check_neutral(page: Page) -> None:
    assert [] == [word for word in SECRETS if word in page.body.decode() + repr(page.headers)]


def test_a_good_end(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once", " upon", {"a": [1]}, None)
    page = gateway.visit(transport=transport)
    assert page.status == (101 if gateway.is_websocket else 200)
    assert ["Once", " upon", {"a": [1]}, None] == page.contents
    check(gateway, page, "done")


def test_a_refusal(gateway: Gateway, transport: str) -> None:
    gateway.agent.always(status(429, message="db-7.internal is full", code="DB7", retry_after=2.5))
    page = gateway.visit(transport=transport)
    if gateway.is_websocket:
        check(gateway, page, "error", code="RATE_LIMITED", retry_after=2.5)
        assert ["error"] == page.kinds
    else:
        assert (429, "3", "application/json") == (
            page.status,
            page.headers["retry-after"],
            page.headers["content-type"],
        )
    check_neutral(page)


def test_an_error_in_the_middle(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once", error("DB7", "db-7.internal: the agent failed"))
    page = gateway.visit(transport=transport)
    assert ["Once"] == page.contents
    check(gateway, page, "error", code="BAD_GATEWAY", error="The agent could not answer.")


def test_a_cut(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once", ending("cut"))
    page = gateway.visit(transport=transport, client={"max_resumes": 0})
    assert ["Once"] == page.contents
    check(gateway, page, "error", code="BAD_GATEWAY")


def test_an_agent_that_falls_silent_for_too_long(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once", ending("stall"))
    page = gateway.visit(transport=transport, client={"timeout": 20, "max_resumes": 0})
    check(gateway, page, "error", code="GATEWAY_TIMEOUT")


def test_a_browser_that_leaves_a_silent_agent(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once", ending("stall"))
    page = gateway.visit(transport=transport, browser={"leaves_after": 20}, heartbeat=15)
    assert ["Once"] == page.contents
    assert not {"done", "error"} & {*page.kinds}
    # Under WSGI the write at 30 s still succeeds, and the one at 45 s fails.
    freed = 45 if gateway.style == "sync" else 20
    (exchange,) = gateway.requests
    assert exchange.outcome == "client disconnected"
    assert exchange.disconnected_at == pytest.approx(freed, abs=0.5)


def test_a_browser_that_leaves_before_the_agent_accepts(gateway: Gateway) -> None:
    gateway.agent.always(delay(30), head(), "Once")
    page = gateway.visit(browser={"leaves_after": 2})
    if gateway.style == "sync":
        return  # a WSGI server notices nothing before the first write
    (exchange,) = gateway.requests
    assert (page.status, page.writes) == (0, [])
    assert exchange.disconnected_at == pytest.approx(2, abs=0.5)


def test_a_slow_browser_makes_the_agent_wait(gateway: Gateway) -> None:
    gateway.agent.always(*[step for n in range(20) for step in (delay(0.1), n)])
    page = gateway.visit(browser={"takes": 3})
    assert [*range(20)] == page.contents
    check(gateway, page, "done")


def test_silence_is_filled_with_heartbeats(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once", delay(50), " upon")
    page = gateway.visit(transport=transport, heartbeat=15)
    beats = [round(at) for at, data in page.writes if b"heartbeat" in data or data in (b":\n\n", b"\n")]
    assert [15, 30, 45] == [at for at in beats if at]
    assert ["Once", " upon"] == page.contents


def test_heartbeats_of_the_agent_are_not_passed_on_one_by_one(gateway: Gateway, transport: str) -> None:
    gateway.agent.always("Once", *[delay(1), heartbeat()] * 100, " upon")
    page = gateway.visit(transport=transport, heartbeat=15)
    assert page.kinds.count("heartbeat") in (6, 7)
    check(gateway, page, "done")


def test_a_burst_is_one_write(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*map(str, range(500)))
    page = sse_gateway.visit()
    assert [*map(str, range(500))] == page.contents
    assert len(page.writes) <= 4


def test_the_head_comes_with_the_acceptance(gateway: Gateway) -> None:
    gateway.agent.always(head(), delay(10), "Once")
    page = gateway.visit()
    if gateway.is_websocket:  # whose first message has the session's id
        assert [10] == [round(at) for at, _ in page.writes if at][:1]
    else:
        assert page.writes[0][0] == pytest.approx(0, abs=0.1)
    check(gateway, page, "done")


def test_no_more_than_a_read_is_held_for_a_slow_browser(gateway: Gateway) -> None:
    gateway.agent.always(*["x" * 1000] * 500)
    page = gateway.visit(browser={"takes": 1})
    assert 500 == len(page.contents)
    written = 0
    for received, (_, data) in zip(gateway.received, page.writes, strict=True):
        written += len(data)
        assert received < 2 * written + 2 * READ_BYTES  # the formats of the two sides differ in size
