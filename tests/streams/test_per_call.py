"""What one call sets in place of its client's settings: where it goes on, over what, in which session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, ConfigurationError, ProtocolError, StreamTruncatedError, ValidationError
from runagent.transports import Capability
from runagent_testing import FakeAgentServer, ending, status
from tests.retries.attempts import DONE, chunk
from tests.support.peer import Peer, answers, chunked, sse
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from runagent.transports import Event
    from tests.support.styles import Style

RESUMING = ("sse", "chunked")
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(params=["run_generic_stream", "run_generic", "run_generic_with_metadata"])
def method(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def call(
    style: Style,
    server: FakeAgentServer | str,
    method: str = "run_generic_stream",
    input: Any = "q",
    **options: Any,
) -> Any:
    """Make one call of a client, and return what a stream gives as a list of chunks and its report."""
    url, own = server if isinstance(server, str) else server.url, options.pop("client", {})

    async def scenario() -> Any:
        client = style.client("a", base_url=url, **own)
        made = getattr(client, method)(input, **options)
        if method != "run_generic_stream":
            return await made
        return [content async for content in made], made.report

    return style.run(scenario)


# resume_after


@pytest.mark.parametrize("transport", RESUMING)
def test_a_call_goes_on_behind_the_chunk_that_its_caller_has(
    style: Style, server: FakeAgentServer, transport: str
) -> None:
    server.agent("a").always("a", "b", "c", "d")
    chunks, report = call(style, server, resume_after=1, transport=transport)
    assert ["c", "d"] == chunks
    assert {"resume_from_index": 2} == server.requests[0].body["parameters"]
    assert (report.run_id, 1, 0) == (
        server.requests[0].headers["idempotency-key"],
        len(report.attempts),
        report.retries,
    )


@pytest.mark.parametrize("transport", RESUMING)
def test_a_call_that_goes_on_may_break_and_go_on_again(
    style: Style, server: FakeAgentServer, transport: str
) -> None:
    agent = server.agent("a")
    agent.reply("a", "b", "c", ending("cut"))
    agent.reply("a", "b", "c", "d")
    chunks, report = call(style, server, resume_after=1, transport=transport, client={"retry_delay": 0})
    assert ["c", "d"] == chunks
    assert [2, 3] == [request.body["parameters"]["resume_from_index"] for request in server.requests]
    assert 2 == report.chunks


@pytest.mark.parametrize("transport", RESUMING)
def test_a_refusal_before_the_first_chunk_is_tried_again_from_the_same_place(
    style: Style, server: FakeAgentServer, transport: str
) -> None:
    agent = server.agent("a")
    agent.reply(status(503))
    agent.reply("a", "b", "c")
    chunks, _ = call(style, server, resume_after=0, transport=transport, client={"retry_delay": 0})
    assert ["b", "c"] == chunks
    assert [1, 1] == [request.body["parameters"]["resume_from_index"] for request in server.requests]


@pytest.mark.parametrize("transport", RESUMING)
@pytest.mark.parametrize("resume", [None, False, "trust"])
@pytest.mark.parametrize("indexed", [True, False])
def test_a_first_chunk_that_is_not_the_next_one_is_a_protocol_error(
    style: Style, server: FakeAgentServer, transport: str, resume: Any, indexed: bool
) -> None:
    server.agent("a").always("a", "b", "c", resume="refuse", indexed=indexed)
    with pytest.raises(ProtocolError, match="did not resume at chunk 2 but at") as caught:
        call(style, server, resume_after=1, resume=resume, transport=transport)
    error = caught.value
    assert error.report is not None
    assert ("NOT_RESUMED", 0, "failed") == (error.code, error.report.chunks, error.report.outcome)
    assert 1 == len(server.requests)


def test_the_first_chunk_is_checked_also_if_the_transport_does_not(style: Style) -> None:
    class Careless(LettersSession):
        def read_body(self, data: bytes) -> list[Event]:
            return [Chunk("x", 7)]

    own = OwnTransport("careless", Careless, capabilities=frozenset({Capability.RESUME}))
    with Peer(answers(chunked("text/plain", b"x"))) as peer:
        client = style.client("a", base_url=peer.url, transport=own)
        with pytest.raises(ProtocolError, match="did not resume at chunk 3 but at 7"):
            style.run(client.run_generic_stream("q", resume_after=2).text)


def test_a_transport_that_cannot_resume_is_refused_or_passed_over(
    style: Style, server: FakeAgentServer
) -> None:
    server.agent("a").always("a", "b")
    with pytest.raises(ConfigurationError, match="'websocket' cannot begin behind a chunk") as caught:
        call(style, server, resume_after=0, transport="websocket")
    assert "NO_RESUME" == caught.value.code
    assert [] == server.requests
    chunks, report = call(style, server, resume_after=0, transport=("websocket", "sse"))
    assert (["b"], "sse") == (chunks, report.transport)


@pytest.mark.parametrize("wrong", [-1, True, 1.5, "3", 2**53])
def test_resume_after_is_an_index(style: Style, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="argument resume_after: expected the index of a chunk"):
        call(style, NOWHERE, resume_after=wrong)


# resume


def test_a_call_may_do_without_resumptions(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("a", ending("cut"))
    with pytest.raises(StreamTruncatedError):
        call(style, server, resume=False)
    assert 1 == len(server.requests)


def test_a_call_may_ask_for_resumptions(style: Style, server: FakeAgentServer) -> None:
    agent = server.agent("a")
    agent.reply("a", ending("cut"))
    agent.reply("a", "b")
    chunks, _ = call(style, server, resume=True, client={"resume": False, "retry_delay": 0})
    assert ["a", "b"] == chunks


def test_resume_is_checked_as_the_clients_is(style: Style) -> None:
    with pytest.raises(ConfigurationError, match='argument resume: expected true, false or "trust"'):
        call(style, NOWHERE, resume="always")


# transport


def test_a_call_chooses_its_transport(style: Style, server: FakeAgentServer, transport: str) -> None:
    server.agent("a").always("a").returns("a")
    _, report = call(style, server, transport=transport)
    result = call(style, server, "run_generic_with_metadata", transport=transport)
    assert [transport, transport] == [report.transport, result.report.transport]


def test_a_call_chooses_among_the_objects_of_its_client_by_name(
    style: Style, server: FakeAgentServer
) -> None:
    server.agent("a").always("a")
    own = OwnTransport()
    chunks, _ = call(style, server, transport="sse", client={"transport": [own, "sse"]})
    assert ["a"] == chunks
    with pytest.raises(ConfigurationError, match="expected a transport's name"):
        call(style, server, transport=own)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("ssse", "'ssse'"),
        ("", "not empty"),
        ((), "a transport's name or a list of names"),
        (3, "a transport's name or a list of names"),
        ("http://x", "put a URL into base_url"),
    ],
)
def test_the_transport_of_a_call_is_checked_at_the_call(
    style: Style, method: str, wrong: Any, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        call(style, NOWHERE, method, transport=wrong)


# session_id


def test_the_next_turn_sends_the_session_id_of_the_one_before(style: Style) -> None:
    answer = answers(sse(("start", {"session_id": "s-1"}), chunk(0), DONE))

    async def scenario(url: str) -> None:
        stream = style.client("a", base_url=url).run_generic_stream("hello")
        await stream.text()
        session_id = stream.started.session_id
        await style.client("a", base_url=url).run_generic_stream("and then?", session_id=session_id).text()

    with Peer(answer, answer) as peer:
        style.run(lambda: scenario(peer.url))
        inputs = [request.json for request in peer.requests]
    assert [{"query": "hello"}, {"query": "and then?", "session_id": "s-1"}] == inputs


@pytest.mark.parametrize("given", [{"query": "q"}, {"query": "q", "session_id": "s"}])
def test_a_session_id_goes_into_the_input(
    style: Style, server: FakeAgentServer, transport: str, method: str, given: Any
) -> None:
    server.agent("a").always("a").returns("a")
    before = dict(given)
    call(style, server, method, given, session_id="s", transport=transport)
    assert [{"query": "q", "session_id": "s"}] == [request.input for request in server.requests]
    assert before == given


@pytest.mark.parametrize(
    ("given", "session_id", "problem"),
    [
        ({"session_id": "t"}, "s", "session_id: the input has another one"),
        ({"session_id": None}, "s", "session_id: the input has another one"),
        ({}, "", "session_id: expected a text that is not empty"),
        ({}, 3, "session_id: expected a text that is not empty"),
        ({}, "\ud800", "session_id: the text holds a lone surrogate at position 0"),
    ],
)
def test_a_session_id_that_cannot_be_sent_is_refused(
    style: Style, method: str, given: Any, session_id: Any, problem: str
) -> None:
    with pytest.raises(ValidationError, match=problem) as caught:
        call(style, NOWHERE, method, given, session_id=session_id)
    assert ("INVALID_INPUT", "session_id") == (caught.value.code, caught.value.details["path"])
