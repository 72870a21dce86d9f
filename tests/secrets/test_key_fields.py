"""A key in another header field than Authorization: the service gets it, and nothing shows it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from runagent import RunAgentError, register_observer
from runagent.transports import HttpRequest, MessageSession
from tests.support.peer import Peer, answers, http
from tests.support.secrets import places_of
from tests.support.sessions import call_of
from tests.support.transports import LettersSession, OwnTransport

if TYPE_CHECKING:
    from runagent.transports import AgentCall
    from tests.support.styles import Style

KEY = "sk-very-secret-0123456789"
FIELDS = [
    ("X-Api-Key", ""),
    ("x-goog-api-key", ""),
    ("api-key", ""),
    ("Authorization", "Token "),
    ("X-Pass", "k="),
]


def transports(field: str, prefix: str) -> list[OwnTransport]:
    """Make one transport over HTTP and one over a WebSocket."""

    class Letters(LettersSession):
        def make_request(self) -> HttpRequest:
            headers = self.call.request_headers(accept="text/plain", key_field=field, key_prefix=prefix)
            return HttpRequest("POST", "/letters", headers)

    class Messages(MessageSession):
        def make_target(self) -> str:
            return "/messages"

        def make_headers(self) -> list[tuple[str, str]]:
            return self.call.request_headers(accept="*/*", key_field=field, key_prefix=prefix)

    return [OwnTransport(session=Letters, tunnels=False), OwnTransport(session=Messages, tunnels=True)]


@pytest.mark.parametrize(("field", "prefix"), FIELDS)
@pytest.mark.parametrize("kind", [0, 1], ids=["http", "websocket"])
def test_the_service_gets_the_key_and_nothing_shows_it(
    style: Style, field: str, prefix: str, kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shown: list[object] = []
    chosen = transports(field, prefix)[kind]

    class Observer:
        def observe_call(self, call: AgentCall) -> None:
            shown.append(repr(call))

    async def scenario() -> RunAgentError:
        client = style.client(
            "a",
            base_url=peer.url,
            transport=chosen,
            api_key=KEY,
            max_retries=1,
            retry_delay=0,
        )
        stream = client.run_generic_stream("x")
        with pytest.raises(RunAgentError) as caught:
            await stream.text()
        shown.extend([client, stream, stream.report, stream.report.as_dict(), stream.report.attempts])
        return caught.value

    body = {"error": {"message": f"no {KEY}", "details": [KEY]}}
    refusals = [http(code, body, x_seen=KEY, connection="close") for code in (503, 401)]
    with Peer(*map(answers, refusals)) as peer, register_observer(Observer()):
        error = style.run(scenario)
    assert [prefix + KEY] * 2 == [request.headers[field.lower()] for request in peer.requests]
    assert all(KEY not in request.target for request in peer.requests)
    assert [] == places_of(KEY, error)
    assert KEY not in f"{shown!r} {caplog.text}"
    assert "no ***" in str(error)


def test_a_field_of_the_caller_goes_out_instead_of_the_key() -> None:
    call = call_of(api_key=KEY, headers=(("x-api-KEY", "mine"), ("Authorization", "Basic bWU6c2VjcmV0")))
    fields = call.request_headers(accept="*/*", key_field="X-Api-Key", key_prefix="")
    assert KEY not in repr(fields)
    assert [("x-api-KEY", "mine"), ("Authorization", "Basic bWU6c2VjcmV0")] == fields[-2:]


def test_without_a_key_there_is_no_field() -> None:
    fields = call_of().request_headers(accept="*/*", key_field="X-Api-Key", key_prefix="k ")
    assert "X-Api-Key" not in dict(fields)
