"""Runs that outlive their first answer: resumed by id, attached to, read from a snapshot, cancelled."""

from __future__ import annotations

import json

import pytest

from runagent_testing import (
    MemoryNetwork,
    at,
    chunk,
    custom,
    delay,
    done,
    ending,
    error,
    gate,
    reasoning,
    status,
)
from tests.runagent_testing.players import PLAYERS, body_of, client_of, player
from tests.runagent_testing.raw_client import post
from tests.runagent_testing.runs import BEGIN, STEPS, WHOLE, RunsDialect, asked, get, lines, read, state

KEY = "key-that-nobody-guesses"


@pytest.fixture(params=PLAYERS)
def kind(request):
    return request.param


@pytest.fixture
def host(kind):
    with player(kind, dialects=[RunsDialect()]) as host:
        yield host


@pytest.mark.parametrize("seen", range(9))
def test_a_run_resumes_after_any_event(host, seen):
    host.agent("a").always(*STEPS)
    assert WHOLE[seen:] == read(host, post("/agents/a", {"name": "r1"}, **{"last-event-id": f"e{seen}"}))


@pytest.mark.parametrize(
    ("seen", "seconds"), [(0, 111), (2, 111), (3, 110), (4, 110), (5, 100), (6, 0), (7, 0)]
)
def test_the_pauses_of_seen_events_are_over(seen, seconds):
    host = MemoryNetwork(dialects=[RunsDialect()])
    host.agent("a").always(delay(1), "a", delay(10), "b", delay(100), custom("x", 1))
    read(host, post("/agents/a", {}, **{"last-event-id": f"e{seen}"}))
    assert seconds == host.blocking.now()


def test_a_script_may_refuse_to_resume(host):
    host.agent("a").always(*STEPS, resume=False)
    assert read(host, post("/agents/a", {}, **{"last-event-id": "e6"})) == WHOLE


def test_a_script_cannot_pretend_to_resume_by_id(host):
    host.agent("a").always(*STEPS, resume="fake")
    assert 500 == asked(host, post("/agents/a", {}, **{"last-event-id": "e6"}))[0]


def test_the_answer_names_the_run(host):
    host.agent("a").always("a")
    with client_of(host) as client:
        client.send(BEGIN)
        assert b"\r\nContent-Location: /runs/r1\r\n" in client.until(b"\r\n\r\n")


def broken_off(host, *steps, until=b"e3 a\n"):
    """Begin a run and leave it."""
    with client_of(host) as client:
        client.send(BEGIN)
        client.until(until)
        assert host.requests[-1].wait_sent(1)
    exchange = host.requests[-1]
    assert exchange.wait_disconnected() or exchange.outcome == "done"


@pytest.mark.parametrize(
    ("request_bytes", "expected"),
    [
        (get("/runs/r1"), WHOLE),
        (get("/runs/r1", last_event_id="e3"), WHOLE[3:]),
        (get("/runs/r1?from=1"), ["e1 start", "e2 (hm)", "e3 open 1", "e4 b", "e5 <x>", "e6 done 1"]),
        (get("/runs/r1?snapshot"), ['so far ["a", "Reasoning"]', "e1 open 1", "e2 b", "e3 <x>", "e4 done 2"]),
    ],
    ids=["whole", "by id", "by index", "snapshot"],
)
def test_a_later_reader_gets_the_rest_of_the_run(host, request_bytes, expected):
    door = gate("door")
    host.agent("a").reply("a", reasoning("hm"), door, *STEPS[2:])
    broken_off(host, until=b"e4 (hm)\n")
    door.open()
    assert expected == read(host, request_bytes)
    first, second = host.requests
    assert ("a", "a", {"name": "r1"}) == (first.agent_id, second.agent_id, first.body)
    assert second.wait_done()
    host.check()


def test_the_pauses_that_were_played_are_over_for_a_later_reader():
    host = MemoryNetwork(dialects=[RunsDialect()])
    host.agent("a").reply(delay(1), "a", delay(10), "b")
    broken_off(host)
    assert 1 == host.blocking.now()
    assert ["e5 b", "e6 done 2"] == read(host, get("/runs/r1", last_event_id="e4"))
    assert 11 == host.blocking.now()
    assert 6 == len(read(host, get("/runs/r1")))
    assert 11 == host.blocking.now()


def test_a_run_without_another_reader_is_never_played(host):
    host.agent("a").reply("a", gate("never"), "b")
    broken_off(host)
    with pytest.raises(AssertionError, match=r"never played: step 2, gate 'never' .never opened.; step 3"):
        host.check()


@pytest.mark.parametrize(
    "broken", [ending("cut"), ending("stall"), ending("no-done")], ids=lambda broken: broken.kind
)
def test_a_connection_that_breaks_off_goes_on_with_the_agents_next_script(host, broken):
    host.agent("a").reply("a", broken).reply("a", "b", done()).always("another run")
    broken_off(host)
    assert "running" == state(host)["status"]
    assert ["e4 open 1", "e5 b", "e6 done 2"] == read(host, get("/runs/r1", last_event_id="e3"))
    assert ["a", "b"] == state(host)["said"]
    assert "completed" == state(host)["status"]
    assert 6 == len(read(host, get("/runs/r1")))
    host.check()


def test_two_readers_at_once(host):
    door = gate("door")
    host.agent("a").reply("a", door, "b")
    with client_of(host) as one, client_of(host) as two:
        one.send(BEGIN)
        one.until(b"e3 a\n")
        two.send(get("/runs/r1"))
        two.until(b"e3 a\n")
        door.open()
        assert b"e5 b\n" in one.until(b"0\r\n\r\n")
        assert b"e5 b\n" in two.until(b"0\r\n\r\n")


def test_an_unknown_run_is_refused_and_uses_up_no_script(host):
    host.agent("a").reply("a")
    assert 404 == asked(host, get("/runs/r1"))[0]
    assert 404 == asked(host, get("/runs/r1/status"))[0]
    assert "there is no run 'r1'" == host.requests[0].refused
    assert 4 == len(read(host, BEGIN))


def test_a_refused_run_is_none(host):
    host.agent("a").reply(status(503))
    assert 503 == asked(host, BEGIN)[0]
    assert 404 == asked(host, get("/runs/r1/status"))[0]


def test_runs_are_forgotten_when_the_host_is_cleared(host):
    host.agent("a").reply("a")
    read(host, BEGIN)
    host.clear()
    assert 404 == asked(host, get("/runs/r1"))[0]


def test_the_state_of_a_run(host):
    door = gate("door")
    host.agent("a").reply("a", door, error("E", "broken"))
    with client_of(host) as client:
        client.send(BEGIN)
        client.until(b"e3 a\n")
        assert host.requests[0].wait_sent(1)
        assert {"of": "a", "status": "running", "said": ["a"], "why": []} == state(host)
        door.open()
        client.until(b"0\r\n\r\n")
    assert host.requests[0].wait_done()
    assert {"of": "a", "status": "failed", "said": ["a"], "why": ["broken"]} == state(host)


def test_a_cancelled_run_ends_for_its_reader_and_is_none_of_the_unplayed(host):
    host.agent("a").reply("a", gate("never"), "b")
    with client_of(host) as client:
        client.send(BEGIN)
        client.until(b"e3 a\n")
        assert host.requests[0].wait_sent(1)
        assert (200, {"cancelled": True}) == asked(host, post("/runs/r1/cancel"))
        assert [b"e4 cancelled"] == lines(client.until(b"0\r\n\r\n"))
        client.send(get("/runs/r1/status"))  # the connection is kept
        assert "cancelled" == json.loads(body_of(client)[1])["status"]
    assert "cancelled" == host.requests[0].outcome
    assert (200, {"cancelled": False}) == asked(host, post("/runs/r1/cancel"))
    assert ["e1 start", "e2 open 0", "e3 a", "e4 cancelled"] == read(host, get("/runs/r1"))
    assert ["e4 cancelled"] == read(host, get("/runs/r1", last_event_id="e3"))
    assert ['so far ["a"]', "e1 cancelled"] == read(host, get("/runs/r1?snapshot"))
    assert "cancelled after" in host.timelines()
    host.check()


def test_a_run_without_a_reader_can_be_cancelled(host):
    host.agent("a").reply("a", gate("never"), "b")
    broken_off(host)
    assert (200, {"cancelled": True}) == asked(host, post("/runs/r1/cancel"))
    assert "cancelled" == state(host)["status"]
    assert "client disconnected" == host.requests[0].outcome
    host.check()


def test_a_run_is_cancelled_before_its_first_byte(host):
    host.agent("a").reply(gate("never"), "b", writes="per-step")
    with client_of(host) as client:
        client.send(BEGIN)
        assert host.wait_request()
        assert (200, {"cancelled": True}) == asked(host, post("/runs/r1/cancel"))
        assert [b"e1 start", b"e2 cancelled"] == lines(client.until(b"0\r\n\r\n"))


@pytest.mark.parametrize(
    ("options", "whole"),
    [({"framing": "length"}, False), ({"writes": at(250)}, False), ({"framing": "close"}, True)],
)
def test_an_answer_that_cannot_end_is_cut(host, options, whole):
    long = "x" * 300
    host.agent("a").reply(long, delay(1000), "b", write_gap=1000, **options)
    with client_of(host) as client:
        client.send(BEGIN)
        client.until(b"x" * 20)
        assert (200, {"cancelled": True}) == asked(host, post("/runs/r1/cancel"))
        assert (b"cancelled" in client.rest()[0]) is whole
    assert "cancelled" == host.requests[0].outcome


def test_a_wrong_key_cancels_nothing(kind):
    with player(kind, dialects=[RunsDialect()], api_key=KEY) as host:
        host.agent("a").reply("a", gate("never"), "b")
        key = {"authorization": f"Bearer {KEY}"}
        with client_of(host) as client:
            client.send(post("/agents/a", {"name": "r1"}, **key))
            client.until(b"e3 a\n")
            assert 401 == asked(host, post("/runs/r1/cancel"))[0]
            assert 401 == asked(host, get("/runs/r1"))[0]
            assert "running" == asked(host, get("/runs/r1/status", **key))[1]["status"]


def test_what_a_function_responds_can_be_read_again_but_not_kept(host):
    host.agent("a").responds(lambda _: [chunk("a"), chunk("b")])
    assert 6 == len(read(host, BEGIN))
    assert 404 == asked(host, get("/runs/r1"))[0]


def test_runs_of_a_host_that_makes_the_same_id_each_time_are_kept_apart():
    host = MemoryNetwork(dialects=[RunsDialect()], run_ids=lambda: "same")
    host.agent("a").reply("a").reply("b").reply("c")
    for _ in range(3):
        read(host, post("/agents/a", {}))
    found = [asked(host, get(f"/runs/{name}/status"))[1]["said"] for name in ("same", "same-2", "same-3")]
    assert [["a"], ["b"], ["c"]] == found


def test_the_oldest_runs_are_forgotten(monkeypatch):
    monkeypatch.setattr("runagent_testing._host.runs.MAX_KEPT_RUNS", 2)
    host = MemoryNetwork(dialects=[RunsDialect()])
    host.agent("a").always("a")
    for name in ("r1", "r2", "r3"):
        read(host, post("/agents/a", {"name": name}))
    assert [404, 200, 200] == [asked(host, get(f"/runs/{name}/status"))[0] for name in ("r1", "r2", "r3")]
