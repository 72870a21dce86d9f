"""The gateways of docs/gateways.md, each under the servers that people run it with."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

from runagent_testing import delay, ending, error, gate, head, heartbeat, repeat, status
from tests.interop.gateways.examples import HEARTBEAT, SERVERS, WITH_WEBSOCKETS, write_examples
from tests.interop.programs import needs_environment
from tests.support.browsers import read_events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from runagent_testing import Agent, Exchange, FakeAgentServer
    from tests.interop.gateways.examples import Gateway

    Ask = Callable[..., http.client.HTTPResponse]

pytestmark = [pytest.mark.interop, needs_environment("gateways")]

STORY = ("Once", " upon", " a", " time")
SOON = 0.5  # seconds in which an agent is free under ASGI
WSGI = ("gunicorn", "waitress")
INTERNAL = "db-7.internal"
QUESTION = '{"query": "dragons"}'
LARGE = "x" * 100_000
_SERVER_BYTES = 16 * 1024 * 1024  # that a server keeps at most, of those here waitress


@pytest.fixture
def agent(agents: FakeAgentServer) -> Agent:
    return agents.agent("your-agent-id")


@pytest.fixture
def ask(gateway: Gateway) -> Iterator[Ask]:
    """Asks a gateway as a browser does; what is left open is closed at the end."""
    opened: list[Any] = []

    def ask(last: str | None = None) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
        opened.append(connection)
        connection.request(
            "GET", "/story?query=dragons", headers={} if last is None else {"Last-Event-ID": last}
        )
        answer = connection.getresponse()
        opened.append(answer)
        return answer

    yield ask
    for each in opened:
        each.close()


def events_of(answer: http.client.HTTPResponse) -> list[tuple[str, dict[str, Any], str | None]]:
    return [event for event in read_events([answer.read()]) if event[0] != "heartbeat"]


def test_every_example_of_the_page_is_served(tmp_path: Any) -> None:
    assert {framework for _, framework in SERVERS} == set(write_examples(tmp_path))


def test_a_story_arrives_whole(ask: Ask, agent: Agent) -> None:
    agent.reply(*STORY)
    answer = ask()
    assert (200, "text/event-stream") == (answer.status, (answer.getheader("content-type") or "")[:17])
    assert ("no-cache, no-transform", "no") == (
        answer.getheader("cache-control"),
        answer.getheader("x-accel-buffering"),
    )
    run_id = answer.getheader("x-runagent-run-id")
    kinds = [(kind, fields.get("content"), event_id) for kind, fields, event_id in events_of(answer)]
    numbered = [("chunk", text, str(index)) for index, text in enumerate(STORY)]
    assert [("start", None, None), *numbered, ("done", None, "end")] == kinds
    assert 32 == len(run_id or "")


def test_each_chunk_arrives_when_it_is_there(ask: Ask, agent: Agent) -> None:
    door = gate("door")
    agent.reply("Once", door, " upon")
    answer = ask()
    begun = b""
    while b"Once" not in begun:
        piece = answer.read1()
        assert piece, "the answer has ended"
        begun += piece
    door.open()
    assert b" upon" in answer.read()


def test_a_refusal_is_a_status(ask: Ask, agent: Agent) -> None:
    agent.reply(status(429, message=INTERNAL, retry_after=7))
    answer = ask()
    body = answer.read()
    assert (429, "7", "RATE_LIMITED") == (
        answer.status,
        answer.getheader("retry-after"),
        json.loads(body)["error"]["code"],
    )
    assert INTERNAL not in body.decode()


def test_an_error_in_the_middle_ends_the_answer(ask: Ask, agent: Agent) -> None:
    agent.reply("Once", error("DB7", INTERNAL))
    answer = ask()
    *_, (kind, fields, event_id) = events_of(answer)
    assert ("error", "BAD_GATEWAY", "end") == (kind, fields["code"], event_id)
    assert INTERNAL not in str(fields)


def test_a_cut_ends_the_answer_with_an_error(ask: Ask, agent: Agent) -> None:
    agent.reply("Once", ending("cut"), indexed=False)
    *_, (kind, fields, _) = events_of(ask())
    assert ("error", "BAD_GATEWAY") == (kind, fields["code"])


def test_a_silent_agent_is_free_once_the_browser_has_left(
    gateway: Gateway, ask: Ask, agent: Agent, agents: FakeAgentServer
) -> None:
    agent.reply("Once", ending("stall"))
    answer = ask()
    assert b"retry" in answer.read1()
    leave(answer)
    assert free_after(agents.requests[-1]) < patience(gateway)


def test_an_agent_that_has_not_begun_is_free_once_the_browser_has_left(
    gateway: Gateway, ask: Ask, agent: Agent, agents: FakeAgentServer
) -> None:
    agent.reply(head(), ending("stall"))
    answer = ask()
    leave(answer)
    assert free_after(agents.requests[-1]) < patience(gateway)


def patience(gateway: Gateway) -> float:
    """Return the seconds in which an agent is free whose browser has left."""
    return SOON + (2 * HEARTBEAT if gateway.server in WSGI else 0)


def leave(answer: http.client.HTTPResponse) -> None:
    """Close the connection, as a browser does that leaves the page."""
    sock: socket.socket = answer.fp.raw._sock  # type: ignore[attr-defined]
    socket.close(sock.detach())  # now, and not once the answer has been dropped
    answer.close()


def free_after(exchange: Exchange) -> float:
    """Return in how many seconds the agent was free."""
    began = time.monotonic()
    assert exchange.wait_disconnected(10)
    return time.monotonic() - began


def test_heartbeats_fill_a_silence(ask: Ask, agent: Agent) -> None:
    agent.reply("Once", delay(5 * HEARTBEAT), " upon")
    beats = [kind for kind, _, _ in read_events([ask().read()]) if kind == "heartbeat"]
    assert 3 <= len(beats) <= 6


def test_heartbeats_of_the_agent_are_not_passed_on_one_by_one(ask: Ask, agent: Agent) -> None:
    agent.reply("Once", *[delay(HEARTBEAT / 10), heartbeat()] * 20, " upon")
    events = read_events([ask().read()])
    assert ["Once", " upon"] == [fields["content"] for kind, fields, _ in events if kind == "chunk"]
    assert [kind for kind, _, _ in events].count("heartbeat") <= 5


def test_a_slow_browser_makes_the_agent_wait(
    gateway: Gateway, ask: Ask, agent: Agent, agents: FakeAgentServer
) -> None:
    agent.reply(repeat(LARGE))
    answer = ask()
    assert waits_for_its_reader(agents.requests[-1])
    leave(answer)
    assert free_after(agents.requests[-1]) < patience(gateway)


def waits_for_its_reader(exchange: Exchange) -> bool:
    """Whether an agent that sends without end comes to a stop once all buffers are full."""
    sent, most = 1, 2 * (_kernel_bytes() + _SERVER_BYTES) // len(LARGE)
    while sent < most and exchange.wait_sent(sent, timeout=0.5):
        sent += 10
    return sent < most


def _kernel_bytes() -> int:
    """Return how much the kernel keeps at most on each of the two ways, from the agent and to the browser."""
    limits = (Path(f"/proc/sys/net/ipv4/tcp_{way}mem").read_text() for way in "rw")
    return sum(int(limit.split()[2]) for limit in limits)


def test_a_reconnecting_browser_gets_the_rest(ask: Ask, agent: Agent, agents: FakeAgentServer) -> None:
    agent.reply(*STORY)
    answer = ask("1")
    assert [" a", " time"] == [fields["content"] for kind, fields, _ in events_of(answer) if kind == "chunk"]
    count = len(agents.requests)
    assert (204, 400) == (
        ask("end").status,
        ask("x").status,
    )
    assert count == len(agents.requests)


with_websockets = pytest.mark.parametrize("gateway", WITH_WEBSOCKETS, indirect=True, ids=" ".join)


@pytest.fixture
def websocket(gateway: Gateway, agents: FakeAgentServer) -> Iterator[ClientConnection]:
    """A WebSocket to a gateway; it is closed before the agents are."""
    # Compressed, an endless story of one word would never fill a buffer.
    with connect(f"ws://127.0.0.1:{gateway.port}/chat", proxy=None, compression=None) as socket:
        yield socket


@with_websockets
def test_a_websocket_gets_a_story(websocket: ClientConnection, agent: Agent) -> None:
    agent.reply(*STORY)
    websocket.send(QUESTION)
    messages = [json.loads(message) for message in websocket]
    assert ["status", *["data"] * 4, "status"] == [message["type"] for message in messages]
    assert 1000 == websocket.close_code


@with_websockets
def test_a_websocket_gets_a_refusal(websocket: ClientConnection, agent: Agent) -> None:
    agent.reply(status(429, message=INTERNAL))
    websocket.send(QUESTION)
    (message,) = [json.loads(message) for message in closing(websocket)]
    assert ("error", "RATE_LIMITED") == (message["type"], message["code"])
    assert 1011 == websocket.close_code


def closing(websocket: ClientConnection) -> Iterator[str | bytes]:
    """Yield the messages of a WebSocket that is closed with any code."""
    with contextlib.suppress(ConnectionClosedError):
        yield from websocket


@with_websockets
def test_a_websocket_that_is_closed_frees_a_silent_agent(
    websocket: ClientConnection, agent: Agent, agents: FakeAgentServer
) -> None:
    agent.reply("Once", ending("stall"))
    websocket.send(QUESTION)
    assert "stream_started" in str(websocket.recv())
    websocket.close()
    assert free_after(agents.requests[-1]) < SOON


@with_websockets
@pytest.mark.parametrize("end", [error("DB7", INTERNAL), ending("cut")], ids=["error", "cut"])
def test_a_websocket_learns_that_a_story_broke_off(
    websocket: ClientConnection, agent: Agent, end: Any
) -> None:
    agent.reply("Once", end, indexed=False)
    websocket.send(QUESTION)
    *_, chunk, last = [json.loads(message) for message in closing(websocket)]
    assert ("data", "error", "BAD_GATEWAY") == (chunk["type"], last["type"], last["code"])
    assert INTERNAL not in str(last)
    assert 1011 == websocket.close_code


@with_websockets
def test_a_websocket_gets_heartbeats_in_a_silence(websocket: ClientConnection, agent: Agent) -> None:
    agent.reply("Once", *[delay(HEARTBEAT / 2), heartbeat()] * 8, " upon")
    websocket.send(QUESTION)
    messages = [json.loads(message) for message in websocket]
    assert ["data", "data"] == [message["type"] for message in messages if message["type"] == "data"]
    assert 2 <= [message.get("status") for message in messages].count("heartbeat") <= 5


@with_websockets
def test_a_slow_websocket_makes_the_agent_wait(
    websocket: ClientConnection, agent: Agent, agents: FakeAgentServer
) -> None:
    agent.reply(repeat(LARGE))
    websocket.send(QUESTION)
    assert "stream_started" in str(websocket.recv())
    assert waits_for_its_reader(agents.requests[-1])
    websocket.socket.close()
    assert free_after(agents.requests[-1]) < SOON
