"""Few bytes that cost much: what a peer sends within each of two limits is bounded where they meet."""

from __future__ import annotations

import gzip
import time
import zlib
from functools import partial
from typing import Any

import pytest

from runagent._errors import ProtocolError, StreamLimitError
from runagent._wire import websocket
from runagent._wire.content_coding import content_decoder
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.websocket import WebSocketConnection
from tests.support.peer import websocket_frame as frame

READ = 64 * 1024  # bytes, as much as comes in one read
MIB = 1024 * 1024
gzipped = partial(gzip.compress, mtime=0)
EMPTY = gzipped(b"")
PING, PONG, TEXT, BINARY, CONT = 9, 10, 1, 2, 0


def empty_blocks(size: int) -> bytes:
    """Write gzip data of blocks that hold nothing, which still have to be read."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = packer.flush(zlib.Z_FULL_FLUSH)
    return block + b"\0\0\0\xff\xff" * (size // 5)


CODED = {
    "members in a coding": ("gzip, gzip", gzipped(EMPTY * (20 * MIB // len(EMPTY)), 9)),
    "members in two codings": ("gzip, gzip, gzip", gzipped(gzipped(EMPTY * (20 * MIB // len(EMPTY)), 9), 9)),
    "members in deflate": ("gzip, deflate", zlib.compress(EMPTY * (20 * MIB // len(EMPTY)), 9)),
    "members that are packed less": (
        "gzip, gzip",
        b"".join(gzipped(EMPTY * 40 + bytes([n % 256])) for n in range(MIB // 60)),
    ),
    "members that differ": (
        "gzip, gzip",
        gzipped(b"".join(gzip.compress(b"", mtime=n * 2654435761 % 2**32) for n in range(60_000)), 9),
    ),
    "blocks in a coding": ("gzip, gzip", gzipped(empty_blocks(20 * MIB), 9)),
}


@pytest.mark.parametrize("name", CODED)
def test_codings_in_codings_are_bounded(name: str) -> None:
    field, data = CODED[name]
    coding = content_decoder(field)
    assert coding is not None
    began = time.process_time()
    for at in range(0, len(data), 2048):
        coding.feed(data[at : at + 2048])
        if coding.error:
            break
    assert isinstance(coding.error, StreamLimitError | ProtocolError)
    assert 1 > time.process_time() - began  # it was some 5 s


@pytest.mark.parametrize("ratio", [1, 10, 200])
@pytest.mark.parametrize("step", [1, 7, 2048])
def test_members_that_are_no_attack_are_read(ratio: int, step: int) -> None:
    data = (gzipped(b"x") + EMPTY) * 1000
    coding = content_decoder("gzip", max_ratio=ratio)
    assert coding is not None
    text = b"".join(coding.feed(data[at : at + step]) for at in range(0, len(data), step))
    coding.close()
    assert b"x" * 1000 == text


FRAMES: dict[str, tuple[bytes, bytes]] = {
    "pings": (b"", frame(b"", PING)),
    "pongs": (b"", frame(b"", PONG)),
    "pings with a payload": (b"", frame(b"beat", PING)),
    "empty fragments": (frame(b"", TEXT, fin=False), frame(b"", CONT, fin=False)),
    "short fragments": (frame(b"", TEXT, fin=False), frame(b"a", CONT, fin=False)),
    "fragments and pings": (frame(b"", TEXT, fin=False), frame(b"a", CONT, fin=False) + frame(b"", PING)),
    "messages of two fragments": (b"", frame(b"", BINARY, fin=False) + frame(b"", CONT)),
    "binary messages": (b"", frame(b"", BINARY)),
    "texts and pings": (b"", frame(b"{}", TEXT) + frame(b"", PING)),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_read_of_short_frames_never_reaches_the_general_machinery(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[bytes] = []
    receive = websocket._Core.receive_data

    def spy(core: Any, data: bytes = b"") -> None:
        calls.append(data)
        receive(core, data)

    monkeypatch.setattr(websocket._Core, "receive_data", spy)
    begin, frames = FRAMES[name]
    connection = WebSocketConnection()
    connection.receive_data(begin)
    messages = connection.receive_data(frames * (READ // len(frames)))
    assert (None, []) == (connection.error, calls)
    assert 1000 > len(connection.data_to_send())
    assert len(messages) in (0, READ // len(frames))


def test_of_many_pings_in_a_read_the_first_and_the_last_are_answered() -> None:
    connection = WebSocketConnection()
    connection.receive_data(b"".join(frame(b"%d" % n, PING) for n in range(100)))
    assert 100 == connection.pings
    sent = connection.data_to_send()
    pongs = [unmasked(sent, at) for at in frames_of(sent)]
    assert [*(b"%d" % n for n in range(16)), b"99"] == pongs
    connection.receive_data(frame(b"again", PING))
    sent = connection.data_to_send()
    assert [b"again"] == [unmasked(sent, at) for at in frames_of(sent)]


def frames_of(sent: bytes) -> list[int]:
    starts, at = [], 0
    while at < len(sent):
        assert 0x8A == sent[at]
        starts.append(at)
        at += 6 + (sent[at + 1] & 0x7F)
    return starts


def unmasked(sent: bytes, at: int) -> bytes:
    size = sent[at + 1] & 0x7F
    mask = sent[at + 2 : at + 6]
    return bytes(byte ^ mask[n % 4] for n, byte in enumerate(sent[at + 6 : at + 6 + size]))


def test_a_last_ping_is_answered_before_a_close() -> None:
    connection = WebSocketConnection()
    connection.receive_data(frame(b"", PING) * 50 + frame(b"last", PING) + frame(b"\x03\xe8", 8))
    sent = connection.data_to_send()
    assert 0x88 == sent[-8]
    assert 17 == len(frames_of(sent[:-8]))
    assert 1000 == connection.close_code


@pytest.mark.parametrize("cut", range(1, 30, 3))
@pytest.mark.parametrize(
    ("frames", "messages", "error"),
    [
        (frame("ü".encode()[:1], TEXT, fin=False) + frame("ü".encode()[1:], CONT), ["ü"], None),
        (frame(b"\xff", TEXT, fin=False) + frame(b"", CONT), [], ProtocolError),
        (frame(b"a", TEXT, fin=False) + frame(b"\xff", CONT), [], ProtocolError),
        (frame(b"a", CONT), [], ProtocolError),
        (frame(b"a", TEXT, fin=False) + frame(b"a", BINARY), [], ProtocolError),
        (frame(b"a", TEXT, fin=False) + frame(b"a", TEXT, fin=False), [], ProtocolError),
        (frame(b"a", TEXT, fin=False) + frame(b"a", TEXT), [], ProtocolError),
        (frame(b"a", BINARY) + frame(b"", PING, fin=False), [b"a"], ProtocolError),
        (frame(b"x" * 60, TEXT, fin=False) + frame(b"x" * 60, CONT), [], StreamLimitError),
        (frame(b"x" * 60, BINARY, fin=False) + frame(b"x" * 40, CONT), [b"x" * 100], None),
    ],
)
def test_short_frames_are_read_by_the_same_rules(
    frames: bytes, messages: list[str | bytes], error: type | None, cut: int
) -> None:
    connection = WebSocketConnection(max_message_bytes=100)
    got = connection.receive_data(frames[:cut])
    if frames[cut:]:
        got += connection.receive_data(frames[cut:])
    assert (messages, error) == (got, error and type(connection.error))


HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(extension: int) -> bytes:
    return b"1;" + b"x" * extension + b"\r\na\r\n"


@pytest.mark.parametrize("step", [1 << 30, READ, 1000])
@pytest.mark.parametrize("extension", [60_000, 10_000, 2_000])
def test_a_byte_behind_each_chunk_extension_does_not_excuse_it(extension: int, step: int) -> None:
    decoder = ResponseDecoder()
    decoder.feed(HEAD)
    data, fed = chunk(extension) * max(1, READ // extension), 0
    while fed < 4 * MIB and decoder.error is None:
        for at in range(0, len(data), step):
            fed += len(data[at : at + step])
            decoder.feed(data[at : at + step])
            if decoder.error is not None:
                break
    assert isinstance(decoder.error, StreamLimitError)
    assert not decoder.flowing


@pytest.mark.parametrize("step", [1 << 30, 1])
def test_short_extensions_are_no_attack(step: int) -> None:
    decoder = ResponseDecoder()
    for piece in (HEAD, *[chunk(100)] * 2000, b"0\r\n\r\n"):
        for at in range(0, len(piece), step):
            decoder.feed(piece[at : at + step])
    assert (None, True) == (decoder.error, decoder.complete)
