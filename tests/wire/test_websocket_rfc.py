"""RFC 6455 section by section: each stream of frames whole, byte by byte, and cut once at every byte."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.websocket import WebSocketConnection, accept_value, check_handshake
from tests.specifications.outcomes import ClientFrames
from tests.support.cutting import every_cut
from tests.support.peer import websocket_frame as frame

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
GOOD = frame(b"good")
SMILE = "\N{GRINNING FACE}".encode()


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(struct.pack("!H", code) + reason, CLOSE)


def receive(data: bytes) -> dict[str, Any]:
    """Receive in every cut; return the one account of it that all of them give."""
    accounts = [_receive(pieces) for pieces in every_cut(data)]
    assert all(account == accounts[0] for account in accounts)
    return accounts[0]


def _receive(pieces: list[bytes]) -> dict[str, Any]:
    connection, sent = WebSocketConnection(max_message_bytes=1000), ClientFrames()
    messages: list[str | bytes] = []
    for piece in pieces:
        messages += connection.receive_data(piece)
        sent.feed(connection.data_to_send())
    connection.receive_eof()
    return {
        "messages": messages,
        "fault": None if connection.error is None else type(connection.error),
        "code": connection.close_code,
        "reason": connection.close_reason,
        "pongs": [payload for opcode, payload in sent.frames if opcode == PONG],
        "closes": [int.from_bytes(payload[:2]) for opcode, payload in sent.frames if opcode == CLOSE],
    }


def refused(data: bytes, code: int, fault: type[RunAgentError] = ProtocolError) -> None:
    """Check that what comes behind a good message fails the connection, and nothing is sent after that."""
    account = receive(GOOD + data + frame(b"late", PING) + close(1000))
    assert account == {
        "messages": ["good"], "fault": fault, "code": None, "reason": "", "pongs": [], "closes": [code],
    }  # fmt: skip


def test_control_frames_come_between_fragments() -> None:
    data = (
        frame(SMILE[:1], fin=False) + frame(b"1", PING) + frame(SMILE[1:3], CONT, fin=False)
        + frame(b"2", PONG) + frame(b"3", PING) + frame(b"", CONT, fin=False) + frame(SMILE[3:], CONT)
        + close(1000)
    )  # fmt: skip
    account = receive(data)
    assert account["messages"] == [SMILE.decode()]
    assert account["pongs"] == [b"1", b"3"]
    assert (account["code"], account["closes"]) == (1000, [1000])


def test_a_close_may_come_between_fragments() -> None:
    account = receive(GOOD + frame(b"half", fin=False) + close(1001, b"restarting"))
    assert account["messages"] == ["good"]
    assert (account["code"], account["reason"], account["fault"]) == (1001, "restarting", None)


@pytest.mark.parametrize("rsv", [0x10, 0x20, 0x40, 0x70])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bits(rsv: int, opcode: int) -> None:
    data = frame(b"", opcode)
    refused(bytes([data[0] | rsv]) + data[1:], 1002)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_reserved_opcodes(opcode: int) -> None:
    refused(frame(b"x", opcode), 1002)


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_are_short_and_whole(opcode: int) -> None:
    refused(frame(b"x" * 126, opcode), 1002)
    refused(frame(b"", opcode, fin=False), 1002)
    assert receive(frame(b"\x03\xe8" + b"x" * 123, opcode))["fault"] is None


@pytest.mark.parametrize(
    "head",
    [
        *(b"\xc1\x01", b"\x91\x01", b"\x83\x01", b"\x8f\x01", b"\x81\x81", b"\x8a\x80"),
        *(b"\x89\x7e", b"\x88\x7f", b"\x8a\x7e", b"\x09\x01", b"\x08\x02"),
    ],
)
@pytest.mark.parametrize("before", [GOOD, frame(b"half", fin=False)], ids=["between", "inside"])
def test_a_head_is_refused_before_what_it_announces_comes(head: bytes, before: bytes) -> None:
    account = receive(before + head)
    assert (account["fault"], account["closes"]) == (ProtocolError, [1002])


@pytest.mark.parametrize(
    "data",
    [
        frame(b"x", CONT),
        frame(b"x", CONT, fin=False),
        frame(b"a", fin=False) + frame(b"b"),
        frame(b"a", fin=False) + frame(b"b", BINARY, fin=False),
        frame(b"a", BINARY, fin=False) + frame(b"b", TEXT),
        frame(b"a", fin=False) + frame(b"", fin=False),
        bytes([0x81, 0x81, 1, 2, 3, 4, ord("x") ^ 1]),
        bytes([0x89, 0x80, 0, 0, 0, 0]),
    ],
)
def test_fragments_out_of_order_and_masked_frames(data: bytes) -> None:
    refused(data, 1002)


@pytest.mark.parametrize(
    "text",
    [
        b"\xff", b"\xfe", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\x80", b"\xbf",
        b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80", b"ok\xce", b"\xe1\xa0", SMILE[:3],
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xed\xa0\x80edited",
    ],
)  # fmt: skip
def test_text_that_is_not_utf8(text: bytes) -> None:
    refused(frame(text), 1007)
    refused(frame(b"ok", fin=False) + frame(text, CONT), 1007)
    assert receive(frame(text, BINARY))["messages"] == [text]


@pytest.mark.parametrize("text", [b"\xff", b"\xf4\x90", b"\xce\xba\xed\xa0\x80"])
def test_text_fails_with_the_fragment_that_breaks_it(text: bytes) -> None:
    """Sections 6.4.1 and 6.4.2 of the Autobahn suite; no wait for the end of the message."""
    refused(frame(b"ok", fin=False) + frame(text, CONT, fin=False), 1007)


@pytest.mark.parametrize(
    "text",
    ["", "\0", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\ufffd", "\ufffe", "\uffff",
    "\U00010000", "\U0010fffe", "\U0010ffff"],
)  # fmt: skip
def test_text_at_the_bounds_of_utf8(text: str) -> None:
    data = text.encode()
    fragments = [frame(data[at : at + 1], CONT if at else TEXT, fin=False) for at in range(len(data))]
    whole = b"".join(fragments) + frame(b"", CONT if fragments else TEXT)
    assert receive(frame(data) + whole)["messages"] == [text, text]


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
)
def test_close_codes(code: int) -> None:
    account = receive(GOOD + close(code, "Grüße".encode()) + frame(b"late") + frame(b"late", PING))
    assert account == {
        "messages": ["good"], "fault": None, "code": code, "reason": "Grüße", "pongs": [], "closes": [code],
    }  # fmt: skip


@pytest.mark.parametrize(
    "code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 32768, 65535]
)
def test_close_codes_that_do_not_exist(code: int) -> None:
    refused(close(code), 1002)


def test_close_payloads() -> None:
    assert receive(frame(b"", CLOSE))["code"] == 1005
    assert receive(b"")["code"] == 1006
    refused(frame(b"\x03", CLOSE), 1002)
    refused(close(1000, b"\xff"), 1007)
    refused(close(1000, SMILE[:3]), 1007)


@pytest.mark.parametrize("size", [0, 125, 126, 127, 128, 999, 1000])
def test_lengths_up_to_the_limit(size: int) -> None:
    assert receive(frame(b"x" * size, BINARY))["messages"] == [b"x" * size]


@pytest.mark.parametrize("size", [900, 1000])
def test_control_frames_do_not_count_as_parts_of_a_message(size: int) -> None:
    halves = frame(b"x" * size, fin=False), frame(b"", CONT)
    assert receive(frame(b"p" * 125, PING).join(halves))["messages"] == ["x" * size]
    assert receive(halves[0] + close(1001, b"r" * 123))["code"] == 1001


def test_a_control_frame_may_be_larger_than_the_largest_message() -> None:
    connection = WebSocketConnection(max_message_bytes=10)
    assert connection.receive_data(frame(b"p" * 125, PING) + frame(b"x" * 10)) == ["x" * 10]
    assert connection.pings == 1


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_lengths_over_the_limit_are_refused_by_their_announcement(opcode: int) -> None:
    for announced in (1001, 65_535, 65_536, 1 << 31, 1 << 62, 1 << 63, (1 << 64) - 1):
        size = struct.pack("!BQ", 127, announced)
        connection = WebSocketConnection(max_message_bytes=1000)
        assert connection.receive_data(GOOD + bytes([0x80 | opcode]) + size) == ["good"]
        assert isinstance(connection.error, StreamLimitError)
    refused(frame(b"x" * 600, opcode, fin=False) + frame(b"x" * 401, CONT), 1009, StreamLimitError)


def test_lengths_in_a_longer_form_than_they_need() -> None:
    data = b"\x81" + struct.pack("!BH", 126, 1) + b"a" + b"\x81" + struct.pack("!BQ", 127, 1) + b"b"
    assert receive(data)["messages"] == ["a", "b"]


KEY = "dGhlIHNhbXBsZSBub25jZQ=="


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"upgrade": "WebSocket", "connection": "keep-alive, UPGRADE"}, None),
        ({"version": "1.0"}, "no upgrades"),
        ({"upgrade": "websocket2"}, "does not switch"),
        ({"upgrade": "h2c"}, "does not switch"),
        ({"connection": "close"}, "does not switch"),
        ({"connection": "upgraded"}, "does not switch"),
        ({"connection": "upgrade\xa0"}, "does not switch"),
        ({"accept": accept_value(KEY).swapcase()}, "does not belong"),
        ({"accept": ""}, "does not belong"),
        ({"accept": f"{accept_value(KEY)}, {accept_value(KEY)}"}, "does not belong"),
        ({"more": "Sec-WebSocket-Extensions: permessage-deflate\r\n"}, "extension"),
        ({"more": "Sec-WebSocket-Protocol: chat\r\n"}, "subprotocol"),
    ],
)
def test_handshakes(change: dict[str, str], fault: str | None) -> None:
    answer = {"version": "1.1", "upgrade": "websocket", "connection": "Upgrade", "more": ""}
    answer |= {"accept": accept_value(KEY)} | change
    decoder = ResponseDecoder()
    decoder.feed(
        "HTTP/{version} 101 Switching Protocols\r\nUpgrade: {upgrade}\r\nConnection: {connection}\r\n"
        "Sec-WebSocket-Accept: {accept}\r\n{more}\r\n".format(**answer).encode("latin-1")
    )
    assert decoder.status == 101
    found = check_handshake(decoder, KEY)
    assert found is None if fault is None else fault in str(found)
