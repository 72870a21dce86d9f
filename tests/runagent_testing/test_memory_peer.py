"""The agent's end of a memory connection, asked in bytes."""

from __future__ import annotations

import json

import pytest

from runagent._address.route import Address
from runagent._address.url import parse_base_url
from runagent_testing import MemoryNetwork, delay, ending, gate
from runagent_testing._memory.blocking import VirtualClock
from runagent_testing.dialects._request import MAX_BODY
from tests.runagent_testing.raw_client import STREAM_REQUEST, TEXT, handshake, masked, post, stream

CLOSE_1000 = b"\x88\x02\x03\xe8"


class Asked:
    """A connection to a new network, and everything that came over it."""

    def __init__(self, *steps, buffer_bytes=None, **options):
        self.memory, self.clock = MemoryNetwork(buffer_bytes=buffer_bytes), VirtualClock()
        self.memory.agent("a").always(*steps, **options).returns("y")
        self.again()

    def again(self):
        """Connect again."""
        address = Address(parse_base_url(self.memory.url).origin)
        self.wire, self.peer = self.memory.open(address, self.clock)
        return self

    def send(self, *pieces):
        for data in pieces:
            self.peer.receive_data(data)
        return self.received()

    def received(self):
        parts = []
        while data := self.wire.take(1 << 20):
            parts.append(data)
        return b"".join(parts)

    @property
    def exchange(self):
        return self.memory.requests[0]

    @property
    def outcome(self):
        return self.exchange.outcome

    @property
    def ended(self):
        return self.wire.take(1) == b""


def test_bytes_may_come_one_by_one_and_requests_together():
    asked = Asked("x")
    request = stream(accept=TEXT)
    one = asked.send(*(request[at : at + 1] for at in range(len(request))))
    assert one.endswith(b"1\r\nx\r\n0\r\n\r\n")
    assert one * 2 == asked.send(request * 2)
    assert not asked.ended


def test_a_request_waits_for_the_answer_to_the_one_before():
    asked = Asked("x", delay(5), "y")
    first = asked.send(stream(accept=TEXT) + post("/v1/agents/a/invoke"))
    assert first.endswith(b"1\r\nx\r\n")
    assert asked.clock.step(5)
    assert asked.received().startswith(b"1\r\ny\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_what_is_no_request_is_400_and_closed():
    asked = Asked("x")
    assert asked.send(b"SSH-2.0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert asked.ended
    assert b"" == asked.send(stream())


@pytest.mark.parametrize("framing", [f"content-length: {MAX_BODY + 1}", "transfer-encoding: chunked"])
def test_a_body_that_is_too_large_is_413_and_closed(framing):
    asked = Asked("x")
    head = f"POST /v1/agents/a/invoke HTTP/1.1\r\nhost: localhost\r\n{framing}\r\n\r\n".encode()
    answer = asked.send(head, f"{MAX_BODY + 1:x}\r\n".encode() + b"x" * (MAX_BODY + 1))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert asked.ended


def test_a_client_that_expects_100_continue_gets_it_once():
    asked = Asked("x")
    head, _, body = post("/v1/agents/a/invoke", {"query": "hi"}, expect="100-continue").partition(b"\r\n\r\n")
    assert b"HTTP/1.1 100 Continue\r\n\r\n" == asked.send(head + b"\r\n\r\n")
    assert asked.send(body).startswith(b"HTTP/1.1 200 ")


def test_http_1_0_gets_neither_chunks_nor_keep_alive():
    asked = Asked("x")
    assert asked.send(post("/v1/agents/a/stream", {}, "1.0", accept=TEXT)).endswith(b"\r\n\r\nx")
    assert asked.ended


def test_a_websocket_talks_between_the_frames_and_closes_with_1000():
    asked = Asked("word", gate("never"))
    early = asked.send(handshake() + masked(1, json.dumps(STREAM_REQUEST).encode()))
    assert early.startswith(b"HTTP/1.1 101 ")
    assert b"word" in early
    assert b"\x8a\x02hi" == asked.send(masked(9, b"hi"))
    assert "running" == asked.outcome
    assert CLOSE_1000 == asked.send(masked(8, b"\x03\xe9"))
    assert asked.ended
    assert "client disconnected" == asked.outcome


def test_a_websocket_stays_open_after_its_run():
    asked = Asked("word")
    request = masked(1, json.dumps(STREAM_REQUEST).encode())
    assert b"stream_completed" in asked.send(handshake(), request)
    assert b"" == asked.send(request)
    assert CLOSE_1000 == asked.send(masked(8, b"\x03\xe8"))
    assert ("done", True) == (asked.outcome, asked.ended)


def test_a_silent_websocket_answers_neither_ping_nor_close():
    asked = Asked("word", ending("silent"))
    asked.send(handshake(), masked(1, json.dumps(STREAM_REQUEST).encode()))
    assert b"" == asked.send(masked(9, b"hi"), masked(8, b"\x03\xe8"))
    assert not asked.ended
    asked.peer.client_left()
    assert "client disconnected" == asked.outcome


PING, PONG, CLOSE_1011 = b"\x89\0", masked(0xA, b""), b"\x88\x02\x03\xf3"


def test_a_quiet_websocket_is_pinged_and_then_given_up():
    asked = Asked("word", gate("never"))
    asked.send(handshake(), masked(1, json.dumps(STREAM_REQUEST).encode()))
    assert asked.clock.step(20)
    assert PING == asked.received()
    assert b"" == asked.send(PONG)
    assert not asked.clock.step(39)  # it was heard just now
    while asked.clock.step(60):
        pass
    assert PING + CLOSE_1011 == asked.received()
    assert (True, "client disconnected", "still reading") == (
        asked.ended,
        asked.outcome,
        asked.exchange.client,
    )


@pytest.mark.parametrize("kind", ["stall", "silent"])
def test_a_websocket_that_stalls_does_not_ping(kind):
    asked = Asked("word", ending(kind))
    asked.send(handshake(), masked(1, json.dumps(STREAM_REQUEST).encode()))
    assert not asked.clock.step(1000)


def test_an_agent_waits_for_a_client_that_does_not_read():
    asked = Asked("x" * 100, delay(1), "y" * 100, delay(1), "z" * 100, buffer_bytes=300)
    asked.peer.receive_data(stream(accept=TEXT))
    for _ in range(3):
        asked.clock.step(10)
    before = len(asked.exchange.sent)
    unread = asked.wire.unread
    assert (False, True) == (asked.exchange.outcome == "done", unread >= 300)
    asked.clock.jump(60)
    asked.received()
    while asked.clock.step(100):
        asked.received()
    assert ("done", 0) == (asked.outcome, asked.wire.unread)
    assert [60.0] == [sent.seconds for sent in asked.exchange.sent][before : before + 1]


def test_a_websocket_that_never_asks_uses_no_reply_up():
    asked = Asked("usual")
    asked.memory.agent("a").reply("kept")
    asked.send(handshake(), masked(8, b"\x03\xe8"))
    assert asked.ended
    assert b"kept" in asked.again().send(stream(accept=TEXT))


def test_disconnecting_stops_the_timers():
    asked = Asked("x", delay(5), "y")
    asked.send(stream())
    asked.peer.client_left()
    assert not asked.clock.step(10)
    assert "client disconnected" == asked.outcome


def test_a_wrong_key_is_401():
    memory = MemoryNetwork(api_key="right")
    memory.agent("a").always("x")
    wire, peer = memory.open(Address(parse_base_url(memory.url).origin), VirtualClock())
    peer.receive_data(stream(authorization="Bearer wrong"))
    assert wire.take(12) == b"HTTP/1.1 401"
