"""``Last-Event-ID``: from the browser to the agent, and what comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import chunk, error, head

if TYPE_CHECKING:
    from tests.support.browsers import Page
    from tests.support.gateways import Gateway

STORY = ("Once", " upon", " a", " time")


def visit(gateway: Gateway, last: str, **options: Any) -> Page:
    return gateway.visit(browser={"headers": {"Last-Event-ID": last}}, **options)


def test_numbered_chunks_have_their_index_as_event_id_and_the_end_has_its_own(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    page = sse_gateway.visit()
    assert [None, "0", "1", "2", "3", "end"] == [event_id for _, _, event_id in page.events]


def test_chunks_that_the_agent_does_not_number_have_none(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(chunk("Once", index=None), chunk(" upon", index=None, id="7"))
    page = sse_gateway.visit()
    assert [None, None, None, "end"] == [event_id for _, _, event_id in page.events]
    assert [{"content": "Once"}, {"content": " upon"}] == [f for kind, f, _ in page.events if kind == "chunk"]


def test_an_error_has_the_id_of_the_end(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always("Once", error("X"))
    assert "end" == sse_gateway.visit().events[-1][2]


def test_the_run_goes_on_behind_the_chunk_that_the_browser_has(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    page = visit(sse_gateway, "1")
    assert (200, [" a", " time"]) == (page.status, page.contents)
    assert ["2", "3", "end"] == [event_id for kind, _, event_id in page.events if kind != "start"]
    (request,) = sse_gateway.requests
    assert 2 == request.input["parameters"]["resume_from_index"]


@pytest.mark.parametrize("given", ["1", 1])
def test_the_application_may_give_the_id(gateway: Gateway, given: Any) -> None:
    gateway.agent.always(*STORY)
    assert [" a", " time"] == gateway.visit(last_event_id=given).contents


def test_what_the_application_gives_goes_before_the_header(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    assert [" time"] == visit(sse_gateway, "0", last_event_id="2").contents


def test_a_browser_that_has_the_end_gets_no_other_run(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    page = visit(sse_gateway, "end")
    assert (204, b"", []) == (page.status, page.body, sse_gateway.requests)


def test_a_websocket_whose_browser_has_the_end_is_closed() -> None:
    from tests.support.gateways import Gateway

    gateway = Gateway("asyncio", "websocket")
    page = gateway.visit(last_event_id="end")
    assert (1000, []) == (page.close_code, page.writes)


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "+1", "٣", str(2**53), "9" * 5000, "0x1", " 1"])
def test_an_unknown_id_is_a_bad_request(sse_gateway: Gateway, last: str) -> None:
    sse_gateway.agent.always(*STORY)
    page = sse_gateway.visit(last_event_id=last)
    assert (400, "INVALID_LAST_EVENT_ID") == (page.status, json.loads(page.body)["error"]["code"])
    assert [] == sse_gateway.requests


def test_an_empty_id_is_none(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    assert [*STORY] == visit(sse_gateway, "").contents


@pytest.mark.parametrize("indexed", [True, False])
def test_a_first_chunk_that_does_not_prove_its_place_is_a_conflict(
    sse_gateway: Gateway, indexed: bool
) -> None:
    sse_gateway.agent.always(*STORY, resume="refuse", indexed=indexed)
    page = visit(sse_gateway, "1")
    assert (409, "NOT_RESUMED") == (page.status, json.loads(page.body)["error"]["code"])


def test_an_error_before_the_first_chunk_is_a_status_if_the_place_is_not_proven(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(head(), error("X"))
    page = visit(sse_gateway, "1")
    assert (502, "BAD_GATEWAY") == (page.status, json.loads(page.body)["error"]["code"])


def test_a_transport_that_cannot_resume_is_a_conflict(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    page = visit(sse_gateway, "1", transport="websocket")
    assert (409, []) == (page.status, sse_gateway.requests)


def test_behind_the_last_chunk_only_the_end_is_left(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    page = visit(sse_gateway, "3")
    assert (200, ["start", "done"]) == (page.status, page.kinds)


def test_a_run_that_has_begun_cannot_go_on_elsewhere(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    with pytest.raises(RuntimeError, match="has begun"):
        visit(sse_gateway, "1", before=lambda stream: stream.accepted())


def test_a_request_for_the_head_alone_asks_no_agent(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(*STORY)
    page = sse_gateway.visit(browser={"method": "HEAD"})
    assert (200, b"", []) == (page.status, page.body, sse_gateway.requests)
    assert page.headers["content-type"].startswith("text/event-stream")
