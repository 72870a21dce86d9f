"""A protocol of acknowledged binary messages: the fake agent takes the first, and notes the others."""

from __future__ import annotations

import struct

import pytest

from runagent import Chunk, Completed, StreamError
from runagent.transports import Capability, MessageSession
from runagent_testing import FakeAgentServer, MemoryNetwork, error
from runagent_testing.dialects import (
    BINARY,
    TEXT,
    Dialect,
    Format,
    RunMessage,
    RunRequest,
    close_frame,
    frame,
)
from tests.runagent_testing.raw_client import connected, handshake, masked
from tests.support.styles import Style


class Acknowledged(Format):
    writes_frames = True

    def __init__(self):
        self.number = 0

    def start(self, run):
        return b""

    def chunk(self, step, index, id):
        self.number += 1
        return frame(BINARY, struct.pack(">cI", b"C", self.number) + step.content.encode())

    def error(self, step):
        return frame(BINARY, b"E" + step.message.encode())

    def done(self, step, run, total_chunks):
        return frame(BINARY, b"D") + close_frame(1000)


class AcknowledgedDialect(Dialect):
    name = "acknowledged"
    transports = ("acknowledged",)

    def parse_request(self, request):
        if not request.path.startswith("/acknowledged/"):
            return None
        agent_id = request.path.removeprefix("/acknowledged/")
        return RunRequest(agent_id=agent_id, transport="acknowledged", kind="websocket", subprotocol="ack.v1")

    def parse_message(self, message, context):
        if not isinstance(message, bytes):
            return RunMessage(body=message, fault="the request has to be a binary message")
        return RunMessage(body=message, input={"query": message[1:].decode("latin-1")})

    def reject_message(self, fault):
        return frame(TEXT, fault.encode()) + close_frame(1003)

    def stream(self, run):
        return Acknowledged()


class AcknowledgedSession(MessageSession):
    subprotocols = ("ack.v1",)

    def make_target(self):
        return self.call.path("/acknowledged/{agent_id}", "stream_path")

    def opened(self):
        self.send_binary(b"\xff" + self.call.input["query"].encode("latin-1"))

    def read_message(self, message):
        match message[:1]:
            case b"C":
                self.send_binary(b"A" + message[1:5])
                return [Chunk(message[5:].decode())]
            case b"D":
                self.finish()
                return [Completed()]
        raise StreamError(message[1:].decode())


class AcknowledgedTransport:
    name = "acknowledged"
    api_version = 1
    capabilities: frozenset[Capability] = frozenset()
    tunnels = True

    def open(self, call, route, resume):
        return AcknowledgedSession(call, route, None)


ACKNOWLEDGED = [b"\xff\xe4sk", b"A\0\0\0\1", b"A\0\0\0\2"]


@pytest.fixture
def server():
    with FakeAgentServer(dialects=[AcknowledgedDialect()]) as server:
        yield server


def test_every_acknowledgement_is_noted(server, style: Style):
    server.agent("a").always("Once", " upon")

    async def scenario():
        async with style.client("a", base_url=server.url, transport=AcknowledgedTransport()) as client:
            return await client.run_generic_stream("äsk").text()

    assert "Once upon" == style.run(scenario)
    (exchange,) = server.requests
    assert exchange.wait_disconnected()
    assert ({"query": "äsk"}, ACKNOWLEDGED) == (exchange.input, exchange.messages)


def test_so_it_is_without_a_socket_and_before_an_error():
    memory = MemoryNetwork(dialects=[AcknowledgedDialect()])
    memory.agent("a").always("Once", " upon", error("E", "no room"))

    async def scenario():
        client = Style("sync").client(
            "a", base_url=memory.url, network=memory.blocking, transport=AcknowledgedTransport()
        )
        async with client:
            await client.run_generic_stream("äsk").text()

    with pytest.raises(StreamError, match="no room"):
        Style("sync").run(scenario)
    assert ACKNOWLEDGED == memory.requests[0].messages


def test_text_and_binary_are_distinguished_and_fragments_put_together(server):
    server.agent("a").always("Once")
    with connected(server.url) as client:
        client.send(handshake("a").replace(b"/api/v1/agents/a/run-stream", b"/acknowledged/a"))
        assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        pieces = [masked(0x2, b"?ask")[1:], masked(0x1, b"text"), masked(0x0, b"\xfe")[1:]]
        client.send(b"\x02" + pieces[0] + b"\x80" + pieces[2] + pieces[1])
        client.until(b"D\x88\x02\x03\xe8")
        client.send(masked(0x8, b"\x03\xe8"))
    (exchange,) = server.requests
    assert exchange.wait_disconnected()
    assert [b"?ask\xfe", "text"] == exchange.messages


def test_a_dialect_may_refuse_a_text(server):
    server.agent("a").always("Once")
    with connected(server.url) as client:
        client.send(handshake("a").replace(b"/api/v1/agents/a/run-stream", b"/acknowledged/a"))
        client.until(b"\r\n\r\n")
        client.send(masked(0x1, b"ask"))
        assert b"the request has to be a binary message" in client.until(b"\x88\x02\x03\xeb")
