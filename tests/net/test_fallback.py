"""An ordered choice of transports: it moves on only on proof, and remembers the proof for five minutes."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from runagent import (
    AgentError,
    AgentNotFoundError,
    AgentServerError,
    NetworkError,
    ProtocolError,
    RunAgentError,
    RunTimeoutError,
    register_transport,
)
from runagent._address.url import Origin
from runagent._run.spec import KnownUnsupported
from runagent.transports import HttpRequest
from tests.support.peer import Peer, PeerConnection, http, message, ndjson, sse, upgrade
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from tests.support.styles import Style

SSE = sse(("chunk", {"content": "sse"}), ("done", {}))
NDJSON = ndjson({"type": "chunk", "content": "chunked"}, {"type": "done"})
FRAMES = message({"type": "data", "content": "websocket"}) + message(
    {"type": "status", "status": "stream_completed"}
)
NO_AGENT = http(404, {"error": {"code": "AGENT_NOT_FOUND", "message": "no such agent"}})


class Speaks:
    """An act that answers each transport in its own way."""

    def __init__(self, **answers: bytes) -> None:
        self._answers = answers
        self.asked: list[str] = []

    def __call__(self, connection: PeerConnection) -> None:
        request = connection.read_request()
        while request is not None:
            accept = request.headers["accept"]
            name = {"text/event-stream": "sse", "*/*": "websocket"}.get(accept, "chunked")
            self.asked.append(name)
            answer = self._answers.get(name)
            if answer is None and name == "websocket":
                connection.unread(request)
                upgrade(FRAMES)(connection)
                return
            connection.send(answer or {"sse": SSE, "chunked": NDJSON}[name])
            request = connection.read_request()


def run(style: Style, peer: Peer, transport: Any, *, times: int = 1, **options: Any) -> tuple[str, Any]:
    """Run an agent and return the texts, joined, with the last report."""

    async def scenario() -> tuple[str, Any]:
        client = style.client("a", base_url=peer.url, transport=transport, **{"max_retries": 0} | options)
        texts = []
        for _ in range(times):
            stream = client.run_generic_stream("x")
            texts.append(await stream.text())
        return " ".join(texts), stream.report

    found: tuple[str, Any] = style.run(scenario)
    return found


PROOFS = {
    "405": http(405),
    "406": http(406, {"error": {"message": "not acceptable"}}),
    "415": http(415, {"detail": "unsupported"}),
    "426": http(426, upgrade="websocket"),
    "501": http(501),
    "404 without a body": http(404),
    "404 with a page": http(404, "<html>Not Found</html>"),
    "404 of a framework": http(404, {"detail": "Not Found"}),
}


@pytest.mark.parametrize("proof", PROOFS)
def test_each_proof_moves_on_and_is_remembered(style: Style, proof: str) -> None:
    speaks = Speaks(sse=PROOFS[proof])
    with Peer(speaks) as peer:
        text, report = run(style, peer, "auto", times=2)
    assert "chunked chunked" == text
    assert ["sse", "chunked", "chunked"] == speaks.asked
    assert (["chunked"], "chunked") == ([a.transport for a in report.attempts], report.transport)


@pytest.mark.parametrize(
    ("choice", "tried"),
    [
        (["letters", "auto"], ["letters", "sse", "chunked"]),
        ("auto,letters", ["sse", "chunked"]),
        (["websocket", "letters", "auto"], ["websocket"]),
    ],
)
def test_auto_may_be_part_of_a_choice(style: Style, choice: Any, tried: list[str]) -> None:
    speaks = Speaks(sse=http(406), chunked=NDJSON)
    with Peer(speaks) as peer, register_transport(OwnTransport(session=JSONLetters)):
        text, report = run(style, peer, choice)
    assert (tried[-1], tried) == (text, [attempt.transport for attempt in report.attempts])


class JSONLetters(LettersSession):
    """Asks for server-sent events, as `Speaks` distinguishes transports by what they accept."""

    def make_request(self) -> HttpRequest:
        return HttpRequest("POST", "/letters", self.call.request_headers(accept="text/event-stream"))


@pytest.mark.parametrize(
    "proof",
    [
        *PROOFS.values(),
        http(200, "hello"),
        http(400, 'Can "Upgrade" only to "WebSocket".'),
        http(200, "<html>", content_type="text/html"),
    ],
)
def test_a_refused_upgrade_moves_on(style: Style, proof: bytes) -> None:
    speaks = Speaks(websocket=proof)
    with Peer(speaks) as peer:
        text, report = run(style, peer, ["websocket", "sse"])
    assert ("sse", ["websocket", "sse"]) == (text, speaks.asked)
    assert ["websocket", "sse"] == [attempt.transport for attempt in report.attempts]
    assert [True, False] == [attempt.error is not None for attempt in report.attempts]


def test_the_order_is_the_callers(style: Style) -> None:
    for order, first in (
        (["websocket", "sse"], "websocket"),
        (["chunked", "websocket"], "chunked"),
        ("auto", "sse"),
        ("chunked,sse", "chunked"),
    ):
        speaks = Speaks()
        with Peer(speaks) as peer:
            assert (first, [first]) == (run(style, peer, order)[0], speaks.asked)


def test_all_three_are_tried_and_the_last_error_counts(style: Style) -> None:
    speaks = Speaks(sse=http(405), chunked=http(406), websocket=http(501, "the last word"))
    with Peer(speaks) as peer:
        for _ in range(2):
            with pytest.raises(AgentError) as caught:
                run(style, peer, "auto")
            assert 501 == caught.value.status
            assert "another transport" in str(caught.value)
    assert ["sse", "chunked", "websocket"] * 2 == speaks.asked


@pytest.mark.parametrize("refusal", [http(404, {"detail": "Not Found"}), http(405), http(501)])
def test_the_hint_at_auto_is_for_the_transports_in_it(style: Style, refusal: bytes) -> None:
    def hint_of(transport: Any) -> str:
        with Peer(Speaks(sse=refusal, chunked=refusal)) as peer, pytest.raises(AgentError) as caught:
            run(style, peer, transport)
        return caught.value.hint

    assert hint_of("sse").endswith('; or choose another transport: "auto" tries them all')
    assert "auto" not in hint_of(OwnTransport())


def test_when_nothing_is_left_everything_is_tried_again(style: Style) -> None:
    async def scenario() -> None:
        client = style.client("a", base_url=peer.url, transport=["sse", "chunked"], max_retries=0)
        for _ in range(2):
            with pytest.raises(AgentError):
                await client.run_generic_stream("x").text()

    speaks = Speaks(sse=http(405), chunked=http(405))
    with Peer(speaks) as peer:
        style.run(scenario)
    # The last transport gets no verdict: it is what remains.
    assert ["sse", "chunked", "chunked"] == speaks.asked


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (NO_AGENT, AgentNotFoundError),
        (http(500), AgentServerError),
        (http(502, "<html>"), AgentServerError),
        (http(503), AgentServerError),
        (http(429), RunAgentError),
        (http(401), RunAgentError),
        (http(400, {"error": {"message": "bad"}}), RunAgentError),
        (http(301, location="/x"), ProtocolError),
        (http(200, "<html>hello</html>", content_type="text/html"), ProtocolError),
        (sse(("error", {"error": "no"})), RunAgentError),
        (sse(end=False), RunAgentError),
        (b"SSH-2.0-x\r\n", ProtocolError),
        (b"HTTP/1.1 404 x\r\nContent-Length: 100\r\n\r\n", AgentNotFoundError),
    ],
)
def test_an_outage_or_an_agents_no_never_moves_on(style: Style, answer: bytes, error: type) -> None:
    def act(connection: PeerConnection) -> None:
        asked.append(connection.read_request())
        connection.send(answer)

    asked: list[Any] = []
    with Peer(act) as peer, pytest.raises(error):
        run(style, peer, ["sse", "chunked"])
    assert 1 == len(asked)


def test_a_refused_connection_never_moves_on(style: Style) -> None:
    async def scenario() -> Any:
        client = style.client("a", base_url=url, transport="auto", max_retries=0)
        stream = client.run_generic_stream("x")
        with pytest.raises(NetworkError):
            await stream.text()
        return stream.report

    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        report = style.run(scenario)
    assert ["sse"] == [attempt.transport for attempt in report.attempts]


def test_silence_never_moves_on(style: Style) -> None:
    with Peer(lambda connection: connection.wait_gone()) as peer:
        with pytest.raises(RunTimeoutError):
            run(style, peer, "auto", timeout=0.1)
        assert 1 == peer.connections


def test_an_outage_behind_a_proof_is_the_error(style: Style) -> None:
    speaks = Speaks(sse=http(405), chunked=http(503))
    with Peer(speaks) as peer, pytest.raises(AgentServerError):
        run(style, peer, "auto")
    assert ["sse", "chunked"] == speaks.asked


def test_plain_runs_move_on_as_well(style: Style) -> None:
    def act(connection: PeerConnection) -> None:
        request = connection.read_request()
        assert request is not None
        body = {"success": True, "data": "published"}
        published = request.target.startswith("/api/v1/agents/a/run")
        connection.send(http(200, body) if published else http(404, {"detail": "Not Found"}))

    async def scenario() -> Any:
        return await style.client("a", base_url=peer.url, transport="auto").run_generic("x")

    with Peer(act) as peer:
        assert "published" == style.run(scenario)


def test_a_verdict_is_kept_for_five_minutes_and_for_its_origin_only() -> None:
    known_unsupported, order = KnownUnsupported(), ["sse", "chunked", "websocket"]
    here, there = Origin("http", "a", 80), Origin("http", "b", 80)
    assert order == known_unsupported.choose(here, order, 1000.0)
    known_unsupported.add(here, "sse", 1000.0)
    assert ["chunked", "websocket"] == known_unsupported.choose(here, order, 1000.0)
    assert ["chunked", "websocket"] == known_unsupported.choose(here, order, 1299.9)
    assert order == known_unsupported.choose(here, order, 1300.0)
    assert order == known_unsupported.choose(there, order, 1000.0)
    assert ["sse"] == known_unsupported.choose(here, ["sse"], 1000.0)
