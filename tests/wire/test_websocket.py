"""The client's side of a WebSocket (RFC 6455): handshake answers, fragments, UTF-8, limits, how it ends."""

from __future__ import annotations

import struct

import pytest

from runagent._errors import ProtocolError, StreamLimitError
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.websocket import WebSocketConnection, accept_value, check_handshake, handshake_headers
from tests.support.peer import websocket_frame as frame

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SMILE = "\N{GRINNING FACE}".encode()


def close_frame(code: int, reason: bytes = b"") -> bytes:
    return frame(struct.pack("!H", code) + reason, CLOSE)


def receive(data: bytes, step: int, **options: int) -> tuple[list[str | bytes], WebSocketConnection]:
    connection = WebSocketConnection(**options)
    messages: list[str | bytes] = []
    for at in range(0, len(data), step):
        messages += connection.receive_data(data[at : at + step])
    return messages, connection


def unmasked(data: bytes) -> tuple[int, bytes]:
    """Undo the masking of one short client frame."""
    assert data[1] & 0x80
    mask, payload = data[2:6], data[6:]
    return data[0] & 0x0F, bytes(b ^ mask[at % 4] for at, b in enumerate(payload))


@pytest.fixture(params=[1, 3, 1 << 20], ids=["byte by byte", "by threes", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


@pytest.mark.parametrize(
    ("data", "messages"),
    [
        (frame(b"a") + frame(b"") + frame(SMILE), ["a", "", SMILE.decode()]),
        (frame(b"x" * 126) + frame(b"y" * 70_000), ["x" * 126, "y" * 70_000]),
        (frame(b"a", BINARY) + frame(b"\xff", BINARY), [b"a", b"\xff"]),
        (frame(b"a", fin=False) + frame(b"b", 0, fin=False) + frame(b"", 0), ["ab"]),
        (frame(SMILE[:2], fin=False) + frame(SMILE[2:], 0), [SMILE.decode()]),
        (frame(b"a", fin=False) + frame(b"p", PING) + frame(b"b", 0), ["ab"]),
        (frame(b"\xff", BINARY, fin=False) + frame(b"\xfe", 0), [b"\xff\xfe"]),
        (frame(b"", PONG) + frame(b"a"), ["a"]),
    ],
)
def test_messages(data: bytes, messages: list[str | bytes], step: int) -> None:
    found, connection = receive(data, step)
    assert (messages, None, None) == (found, connection.error, connection.close_code)


def test_a_ping_is_answered_with_what_it_carries(step: int) -> None:
    _, connection = receive(frame(b"beat", PING), step)
    assert (PONG, b"beat") == unmasked(connection.data_to_send())
    assert 1 == connection.pings


@pytest.mark.parametrize(
    "data",
    [
        frame(b"\xff"),
        frame(SMILE[:2]),
        frame(b"\xed\xa0\x80"),
        frame(b"\xff", fin=False),
        frame(SMILE[:2], fin=False) + frame(b"x", 0),
    ],
)
def test_text_that_is_not_utf8_is_refused_with_1007(data: bytes, step: int) -> None:
    messages, connection = receive(frame(b"good") + data, step)
    assert ["good"] == messages
    assert isinstance(connection.error, ProtocolError)
    opcode, payload = unmasked(connection.data_to_send())
    assert (CLOSE, struct.pack("!H", 1007)) == (opcode, payload[:2])


@pytest.mark.parametrize(
    "data",
    [
        b"\xc1\x01x",  # a reserved bit: an extension that nobody offered
        b"\x83\x01x",  # a reserved opcode
        b"\x81\x81aaaax",  # masked by the server
        frame(b"x", 0),  # goes on with nothing
        frame(b"a", fin=False) + frame(b"b"),  # begins inside another
        frame(b"a", PING, fin=False),
        b"\x89\x7e\x00\x80" + b"x" * 128,  # a ping that is too long
        frame(b"\x03", CLOSE),
        frame(struct.pack("!H", 1005), CLOSE),
        frame(struct.pack("!H", 999), CLOSE),
        frame(struct.pack("!H", 1000) + b"\xff", CLOSE),
    ],
)
def test_a_broken_frame_is_a_protocol_error_behind_the_good_ones(data: bytes, step: int) -> None:
    messages, connection = receive(frame(b"good") + data, step)
    assert ["good"] == messages
    assert isinstance(connection.error, ProtocolError)
    assert CLOSE == unmasked(connection.data_to_send())[0]


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1011, 1012, 3000, 4999])
def test_a_close_is_reported_and_answered(code: int, step: int) -> None:
    _, connection = receive(close_frame(code, b"why"), step)
    assert (code, "why", None) == (connection.close_code, connection.close_reason, connection.error)
    assert (CLOSE, struct.pack("!H", code) + b"why") == unmasked(connection.data_to_send())
    assert [] == connection.receive_data(frame(b"late"))


def test_a_close_without_a_code_is_1005() -> None:
    assert 1005 == receive(frame(b"", CLOSE), 1)[1].close_code


def test_an_end_without_a_close_is_1006() -> None:
    _, connection = receive(frame(b"a"), 1)
    connection.receive_eof()
    assert (1006, None) == (connection.close_code, connection.error)


@pytest.mark.parametrize("size", [100, 101])
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_message_has_a_limit(size: int, pieces: int, step: int) -> None:
    data = b"x" * size
    sent = frame(data) if pieces == 1 else frame(data[:60], fin=False) + frame(data[60:], 0)
    messages, connection = receive(sent, step, max_message_bytes=100)
    assert (size > 100) == isinstance(connection.error, StreamLimitError)
    if isinstance(connection.error, StreamLimitError):
        assert ("max_event_bytes", 100, []) == (connection.error.limit_name, connection.error.limit, messages)
        assert struct.pack("!H", 1009) == unmasked(connection.data_to_send())[1][:2]


def test_the_specifications_own_key() -> None:
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" == accept_value("dGhlIHNhbXBsZSBub25jZQ==")


def test_every_handshake_has_a_fresh_key() -> None:
    assert 10 == len({handshake_headers()[0] for _ in range(10)})


def answer(*fields: str) -> ResponseDecoder:
    decoder = ResponseDecoder()
    decoder.feed("\r\n".join(["HTTP/1.1 101 x", *fields, "", ""]).encode())
    return decoder


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}"], None),
        (["Upgrade: WebSocket", "Connection: keep-alive, upgrade", "Sec-WebSocket-Accept: {accept}"], None),
        (
            [
                "Upgrade: websocket, websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Accept: {accept}",
                "Sec-WebSocket-Extensions:",
                "Sec-WebSocket-Protocol:",
            ],
            None,
        ),
        (["Upgrade: h2c", "Connection: Upgrade", "Sec-WebSocket-Accept: {accept}"], "switch"),
        (["Upgrade: websocket", "Connection: close", "Sec-WebSocket-Accept: {accept}"], "switch"),
        (["Upgrade: websocket", "Connection: Upgrade"], "Accept"),
        (["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Accept: eHh4"], "Accept"),
        (
            [
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Accept: {accept}",
                "Sec-WebSocket-Extensions: permessage-deflate",
            ],
            "extension",
        ),
        (
            [
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Accept: {accept}",
                "Sec-WebSocket-Protocol: chat",
            ],
            "subprotocol",
        ),
    ],
)
def test_the_answer_to_a_handshake_is_checked(fields: list[str], fault: str | None) -> None:
    key, _ = handshake_headers()
    found = check_handshake(answer(*(field.format(accept=accept_value(key)) for field in fields)), key)
    assert (fault is None) == (found is None)
    assert (fault or "") in str(found)
