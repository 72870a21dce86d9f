"""What interrupts a relay: a server that cancels it, a fault in the gateway, a scope of another kind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import AsyncRunAgentClient, ConfigurationError
from runagent.relay import relay
from runagent.relay._answering import AsyncBody
from runagent_testing import ending
from tests.runagent_testing.virtual import Virtual
from tests.support.browsers import Browser
from tests.support.peer import Peer
from tests.support.styles import Style

if TYPE_CHECKING:
    from runagent.relay import AsyncRelay
    from tests.support.gateways import Gateway
    from tests.support.peer import PeerConnection

LOOPS = ("asyncio", "trio")
SECONDS = 10.0  # nobody waits that long unless something is broken


@pytest.mark.parametrize("style", LOOPS)
def test_a_server_that_cancels_the_answer_frees_the_agent(style: str) -> None:
    virtual = Virtual(style)
    virtual.memory.agent("a").always("Once", ending("stall"))

    async def scenario() -> None:
        answer = relay(virtual.client().run_generic_stream("q"))
        visit = Browser(virtual).visit
        if style == "trio":
            with trio.move_on_after(5) as scope:
                await visit(answer)
            assert scope.cancelled_caught
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(5):
                    await visit(answer)

    virtual.run(scenario)
    (exchange,) = virtual.memory.requests
    assert exchange.disconnected_at == pytest.approx(5, abs=0.1)


async def cancelled_after(seconds: float, style: str, body: AsyncBody) -> None:
    """Read a body until it is cancelled after so many seconds."""
    if style == "trio":
        with trio.move_on_after(seconds):
            [piece async for piece in body]
    else:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                [piece async for piece in body]


@pytest.mark.parametrize("style", LOOPS)
def test_a_body_that_is_cancelled_frees_the_agent(style: str) -> None:
    virtual = Virtual(style)
    virtual.memory.agent("a").always("Once", ending("stall"))

    async def scenario() -> None:
        answer: AsyncRelay = relay(virtual.client().run_generic_stream("q"))
        await answer.open("GET", None)
        body = AsyncBody(answer)
        await cancelled_after(5, style, body)

    virtual.run(scenario)
    (exchange,) = virtual.memory.requests
    assert exchange.disconnected_at == pytest.approx(5, abs=0.1)


@pytest.mark.parametrize("style", ["asyncio", "uvloop", "transports", "trio"])
def test_a_browser_that_leaves_while_the_input_is_sent_ends_the_answer(style: str) -> None:
    asked, over = threading.Event(), threading.Event()
    sent: list[int] = []

    def reads_nothing_more(connection: PeerConnection) -> None:
        connection.socket.recv(10)
        asked.set()
        over.wait(SECONDS)

    async def scenario() -> None:
        client = AsyncRunAgentClient("a", base_url=peer.url, transport="sse", timeout=10 * SECONDS)
        answer = relay(client.run_generic_stream("x" * (16 << 20)))

        async def receive() -> dict[str, Any]:
            assert await Style(style).wait(asked)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message["status"])

        await answer({"type": "http", "method": "GET", "headers": []}, receive, send)

    with Peer(reads_nothing_more) as peer:
        try:
            Style(style).run(scenario)
        finally:
            over.set()
    assert [499] == sent  # which nobody reads


def test_a_fault_in_the_gateway_ends_the_answer_with_neutral_words_and_is_logged(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.agent.always("Once", ending("stall"))

    def fail(*_: Any) -> Any:
        raise LookupError("db-7.internal")

    monkeypatch.setattr("runagent.relay._core.RelayCore._frames", fail)
    with caplog.at_level(logging.WARNING, "runagent.relay"):
        page = gateway.visit()
    kind, fields = page.last
    assert ("error", "INTERNAL_ERROR") == (kind, fields["code"])
    assert b"db-7" not in page.body
    (record,) = caplog.records
    assert record.exc_info is not None
    assert LookupError is record.exc_info[0]
    (exchange,) = gateway.requests
    assert "client disconnected" == exchange.outcome


@pytest.mark.parametrize("style", LOOPS)
@pytest.mark.parametrize("error", [OSError("gone"), LookupError("a fault of the server")])
def test_an_error_of_the_server_in_a_write_is_none_of_the_run(style: str, error: Exception) -> None:
    virtual = Virtual(style)
    virtual.memory.agent("a").always("One", " two", ending("stall"), writes="per-step")
    sent: list[bytes] = []

    async def receive() -> Any:
        if style == "trio":
            await trio.sleep_forever()
        await asyncio.Event().wait()

    async def send(message: dict[str, Any]) -> None:
        sent.append(message.get("body", b""))
        if b"two" in sent[-1]:
            raise error

    async def scenario() -> None:
        answer: AsyncRelay = relay(virtual.client().run_generic_stream("q"))
        scope = {"type": "http", "method": "GET", "headers": []}
        # Servers raise an OSError for a browser that has left; any other error they get back.
        expected = pytest.raises(LookupError) if isinstance(error, LookupError) else contextlib.nullcontext()
        with expected:
            await answer(scope, receive, send)

    virtual.run(scenario)
    assert b"two" in sent[-1]  # and no frame of an error behind it
    (exchange,) = virtual.memory.requests
    assert "client disconnected" == exchange.outcome


@pytest.mark.parametrize(
    ("format", "kind"), [("sse", "websocket"), ("websocket", "http"), ("ndjson", "lifespan")]
)
def test_a_scope_of_another_kind_is_rejected(format: Any, kind: str) -> None:
    async def scenario() -> None:
        stream = AsyncRunAgentClient("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
        with pytest.raises(ConfigurationError, match=f"not '{kind}'"):
            await relay(stream, format=format)({"type": kind}, None, None)

    asyncio.run(scenario())
