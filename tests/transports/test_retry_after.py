"""What a refusal has about time: `Retry-After`, rate limits, and whether to try again."""

from __future__ import annotations

from typing import Any

import pytest

from runagent.transports import should_retry
from tests.support.peer import http
from tests.support.sessions import refused


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry_after": "30"}, None, 30),
        ({"retry_after": " 0 "}, None, 0),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:10 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, 10),
        ({"retry_after": "Wed Oct 21 07:28:10 2015", "date": "Wednesday, 21-Oct-15 07:28:00 GMT"}, None, 10),
        ({"retry_after": "Wed, 21 Oct 2015 07:28:10 GMT"}, None, 10),
        ({"retry_after": "Wed, 21 Oct 2015 07:27:00 GMT"}, None, 0),
        ({"retry_after": "soon"}, None, None),
        ({"retry_after": "-5"}, None, None),
        ({"retry_after": "1.5"}, None, 1.5),
        ({"retry_after": "0.25"}, None, 0.25),
        ({"retry_after": "1."}, None, None),
        ({"retry_after": ".5"}, None, None),
        ({"retry_after": "1e3"}, None, None),
        ({"retry_after": "1.5 s"}, None, None),
        ({"retry_after_ms": "1500"}, None, 1.5),
        ({"retry_after_ms": "2.5", "retry_after": "9"}, None, 0.0025),
        ({"retry_after_ms": "soon", "retry_after": "9"}, None, 9),
        ({"retry_after_ms": "-1"}, {"error": {"message": "m", "retry_after": 7}}, 7),
        ({"retry_after": "99999999999"}, None, 999999999),
        ({}, {"error": {"message": "m", "retry_after": 7}}, 7),
        ({}, {"error": {"message": "m", "details": {"retry_after": 7.5}}}, 7.5),
        ({}, {"error": {"message": "m", "retry_after": "soon"}}, None),
        ({"retry_after": "5"}, {"error": {"message": "m", "retry_after": 7}}, 5),
        ({"retry_after": "soon"}, {"error": {"message": "m", "retry_after": 7}}, 7),
    ],
)
@pytest.mark.parametrize("status", [409, 429, 503])
def test_retry_after(
    status: int, headers: dict[str, str], body: Any, seconds: float | None, step: int
) -> None:
    seen = refused(("sse", "stream"), http(status, body or b"", **headers), step, opened_at=1445412480.0)
    assert seconds == seen.error.retry_after
    assert (f"asks for a wait of {seconds:g} s" if seconds else "") in str(seen.error)


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        (
            {"x_ratelimit_limit": "100", "x_ratelimit_remaining": "0", "x_ratelimit_reset": "1700000000"},
            (100, 0, 1700000000, None),
        ),
        ({"x_ratelimit_reset_after": "2.5"}, (None, None, 2.5, 2.5)),
        ({"x_ratelimit_reset_after": "2.5", "retry_after": "9"}, (None, None, 2.5, 9)),
        (
            {"x_ratelimit_limit": "many", "x_ratelimit_remaining": "-1", "x_ratelimit_reset": "1.2.3"},
            (None, None, None, None),
        ),
    ],
)
def test_rate_limits(headers: dict[str, str], limits: tuple[Any, ...], step: int) -> None:
    error = refused(("sse", "stream"), http(429, **headers), step).error
    assert limits == (error.limit, error.remaining, error.reset, error.retry_after)


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("false", False), (" True ", True), ("maybe", None), ("", None)]
)
def test_the_word_of_a_service_on_trying_again(value: str, expected: bool | None) -> None:
    assert expected == should_retry({"x-should-retry": value})
    assert should_retry({}) is None
    assert refused(("sse", "stream"), http(503, x_should_retry=value)).error.retryable is False
