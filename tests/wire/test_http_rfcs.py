"""RFC 9112, 9110, 1952 and 1951 row by row: each answer whole, byte by byte, and cut once at every byte."""

from __future__ import annotations

import gzip
import zlib
from functools import partial
from typing import TYPE_CHECKING

import pytest

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._wire.content_coding import content_decoder
from runagent._wire.http1 import ResponseDecoder
from tests.support.cutting import every_cut

if TYPE_CHECKING:
    from collections.abc import Callable

OK = "HTTP/1.1 200 OK\r\n"
LENGTH = "Content-Length: 3\r\n\r\nabc"
CHUNKED = OK + "Transfer-Encoding: chunked\r\n\r\n"
ABC = "3\r\nabc\r\n0\r\n\r\n"

Kind = type[RunAgentError] | None


def same(decode: Callable[[list[bytes]], object], data: bytes) -> object:
    """Decode in every cut; return the one result that all of them have."""
    whole, *others = map(decode, every_cut(data))
    assert all(other == whole for other in others)
    return whole


def decode_http(pieces: list[bytes]) -> tuple[int, bytes, Kind, bool]:
    """Return status, body, the kind of fault, and whether the connection may be used again."""
    decoder, body, fault = ResponseDecoder(), b"", None
    try:
        for piece in pieces:
            body += decoder.feed(piece)
        decoder.close()
    except RunAgentError as exc:
        fault = type(exc)
    return decoder.status, body, fault, fault is None and decoder.keep_alive and not decoder.excess


@pytest.mark.parametrize(
    ("answer", "body", "reusable"),
    [
        (OK + LENGTH, b"abc", True),
        (OK + "Content-Length: 0000000000000000000000003\r\n\r\nabc", b"abc", True),
        (OK + "Content-Length:3 \t\r\n\r\nabc", b"abc", True),
        (OK + "Connection: foo, CLOSE\r\n" + LENGTH, b"abc", False),
        (OK + "Connection: keep-alive\r\nConnection: close\r\n" + LENGTH, b"abc", False),
        (OK + "Connection: keep-alive, close\r\n" + LENGTH, b"abc", False),
        (OK + "X: \xe9\xa0\x85\r\n" + LENGTH, b"abc", True),
        # RFC 9112 §5.2: a user agent reads a fold as spaces; what looks like one in the body is the body's.
        (OK + "X: a\r\n b\r\n\t \t c\r\nY: d\r\n e\r\n" + LENGTH, b"abc", True),
        (OK + "Content-Length:\r\n 3\r\n\r\nabc", b"abc", True),
        (OK + "Connection: a,\r\n close\r\nContent-Length: 5\r\n\r\n\r\n \r\n", b"\r\n \r\n", False),
        ("HTTP/1.1 103 x\r\nX: a\r\n b\r\n\r\n" + OK + "X: a\r\n b\r\n" + LENGTH, b"abc", True),
        (OK + LENGTH + "HTTP/1.1 200 OK\r\n", b"abc", False),
        (OK + LENGTH + "\r\n\r\n", b"abc", True),
        (OK + "\r\nabc", b"abc", False),
        (OK + "Upgrade: h2c\r\nConnection: upgrade\r\n" + LENGTH, b"abc", True),
        (OK + "Upgrade: h2c\r\nConnection: upgrade\r\nTransfer-Encoding: chunked\r\n\r\n" + ABC, b"abc",
        True),
        ("HTTP/1.1 200\r\n" + LENGTH, b"abc", True),
        ("HTTP/1.1 200 \r\n" + LENGTH, b"abc", True),
        ("HTTP/1.1 200 \xe9\xff\r\n" + LENGTH, b"abc", True),
        ("\r\n\r\n" + OK + LENGTH, b"abc", True),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: x\r\n\r\n" + OK + LENGTH, b"abc", True),
        ("HTTP/1.1 100 x\r\nContent-Length: 9\r\n\r\n" + OK + LENGTH, b"abc", True),
        ("HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n" + OK + LENGTH, b"abc", True),
        ("HTTP/1.1 103 x\r\nConnection: close\r\n\r\n" + OK + LENGTH, b"abc", True),
        ("HTTP/1.0 100 x\r\n\r\n" + OK + LENGTH, b"abc", True),
        (OK + "Connection: close\r\n" + LENGTH + OK + LENGTH, b"abc", False),
        ("HTTP/1.0 200 OK\r\n" + LENGTH, b"abc", False),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n" + LENGTH, b"abc", True),
        # HTTP/1.0 has no transfer codings: RFC 9112 §6.1 has the connection closed after such an answer.
        ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + ABC, b"abc",
        False),
        ("HTTP/1.1 204 x\r\n" + LENGTH, b"", False),
        ("HTTP/1.1 304 x\r\n" + LENGTH, b"", False),
        (CHUNKED + ABC, b"abc", True),
        (CHUNKED + '3;a=b;c="d;e\\""\r\nabc\r\n0;x\r\n\r\n', b"abc", True),
        (CHUNKED + "0000000000000000000003\r\nabc\r\n0\r\n\r\n", b"abc", True),
        (CHUNKED + "a\r\n0123456789\r\nB\r\n0123456789x\r\n0\r\n\r\n", b"01234567890123456789x", True),
        (CHUNKED + "3\r\nabc\r\n0\r\nX: y\r\nServer-Timing: a\r\n\r\n", b"abc", True),
    ],
)  # fmt: skip
def test_a_good_answer(answer: str, body: bytes, reusable: bool) -> None:
    assert same(decode_http, answer.encode("latin-1"))[1:] == (body, None, reusable)  # type: ignore[index]


@pytest.mark.parametrize(
    "fields",
    [
        "Content-Length: 3\r\nContent-Length: 3\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        *(f"Content-Length: {v}\r\n" for v in ("3, 3", "+3", "-3", "", "0x3", "3 3", "9" * 23,
        "\u0663".encode().decode("latin-1"))),
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        *(f"Transfer-Encoding: {v}\r\n" for v in ("", "identity", "gzip, chunked", ", chunked", "xchunked",
        "\x0bchunked", "chunked;a=b", "chunked\xa0", "\x85chunked", "chunked, identity")),
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        "X\r\n : b\r\n",
        "X: a\r\n b\0\r\n",
        " X: a\r\n",
        "X : a\r\n",
        "X\r\n",
        ": a\r\n",
        "X\xe9: a\r\n",
        "X(: a\r\n",
        "X: a\rb\r\n",
        "X: a\nY: b\r\n",
        *(f"X: a{c}b\r\n" for c in "\0\x01\x1b\x7f"),
    ],
)  # fmt: skip
def test_fields_that_are_refused(fields: str) -> None:
    data = f"{OK}{fields}\r\nabc".encode("latin-1")
    assert same(decode_http, data)[1:3] == (b"", ProtocolError)  # type: ignore[index]


@pytest.mark.parametrize(
    "line",
    [
        *("HTTP/1.1  200 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2x0 OK", "HTTP/1.1 099 OK"),
        *("HTTP/1.1 +20 OK", "HTTP/1.1\t200 OK", "HTTP/1.2 200 OK", "HTTP/0.9 200 OK", "HTTP/2.0 200 OK"),
        *("HTTP/11 200 OK", "HTTP 200 OK", "http/1.1 200 OK", " HTTP/1.1 200 OK", "POST / HTTP/1.1"),
        *("RTSP/1.0 200 OK", "ICE/1.0 200 OK", "\xef\xbb\xbfHTTP/1.1 200 OK", "\0HTTP/1.1 200 OK"),
    ],
)
def test_status_lines_that_are_refused(line: str) -> None:
    data = f"{line}\r\n{LENGTH}".encode("latin-1")
    assert same(decode_http, data) == (0, b"", ProtocolError, False)


@pytest.mark.parametrize(
    ("chunks", "before"),
    [
        *(
            (size + "\r\nabc\r\n0\r\n\r\n", b"")
            for size in ("0x3", "-3", "+3", "", " 3", "3_0", "3g", "F" * 17)
        ),
        ("3\nabc\n0\n\n", b""),
        ("3;a\nabc\r\n0\r\n\r\n", b""),
        ("3;a\rb\r\nabc\r\n0\r\n\r\n", b""),
        ("3\r\nabc0\r\n\r\n", b"abc"),
        ("3\r\nabcd\r\n0\r\n\r\n", b"abc"),
        ("3\r\nabc\r\nzz", b"abc"),
        ("3\r\nabc\r\n0\r\nX: y\r\n z\r\n\r\n", b"abc"),
        ("3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", b"abc"),  # §6.5.1: ignored, or an error
        ("3\r\nabc\r\n0\r\nX : y\r\n\r\n", b"abc"),
    ],
)
def test_chunks_that_are_refused_give_what_came_before(chunks: str, before: bytes) -> None:
    assert same(decode_http, (CHUNKED + chunks).encode()) == (200, before, ProtocolError, False)


def test_a_folded_field_is_one_field() -> None:
    data = (OK + "X: a\r\n b\r\n\t c\r\nY:\r\n d\r\n" + LENGTH).encode()
    for pieces in every_cut(data):
        decoder = ResponseDecoder()
        for piece in pieces:
            decoder.feed(piece)
        assert (decoder.headers["x"].split(), decoder.headers["y"]) == (["a", "b", "c"], "d")


def test_folds_without_end_are_refused() -> None:
    decoder = ResponseDecoder()
    decoder.feed((OK + "X: a").encode())
    for _ in range(1000):
        if decoder.error is None:
            decoder.feed(b"\r\n b")
    assert isinstance(decoder.error, ProtocolError)


@pytest.mark.parametrize("answer", [OK + LENGTH, CHUNKED + "3\r\nabc\r\n0\r\nX: y\r\n\r\n"])
def test_an_answer_cut_anywhere_is_truncated(answer: str) -> None:
    data = answer.encode()
    kinds = {decode_http([data[:at]])[2] for at in range(len(data))}
    assert kinds == {StreamTruncatedError}


def test_an_error_quotes_the_beginning_however_it_was_cut() -> None:
    data = b"SSH-2.0-OpenSSH_9.6\r\n"
    for pieces in every_cut(data):
        decoder = ResponseDecoder()
        for piece in pieces:
            if decoder.error is None:
                decoder.feed(piece)
        assert 'the peer sent "S' in str(decoder.error)


# Content codings

gzipped = partial(gzip.compress, mtime=0)  # the same bytes, and so names of tests, in every process
TEXT = b"Once upon a time\n" * 3
RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(TEXT) + RAW.flush()
TRAILER = zlib.crc32(TEXT).to_bytes(4, "little") + len(TEXT).to_bytes(4, "little")
FHCRC, FEXTRA, FNAME, FCOMMENT = 2, 4, 8, 16


def member(
    flags: int = 0, fields: bytes = b"", deflated: bytes = DEFLATED, trailer: bytes = TRAILER
) -> bytes:
    """Write a gzip member (RFC 1952 §2.3) with a CRC of its header if the flags ask for one."""
    header = b"\x1f\x8b\x08" + bytes([flags]) + b"\0\0\0\0\0\xff" + fields
    if flags & FHCRC:
        header += (zlib.crc32(header) & 0xFFFF).to_bytes(2, "little")
    return header + deflated + trailer


FULL = member(FHCRC | FEXTRA | FNAME | FCOMMENT, b"\x03\0abc" + b"name\0" + b"comment\0")


def undo(field: str) -> Callable[[list[bytes]], tuple[bytes, Kind]]:
    """Make a function that undoes a content coding and returns the kind of fault."""

    def decode(pieces: list[bytes]) -> tuple[bytes, Kind]:
        coding, text = content_decoder(field), b""
        assert coding is not None
        try:
            for piece in pieces:
                text += coding.feed(piece)
            coding.close()
        except RunAgentError as exc:
            return text, type(exc)
        return text, None

    return decode


@pytest.mark.parametrize(
    ("field", "data", "text"),
    [
        ("gzip", FULL, TEXT),
        ("gzip", FULL + FULL + member(), TEXT * 3),
        ("gzip", member(deflated=b"\x03\0", trailer=bytes(8)), b""),
        ("gzip", FULL + bytes(9), TEXT),
        ("gzip", FULL + b"junk", TEXT),
        ("gzip", FULL + bytes(2) + FULL, TEXT),
        ("gzip", FULL + b"x" + FULL, TEXT),
        ("deflate", zlib.compress(TEXT), TEXT),
        ("deflate", zlib.compress(TEXT) + zlib.compress(TEXT), TEXT),
        ("deflate", DEFLATED, TEXT),
        ("deflate", DEFLATED + b"junk", TEXT),
        ("gzip, deflate", zlib.compress(FULL), TEXT),
        ("deflate, gzip", gzipped(DEFLATED), TEXT),
        ("gzip,gzip", gzipped(FULL + FULL), TEXT * 2),
        ("X-GZIP , identity", FULL, TEXT),
    ],
)
def test_a_coding_is_undone(field: str, data: bytes, text: bytes) -> None:
    assert same(undo(field), data) == (text, None)


@pytest.mark.parametrize(
    ("field", "data", "before"),
    [
        ("gzip", member(FHCRC, b"")[:10] + b"\0\0" + DEFLATED + TRAILER, b""),
        ("gzip", member(0xE0), b""),
        ("gzip", member()[:2] + b"\x09" + member()[3:], b""),
        ("gzip", member(trailer=bytes(4) + TRAILER[4:]), TEXT),
        ("gzip", member(trailer=TRAILER[:4] + bytes(4)), TEXT),
        ("gzip", member(deflated=b"\x07"), b""),
        ("gzip", zlib.compress(TEXT), b""),
        ("gzip", b"plain text", b""),
        ("gzip", FULL + member(trailer=bytes(8)), TEXT * 2),
        ("deflate", zlib.compress(TEXT)[:-1] + b"?", TEXT),
        ("deflate", b"\x78\xbb\0\0\0\0" + DEFLATED, b""),  # asks for a dictionary that nobody has
        ("deflate", b"\xff\xff\xff", b""),
        ("deflate, gzip", gzipped(zlib.compress(TEXT)[:-1] + b"?"), TEXT),
    ],
)
def test_a_coding_that_is_wrong_gives_what_came_before(field: str, data: bytes, before: bytes) -> None:
    assert same(undo(field), data) == (before, ProtocolError)


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("gzip", FULL),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", DEFLATED),
        ("gzip, deflate", zlib.compress(FULL)),
        ("deflate, gzip", gzipped(zlib.compress(TEXT))),
    ],
)
def test_a_coding_cut_anywhere_is_truncated(field: str, data: bytes) -> None:
    assert {undo(field)([data[:at]])[1] for at in range(1, len(data))} == {StreamTruncatedError}


def test_a_second_member_cut_anywhere_is_truncated() -> None:
    data = FULL + FULL
    assert {undo("gzip")([data[:at]])[1] for at in range(len(FULL) + 1, len(data))} == {StreamTruncatedError}


@pytest.mark.parametrize(
    "field", ["br", "zstd", "compress", "x-deflate", "gzip;q=1", "gzip deflate", "gzip, br", "gzip\xa0"]
)
def test_an_unrequested_coding_is_refused(field: str) -> None:
    with pytest.raises(ProtocolError, match="content coding"):
        content_decoder(field)


def test_two_codings_do_not_multiply_their_ratios() -> None:
    bomb = gzipped(gzipped(bytes(64 * 1024 * 1024), 9), 9)
    coding = content_decoder("gzip, gzip", max_ratio=200)
    assert coding is not None
    text = coding.feed(bomb)
    assert len(text) <= max(1024 * 1024, 200 * len(bomb))
    assert isinstance(coding.error, StreamLimitError)
