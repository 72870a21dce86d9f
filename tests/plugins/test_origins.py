"""Runs that go on at another origin, and what they have found out for the next ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, ProtocolError, RunAgentClient, ValidationError
from runagent._call import Found
from runagent.transports import HttpRequest, Step, parse_url
from tests.support.peer import Peer, answers, http, sends
from tests.support.steps import LETTERS, run
from tests.support.transports import LettersSession

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import StepAnswer
    from tests.support.styles import Style


class Card(LettersSession):
    """Finds out first where the agent is, and keeps that for ten minutes."""

    def before(self) -> Generator[Step, StepAnswer, None]:
        self.url = self.call.found.get("url")
        if self.url is None:
            answer = yield Step(HttpRequest("GET", "/card", self.call.request_headers(accept="*/*")))
            self.url = answer.json()["url"]
            self.call.found.keep("url", self.url, seconds=600)

    def make_request(self) -> HttpRequest:
        origin, target = parse_url(self.url)
        return HttpRequest("POST", target, self.call.request_headers(accept="*/*"), origin=origin)


def test_a_run_goes_on_at_an_allowed_origin_and_the_place_is_found_once(style: Style) -> None:
    with Peer(answers(LETTERS, LETTERS)) as there:
        with Peer(answers(http(200, {"url": f"{there.url}/rpc?x=1"}))) as home:
            one, two = run(style, home.url, Card, times=2, allowed_origins=[there.url])
        assert ["ab", "ab"] == [one.text, two.text]
        assert (1, 2) == (len(home.requests), len(there.requests))
        for request in there.requests:
            assert ("/rpc?x=1", f"127.0.0.1:{there.port}") == (request.target, request.headers["host"])
            assert "Bearer secret" == request.headers["authorization"]


@pytest.mark.parametrize("allowed", [[], ["http://127.0.0.1:1"]])
def test_a_run_never_goes_on_at_another_origin(style: Style, allowed: list[str]) -> None:
    with Peer(sends()) as there:
        with Peer(answers(http(200, {"url": f"{there.url}/rpc"}))) as home:
            [error] = run(style, home.url, Card, allowed_origins=allowed)
        assert 0 == there.connections
    assert (ConfigurationError, "ORIGIN_NOT_ALLOWED") == (type(error), error.code)
    assert there.url in error.message
    assert "allowed_origins=" in error.hint
    assert ["failed", 1] == [error.report.outcome, len(error.report.attempts)]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "/rpc",
        "http://u:p@127.0.0.1/",
        "http://127.0.0.1/#f",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX-Injected: 1",
        "http://127.0.0.1:99999/",
        "http+unix://%2Fx/",
        5,
        None,
        ["http://127.0.0.1/"],
    ],
)
def test_a_bad_url_of_a_peer_is_a_protocol_error(style: Style, url: Any) -> None:
    with Peer(answers(http(200, {"url": url} if url is not None else {"url": None}))) as home:
        [error] = run(style, home.url, Card)
        assert 1 == len(home.requests)
    assert isinstance(error, ProtocolError)
    assert "u:p" not in str(error)


@pytest.mark.parametrize("origins", ["http://a", 5, ["http://a/path"], ["a"], [5], ["http://a?x=1"]])
def test_origins_that_are_no_origins_are_refused(origins: Any) -> None:
    with pytest.raises(ConfigurationError, match="allowed_origins"):
        RunAgentClient("a", allowed_origins=origins)


def test_what_was_found_is_kept_for_its_time_and_its_transport() -> None:
    by_client: dict[Any, Any] = {}
    first = Found("a2a", 100.0, {}, by_client)
    first.keep("card", {"url": "u"}, seconds=60)
    first.keep("task", "t1")
    assert ({"url": "u"}, "t1") == (first.get("card"), first.get("task"))
    for transport, now, expected in [("a2a", 159.0, {"url": "u"}), ("a2a", 160.0, None), ("x", 100.0, None)]:
        other = Found(transport, now, {}, by_client)
        assert (expected, None) == (other.get("card"), other.get("task"))
    first.forget("card")
    assert (None, {}) == (first.get("card"), by_client)
    for number in range(100):
        first.keep(str(number), number, seconds=1)
    assert 64 == len(by_client)
    with pytest.raises(ValidationError, match="card"):
        first.keep("card", object())
