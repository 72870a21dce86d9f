"""Keys and passwords stay where they belong."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from runagent import AuthenticationError, RunAgentClient, RunAgentError
from runagent_testing import FakeAgentServer, error, status

if TYPE_CHECKING:
    from tests.support.styles import Style

KEY = "sk-very-secret-0123456789"


@pytest.mark.parametrize(
    ("url", "warnings"),
    [
        ("http://agents.example", ["the API key goes to http://agents.example unencrypted"]),
        ("https://agents.example", []),
        ("http://127.0.0.1:8450", []),
        ("http://localhost", []),
        ("http+unix://%2Frun%2Fagent.sock", []),
    ],
)
def test_a_key_in_the_clear_warns_once(
    url: str, warnings: list[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runagent.options._warned_origins", set())
    for _ in range(2):
        RunAgentClient("a", base_url=url, api_key=KEY).run_generic_stream("x")
    assert [record.message.partition(";")[0] for record in caplog.records] == warnings


def test_no_key_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    RunAgentClient("a", base_url="http://agents.example").run_generic_stream("x")
    assert caplog.records == []


def test_the_key_is_sent_and_shown_nowhere(
    style: Style, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent")

    async def scenario() -> list[object]:
        shown: list[object] = []
        client = style.client(
            "a", base_url=server.url, transport=transport, api_key=KEY, headers={"X-Own": KEY}, retry_delay=0
        )
        stream = client.run_generic_stream("x")
        shown += [client, stream, stream.report, client.settings, vars(client).get("client")]
        try:
            async for _ in stream:
                pass
        except RunAgentError as exc:
            shown += [exc, vars(exc), exc.__cause__, stream.report]
        return shown

    with FakeAgentServer(api_key=KEY) as server:
        server.agent("a").reply(status(503, retry_after=0)).always("x", error("CODE", "failed"))
        shown = style.run(scenario)
        assert [request.raw_headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"] * 2
        assert all(KEY not in request.path for request in server.requests)
    assert KEY not in repr(shown) + caplog.text


def test_a_key_is_asked_for_at_each_attempt(style: Style) -> None:
    keys = iter(["first", KEY])

    async def scenario() -> str:
        client = style.client("a", base_url=server.url, api_key=lambda: next(keys))
        with pytest.raises(AuthenticationError):
            await client.run_generic_stream("x").text()
        return str(await client.run_generic_stream("x").text())

    with FakeAgentServer(api_key=KEY) as server:
        server.agent("a").always("x")
        assert style.run(scenario) == "x"


def test_what_a_peer_says_forges_no_log_line(
    style: Style, transport: str, server: FakeAgentServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "runagent")
    server.agent("a").always("x", error("E\x1b[2J\nroot: INFO all is well", "m\r\nroot: INFO forged\x1b[31m"))

    async def scenario() -> None:
        with pytest.raises(RunAgentError):
            await style.client("a", base_url=server.url, transport=transport).run_generic_stream("x").text()

    style.run(scenario)
    assert all(message.isprintable() for message in caplog.messages)
    assert any("forged" in message for message in caplog.messages)
