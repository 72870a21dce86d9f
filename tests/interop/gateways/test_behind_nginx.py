"""Gateways behind an nginx that buffers, as it does without directives."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING

import pytest
from websockets.sync.client import connect

from runagent_testing import ending, gate
from tests.interop.gateways.examples import HEARTBEAT, WITH_WEBSOCKETS
from tests.interop.nginx import HTTP_LOCATIONS, WEBSOCKET_LOCATIONS
from tests.interop.programs import needs, needs_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer
    from tests.interop.nginx import Nginx

pytestmark = [pytest.mark.interop, needs_environment("gateways"), needs("nginx")]


@pytest.fixture(params=HTTP_LOCATIONS)
def connection(request: pytest.FixtureRequest, front: Nginx) -> Iterator[http.client.HTTPConnection]:
    """A browser's connection, with a story asked for by each way of passing requests on."""
    connection = http.client.HTTPConnection("127.0.0.1", front.port.number, timeout=10)
    connection.prefix = request.param  # type: ignore[attr-defined]
    yield connection
    connection.close()


def read_until(answer: http.client.HTTPResponse, marker: bytes) -> bytes:
    found = b""
    while marker not in found:
        piece = answer.read1()
        assert piece, "the answer has ended"
        found += piece
    return found


def ask(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    connection.request("GET", f"/{connection.prefix}/story?query=dragons")  # type: ignore[attr-defined]
    return connection.getresponse()


def test_each_chunk_arrives_when_it_is_there(
    connection: http.client.HTTPConnection, agents: FakeAgentServer
) -> None:
    door = gate("door")
    agents.agent("your-agent-id").reply("Once", door, " upon")
    with ask(connection) as answer:
        read_until(answer, b"Once")
        door.open()
        assert b"event: done" in read_until(answer, b"event: done")


def test_a_browser_that_leaves_frees_a_silent_agent(
    connection: http.client.HTTPConnection, agents: FakeAgentServer
) -> None:
    agents.agent("your-agent-id").reply("Once", ending("stall"))
    with ask(connection) as answer:
        read_until(answer, b"Once")
    connection.close()
    assert agents.requests[-1].wait_disconnected(0.5 + 2 * HEARTBEAT)


@pytest.mark.parametrize("gateway", WITH_WEBSOCKETS, indirect=True, ids=" ".join)
@pytest.mark.parametrize("prefix", WEBSOCKET_LOCATIONS)
def test_a_websocket_gets_each_chunk_and_frees_a_silent_agent(
    front: Nginx, prefix: str, agents: FakeAgentServer
) -> None:
    door = gate("door")
    agents.agent("your-agent-id").reply("Once", door, " upon", ending("stall"))
    with connect(f"ws://127.0.0.1:{front.port.number}/{prefix}/chat", proxy=None) as websocket:
        websocket.send('{"query": "dragons"}')
        assert ["status", "data"] == [json.loads(websocket.recv())["type"] for _ in range(2)]
        door.open()
        assert "upon" in str(websocket.recv())
    assert agents.requests[-1].wait_disconnected(0.5)
