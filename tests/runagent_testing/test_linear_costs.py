"""Long scripts, many requests, many parts: n times as much takes n times as long, and nobody waits."""

from __future__ import annotations

import threading
import time

import pytest

from runagent import RunAgentClient
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    delay,
    fixed,
    gate,
    head,
    heartbeat,
)
from runagent_testing._host.websocket import Conversation
from runagent_testing._internal.credentials import Names
from runagent_testing._journal.exchange import Exchange
from runagent_testing._journal.journal import Journal
from runagent_testing._journal.recorder import Recorder
from runagent_testing._render.growing import GrowingPlan
from runagent_testing._render.plan import Write
from runagent_testing._render.render import growing_plan, stream_plan
from runagent_testing._script.script import Script
from runagent_testing._standalone.script_file import ScriptFileError, load_script
from runagent_testing.dialects import DialectRun
from runagent_testing.dialects._builtin import dialect_of
from runagent_testing.dialects._documented import Documented
from runagent_testing.dialects._formats import Sse
from tests.runagent_testing.raw_client import connected, stream
from tests.runagent_testing.virtual import STYLES, Virtual

SMALL, TIMES = 500, 8
TICKS = ["tick", delay(0.05)]


def run(transport="sse", **fields):
    return DialectRun(transport, "r", "2026-01-01", {}, fields, dialect=dialect_of(transport))


def planned(*options, transport="sse", before=(), **properties):
    """Make what plans a script of so many ticks."""

    def plan(count):
        script = Script.of((*before, *(TICKS * count)), **properties)
        return lambda: stream_plan(script, run(transport, **dict(options)))

    return plan


def looked_at(count):
    exchange = Exchange("POST", "sse", "a", "/", {}, 1)
    script = Script.of(tuple(TICKS * count))
    exchange.steps, exchange.plan = script.steps, growing_plan(script, run())
    for move in exchange.plan:
        Recorder(exchange).note_move(move)

    def look():
        assert not exchange.unplayed
        assert exchange.wait_sent(count)
        assert exchange.timeline()
        Recorder(exchange).wait_until_idle(1)

    return look


def waited_for(count):
    journal = Journal()

    def wait():
        waiting = threading.Thread(target=journal.wait, args=(count, 60))
        waiting.start()
        for _ in range(count):
            journal.note(Exchange("POST", "sse", "a", "/", {}, 1))
            with journal._arrived:  # the waiting thread looks each time
                pass
        waiting.join(60)

    return wait


def heard_in_fragments(count):
    parts = b"\x01\x80" + bytes(4) + (b"\x00\x81" + bytes(4) + b"x") * count
    return lambda: Conversation().receive_data(parts)


def waiting_at_one_gate(count):
    door = gate("door")
    wakes = [lambda number=number: number for number in range(count)]

    def pass_by():
        for wake in wakes:
            door.on_open(wake)
        for wake in reversed(wakes):
            door.forget(wake)

    return pass_by


def cost(work):
    began = time.process_time()
    work()
    return time.process_time() - began


COSTS = {
    "a plan with pauses": planned(),
    "a plan with pauses before and a head": planned(before=(delay(1), head())),
    "a plan with pauses over a websocket": planned(transport="websocket", before=(delay(1), head())),
    "a plan with a pace": planned(pace=fixed(0.1)),
    "a plan with ids": planned(("last-event-id", "99999999"), ids=True),
    "a plan of one length": planned(framing="length"),
    "a plan per step": planned(writes="per-step", write_gap=0.1),
    "an exchange that is looked at": looked_at,
    "requests that are waited for": waited_for,
    "a message in fragments": heard_in_fragments,
    "runs that wait at one gate": waiting_at_one_gate,
}


@pytest.mark.parametrize("name", COSTS)
def test_costs_are_linear(name):
    for _ in range(3):  # the machine may be busy
        small, large = (min(cost(COSTS[name](count)) for _ in range(3)) for count in (SMALL, SMALL * TIMES))
        if large < max(small, 0.001) * TIMES * 3:  # a square would be TIMES times TIMES
            return
    raise AssertionError(f"{name}: {TIMES} times as much took {large / small:.0f} times as long")


def test_a_script_full_of_faults_is_checked_in_linear_time(tmp_path):
    def checked(count):
        path = tmp_path / f"{count}.yaml"
        path.write_text("agents: {a: {always: [" + "{ending: cut}, " * count + "x]}}", encoding="utf-8")

        def check():
            with pytest.raises(ScriptFileError):
                load_script(path)

        return check

    small, large = (min(cost(checked(count)) for _ in range(2)) for count in (200, 1600))
    assert large < max(small, 0.01) * 8 * 3


@pytest.mark.parametrize("transport", ["sse", "chunked", "text", "websocket"])
@pytest.mark.parametrize("writes", ["merged", "per-step"])
def test_a_growing_plan_is_that_of_the_script(transport, writes):
    steps = ("a", heartbeat(), *(["b"] * 700), delay(1), "c", *TICKS * 40, *(["x" * 1000] * 600))
    script = Script.of(steps, writes=writes, ids=True, pace=None, write_gap=0.5)
    grown, whole = growing_plan(script, run(transport)), stream_plan(script, run(transport))
    assert list(whole.moves) == list(grown) == list(grown.moves)
    assert (whole.end, whole.data) == (grown.end, grown.data)
    assert (whole.after(5), whole.after(10**6)) == (grown.after(5), grown.after(10**6))


@pytest.mark.parametrize("steps", [TICKS * 50_000, ["tick"] * 100_000], ids=["pauses", "no pauses"])
def test_the_first_move_needs_few_steps(steps):
    plan = growing_plan(Script.of(tuple(steps)), run())
    first = plan.after(0)
    assert isinstance(first, Write)
    assert cost(lambda: growing_plan(Script.of(tuple(TICKS)), run()).after(0)) < 0.1
    assert len(plan.known) < 10


def test_a_request_does_not_look_at_all_steps_of_its_script():
    script = Script.of(tuple(TICKS * 50_000))
    spent = cost(lambda: [(script.refuses, script.is_long, script.head) for _ in range(200)])
    assert spent < 0.5  # to look at them takes longer


@pytest.mark.parametrize("count", [8_000, 50_000])
def test_a_long_script_delays_no_client(transport, count):
    with FakeAgentServer() as server:
        server.agent("long").always(*TICKS * count)
        server.agent("short").always("x")
        client = RunAgentClient("long", base_url=server.url, transport=transport)
        began = time.process_time()
        with client.run_generic_stream("x") as long:
            assert "tick" == next(long)
            short = RunAgentClient("short", base_url=server.url, transport=transport)
            assert ["x"] == list(short.run_generic_stream("x"))
            spent = time.process_time() - began
    assert spent < 0.5  # to render it all takes longer, with 50 000 pauses
    assert server.requests[0].plan is None or isinstance(server.requests[0].plan, GrowingPlan)


def test_a_timeline_searches_little_of_a_long_write_for_credentials(monkeypatch):
    searched = []
    places_in = Names.places_in

    def counted(names, text, *, certain=False):
        searched.append(len(text))
        return places_in(names, text, certain=certain)

    with FakeAgentServer() as server:
        key = "sk-0123456789abcdef"
        server.agent("a").always(f"{key} {'x' * 4_000_000} {key}")
        client = RunAgentClient("a", base_url=server.url, api_key=key)
        assert client.run_generic_stream("x").text()
        monkeypatch.setattr(Names, "places_in", counted)
        shown = server.requests[0].timeline()
    assert key[:8] not in shown
    assert "write of 4000" in shown
    assert 0 < sum(searched) < 400_000


@pytest.mark.parametrize("style", STYLES)
def test_a_long_script_begins_at_once_on_virtual_time(style, transport):
    virtual = Virtual(style)
    virtual.memory.agent("a").always(*TICKS * 50_000)

    async def scenario():
        stream = virtual.client(transport).run_generic_stream("x")
        assert "tick" == await anext(aiter(stream))
        await stream.aclose()

    virtual.run(scenario)
    assert virtual.cpu_seconds < 0.5


def test_others_have_their_turn_while_a_burst_is_written():
    with FakeAgentServer() as server:
        server.agent("long").always(*["x" * 10] * 100_000, writes="per-step")
        server.agent("short").always("x")
        with connected(server.url) as one, connected(server.url) as other:
            one.send(stream("long"))
            one.until(b"xxxxxxxxxx")
            other.send(stream("short"))
            reading = threading.Thread(target=lambda: one.until(b"0\r\n\r\n"), daemon=True)
            reading.start()
            other.until(b"0\r\n\r\n")
            moves = server.requests[0].moves_done
            assert moves < 90_000
            reading.join(60)


class _Failing(Sse):
    def chunk(self, step, index, id):
        if index == 600:
            raise ValueError("cannot be written")
        return super().chunk(step, index, id)


class _FailingDialect(Documented):
    name = "failing"

    def stream(self, run):
        return _Failing()


def test_a_dialect_that_fails_in_the_middle_of_a_long_script_fails_the_test():
    with FakeAgentServer(dialects=[_FailingDialect()]) as server:
        server.agent("a").always(*["x"] * 1000, writes="per-step")
        for number in (1, 2):
            with connected(server.url) as client:
                client.send(stream())
                assert b"0\r\n\r\n" not in client.rest()[0][-10:]
            problems = server.problems(allow_unused=True)
            why = "StepRefusedError: step 601, chunk 'x': cannot be written"
            listed = [f"request {n}: POST /v1/agents/a/stream (sse): {why}" for n in range(1, number + 1)]
            assert listed == problems


def test_runs_of_a_long_script_have_their_own_ids():
    memory = MemoryNetwork()
    memory.agent("a").always(*["x"] * 1000)
    ids = set()
    for _ in range(2):
        client = RunAgentClient("a", base_url=memory.url, network=memory.blocking, transport="websocket")
        ids.add(client.run_generic_stream("x").text())
        sent = b"".join(one.data for one in memory.requests[-1].sent)
        ids.add(sent.partition(b'invocation_id":"')[2][:36].decode())
    assert 3 == len(ids)
