"""Limits of fake agents: so many runs in some time, and the header fields that show them."""

from __future__ import annotations

import re

import pytest

from runagent import RateLimitError
from runagent_testing import MemoryNetwork, ending, raw_response
from tests.runagent_testing.functions import client_of as client
from tests.runagent_testing.players import client_of, player
from tests.runagent_testing.raw_client import handshake, post
from tests.runagent_testing.runs import RunsDialect
from tests.runagent_testing.virtual import STYLES, Virtual

STREAMS = ("sse", "chunked", "websocket")
TIME = "2026-01-01T00:00:00+00:00"


def head_of(host, request):
    """Status and header fields of an answer."""
    with client_of(host) as raw:
        raw.send(request)
        first, *fields = raw.until(b"\r\n\r\n").decode().split("\r\n")
    return int(first.split()[1]), dict(field.lower().split(": ", 1) for field in fields if field)


def limits(host, request, prefix="x-ratelimit-"):
    code, fields = head_of(host, request)
    shown = {name.removeprefix(prefix): value for name, value in fields.items() if name.startswith(prefix)}
    return code, fields.get("retry-after"), shown


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("style", STYLES)
def test_a_client_waits_until_the_window_is_over(style, transport):
    virtual = Virtual(style)
    virtual.memory.agent("a").always("x").limit(3, per=60)

    async def scenario():
        async with virtual.client(transport, max_retries=1) as agent:
            began = virtual.network.now()
            times = []
            for _ in range(7):
                assert "x" == await agent.run_generic_stream("hi").text()
                times.append(round(virtual.network.now() - began))
            return times

    assert [0, 0, 0, 60, 60, 60, 120] == virtual.run(scenario)
    virtual.memory.check()


@pytest.mark.parametrize("transport", STREAMS)
def test_one_run_too_many_is_refused_and_uses_nothing_up(host, transport):
    agent = host.agent("a").limit(2, per=1000).reply("1").reply("2").returns_once("3")
    agent.when(nth=3).returns("4")
    with client(host, transport) as asking:
        assert ["1", "2"] == [asking.run_generic_stream("hi").text() for _ in range(2)]
        with pytest.raises(RateLimitError, match=re.escape("at most 2 run(s) in 1000 s")) as refused:
            asking.run_generic_stream("hi").text()
        with pytest.raises(RateLimitError):
            asking.run_generic("hi")
    assert (429, 2, 0) == (refused.value.status, refused.value.limit, refused.value.remaining)
    assert 990 < (refused.value.retry_after or 0) <= 1000
    assert host.requests[2].refused.startswith("at most 2 run(s)")
    assert ["agent 'a': never used: returns_once with chunk '3'"] == host.problems()


def test_every_answer_shows_what_is_left(host):
    host.agent("a").always("x").returns("x").limit(3, per=90)
    requests = post("/v1/agents/a/stream"), post("/v1/agents/a/invoke"), handshake()
    shown = [{"limit": "3", "remaining": left, "reset-after": "90"} for left in "210"]
    wanted = list(zip((200, 200, 101), (None, None, None), shown, strict=True))
    assert wanted == [limits(host, request) for request in requests]


@pytest.mark.parametrize("request_", [post("/v1/agents/a/stream"), handshake()], ids=["stream", "handshake"])
def test_a_refusal_shows_when_to_come_again(host, request_):
    host.agent("a").returns("x").limit(1, per=90)
    assert 200 == limits(host, post("/v1/agents/a/invoke"))[0]
    assert (429, "90", {"limit": "1", "remaining": "0", "reset-after": "90"}) == limits(host, request_)


def test_the_draft_of_the_standard_is_sent_too():
    memory = MemoryNetwork()
    memory.agent("a").always("x").limit(3, per=1.5)
    _, fields = head_of(memory, post("/v1/agents/a/stream"))
    assert ('"runs";q=3;w=2', '"runs";r=2;t=2') == (fields["ratelimit-policy"], fields["ratelimit"])


@pytest.mark.parametrize(
    ("per", "shown"), [(0.02, "20ms"), (1, "1s"), (1.5, "1.5s"), (360, "6m0s"), (3725, "1h2m5s")]
)
def test_openai_shows_limits_of_requests(per, shown):
    memory = MemoryNetwork()
    memory.agent("a").always("x").limit(1, per)
    request = post("/v1/chat/completions", {"model": "a", "messages": [], "stream": True})
    left = {"limit-requests": "1", "remaining-requests": "0", "reset-requests": shown}
    assert [(200, left), (429, left)] == [limits(memory, request)[::2] for _ in range(2)]


def test_anthropic_shows_when_the_limit_is_replenished():
    memory = MemoryNetwork(timestamps=lambda: TIME)
    memory.agent("a").always("x").limit(1, 60)
    body = {"model": "a", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    request = post("/v1/messages", body, **{"anthropic-version": "2023-06-01"})
    left = {"limit": "1", "remaining": "0", "reset": "2026-01-01t00:01:00z"}
    answers = [limits(memory, request, "anthropic-ratelimit-requests-") for _ in range(2)]
    assert [(200, None, left), (429, "60", left)] == answers


def test_a_resumption_is_not_counted(host):
    host.agent("a").limit(1, per=1000).reply("Once", ending("reset")).reply("Once", " upon")
    with client(host, resume=True, max_retries=1, retry_delay=0.001) as asking:
        assert "Once upon" == asking.run_generic_stream("hi").text()
    host.check()


def test_a_handshake_without_a_run_is_not_counted():
    memory = MemoryNetwork()
    memory.agent("a").always("x").limit(1, per=1000).when(query="hi").always("rule")
    assert 101 == head_of(memory, handshake())[0]
    with client(memory, "websocket") as asking:
        assert "rule" == asking.run_generic_stream("hi").text()


@pytest.mark.parametrize("kind", ["server", "memory"])
def test_runs_that_begin_in_the_background_are_counted(kind):
    with player(kind, dialects=[RunsDialect()]) as host:
        host.agent("a").always("x").limit(1, per=60)
        begin = post("/runs", {"agent": "a", "input": "hi"})
        assert [(202, None), (429, "60")] == [limits(host, begin)[:2] for _ in range(2)]


def test_bytes_of_a_script_stay_as_they_are(host):
    host.agent("a").limit(1, per=1000).always(raw_response(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"))
    assert (200, {"x": "y"}) == head_of(host, post("/v1/agents/a/stream"))


@pytest.mark.parametrize(
    ("runs", "per", "raised", "message"),
    [
        (0, 1, ValueError, "limit() takes a number of runs, 1 or more, not 0"),
        (True, 1, ValueError, "limit() takes a number of runs, 1 or more, not True"),
        (1, 0, ValueError, "limit(per=...) is a number of seconds above 0, not 0"),
        (1, float("inf"), ValueError, "limit(per=...) is a number of seconds, 0 or more, not inf"),
        (1, "1", TypeError, "limit(per=...) is a number of seconds, not '1'"),
    ],
)
def test_an_invalid_limit_is_refused_when_it_is_written(runs, per, raised, message):
    with pytest.raises(raised, match=f"^{re.escape(message)}$"):
        MemoryNetwork().agent("a").limit(runs, per)
