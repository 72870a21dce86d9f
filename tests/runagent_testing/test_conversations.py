"""A WebSocket protocol of several messages: the key, then the run, and messages while it goes on."""

from __future__ import annotations

import json

import pytest

from runagent_testing import at, every, gate, status
from runagent_testing.dialects import (
    BINARY,
    TEXT,
    Dialect,
    Format,
    MessageReply,
    RunMessage,
    RunRequest,
    close_frame,
    frame,
)
from tests.runagent_testing.players import PLAYERS, client_of, player
from tests.runagent_testing.raw_client import handshake, masked

KEY = "key-that-nobody-guesses"


def said(**message):
    return frame(TEXT, json.dumps(message).encode())


class Operation(Format):
    """Frames with the id of the message that asked for the run."""

    writes_frames = True

    def start(self, run):
        self.id = run.body["id"]
        return b""

    def chunk(self, step, index, id):
        return said(id=self.id, next=step.content)

    def error(self, step):
        return said(id=self.id, error=step.message)

    def done(self, step, run, total_chunks):
        return said(id=self.id, type="complete")


class SubscriptionDialect(Dialect):
    """Like graphql-transport-ws."""

    name = "subscriptions"
    transports = ("subscriptions",)

    def parse_request(self, request):
        if not request.path.startswith("/subscriptions/"):
            return None
        agent_id = request.path.removeprefix("/subscriptions/")
        return RunRequest(agent_id=agent_id, transport="subscriptions", kind="websocket")

    def find_api_key(self, request):
        return request.headers.get("x-key")

    def find_key_in_message(self, message):
        return json.loads(message).get("key")

    def reject_key(self):
        return close_frame(4403, "Forbidden")

    def parse_message(self, message, context):
        body = json.loads(message)
        match body["type"]:
            case "connection_init":
                return MessageReply(frames=said(type="connection_ack", agent=context.agent.id))
            case "ping":
                return MessageReply(frames=said(type="pong"))
            case "subscribe" if context.messages:
                return RunMessage(body=body, input=body["input"])
            case "subscribe":
                return MessageReply(frames=close_frame(4401, "Unauthorized"), ends="no connection_init")
            case "nothing":
                return None
        return RunMessage(body=body, fault="unknown type")

    def reply_to_message(self, message, context):
        body = json.loads(message)
        match body["type"]:
            case "ping":
                return MessageReply(frames=said(type="pong", for_run=context.asked.body["id"]))
            case "complete":
                return MessageReply(frames=said(type="stopped"), ends="complete")
            case "terminate":
                return MessageReply(frames=close_frame(1000), ends="terminate")
        return None

    def stream(self, run):
        return Operation()


@pytest.fixture(params=PLAYERS)
def kind(request):
    return request.param


@pytest.fixture
def host(kind):
    with player(kind, dialects=[SubscriptionDialect()]) as host:
        yield host


def message(type, **fields):
    return masked(TEXT, json.dumps({"type": type, **fields}).encode())


def opened(client, *messages, **headers):
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()).encode()
    asked = handshake("a").replace(b"/api/v1/agents/a/run-stream", b"/subscriptions/a")
    client.send(asked.replace(b"Host:", fields + b"Host:"))
    assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
    for item in messages:
        client.send(item)


INIT = message("connection_init")
ACK = said(type="connection_ack", agent="a")
SUBSCRIBE = message("subscribe", id="7", input={"query": "hello"})


def test_messages_before_the_run_are_answered_and_the_input_is_the_questions(host):
    host.agent("a").reply("Once", " upon")
    with client_of(host) as client:
        opened(client, INIT)
        client.until(ACK)
        client.send(message("ping"))
        client.until(said(type="pong"))
        assert [] == host.requests
        client.send(SUBSCRIBE)
        client.until(said(id="7", next="Once") + said(id="7", next=" upon") + said(id="7", type="complete"))
        client.send(masked(0x8, b"\x03\xe8"))
        client.until(b"\x88\x02\x03\xe8")
    (exchange,) = host.requests
    assert exchange.wait_disconnected()
    assert {"query": "hello"} == exchange.input
    assert "7" == exchange.body["id"]
    assert ["connection_init", "ping", "subscribe"] == [
        json.loads(item)["type"] for item in exchange.messages
    ]
    assert "done" == exchange.outcome
    host.check()


def test_all_messages_may_come_in_one_piece_with_the_handshake(host):
    host.agent("a").reply("Once")
    with client_of(host) as client:
        asked = handshake("a").replace(b"/api/v1/agents/a/run-stream", b"/subscriptions/a")
        client.send(asked + INIT + SUBSCRIBE)
        client.until(ACK + said(id="7", next="Once") + said(id="7", type="complete"))


def test_messages_during_the_run_are_answered_between_the_frames_of_the_script(host):
    door = gate("door")
    host.agent("a").reply("Once", door, " upon", writes=every(3))
    with client_of(host) as client:
        opened(client, INIT, SUBSCRIBE)
        client.until(said(id="7", next="Once"))
        client.send(message("ping"))
        client.until(said(type="pong", for_run="7"))
        door.open()
        assert said(id="7", next=" upon") in client.until(said(id="7", type="complete"))
        client.send(message("ping"))
        client.until(said(type="pong", for_run="7"))


@pytest.mark.parametrize(
    ("stop", "answer"),
    [("complete", said(type="stopped")), ("terminate", close_frame(1000))],
)
def test_a_message_stops_the_run(host, stop, answer):
    host.agent("a").reply("Once", gate("never"), " upon")
    with client_of(host) as client:
        opened(client, INIT, SUBSCRIBE)
        client.until(said(id="7", next="Once"))
        client.send(message(stop))
        client.until(answer)
        (exchange,) = host.requests
        assert exchange.wait_sent(1)
        client.send(masked(0x8, b"\x03\xe8"))
        assert client.rest()[0] == (b"" if stop == "terminate" else b"\x88\x02\x03\xe8")
    assert exchange.wait_disconnected()
    assert "cancelled" == exchange.outcome
    host.check()


def test_a_run_that_is_stopped_in_the_middle_of_a_frame_is_cut(host):
    long = "x" * 300
    host.agent("a").reply(long, writes=at(200), write_gap=1000)  # the handshake's answer is shorter
    with client_of(host) as client:
        opened(client, INIT, SUBSCRIBE)
        client.until(said(id="7", next=long)[:200])
        client.send(message("complete"))
        assert b"" == client.rest()[0]
    assert "cancelled" == host.requests[0].outcome


def test_a_message_ends_the_conversation_before_the_run_and_uses_up_no_script(host):
    host.agent("a").reply("Once")
    with client_of(host) as client:
        opened(client, SUBSCRIBE)
        client.until(close_frame(4401, "Unauthorized"))
    with client_of(host) as client:
        opened(client, INIT, message("dance"))
        client.until(b"unknown type")
    with client_of(host) as client:
        opened(client, INIT, SUBSCRIBE)
        client.until(said(id="7", next="Once"))
    assert ["no connection_init", "unknown type", None] == [exchange.refused for exchange in host.requests]


@pytest.mark.parametrize(
    ("messages", "headers"),
    [
        ([message("connection_init", key=KEY), SUBSCRIBE], {}),
        ([INIT, message("subscribe", id="7", input={}, key=KEY)], {}),
        ([INIT, SUBSCRIBE], {"x_key": KEY}),
    ],
)
def test_the_key_may_come_in_a_message(kind, messages, headers):
    with player(kind, dialects=[SubscriptionDialect()], api_key=KEY) as host:
        host.agent("a").reply("Once")
        with client_of(host) as client:
            opened(client, *messages, **headers)
            client.until(said(id="7", next="Once"))
        (exchange,) = host.requests
        assert KEY not in f"{host.timelines()}{exchange.messages}{exchange.body}"


@pytest.mark.parametrize(
    "messages", [[message("connection_init", key="wrong-key")], [INIT, SUBSCRIBE], [INIT, message("dance")]]
)
def test_a_wrong_or_missing_key_is_refused_in_the_protocols_own_way(kind, messages):
    with player(kind, dialects=[SubscriptionDialect()], api_key=KEY) as host:
        host.agent("a").reply("Once")
        with client_of(host) as client:
            opened(client, *messages)
            client.until(close_frame(4403, "Forbidden"))
        (exchange,) = host.requests
        assert "the API key is missing or wrong" == exchange.refused
        assert "wrong-key" not in f"{host.timelines()}{exchange.messages}"


def test_a_wrong_key_in_the_handshake_is_refused_there(kind):
    with player(kind, dialects=[SubscriptionDialect()], api_key=KEY) as host:
        host.agent("a").reply("Once")
        with client_of(host) as client:
            client.send(
                handshake("a").replace(b"/api/v1/agents/a/run-stream", b"/subscriptions/a")[:-2]
                + b"x-key: no\r\n\r\n"
            )
            assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([message("nothing")], r"parse_message\(\) returned a NoneType: return a RunMessage or MessageReply"),
        ([masked(BINARY, b"\xff")], "UnicodeDecodeError"),
        ([INIT, SUBSCRIBE, masked(TEXT, b"{")], "JSONDecodeError"),
    ],
)
def test_what_a_dialect_raises_is_reported(host, messages, problem):
    host.agent("a").reply("Once")
    with client_of(host) as client:
        opened(client, *messages)
        client.send(masked(0x8, b"\x03\xe8"))
        client.rest()
    with pytest.raises(AssertionError, match=problem):
        host.check()


def test_a_handshake_whose_conversation_never_asks_for_a_run_is_no_request(host):
    host.agent("a").reply("Once")
    with client_of(host) as client:
        opened(client, INIT)
        client.until(ACK)
    assert [] == host.requests
    host.agent("a").always(status(500))
    with client_of(host) as client:
        opened(client, INIT, SUBSCRIBE)
        client.until(said(id="7", next="Once"))


class SpeechlessDialect(SubscriptionDialect):
    def parse_message(self, message, context):
        raise ValueError("no such word")

    def reject_message(self, fault):
        raise KeyError(fault)


def test_a_dialect_that_cannot_even_refuse_is_reported(kind):
    with player(kind, dialects=[SpeechlessDialect()]) as host:
        host.agent("a").always("Once")
        with client_of(host) as client:
            opened(client, INIT)
            client.until(close_frame(1011))
        with pytest.raises(AssertionError, match="ValueError: no such word"):
            host.check()
