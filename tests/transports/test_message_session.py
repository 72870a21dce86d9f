"""Protocols inside a WebSocket, as a third party writes them: no sockets."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, ProtocolError, StreamError, StreamLimitError, StreamTruncatedError
from runagent._address.route import Route
from runagent._address.url import parse_base_url
from runagent._call import AgentCall
from runagent._limits import Limits
from runagent.transports import MessageSession, Wants
from runagent.transports._websocket import WebSocketSession
from tests.support.peer import http, websocket_frame
from tests.support.sessions import Seen, feed, handshake_answer

if TYPE_CHECKING:
    from runagent.transports import Event

CLIENT_FRAME_MASK = 4


class EchoSession(MessageSession):
    """Asks for an echo and thanks for each piece; ``bye`` is the end, and so is a close of code 4000."""

    subprotocols = ("echo.v2", "echo.v1")

    def make_target(self) -> str:
        return self.call.path("/echo/{agent_id}", "stream_path")

    def opened(self) -> None:
        self.send_text(f"hello {self.subprotocol}".encode())

    def read_message(self, message: str | bytes) -> list[Event]:
        if message == "bye":
            self.finish()
            return [Completed()]
        if message == "fail":
            self.fail(StreamError("the agent gave up"))
            return [Chunk("last words")]
        if message == "raise":
            raise ProtocolError("not understood")
        self.send_binary(b"thanks")
        return [Chunk(message if isinstance(message, str) else message.hex())]

    def closed(self, code: int, reason: str) -> list[Event]:
        return [Completed(message=reason)] if code == 4000 else super().closed(code, reason)


def open_echo(**limits: int) -> EchoSession:
    base = parse_base_url("http://agent.test")
    return EchoSession(
        AgentCall(agent_id="a b", base=base, limits=Limits(**limits)), Route(base.origin), None
    )


@pytest.fixture(params=[1, 7, 1 << 30], ids=["byte by byte", "by sevens", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


def run(*frames: bytes, step: int, eof: bool = True, chosen: str = "echo.v1", **limits: int) -> Seen:
    def answer(request: bytes) -> bytes:
        head, _, rest = handshake_answer(request, *frames).partition(b"\r\n\r\n")
        return head + f"\r\nSec-WebSocket-Protocol: {chosen}\r\n\r\n".encode() + rest

    return feed(open_echo(**limits), answer, step=step, eof=eof)


def close(code: int, reason: bytes = b"") -> bytes:
    return websocket_frame(struct.pack("!H", code) + reason, 8)


def sent_frames(sent: bytes) -> list[tuple[int, bytes]]:
    """Read short masked frames."""
    frames = []
    while sent:
        size = sent[1] & 0x7F
        mask, payload = sent[2:6], sent[6 : 6 + size]
        unmasked = bytes(byte ^ mask[at % CLIENT_FRAME_MASK] for at, byte in enumerate(payload))
        frames.append((sent[0] & 0x0F, unmasked))
        sent = sent[6 + size :]
    return frames


def test_a_conversation(step: int) -> None:
    seen = run(websocket_frame(b"one"), websocket_frame(b"\xff\x00", 2), websocket_frame(b"bye"), step=step)
    assert [Chunk("one"), Chunk("ff00"), Completed()] == seen.events
    assert Wants.DONE is seen.session.wants
    assert b"GET /echo/a%20b HTTP/1.1\r\n" in seen.request
    assert b"Sec-WebSocket-Protocol: echo.v2, echo.v1\r\n" in seen.request
    assert b"Accept-Encoding" not in seen.request
    normal_close = (8, struct.pack("!H", 1000))
    assert [(1, b"hello echo.v1"), (2, b"thanks"), (2, b"thanks"), normal_close] == sent_frames(seen.sent)


def test_messages_that_come_together_with_a_close_are_answered_first(step: int) -> None:
    seen = run(websocket_frame(b"one"), websocket_frame(b"bye"), close(1000), step=step)
    assert [Chunk("one"), Completed()] == seen.events
    assert [(1, b"hello echo.v1"), (2, b"thanks"), (8, struct.pack("!H", 1000))] == sent_frames(seen.sent)


def test_nothing_behind_the_end_is_read(step: int) -> None:
    seen = run(websocket_frame(b"bye"), websocket_frame(b"more"), step=step)
    assert [Completed()] == seen.events


def test_pings_are_answered(step: int) -> None:
    seen = run(websocket_frame(b"?", 9), websocket_frame(b"bye"), step=step)
    assert (10, b"?") in sent_frames(seen.sent)


@pytest.mark.parametrize(
    ("frame", "kind", "events"),
    [
        (websocket_frame(b"fail"), StreamError, [Chunk("one"), Chunk("last words")]),
        (websocket_frame(b"raise"), ProtocolError, [Chunk("one")]),
        (websocket_frame(b"x" * 60), StreamLimitError, [Chunk("one")]),
        (websocket_frame(b"\xff"), ProtocolError, [Chunk("one")]),
        (b"\xff\xff", ProtocolError, [Chunk("one")]),
    ],
    ids=["fails", "raises", "too large", "no UTF-8", "no frame"],
)
def test_a_fault_behind_good_messages(frame: bytes, kind: type, events: list[Any], step: int) -> None:
    seen = run(websocket_frame(b"one"), frame, step=step, max_event_bytes=50)
    assert events == seen.events
    assert kind is type(seen.error)
    assert 8 == sent_frames(seen.sent)[-1][0]  # the peer is informed


def test_a_close_is_a_cut_unless_the_protocol_allows_it(step: int) -> None:
    seen = run(close(1000, b"done?"), step=step)
    assert StreamTruncatedError is type(seen.error)
    assert "CLOSE_1000" == seen.error.code
    assert "done?" in str(seen.error)
    seen = run(websocket_frame(b"one"), close(4000, b"enough"), step=step)
    assert [Chunk("one"), Completed(message="enough")] == seen.events
    assert seen.error is None
    assert Wants.DONE is seen.session.wants


def test_an_end_without_a_close_is_always_a_cut(step: int) -> None:
    seen = run(websocket_frame(b"one"), step=step)
    assert [Chunk("one")] == seen.events
    assert "CLOSE_1006" == seen.error.code


def test_an_unoffered_subprotocol_is_refused(step: int) -> None:
    assert "subprotocol" in str(run(step=step, chosen="other").error)


def test_closing_early_sends_a_close(step: int) -> None:
    seen = run(websocket_frame(b"one"), step=step, eof=False)
    seen.session.close()
    assert [(8, struct.pack("!H", 1000))] == sent_frames(seen.session.data_to_send())
    seen.session.close()
    assert b"" == seen.session.data_to_send()


@pytest.mark.parametrize(("answer", "proof"), [(http(200, "x"), True), (http(404), True), (http(500), False)])
def test_a_refused_upgrade(answer: bytes, proof: bool, step: int) -> None:
    seen = feed(open_echo(), answer, step=step, eof=True)
    assert seen.error is not None
    assert proof == seen.session.unsupported


def test_nothing_can_be_sent_before_the_socket_is_open() -> None:
    with pytest.raises(RuntimeError, match="opened"):
        open_echo().send_text(b"early")


def test_what_is_sent_after_the_close_is_dropped(step: int) -> None:
    session: Any = run(websocket_frame(b"bye"), step=step).session
    session.send_text(b"late")
    session.send_binary(b"late")
    assert b"" == session.data_to_send()


def test_the_built_in_websocket_is_one_of_these() -> None:
    assert issubclass(WebSocketSession, MessageSession)
