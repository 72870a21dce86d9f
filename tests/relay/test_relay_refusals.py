"""Statuses and neutral words for what the service rejects, and what a caller sets in their place."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AsyncRunAgentClient,
    ConfigurationError,
    RateLimitError,
    RunAgentClient,
)
from runagent.relay import AsyncRelay, Relay, relay
from runagent_testing import delay, ending, error, head, raw_response, status

if TYPE_CHECKING:
    from tests.support.gateways import Gateway

INTERNAL = "db-7.internal"

HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\ndb-7.internal"
TABLE: list[tuple[list[Any], int, str]] = [
    ([status(400, message=INTERNAL)], 422, "VALIDATION_ERROR"),
    ([status(422, message=INTERNAL)], 422, "VALIDATION_ERROR"),
    ([status(404, message=INTERNAL)], 404, "AGENT_NOT_FOUND"),
    ([status(429, message=INTERNAL)], 429, "RATE_LIMITED"),
    ([status(503, message=INTERNAL)], 503, "SERVICE_UNAVAILABLE"),
    ([status(500, message=INTERNAL)], 502, "BAD_GATEWAY"),
    ([status(504, message=INTERNAL)], 502, "BAD_GATEWAY"),
    ([status(401, message=INTERNAL)], 502, "BAD_GATEWAY"),
    ([status(403, message=INTERNAL)], 502, "BAD_GATEWAY"),
    ([status(418, message=INTERNAL)], 502, "BAD_GATEWAY"),
    ([raw_response(HTML)], 502, "BAD_GATEWAY"),
    ([raw_response(b"HTTP/1.1 200 OK\r\nConte")], 502, "BAD_GATEWAY"),
    ([delay(60), head(), "late"], 504, "GATEWAY_TIMEOUT"),
]


def show_status(value: Any) -> str | None:
    return str(value) if isinstance(value, int | str) else None


@pytest.mark.parametrize(("steps", "number", "code"), TABLE, ids=show_status)
def test_each_refusal_has_its_status_and_neutral_words(
    sse_gateway: Gateway, steps: list[Any], number: int, code: str
) -> None:
    sse_gateway.agent.always(*steps)
    page = sse_gateway.visit(client={"timeout": 5})
    body = json.loads(page.body)["error"]
    assert (number, code) == (page.status, body["code"])
    assert body["request_id"] == page.headers["x-runagent-run-id"]
    assert {"message", "status", "code", "request_id"} == body.keys()
    assert INTERNAL not in page.body.decode()


@pytest.mark.parametrize(("wait", "sent"), [(0, "0"), (2.1, "3"), ("1e400", None), (10**12, None)])
def test_a_wait_is_whole_seconds_or_left_out(sse_gateway: Gateway, wait: Any, sent: str | None) -> None:
    sse_gateway.agent.always(status(429, headers={"Retry-After": str(wait)}))
    page = sse_gateway.visit()
    assert sent == page.headers.get("retry-after")
    assert (sent is not None) == ("retry_after" in json.loads(page.body)["error"])


def test_a_refusal_is_not_kept_by_caches_and_proxies(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(status(404))
    page = sse_gateway.visit()
    assert ("no-cache, no-transform", "no") == (
        page.headers["cache-control"],
        page.headers["x-accel-buffering"],
    )
    assert len(page.body) == int(page.headers["content-length"])


@pytest.mark.parametrize(
    ("given", "number"),
    [
        ({RateLimitError: 503}, 503),
        ({AgentError: 500}, 500),
        ({AgentError: 500, RateLimitError: 503}, 503),
        ({"SLOW": HTTPStatus.SERVICE_UNAVAILABLE, RateLimitError: 500}, 503),
        ({"FAST": 503}, 429),
    ],
)
def test_statuses_can_be_set_by_code_and_by_class(
    sse_gateway: Gateway, given: dict[Any, int], number: int
) -> None:
    sse_gateway.agent.always(status(429, code="SLOW"))
    page = sse_gateway.visit(status=given)
    assert number == page.status == json.loads(page.body)["error"]["status"]


def test_what_is_wrong_here_is_no_fault_of_the_agent(sse_gateway: Gateway) -> None:
    page = sse_gateway.visit(client={"api_key": lambda: 7})
    assert (500, "INTERNAL_ERROR") == (page.status, json.loads(page.body)["error"]["code"])


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ([status(500, message=INTERNAL)], "the browser got 502 BAD_GATEWAY"),
        (["Once", error("DB7", INTERNAL)], "the answer ended with the error BAD_GATEWAY"),
    ],
)
def test_the_operator_finds_in_the_log_what_the_browser_was_not_sent(
    sse_gateway: Gateway, caplog: pytest.LogCaptureFixture, steps: list[Any], shown: str
) -> None:
    sse_gateway.agent.always(*steps)
    with caplog.at_level(logging.WARNING, "runagent.relay"):
        page = sse_gateway.visit()
    (record,) = caplog.records
    assert shown in record.getMessage()
    assert INTERNAL in record.getMessage()
    assert page.headers["x-runagent-run-id"] in record.getMessage()


@pytest.mark.parametrize("stopping", ["cancel", "aclose"])
def test_a_stream_that_the_application_stops_ends_with_an_error(gateway: Gateway, stopping: str) -> None:
    gateway.agent.always("Once", ending("stall"))
    page = gateway.visit(stopping=stopping)
    assert ("error", "CANCELLED") == (page.last[0], page.last[1]["code"])


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"format": "html"}, "format: expected one of 'sse', 'ndjson', 'websocket', found 'html'"),
    ({"format": "ssee"}, "did you mean 'sse'"),
    ({"format": None}, "format: expected one of"),
    ({"heartbeat": 0}, "heartbeat: expected seconds, more than 0, found 0"),
    ({"heartbeat": float("nan")}, "heartbeat: expected seconds"),
    ({"heartbeat": "15"}, "heartbeat: expected seconds"),
    ({"include": {"thoughts"}}, "include: expected a set of 'custom', 'reasoning', 'tool_call', 'usage'"),
    ({"include": "usage"}, "found 'usage'; write {'usage'}"),
    ({"include": "usage"}, "include: expected a set"),
    ({"status": {RateLimitError: 200}}, "expected a status from 400 to 599, found 200"),
    ({"status": {ValueError: 500}}, "status: expected a class of errors or a code, found"),
    ({"status": {RateLimitError: "503"}}, "expected a status from 400 to 599, found '503'"),
]


@pytest.mark.parametrize("make", [RunAgentClient, AsyncRunAgentClient])
@pytest.mark.parametrize(("options", "complaint"), WRONG)
def test_wrong_arguments_are_rejected_at_once(make: Any, options: dict[str, Any], complaint: str) -> None:
    stream = make("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
    with pytest.raises(ConfigurationError, match=complaint):
        relay(stream, **options)


def test_something_else_than_a_stream_is_rejected() -> None:
    with pytest.raises(ConfigurationError, match="expected a Stream or an AsyncStream, found str"):
        relay("text")  # type: ignore[call-overload]


def test_each_kind_of_stream_has_its_kind_of_relay() -> None:
    sync = RunAgentClient("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
    asynchronous = AsyncRunAgentClient("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
    assert isinstance(relay(sync), Relay)
    assert isinstance(relay(asynchronous), AsyncRelay)
    assert "<Relay of <Stream not begun> as sse>" == repr(relay(sync))


def test_wsgi_has_no_websockets() -> None:
    sync = RunAgentClient("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
    with pytest.raises(ConfigurationError, match="needs ASGI"):
        relay(sync, format="websocket")
