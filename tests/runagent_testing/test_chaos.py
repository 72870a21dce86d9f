"""Faults by chance: the draw, from which faults, and that the client survives."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest

from runagent import RunAgentError
from runagent_testing import Exchange, MemoryNetwork, faults, tool_call
from runagent_testing._host.chaos import Chaos
from tests.runagent_testing.faulty import ONCE, OVERSIZED, TEXT, client, met, text_or_error
from tests.runagent_testing.players import PLAYERS, player
from tests.runagent_testing.virtual import STYLES, Virtual

TRANSPORTS = ("sse", "chunked", "websocket")
STRUCK = [2, 9, 16, 21, 23, 27, 32, 34, 35]
CHOICES = [44, 24, 92, 40, 66]


@pytest.fixture(params=PLAYERS)
def host(request):
    with player(request.param) as host:
        yield host


def test_the_draw_is_the_same_in_every_process_and_version():
    struck = [number for number in range(1, 41) if Chaos(0.2, seed=7).strikes("writer", number)]
    assert struck == STRUCK
    choices = [Chaos(0.2, seed=7).choose("writer", number, range(100)) for number in range(1, 6)]
    assert choices == CHOICES


def test_seed_test_and_agent_change_the_draw():
    def struck(seed=0, test="", agent="a"):
        return [Chaos(0.3, seed, test=test).strikes(agent, number) for number in range(1, 200)]

    draws = [struck(), struck(1), struck(test="t"), struck(agent="b")]
    assert all(one != other for one, other in itertools.combinations(draws, 2))


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_the_rate_is_the_part_of_runs_that_meet_a_fault(rate):
    struck = sum(Chaos(rate, seed=1).strikes("a", number) for number in range(1, 20_001))
    assert struck == pytest.approx(20_000 * rate, rel=0.1)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("retries", [0, 2])
def test_every_run_under_chaos_is_whole_or_raises(transport, style, retries):
    virtual = Virtual(style)
    virtual.memory.agent("a").always(*TEXT)
    virtual.memory.chaos(0.2, seed=retries)
    results: Counter[str] = Counter()

    async def scenario():
        for _ in range(200 if retries == 0 else 50):
            # A new one for each run, as a client remembers that an origin has no WebSockets.
            options = {"max_retries": retries, "resume": retries > 0, "retry_unsafe": retries > 0}
            async with virtual.client(transport, **options) as a_client:
                try:
                    text = await a_client.run_generic_stream("x").text()
                except RunAgentError:
                    results["error"] += 1
                else:
                    results[text] += 1

    virtual.run(scenario)
    assert {"error", "".join(TEXT)} == set(results)
    struck = [
        Chaos(0.2, seed=retries).strikes("a", number + 1) for number in range(len(virtual.memory.requests))
    ]
    assert [fault is not None for fault in met(virtual.memory)] == struck
    if retries == 0:
        assert results["error"] == sum(struck)
    else:
        assert results["error"] < sum(struck)
    assert [] == virtual.memory.problems()


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_plain_run_meets_faults_of_http(host, transport):
    host.agent("a").returns({"answer": 42})
    host.chaos(1, without=OVERSIZED)
    with client(host, transport, **ONCE) as a_client:
        for _ in range(20):
            with pytest.raises(RunAgentError):
                a_client.run_generic("x")
    kind = "run" if transport == "websocket" else "invoke"
    assert all(fault.startswith(f"{kind}/") for fault in met(host))
    assert len(set(met(host))) > 5
    assert [] == host.problems()


def test_what_a_function_answers_is_displaced_before_its_begin():
    called: list[Exchange] = []
    memory = MemoryNetwork()
    memory.agent("a").responds(called.append)
    memory.chaos(1, without=OVERSIZED)
    with client(memory, **ONCE) as a_client:
        for _ in range(100):
            shown_instead = text_or_error(a_client)
            assert isinstance(shown_instead, RunAgentError)
            assert not getattr(shown_instead, "partial_text", "")
    assert [] == called
    assert None not in met(memory)


def test_a_stream_in_which_not_all_is_text_is_never_cut_to_its_text():
    memory = MemoryNetwork()
    memory.agent("a").always("Once", tool_call("f"), " upon")
    memory.chaos(1, seed=3, without=OVERSIZED)
    with client(memory, **ONCE) as a_client:
        for _ in range(200):
            assert isinstance(text_or_error(a_client), RunAgentError)
    ids = {fault.removeprefix("sse/") for fault in met(memory)}
    assert "fin-after-event-1" in ids
    assert not {"wrong-content-type", "no-content-type", "fin-before-end-marker", "fin-after-event-2"} & ids


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 2}, "rate from 0 to 1"),
        ({"rate": float("nan")}, "rate from 0 to 1"),
        ({"rate": "often"}, "a rate"),
        ({"rate": 0.1, "seed": -1}, "seed= is"),
        ({"rate": 0.1, "only": "sse"}, "only= is a list"),
        ({"rate": 0.1, "only": ["stal"]}, "did you mean 'stall'"),
        ({"rate": 0.1, "without": ["sse/stal"]}, "did you mean 'stall'"),
        ({"rate": 0.1, "without": ["ssee/stall"]}, "did you mean 'sse'"),
        ({"rate": 0.1, "test": 3}, "test= is"),
    ],
)
def test_an_invalid_setting_is_an_error(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MemoryNetwork().chaos(**arguments)


@pytest.mark.parametrize(
    ("only", "without", "expected"),
    [
        (["sse/fin"], [], {"fin"}),
        (["fin", "reset"], ["reset"], {"fin"}),
        (["sse"], ["fin-after-event-1", *OVERSIZED], None),
        (["drip"], [], {"drip"}),
        (["chunked"], [], {""}),
    ],
)
def test_the_faults_to_choose_from(only, without, expected):
    memory = MemoryNetwork()
    memory.agent("a").always(*TEXT)
    memory.chaos(1, only=only, without=without)
    with client(memory, **ONCE) as a_client:
        for _ in range(30):
            text_or_error(a_client)
    by_id = {fault.id: fault.kind for fault in faults.for_transport("sse", "memory")}
    kinds = {by_id[(fault or "/").partition("/")[2]] if fault else "" for fault in met(memory)}
    assert kinds == expected or (expected is None and len(kinds) > 10 and "" not in kinds)


def test_on_sockets_chance_chooses_no_silence():
    with player("server") as server:
        server.agent("a").always(*TEXT)
        server.chaos(1, without=OVERSIZED)
        with client(server, "websocket", timeout=5, **ONCE) as a_client:
            for _ in range(100):
                text_or_error(a_client)
            assert all("stall" not in fault or "stall-reset" in fault for fault in met(server) if fault)


def test_chaos_ends_with_zero_and_with_clear(host):
    host.agent("a").always(*TEXT)
    for end in (lambda: host.chaos(0), host.clear):
        host.chaos(1, without=OVERSIZED)
        end()
        host.agent("a").always(*TEXT)
        with client(host) as a_client:
            assert "".join(TEXT) == text_or_error(a_client)


def test_a_scope_has_its_own_chaos(host):
    one, other = host.scope("one"), host.scope("other")
    one.chaos(1, only=["status-400"])
    for scope in (one, other):
        scope.agent("a").always("Once")
        with client(host, headers={"X-Fake-Scope": scope.name}, **ONCE) as a_client:
            text_or_error(a_client)
    assert (["sse/status-400"], [None]) == (met(one), met(other))
