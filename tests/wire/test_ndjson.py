"""NDJSON lines, cut anywhere, and plain text in any charset."""

from __future__ import annotations

from typing import Any

import pytest

from runagent._errors import ProtocolError, StreamLimitError, StreamTruncatedError
from runagent._wire.ndjson import NDJSONDecoder
from runagent._wire.plaintext import text_decoder


def decode(stream: bytes, step: int, **options: int) -> tuple[list[Any], NDJSONDecoder]:
    decoder = NDJSONDecoder(**options)
    values: list[Any] = []
    for at in range(0, len(stream), step):
        if decoder.error is None:
            values += decoder.feed(stream[at : at + step])
    return values, decoder


@pytest.fixture(params=[1, 3, 1 << 20], ids=["byte by byte", "by threes", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


@pytest.mark.parametrize(
    ("stream", "values"),
    [
        (b'{"a":1}\n[2]\r\n"x"\n', [{"a": 1}, [2], "x"]),
        (b'\n\r\n  \n{"a":1}\n\n', [{"a": 1}]),
        (b'\xef\xbb\xbf{"a":1}\n', [{"a": 1}]),
        ('"a\u2028b\u0085c"\n'.encode(), ["a\u2028b\u0085c"]),
        (b'"\\ud83d"\n"\\ude00"\n', ["\ud83d", "\ude00"]),
        (b'{"a":1}', [{"a": 1}]),
        (b'1\n"end"', [1, "end"]),
        (b"1\n  ", [1]),
        (b"\xef\xbb\xbf1", [1]),
        (b"", []),
    ],
)
def test_values(stream: bytes, values: list[Any], step: int) -> None:
    found, decoder = decode(stream, step)
    assert (values, None) == (found + decoder.close(), decoder.error)


@pytest.mark.parametrize(
    "bad", [b"{a}\n", b'{"a":1} 2\n', b"NaN\n", b'"\xff"\n', b"[" * 100_000 + b"\n", b'{"a":1}\r{"b":2}\n']
)
def test_good_lines_come_before_the_bad_one_which_is_named(bad: bytes, step: int) -> None:
    values, decoder = decode(b'"good"\n\n' + bad + b'"never"\n', max(step, len(bad) // 100))
    assert ["good"] == values
    assert isinstance(decoder.error, ProtocolError)
    assert "line 3" in str(decoder.error)
    assert 600 > len(str(decoder.error))
    with pytest.raises(ProtocolError):
        decoder.feed(b"1\n")


@pytest.mark.parametrize("end", [b'{"a":', b'"x', b"tru", b"[1,"])
def test_a_last_line_that_is_cut_is_a_truncation(end: bytes, step: int) -> None:
    values, decoder = decode(b"1\n" + end, step)
    assert [1] == values
    with pytest.raises(StreamTruncatedError, match="line 2"):
        decoder.close()


def test_a_last_line_that_is_whole_but_wrong_is_a_protocol_error(step: int) -> None:
    _, decoder = decode(b'{"a":1} {"b"', step)
    with pytest.raises(ProtocolError, match="line 1"):
        decoder.close()


@pytest.mark.parametrize("size", [100, 101])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_has_a_limit(size: int, end: bytes, step: int) -> None:
    _, decoder = decode(b"1\n" + b'"' + b"x" * (size - 2) + b'"' + end, step, max_line_bytes=100)
    assert (size > 100) == isinstance(decoder.error, StreamLimitError)
    if isinstance(decoder.error, StreamLimitError):
        assert ("max_event_bytes", 100) == (decoder.error.limit_name, decoder.error.limit)


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", "Straße \N{GRINNING FACE}".encode(), "Straße \N{GRINNING FACE}"),
        ("UTF8", b"\xef\xbb\xbfx", "x"),
        ("utf-8", b"a\xffb\xf0\x9f\x98", "a\ufffdb\ufffd"),
        ("iso-8859-1", b"Stra\xdfe", "Straße"),
        ("utf-16", "ab\N{GRINNING FACE}".encode("utf-16"), "ab\N{GRINNING FACE}"),
        ("utf-16-le", "\N{GRINNING FACE}".encode("utf-16-le"), "\N{GRINNING FACE}"),
        ("shift_jis", "日本".encode("shift_jis"), "日本"),
    ],
)
def test_text_is_never_cut_inside_a_character(charset: str, data: bytes, text: str, step: int) -> None:
    decoder = text_decoder(charset)
    pieces = [decoder.decode(data[at : at + step]) for at in range(0, len(data), step)]
    assert text == "".join(pieces) + decoder.decode(b"", True)


@pytest.mark.parametrize(
    "charset",
    ["no-such", "", "rot13", "hex", "base64", "zlib", "uu", "idna", "undefined", "a\0b", "x" * 9999],
)
def test_an_invalid_charset_is_refused(charset: str) -> None:
    with pytest.raises(ProtocolError, match="charset") as caught:
        text_decoder(charset)
    assert 200 > len(str(caught.value))
