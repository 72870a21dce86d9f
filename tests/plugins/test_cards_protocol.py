"""A protocol like A2A passes the conformance kit, and its mutants do not; what is special about it."""

from __future__ import annotations

import contextlib
import json

import pytest

from runagent import (
    AgentError,
    ConfigurationError,
    PluginError,
    ProtocolError,
    RunAgentClient,
    StreamError,
    ValidationError,
)
from runagent_testing import (
    FakeAgentServer,
    MemoryNetwork,
    chunk,
    custom,
    delay,
    done,
    ending,
    error,
    gate,
    raw,
    status,
)
from runagent_testing.conformance import TransportConformance, check_transport
from tests.plugins.protocols.cards import CARD_PATH, CardSession, CardTransport
from tests.plugins.protocols.cards_dialect import CardDialect
from tests.plugins.protocols.cards_mutants import (
    AsksForTheCardAgain,
    CardAtTheRoot,
    EndOfBodyIsTheEnd,
    FailedIsGood,
    KeyInTheCardsUrl,
    LosesInterrupts,
    OtherHost,
    OtherOriginOfTheSession,
    RepeatsTheSnapshot,
    StartsToAttach,
    WholeUrlAsTarget,
)
from tests.support.kit import in_short

CARD = f"GET {CARD_PATH}"
USAGE = {"total_tokens": 7}


def message(**fields):
    return raw(f"data: {json.dumps({'jsonrpc': '2.0', 'id': 1, **fields})}\n\n".encode())


RPC_ERROR = message(error={"code": -32603, "message": "no room left", "data": {"where": "disk"}})


TWO_PARTS = {"artifact": {"artifactId": "a", "parts": [{"text": "Once"}, {"data": {"page": 1}}]}}
SAMPLES = {
    "artifacts": (chunk("Once", event="story"), chunk("Un", event="title"), message(result={"later": {}})),
    "interrupts": (message(result={"artifactUpdate": TWO_PARTS}), done(interrupts=[{"choices": ["a", "b"]}])),
    "a JSON-RPC error": (RPC_ERROR, error("-32603", "no room left")),
}


class TestCards(TransportConformance):
    requirements = 1
    styles = in_short("sync")
    players = ("memory",)

    @pytest.fixture
    def transport(self):
        return CardTransport()

    @pytest.fixture
    def dialects(self):
        return [CardDialect()]

    @pytest.fixture
    def samples(self):
        return SAMPLES


MUTANTS = [
    (KeyInTheCardsUrl, "session.key", "the key is in the request line: GET /.well-known"),
    (CardAtTheRoot, "session.prefix", "/.well-known/agent-card.json"),
    (RepeatsTheSnapshot, "run.resume", "expected '1 ', got '0 '"),
    (FailedIsGood, "run.failed-inside", "then a good end"),
    (LosesInterrupts, "session.usage", "interrupts"),
    (EndOfBodyIsTheEnd, "session.truncated-by-framing", "returned Completed"),
    (StartsToAttach, "run.attach", "started"),
]


def transport_of(session):
    transport = CardTransport()
    transport.session = session
    return transport


def check(session, requirement):
    return check_transport(
        transport_of(session),
        dialects=[CardDialect()],
        styles=["sync"],
        players=["memory"],
        only=[requirement],
        samples=SAMPLES,
    )


@pytest.mark.parametrize(
    ("mutant", "requirement", "reason"), MUTANTS, ids=lambda value: getattr(value, "__name__", None)
)
def test_each_mutant_is_caught_by_the_requirement_that_is_meant_for_it(mutant, requirement, reason):
    [failed] = check(mutant, requirement).failed
    assert requirement == failed.requirement.id
    assert reason in failed.reason


# What is special about the protocol, end to end.


@contextlib.contextmanager
def serving(*agents, at="", dialect=None):
    with FakeAgentServer(dialects=[dialect or CardDialect(at)]) as server:
        for agent in agents:
            server.agent(agent).always("Once", " upon", done(usage=USAGE))
        yield server


def client_of(style, server, session=CardSession, **options):
    options.setdefault("retry_delay", 0.001)
    return style.client("writer", base_url=server.url, transport=transport_of(session), **options)


def cards(server):
    return [exchange.path for exchange in server.other_requests].count(CARD_PATH)


def read(style, server, times=1, **options):
    """Read the agent's stories, one after the other, with one client; return the texts."""

    async def scenario():
        async with client_of(style, server, **options) as client:
            return [await client.run_generic_stream("hello").text() for _ in range(times)]

    return style.run(scenario)


# No requirement is meant for this mutant: a service may want its card to be read at each run.
@pytest.mark.parametrize(("session", "expected"), [(CardSession, 1), (AsksForTheCardAgain, 3)])
def test_one_card_serves_all_runs_of_a_client(style, session, expected):
    with serving("writer") as server:
        assert ["Once upon"] * 3 == read(style, server, times=3, session=session)
        assert expected == cards(server)


def test_a_card_is_asked_for_again_after_ten_minutes():
    memory = MemoryNetwork(dialects=[CardDialect()])
    memory.agent("writer").reply("a").reply(delay(590), "b").reply("c").reply(delay(20), "d").always("e")
    client = RunAgentClient(
        "writer", base_url=memory.url, network=memory.blocking, transport=CardTransport(), timeout=900
    )
    asked = [(client.run_generic_stream("hello").text(), cards(memory)) for _ in range(5)]
    assert [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 2)] == asked


def test_a_service_that_has_moved_is_found_by_its_new_card(style):
    async def scenario():
        async with client_of(style, server) as client:
            assert "Once upon" == await client.run_generic_stream("hello").text()
            dialect.path = "/v2"
            streams = [client.run_generic_stream("hello") for _ in range(2)]
            assert ["Once upon"] * 2 == [await stream.text() for stream in streams]
            assert [1, 0] == [stream.report.retries for stream in streams]

    dialect = CardDialect()
    with serving("writer", dialect=dialect) as server:
        style.run(scenario)
        assert 2 == cards(server)
        assert ["/a2a", "/v2", "/v2"] == [exchange.path for exchange in server.requests]


def test_a_new_card_that_leads_nowhere_is_not_asked_for_twice_in_a_run(style):
    with FakeAgentServer() as there, serving(at=there.url) as home:
        for expected in (1, 2):  # nor kept for the next one
            with pytest.raises(AgentError) as caught:
                read(style, home, allowed_origins=[there.url])
            assert (404, expected, expected) == (caught.value.status, cards(home), there.connections)


def test_the_card_leads_to_another_origin_if_the_caller_allows_it(style):
    with serving("writer") as there, serving(at=there.url) as home:
        assert ["Once upon"] * 2 == read(style, home, times=2, api_key="k3y", allowed_origins=[there.url])
        assert (1, 0, 0) == (cards(home), len(home.requests), cards(there))
        assert ["Bearer k3y"] * 2 == [exchange.raw_headers["authorization"] for exchange in there.requests]


# The transport goes wherever the card leads; the client refuses that, and the ways of these mutants too.
@pytest.mark.parametrize(
    ("session", "refusal", "code"),
    [
        (CardSession, ConfigurationError, "ORIGIN_NOT_ALLOWED"),
        (WholeUrlAsTarget, PluginError, "INVALID_REQUEST"),
        (OtherHost, PluginError, "INVALID_REQUEST"),
        (OtherOriginOfTheSession, ConfigurationError, "ORIGIN_NOT_ALLOWED"),
    ],
)
def test_nothing_is_sent_to_an_origin_that_the_caller_has_not_allowed(style, session, refusal, code):
    with serving("writer") as there, serving(at=there.url) as home:
        with pytest.raises(refusal) as caught:
            read(style, home, session=session, api_key="k3y")
        assert code == caught.value.code
        assert (0, 1, 0) == (there.connections, cards(home), len(home.requests))


@pytest.mark.parametrize(
    "body",
    [
        "<p>",
        [],
        {"interfaces": []},
        {"interfaces": [{"url": "http://elsewhere", "binding": "GRPC"}]},
        {"interfaces": [{"url": "file:///etc/passwd", "binding": "JSONRPC"}]},
        {"interfaces": [{"url": 7, "binding": "JSONRPC"}]},
        {"interfaces": [{"binding": "JSONRPC"}]},
    ],
)
def test_a_card_that_is_of_no_use_is_an_error_and_not_kept(style, body):
    with serving("writer") as server:
        server.on_request(CARD, status(200, body=body))
        with pytest.raises(ProtocolError):
            read(style, server)
        assert [] == server.requests
        assert ["Once upon"] == read(style, server)


def test_a_card_that_failed_for_a_moment_is_asked_for_again(style):
    with serving("writer") as server:
        server.on_request(CARD, status(503))
        assert ["Once upon"] == read(style, server)
        assert (2, 1) == (cards(server), len(server.requests))


def test_a_service_without_a_card_is_asked_once(style):
    with serving("writer") as server:
        server.on_request(CARD, status(404))
        with pytest.raises(AgentError) as caught:
            read(style, server)
        assert (404, 1, []) == (caught.value.status, cards(server), server.requests)


def test_an_agent_that_needs_input_ends_with_interrupts(style):
    async def scenario():
        async with client_of(style, server) as client:
            stream = client.run_generic_stream("hello")
            assert "Well" == await stream.text()
            return stream.completed

    with serving() as server:
        server.agent("writer").reply("Well", done(message="Which?", interrupts=[{"choices": ["a", "b"]}]))
        completed = style.run(scenario)
    assert ([{"choices": ["a", "b"]}], "Which?") == (completed.interrupts, completed.message)


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["Once", error("CAPACITY", "no room left")], ("no room left", "CAPACITY", None)),
        (["Once", RPC_ERROR], ("no room left", "-32603", {"where": "disk"})),
    ],
)
def test_a_failed_task_and_an_error_in_the_stream_are_stream_errors(style, steps, expected):
    with serving() as server:
        server.agent("writer").reply(*steps)
        with pytest.raises(StreamError) as caught:
            read(style, server)
    assert ("Once", *expected) == (
        caught.value.partial_text,
        caught.value.message,
        caught.value.code,
        caught.value.details,
    )


def test_an_error_in_place_of_the_stream_is_a_refusal_although_its_status_is_200(style):
    with serving("reader") as server:
        with pytest.raises(ValidationError) as caught:
            read(style, server)
        assert 1 == len(server.requests)
    refusal = caught.value
    assert ("no tenant 'writer'", "-32602", {"reason": "refused"}) == (
        refusal.message,
        refusal.code,
        refusal.details,
    )


def test_a_broken_stream_goes_on_behind_the_snapshot_of_all_artifacts(style):
    story = [
        chunk("Once", event="story"),
        chunk("Un", event="title"),
        custom("step", 1),
        chunk({"page": 1}, event="story"),
    ]
    rest = [
        chunk(" upon \ud83d", event="story"),
        chunk("titled", event="title"),
        chunk("\ude00", event="story"),
    ]
    with serving() as server:
        agent = server.agent("writer")
        agent.reply(*story, ending("cut")).reply(*story, *rest, done(usage=USAGE))
        [text] = read(style, server)
        assert 'OnceUn{"page":1} upon titled😀' == text
        assert ["message/stream", "tasks/resubscribe"] == [
            exchange.body["method"] for exchange in server.requests
        ]
        assert 1 == cards(server)


def test_the_snapshot_of_another_answer_is_an_error(style):
    with serving() as server:
        server.agent("writer").reply("Once", " upon", ending("cut")).reply("Twice", " upon")
        with pytest.raises(ProtocolError, match="does not begin part"):
            read(style, server)


def test_a_task_can_be_read_on_and_cancelled_by_another_client(style):
    async def scenario():
        async with client_of(style, server) as first, client_of(style, server) as second:
            stream = first.run_generic_stream("hello")
            assert "Once" == await anext(stream)
            handle = stream.handle
            await stream.aclose()
            middle.open()
            rest = second.attach(handle)
            assert " upon" == await anext(rest)
            assert await second.attach(handle).cancel()
            with pytest.raises(StreamError) as caught:
                await anext(rest)
            assert "CANCELLED" == caught.value.code
            assert not await second.attach(handle).cancel()  # over: status 200 with an error confirms nothing

    middle = gate("middle")
    with serving() as server:
        server.agent("writer").reply("Once", middle, " upon", gate("never opened"), " a time")
        style.run(scenario)


def test_a_task_that_the_service_has_forgotten_is_gone(style):
    async def scenario():
        async with client_of(style, server) as client:
            stream = client.run_generic_stream("hello")
            await anext(stream)
            handle = stream.handle
            await stream.aclose()
            server.clear()
            with pytest.raises(StreamError) as caught:
                await client.attach(handle).text()
            assert "GONE" == caught.value.code

    with serving() as server:
        server.agent("writer").reply("Once", gate("never opened"))
        style.run(scenario)
