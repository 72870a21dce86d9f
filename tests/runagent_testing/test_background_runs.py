"""Runs that a request begins in the background, for later requests to read."""

from __future__ import annotations

import pytest

from runagent_testing import delay, status
from tests.runagent_testing.players import PLAYERS, player
from tests.runagent_testing.raw_client import post
from tests.runagent_testing.runs import STEPS, WHOLE, RunsDialect, asked, get, read

KEY = "key-that-nobody-guesses"


@pytest.fixture(params=PLAYERS)
def kind(request):
    return request.param


@pytest.fixture
def host(kind):
    with player(kind, dialects=[RunsDialect()]) as host:
        yield host


def begun(host, agent="a", code=202, **headers):
    """Begin a run in the background."""
    status, body = asked(host, post("/runs", {"agent": agent, "input": {"n": 1}}, **headers))
    assert code == status
    return body.get("run")


def test_a_run_that_is_begun_in_the_background_waits_for_its_readers(host):
    host.agent("a").reply(*STEPS).reply("another run")
    run = begun(host)
    assert asked(host, get(f"/runs/{run}/status"))[1]["status"] == "running"
    assert WHOLE[3:] == read(host, get(f"/runs/{run}", last_event_id="e3"))
    assert WHOLE == read(host, get(f"/runs/{run}"))
    assert 4 == len(read(host, get(f"/runs/{begun(host)}")))
    assert ["/runs"] * 2 == [exchange.path for exchange in host.other_requests if exchange.method == "POST"]
    assert [("a", {"n": 1})] * 3 == [(exchange.agent_id, exchange.input) for exchange in host.requests]
    host.check()


def test_a_run_that_is_begun_in_the_background_may_be_computed(host):
    host.agent("a").responds(lambda exchange: ["a", str(exchange.input["n"])])
    assert ["e2 open 0", "e3 a", "e4 open 1", "e5 1"] == read(host, get(f"/runs/{begun(host)}"))[1:5]


@pytest.mark.parametrize(
    ("steps", "code", "problem"),
    [
        ([status(503, message="busy")], 503, None),
        ([delay(0.01), status(429)], 429, None),
        ([], 500, "agent 'a' has used up its reply"),
        (None, 404, "there is only 'a'"),
    ],
)
def test_a_refused_run_is_not_begun_in_the_background(host, steps, code, problem):
    agent = host.agent("a").reply("first")
    read(host, get(f"/runs/{begun(host)}"))
    if steps:
        agent.reply(*steps)
    begun(host, "a" if steps is not None else "b", code)
    refused = host.requests[-1]
    assert ("POST", {"n": 1}) == (refused.method, refused.input)
    assert 1 == len(host.other_requests)
    if problem is None:
        host.check()
    else:
        with pytest.raises(AssertionError, match=problem):
            host.check()


def test_an_unread_run_is_reported_unless_it_may_stay_unused(host):
    agent = host.agent("a").always("a")
    begun(host)
    host.check()
    agent.reply("b")
    run = begun(host)
    with pytest.raises(AssertionError, match=rf"run '{run}' of agent 'a': never read: chunk 'b'"):
        host.check()
    assert (200, {"cancelled": True}) == asked(host, post(f"/runs/{run}/cancel"))
    host.check()
    assert ["e1 start", "e2 cancelled"] == read(host, get(f"/runs/{run}"))


def test_a_wrong_key_begins_nothing(kind):
    with player(kind, dialects=[RunsDialect()], api_key=KEY) as host:
        host.agent("a").reply("a")
        begun(host, code=401)
        begun(host, "b", code=401)
        assert [] == host.unmatched
        run = begun(host, authorization=f"Bearer {KEY}")
        assert 4 == len(read(host, get(f"/runs/{run}", authorization=f"Bearer {KEY}")))


def test_a_queued_answer_begins_nothing(host):
    host.agent("a").reply("a")
    host.on_request("POST /runs", status(503))
    begun(host, code=503)
    assert 4 == len(read(host, get(f"/runs/{begun(host)}")))
    host.check()


def test_only_a_dialect_that_keeps_its_runs_begins_one_in_the_background(kind):
    class Forgetful(RunsDialect):
        keeps_runs = False

    with player(kind, dialects=[Forgetful()]) as host:
        host.agent("a").reply("a")
        begun(host, code=500)
        with pytest.raises(AssertionError, match="Forgetful does not keep its runs: set keeps_runs = True"):
            host.check()
