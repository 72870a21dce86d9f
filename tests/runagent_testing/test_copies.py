"""Copies and pickles: of scripts and exchanges, not of servers."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import dataclasses
import json
import pickle

import pytest
import trio

import runagent_testing
from runagent import AsyncRunAgentClient, RunAgentClient, RunAgentError
from runagent_testing import (
    FakeAgentServer,
    Gate,
    MemoryNetwork,
    at,
    delay,
    ending,
    every,
    faults,
    fixed,
    gate,
    inside,
    log_normal,
    rechunked,
    repeat,
    tokens_per_second,
    uniform,
)
from runagent_testing._script.script import Script
from runagent_testing.dialects import Dialect, Request, RunRequest
from tests.runagent_testing.players import PLAYERS, player
from tests.runagent_testing.raw_client import PATIENCE
from tests.runagent_testing.recordings import header, written
from tests.runagent_testing.test_exchange_dicts import network_of
from tests.support.har import har_faults
from tests.support.styles import TRANSPORTS

COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
copying = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


def steps():
    """One of every step that the package exports."""
    arguments = {
        "chunk": ("x",),
        "custom": ("a", {"b": [1]}),
        "delay": (1.5,),
        "done": ("well", {"total_tokens": 3}),
        "ending": ("stall",),
        "error": ("CODE", "text"),
        "head": (201,),
        "heartbeat": (),
        "raw": (b": x\n\n",),
        "raw_response": (b"SSH-2.0",),
        "reasoning": ("hm",),
        "repeat": ("x",),
        "status": (429,),
        "tool_call": ("look", {"at": 1}),
    }
    return [getattr(runagent_testing, name)(*given) for name, given in arguments.items()]


WRITES = [every(3), at(1, 2), inside("crlf"), rechunked(7)]
PACES = [fixed(1), uniform(0, 1, seed=1), log_normal(1, 0.5, seed=2), tokens_per_second(20)]
OPTIONS = [*({"writes": writes} for writes in WRITES), *({"pace": pace} for pace in PACES)]


@copying
@pytest.mark.parametrize("step", steps(), ids=lambda step: type(step).__name__)
def test_steps(copied, step):
    assert step == copied(step)
    assert repr(step) == repr(copied(step))
    assert dataclasses.asdict(step).keys() == {field.name for field in dataclasses.fields(step)}


@copying
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_scripts_with_their_properties(copied, options):
    script = Script.of(("Once", delay(0.5), " upon", ending("cut")), **options)
    again = copied(script)
    assert script.steps == again.steps
    for name in ("pace", "writes"):
        assert type(getattr(script, name)) is type(getattr(again, name))
    assert dataclasses.asdict(script)["framing"] == "chunked"


@copying
@pytest.mark.parametrize("is_open", [False, True])
def test_the_copy_of_a_gate_is_another_gate_in_the_same_state(copied, is_open):
    door = gate("door")
    if is_open:
        door.open()
    again = copied(door)
    assert isinstance(again, Gate)
    assert ("door", is_open) == (again.name, again.is_open)
    assert again is not door
    (again.close if is_open else again.open)()
    assert door.is_open is is_open
    assert {"name": "door"} == dataclasses.asdict(door)


@copying
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_faults(copied, transport):
    known = faults.for_transport(transport)
    again = copied(known)
    assert [fault.id for fault in known] == [fault.id for fault in again]
    assert [fault.expected for fault in known] == [copied(fault).expected for fault in known]
    for fault in again[::20]:
        fault.install(MemoryNetwork(), "writer")


@copying
def test_what_a_dialect_gets(copied):
    seen = []

    class Curious(Dialect):
        name = "curious"
        transports = ("curious",)

        def parse_request(self, request):
            seen.append(request)

    for kind in PLAYERS:
        with player(kind, dialects=[Curious()]) as host:
            host.agent("writer").always("x")
            read(host)
    for request in seen:
        again = copied(request)
        assert isinstance(again, Request)
        assert (request.headers, request.body) == (again.headers, again.body)
        assert again.now() <= again.now()
    assert 2 <= len(seen)
    wanted = RunRequest(agent_id="a", transport="sse", body={"q": 1})
    assert wanted == copied(wanted)


def read(host, transport="sse"):
    with RunAgentClient(
        "writer", base_url=host.url, transport=transport, api_key="sk-l1ve-90a7812", **network_of(host)
    ) as client:
        client.run_generic_stream("hello").text()
    assert host.requests[-1].wait_done(PATIENCE)
    host.requests[-1].wait_disconnected(PATIENCE)  # or until the connection has served it
    return host.requests[-1]


def demand_equal(exchange, again):
    assert type(exchange) is type(again)
    assert exchange.timeline() == again.timeline()
    assert exchange.transcript() == again.transcript()
    assert json.dumps(exchange.as_dict()) == json.dumps(again.as_dict())
    assert dict(exchange.raw_headers) == dict(again.raw_headers)
    assert exchange.sent == again.sent
    assert repr(exchange) == repr(again)


@copying
@pytest.mark.parametrize("transport", TRANSPORTS)
def test_exchanges(copied, host, transport):
    host.agent("writer").always("Once", delay(0.001), " upon", gate := runagent_testing.gate("door"))
    gate.open()
    exchange = read(host, transport)
    again = copied(exchange)
    demand_equal(exchange, again)
    demand_equal(again, copied(again))
    assert "sk-l1ve" not in repr(again.raw_headers)
    assert "writer" == dataclasses.asdict(exchange)["agent_id"] == dataclasses.asdict(again)["agent_id"]


@copying
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_exchanges_in_event_loops(copied, library):
    memory = MemoryNetwork()
    memory.agent("writer").always("Once", delay(5), " upon")
    network = memory.aio if library == "asyncio" else memory.trio

    async def ask():
        async with AsyncRunAgentClient("writer", base_url=memory.url, network=network) as client:
            await client.run_generic_stream("hello").text()
        demand_equal(memory.requests[0], copied(memory.requests[0]))
        return dataclasses.asdict(memory.requests[0])["ended_at"]

    assert 5.0 == (memory.run_asyncio(ask()) if library == "asyncio" else memory.run_trio(ask))


@copying
def test_exchanges_of_a_function_that_could_go_on(copied):
    memory = MemoryNetwork(buffer_bytes=100)

    def ticks(request):
        for number in range(10_000):
            yield f"tick {number}"

    memory.agent("writer").responds(ticks)
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
    with client.run_generic_stream("hello") as stream:
        for _ in range(3000):
            next(stream)
        exchange = memory.requests[0]
        again = copied(exchange)
        demand_equal(exchange, again)
        assert "(more to come)" in again.timeline()
        shown = again.timeline()
        for _ in range(100):
            next(stream)
    assert shown == again.timeline()
    assert exchange.moves_done > again.moves_done


@copying
@pytest.mark.parametrize("kind", ["replayed", "forwarded", "faulty", "repeated"])
def test_exchanges_that_no_plain_script_answers(copied, kind, tmp_path):
    with FakeAgentServer() as upstream, FakeAgentServer() as server:
        upstream.agent("writer").always("Once", " upon")
        agent = server.agent("writer")
        if kind == "replayed":
            rows = (
                [0.001, "w", 'event: chunk\ndata: {"content": "Once"}\n\n'],
                [0.0, "end", {"kind": "fin"}],
            )
            agent.replay(written(tmp_path / "x.agentstream.jsonl", header(), *rows))
        elif kind == "forwarded":
            agent.forwards(upstream.url)
        elif kind == "faulty":
            agent.always("Once", " upon").inject("fin-after-event-1")
        else:
            agent.always(repeat("again", times=3))
        with (
            contextlib.suppress(RunAgentError),
            RunAgentClient("writer", base_url=server.url, max_retries=0, resume=False) as client,
        ):
            client.run_generic_stream("hello").text()
        exchange = server.requests[0]
        exchange.wait_done(PATIENCE)
        exchange.wait_disconnected(PATIENCE)
        demand_equal(exchange, copied(exchange))
        assert [] == har_faults(server.journal.as_har()["log"])


@copying
def test_a_copy_is_a_snapshot_and_never_waits(copied):
    memory = MemoryNetwork()
    memory.agent("writer").always("Once", door := gate("door"), " upon")
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
    with client.run_generic_stream("hello") as stream:
        next(stream)
        again = copied(memory.requests[0])
        door.open()
        stream.text()
    assert ("running", 1) == (again.outcome, len(again.sent))
    assert not again.wait_done(timeout=PATIENCE * 100)
    assert again.wait_sent(1, timeout=PATIENCE * 100)
    assert not again.wait_sent(2, timeout=PATIENCE * 100)
    assert not again.wait_disconnected(timeout=PATIENCE * 100)


@copying
def test_servers_agents_and_networks_do_not_copy(copied, host):
    scope, agent = host.scope("s"), host.agent("writer")
    networks = [host.blocking, host.aio, host.trio] if isinstance(host, MemoryNetwork) else []
    for one in (host, scope, agent, host.journal, *networks):
        with pytest.raises(TypeError, match=f"^a {type(one).__name__} has connections and locks and cannot"):
            copied(one)


@pytest.mark.parametrize("run", [asyncio.run, trio.run])
def test_a_pickle_can_be_read_in_another_loop(run):
    with FakeAgentServer() as server:
        server.agent("writer").always("x")
        pickled = pickle.dumps(read(server))

    async def load():
        return pickle.loads(pickled).outcome

    assert "done" == (run(load()) if run is asyncio.run else run(load))
