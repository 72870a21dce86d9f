"""Redirects over sockets: 307 and 308 at home are followed, anything else is an error naming the place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import NetworkError, ProtocolError, RunAgentError
from tests.support.peer import Peer, PeerConnection, answers, http, message, sse, upgrade

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.styles import Style

STREAM = sse(("chunk", {"content": "here"}), ("done", {}))


def text(style: Style, peer: Peer, **options: Any) -> str:
    async def scenario() -> str:
        client = style.client("a", base_url=peer.url, api_key="secret", **options)
        return str(await client.run_generic_stream({"query": "x"}).text())

    return str(style.run(scenario))


def failure(style: Style, peer: Peer, **options: Any) -> RunAgentError:
    with pytest.raises(RunAgentError) as caught:
        text(style, peer, **options)
    return caught.value


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("keep", ["close", "keep-alive"])
def test_a_redirect_at_home_is_followed_with_the_same_body(style: Style, status: int, keep: str) -> None:
    with Peer(answers(http(status, "moved", location="/new?a=b", connection=keep)), answers(STREAM)) as peer:
        assert "here" == text(style, peer)
        first, second = peer.requests
    assert ("/v1/agents/a/stream", "/new?a=b") == (first.target, second.target)
    assert first.body == second.body == b'{"query":"x"}'
    assert first.headers == second.headers
    assert "Bearer secret" == second.headers["authorization"]


def test_a_redirected_run_is_one_attempt(style: Style) -> None:
    async def scenario() -> Any:
        stream = style.client("a", base_url=peer.url).run_generic_stream("x")
        await stream.text()
        return stream.report

    with Peer(answers(http(307, location="/new")), answers(STREAM)) as peer:
        report = style.run(scenario)
    assert (1, 200) == (len(report.attempts), report.status)


def test_a_redirect_by_the_full_address(style: Style) -> None:
    def act(connection: PeerConnection) -> None:
        answers(http(307, location=f"{connection.peer.url}/new"))(connection)

    with Peer(act, answers(STREAM)) as peer:
        assert "here" == text(style, peer)


def test_a_websocket_is_redirected_as_well(style: Style) -> None:
    done = {"type": "status", "status": "stream_completed"}
    frames = upgrade(message({"type": "data", "content": "here"}) + message(done))
    with Peer(answers(http(307, location="/new")), frames) as peer:
        assert "here" == text(style, peer, transport="websocket")
        assert "/new" == peer.requests[1].target


def test_a_redirect_on_a_unix_socket(style: Style, tmp_path: Path) -> None:
    with Peer(answers(http(307, location="/new")), answers(STREAM), unix_path=str(tmp_path / "s")) as peer:
        assert "here" == text(style, peer)


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_redirect_that_changes_the_request_is_an_error(style: Style, transport: str, status: int) -> None:
    with Peer(answers(http(status, location="/new"))) as peer:
        error = failure(style, peer, transport=transport)
        assert 1 == peer.connections
    assert type(error) is ProtocolError
    assert '"/new"' in str(error)
    assert "set base_url" in str(error)


def test_the_key_never_goes_elsewhere(style: Style, transport: str) -> None:
    with Peer(answers(STREAM)) as elsewhere, Peer(answers(http(307, location=elsewhere.url))) as peer:
        error = failure(style, peer, transport=transport)
        assert ([], ProtocolError) == (elsewhere.requests, type(error))
        assert elsewhere.url in str(error)
        assert "another origin" in str(error)


@pytest.mark.parametrize("limit", [0, 3])
def test_a_loop_ends(style: Style, limit: int) -> None:
    options = {"transport_options": {"max_redirects": limit}} if limit else {}
    with Peer(answers(http(307, location="/loop"))) as peer:
        error = failure(style, peer, **options)
        assert (limit or 5) + 1 == len(peer.requests)
    assert type(error) is ProtocolError
    assert "max_redirects" in str(error)


def test_an_end_behind_a_redirect_is_no_answer(style: Style) -> None:
    with Peer(answers(http(307, location="/new")), lambda connection: connection.read_request()) as peer:
        error = failure(style, peer, max_retries=0)
    assert (NetworkError, "NO_ANSWER") == (type(error), error.code)
