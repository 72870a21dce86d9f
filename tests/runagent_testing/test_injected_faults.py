"""Faults in the place of answers: which runs meet them, and what is left of the answer."""

from __future__ import annotations

import ssl

import pytest

from runagent import RunAgentError
from runagent_testing import FakeAgentServer, MemoryNetwork, custom, delay, faults, tool_call
from tests.runagent_testing.faulty import ONCE, OVERSIZED, TEXT, client, met, text_or_error
from tests.runagent_testing.players import PLAYERS, body_of, client_of, player
from tests.runagent_testing.raw_client import post
from tests.runagent_testing.runs import BEGIN, RunsDialect, asked, get, read
from tests.runagent_testing.virtual import Virtual
from tests.support.families import shown

TRANSPORTS = ("sse", "chunked", "websocket")


@pytest.fixture(params=PLAYERS)
def host(request):
    with player(request.param) as host:
        yield host


@pytest.mark.parametrize("kind", ["repeated-index", "missing-index"])
def test_chunks_without_numbers_have_no_wrong_ones(host, kind):
    host.agent("a").always("Once", " upon", indexed=False)
    host.inject(f"{kind}-after-event-1")
    with client(host) as a_client:
        assert "Once upon" == text_or_error(a_client)
    (problem,) = host.problems()
    assert "needs an answer whose chunks are numbered" in problem


@pytest.mark.parametrize("transport", faults.TRANSPORTS)
def test_every_fault_can_take_the_place_of_an_answer(transport):
    virtual = Virtual("sync")
    virtual.memory.agent("a").always(*faults.CHUNKS)
    catalogue = [fault for fault in faults.for_transport(transport, "memory") if fault.kind not in OVERSIZED]
    options = {"transport": "chunked", "headers": {"Accept": "text/plain"}} if transport == "text" else {}

    async def scenario():
        for fault in catalogue:
            virtual.memory.inject(f"{transport}/{fault.id}")
            async with virtual.client(**{"transport": transport} | options | ONCE) as a_client:
                fault.check(*await shown(a_client.run_generic_stream("x")))

    virtual.run(scenario)
    on_connect = sum(fault.position.name == "before-accept" for fault in catalogue)
    assert met(virtual.memory).count(None) == 0
    assert len(virtual.memory.requests) == len(catalogue) - on_connect
    assert [] == virtual.memory.problems()


def test_a_displaced_reply_counts_as_used(host):
    host.agent("a").reply("Once", " upon", delay(60), " a time").reply("Twice")
    host.inject("sse/fin-after-event-1")
    with client(host, **ONCE) as a_client:
        assert "Once" == text_or_error(a_client).partial_text
        assert "Twice" == text_or_error(a_client)
    assert ["sse/fin-after-event-1", None] == met(host)
    assert [] == host.problems()


@pytest.mark.parametrize(
    ("fault", "transport"),
    [
        ("sse/fin-after-event-1", "sse"),
        ("chunked/reset-in-event-2", "chunked"),
        ("sse/status-503", "sse"),
        ("websocket/status-503", "websocket"),
    ],
)
def test_another_attempt_gets_the_displaced_reply(host, fault, transport):
    host.agent("a").reply("Once", " upon").reply("Twice")
    host.inject(fault)
    with client(host, transport, retry_delay=0.01, retry_unsafe=True) as a_client:
        assert ["Once upon", "Twice"] == [text_or_error(a_client), text_or_error(a_client)]
    assert [fault, None, None] == met(host)


def test_another_attempt_without_a_key_is_known_by_its_input(host):
    host.agent("a").reply("Once").reply("Twice")
    host.inject("status-503")
    with client_of(host) as raw:
        raw.send(post("/v1/agents/a/stream", {"query": "x"}))
        assert 503 == body_of(raw)[0]
        raw.send(post("/v1/agents/a/stream", {"query": "y"}))
        assert b"Twice" in raw.until(b"0\r\n\r\n")
        raw.send(post("/v1/agents/a/stream", {"query": "x"}))
        assert b"Once" in raw.until(b"0\r\n\r\n")


def test_a_fault_in_a_resumption_comes_before_the_body(host):
    # Later ones would be skipped together with the chunks that the client has.
    host.agent("a").always(*TEXT)
    host.inject("fin-after-event-2", run=1)
    host.chaos(1, without=OVERSIZED)
    with client(host, max_retries=20, retry_delay=0, retry_unsafe=True) as a_client:
        assert isinstance(text_or_error(a_client), RunAgentError)
    first, *others = met(host)
    assert "sse/fin-after-event-2" == first
    http = {
        fault.id
        for fault in faults.for_transport("sse")
        if fault.position.name in ("in-head", "before-answer")
    }
    assert others
    assert {fault.removeprefix("sse/") for fault in others} <= http


def test_the_journal_has_the_fault(host):
    host.agent("a").always("Once", " upon")
    host.inject("no-done-after-event-1")
    with client(host, **ONCE) as a_client:
        text_or_error(a_client)
    (exchange,) = host.requests
    assert "sse/no-done-after-event-1" == exchange.fault == exchange.as_dict()["fault"]
    for text in (exchange.timeline(), exchange.transcript()):
        assert "fault: sse/no-done-after-event-1" in text


# Which answers have a place for a fault


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (["Once"], "begins with 2 chunks"),
        (["Once", tool_call("f"), " upon"], "begins with 2 chunks"),
        ([custom("a"), "Once", " upon"], "begins with 2 chunks"),
    ],
)
def test_an_answer_that_is_too_short_for_a_fault_is_a_problem(host, steps, reason):
    host.agent("a").always(*steps)
    host.inject("fin-after-event-2")
    with client(host, **ONCE) as a_client:
        assert isinstance(text_or_error(a_client), str)
    (problem,) = host.problems()
    assert "never met: fault 'fin-after-event-2'" in problem
    assert reason in problem


# Injected faults


def test_a_fault_is_for_the_run_that_is_named(host):
    host.agent("a").always("Once", " upon")
    host.agent("b").always("Twice")
    host.inject("status-400", agent="b")
    host.agent("a").inject("status-401", run=3).inject("chunked/status-403")
    with client(host, **ONCE) as a_client:
        for _ in range(3):
            text_or_error(a_client)
    with client(host, "chunked", **ONCE) as a_client:
        text_or_error(a_client)
    assert [None, None, "sse/status-401", "chunked/status-403"] == met(host)
    assert ["never met: fault 'status-400' of agent 'b'"] == host.problems()
    assert [] == host.problems(allow_unused=True)


def test_a_fault_needs_no_script():
    memory = MemoryNetwork()
    memory.agent("a").inject("fin-after-event-2")
    with client(memory, **ONCE) as a_client:
        assert "".join(faults.CHUNKS[:2]) == text_or_error(a_client).partial_text
    assert [] == memory.problems()


def test_a_fault_of_a_connection_is_for_the_next_one(host):
    host.agent("a").always("Once")
    host.inject("reset-before-accept")
    with client(host, **ONCE) as a_client:
        assert isinstance(text_or_error(a_client), RunAgentError)
        assert "Once" == text_or_error(a_client)
    with pytest.raises(ValueError, match="next connection"):
        host.inject("reset-before-accept", run=2)
    with pytest.raises(ValueError, match="no scope"):
        host.scope("other").inject("reset-before-accept")


def test_a_fault_in_the_handshake_is_met_by_a_client_that_sends_nothing(host):
    host.agent("a").reply("Once")
    host.inject("unoffered-subprotocol")
    with client(host, "websocket", **ONCE) as a_client:
        assert isinstance(text_or_error(a_client), RunAgentError)
    assert ["websocket/unoffered-subprotocol"] == met(host)
    assert [] == host.problems()


def test_over_tls_there_is_no_half_close():
    server = FakeAgentServer(ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    with pytest.raises(ValueError, match="no half-close"):
        server.inject("sse/half-close-after-start")


@pytest.mark.parametrize(
    ("fault", "endings"),
    [
        ("bad-opcode-after-event-1", {"server": "stall-reset", "memory": "stall"}),
        ("stall-after-event-1", {"server": "stall", "memory": "stall"}),
    ],
)
def test_a_client_that_overlooks_a_fault_does_not_wait_for_ever_on_sockets(host, fault, endings):
    host.agent("a").always("Once", " upon")
    host.inject(f"websocket/{fault}")
    with client(host, "websocket", timeout=0.5, **ONCE) as a_client:
        assert isinstance(text_or_error(a_client), RunAgentError)
    assert (
        host.requests[0].steps[-1].kind == endings["memory" if isinstance(host, MemoryNetwork) else "server"]
    )


def test_a_run_that_began_in_the_background_meets_no_fault():
    with player("memory", dialects=[RunsDialect()]) as memory:
        memory.agent("a").always("Once", " upon")
        memory.chaos(1)
        code, body = asked(memory, post("/runs", {"agent": "a"}))
        assert 202 == code
        assert any("upon" in line for line in read(memory, get(f"/runs/{body['run']}")))
        assert [None] == met(memory)


def test_a_message_that_is_refused_meets_no_fault():
    memory = MemoryNetwork()
    memory.agent("a").entrypoints("generic", "generic_stream").reply("Once", " upon")
    memory.inject("close-1011-after-event-1", run=1)
    with client_of(memory) as raw:
        raw.open_websocket(request={"entrypoint_tag": "other_stream", "input_args": [], "input_kwargs": {}})
        assert b"not found" in raw.until(b"}")
    assert [None] == met(memory)
    with client(memory, "websocket", **ONCE) as a_client:
        assert "Once" == text_or_error(a_client).partial_text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fault": "fin-after-evnt-1"}, "did you mean 'fin-after-event-1'"),
        ({"fault": "fin"}, "no single fault"),
        ({"fault": "sse"}, "no single fault"),
        ({"fault": "smtp/fin-after-event-1"}, "no transport 'smtp'"),
        ({"fault": "sse/wrong-accept"}, "only a WebSocket"),
        ({"fault": 7}, "not \\[7\\]"),
        ({"fault": "status-400", "run": 0}, "run= is"),
        ({"fault": "status-400", "agent": 3}, "agent= is"),
    ],
)
def test_an_unknown_fault_is_an_error_with_a_suggestion(arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        MemoryNetwork().inject(**arguments)


def test_a_run_that_outlives_its_answer_is_read_again_after_a_fault(host):
    with player("memory", dialects=[RunsDialect()]) as memory:
        memory.agent("a").reply("Once", " upon")
        memory.inject("runs/fin-after-event-1")
        with client_of(memory) as raw:
            raw.send(BEGIN)
            assert b"Once" in raw.rest()[0]
        with client_of(memory) as raw:
            raw.send(get("/runs/r1"))
            assert b" upon" in raw.until(b"0\r\n\r\n")
        assert ["runs/fin-after-event-1", None] == met(memory)
        assert [] == memory.problems()


@pytest.mark.parametrize(
    ("transport", "fault"), [("sse", "status-503"), ("websocket", "close-1011-after-event-1")]
)
def test_the_answer_of_a_rule_is_displaced(host, transport, fault):
    # On a WebSocket, a rule that depends on the input applies after the handshake.
    host.agent("a").always("Else").when(query="x").reply("Once", " upon")
    host.inject("websocket/status-503")
    host.inject(f"{transport}/{fault}")
    with client(host, transport, **ONCE) as a_client:
        assert isinstance(text_or_error(a_client), RunAgentError)
    assert [f"{transport}/{fault}"] == met(host)
    assert ["never met: fault 'websocket/status-503'"] == host.problems()
