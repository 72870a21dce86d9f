"""Hooks of a dialect that raise: a 500, a failed test, and an exchange that names dialect and hook."""

import json

import pytest

from runagent_testing import FakeAgentServer, delay
from runagent_testing.dialects import RunRequest, Status
from tests.runagent_testing.players import PLAYERS, body_of, client_of, player
from tests.runagent_testing.raw_client import handshake, post
from tests.runagent_testing.recordings import header, written
from tests.runagent_testing.test_dialects import LineDialect, Lines

WHY = "LookupError: no such thing"


def raising(hook, base=LineDialect):
    """Make a dialect with a hook that raises."""

    def fail(self, *args):
        raise LookupError("no such thing")

    fail.__name__ = hook
    fail.__code__ = fail.__code__.replace(co_name=hook)
    return type("Failing", (base,), {hook: fail})()


class Sockets(LineDialect):
    """A run over a WebSocket."""

    def parse_request(self, request):
        return RunRequest(agent_id="a", transport="lines", kind="websocket")


class Elsewhere(LineDialect):
    """Knows no request for a run."""

    def parse_request(self, request):
        return None


@pytest.fixture(params=PLAYERS)
def answer_of(request):
    """Let a host with a dialect answer a request: the status, the body, and the exchange."""

    def answer(dialect, asked, api_key=None, steps=("x",)):
        with player(request.param, dialects=[dialect], api_key=api_key) as host:
            host.agent("a").always(*steps)
            with client_of(host) as client:
                client.send(asked)
                status, body = body_of(client)
            (exchange,) = [*host.requests, *host.other_requests]
            with pytest.raises(AssertionError) as caught:
                host.check()
            assert 1 == str(caught.value).count(f"{exchange.title}: {exchange.failure}")
            return status, body.decode(), exchange

    return answer


@pytest.mark.parametrize(
    ("hook", "base", "asked"),
    [
        ("parse_request", LineDialect, post("/lines/a", {"ask": "x"})),
        ("parse_request", LineDialect, handshake()),
        ("answer", Elsewhere, post("/lines/a", {"ask": "x"})),
        ("check", LineDialect, post("/lines/a", {"ask": "x"})),
        ("check_state", LineDialect, post("/lines/a", {"ask": "x"})),
        ("unknown_agent", LineDialect, post("/lines/b", {"ask": "x"})),
        ("refusal", LineDialect, post("/lines/b", {"ask": "x"})),
        ("stream", LineDialect, post("/lines/a", {"ask": "x"})),
        ("check", Sockets, handshake()),
        ("check_state", Sockets, handshake()),
    ],
)
def test_a_hook_that_raises_is_a_500_and_a_failed_test_that_name_it(answer_of, hook, base, asked):
    status, body, exchange = answer_of(raising(hook, base), asked)
    assert (500, "lines") == (status, exchange.dialect)
    assert f"{WHY} (in Failing.{hook}() of the dialect 'lines')" in body
    assert exchange.failure == f"{WHY} (in Failing.{hook}() of the dialect 'lines')"


@pytest.mark.parametrize("hook", ["find_api_key", "wrong_key"])
@pytest.mark.parametrize(
    ("base", "asked"),
    [
        (LineDialect, post("/lines/a", {"ask": "x"})),
        (Sockets, handshake()),
        (Elsewhere, post("/lines/a", {"ask": "x"})),
    ],
)
def test_a_hook_for_credentials_that_raises_is_one_as_well(answer_of, hook, base, asked):
    if base is Elsewhere:
        base = type("Answering", (Elsewhere,), {"answer": lambda *_: Status(200)})
    status, body, exchange = answer_of(raising(hook, base), asked, api_key="key-of-the-host")
    assert 500 == status
    assert f"{WHY} (in Failing.{hook}() of the dialect 'lines')" in body
    assert f"{WHY} (in Failing.{hook}() of the dialect 'lines')" == exchange.failure


def test_what_is_no_request_for_a_run_is_one_as_well(answer_of):
    dialect = type("Mapped", (LineDialect,), {"parse_request": lambda *_: {"agent_id": "a"}})()
    status, _, exchange = answer_of(dialect, post("/lines/a", {"ask": "x"}))
    assert 500 == status
    why = "Mapped.parse_request() of the dialect 'lines' returned a dict: return a RunRequest, or None"
    assert f"TypeError: {why}" == exchange.failure


def test_a_dialect_that_cannot_write_its_failure_either_gets_the_usual_form(answer_of):
    dialect = raising("refusal", type("Twice", (LineDialect,), {"check": raising("check").check.__func__}))
    status, body, exchange = answer_of(dialect, post("/lines/a", {"ask": "x"}))
    assert (500, "SCRIPT_FAILED") == (status, json.loads(body)["error"]["code"])
    assert "Failing.check()" in exchange.failure


@pytest.mark.parametrize("kind", PLAYERS)
def test_a_recording_is_replayed_in_spite_of_it_and_the_test_fails(tmp_path, kind):
    path = tmp_path / "0001-a.agentstream.jsonl"
    written(path, header(), [0, "w", "x"], [0, "end", {"kind": "complete"}])
    with player(kind, dialects=[raising("parse_request")]) as host:
        host.agent("*").replay(tmp_path)
        with client_of(host) as client:
            client.send(post("/v1/agents/a/stream", connection="close"))
            assert client.until(b"\r\n").startswith(b"HTTP/1.1 200 ")
        with pytest.raises(AssertionError, match=r"Failing\.parse_request\(\) of the dialect 'lines'"):
            host.check()


@pytest.mark.parametrize("kind", PLAYERS)
def test_a_format_that_fails_while_a_long_answer_is_played_is_named(kind):
    long = raising("done", Lines)
    dialect = type("Long", (LineDialect,), {"stream": lambda *_: long})()
    with player(kind, dialects=[dialect]) as host:
        host.agent("a").always(*["x"] * 2000, delay(0), writes="per-step")
        with client_of(host) as client:
            client.send(post("/lines/a", {"ask": "x"}))
            client.rest()
        (exchange,) = host.requests
        assert "server closed" == exchange.outcome
        assert exchange.failure == f"{WHY} (in Failing.done())"
        with pytest.raises(AssertionError, match=WHY):
            host.check()


@pytest.mark.parametrize("names", ["key", [1], None])
def test_names_of_credentials_are_checked_when_the_dialect_is_given(names):
    dialect = type("Named", (LineDialect,), {"credential_fields": names})()
    with pytest.raises(TypeError, match=r"Named\.credential_fields is a tuple of names, not "):
        FakeAgentServer(dialects=[dialect])
