"""WHATWG HTML §9.2.6, ndjson-spec, RFC 8259, charsets: each input whole, byte by byte, cut at every byte."""

from __future__ import annotations

import codecs
import tracemalloc
from typing import Any

import pytest

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._wire.ndjson import NDJSONDecoder
from runagent._wire.plaintext import text_decoder
from runagent._wire.sse import ServerSentEvent, SSEDecoder
from tests.support.cutting import every_cut

BOM = codecs.BOM_UTF8


def decode_sse(data: bytes, **options: int) -> tuple[list[ServerSentEvent], SSEDecoder]:
    """Decode in every cut; all give the same events, the same state and the same fault."""
    accounts = []
    for pieces in every_cut(data):
        decoder, events = SSEDecoder(**options), []
        for piece in pieces:
            if decoder.error is None:
                events += decoder.feed(piece)
        state = (decoder.last_event_id, decoder.retry, decoder.incomplete) if decoder.error is None else ()
        accounts.append((events, type(decoder.error), state))
    assert all(account == accounts[0] for account in accounts)
    return events, decoder


def event(
    data: str, name: str = "message", last_id: str = "", retry: int | None = None, *, has_id: bool = False
) -> ServerSentEvent:
    return ServerSentEvent(name, data, last_id, retry, has_id)


@pytest.mark.parametrize(
    ("data", "events"),
    [
        (BOM + b"data: a\n\n", [event("a")]),
        (BOM + BOM + b"data: a\n\ndata: b\n\n", [event("b")]),
        (b"\n" + BOM + b"data: a\n\ndata: b\n\n", [event("b")]),
        (b"data: a\r\r\ndata: b\r\n\r\ndata: c\n\r\r", [event("a"), event("b"), event("c")]),
        (b"\r\n\r\n\n\r\ndata: a\n\n\n\n", [event("a")]),
        (b"data\n\ndata\ndata\n\ndata:\n\n", [event(""), event("\n"), event("")]),
        (b"data:a\ndata:  b\ndata: \n\n", [event("a\n b\n")]),
        (b"data : a\n data: b\nData: c\ndata\t: d\n\ndata: e\n\n", [event("e")]),
        (b":\n: c\n:data: x\n\ndata: a\n\n", [event("a")]),
        (b"event: x\n\ndata: a\n\n", [event("a")]),
        (b"event: x\nevent\ndata: a\n\n", [event("a")]),
        (b"event: x\nevent: y\ndata: a\n\n", [event("a", "y")]),
        (b"event:  x \ndata: a\n\n", [event("a", " x ")]),
        (b"id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        [event("a", last_id="1", has_id=True), event("b", last_id="1"), event("c", has_id=True)]),
        (b"id: 1\n\nid: 2\0\ndata: a\n\n", [event("a", last_id="1")]),
        (b"id: 1\nid: 2\0\ndata: a\n\n", [event("a", last_id="1", has_id=True)]),
        (b"id: \xe2\x98\x83\xff\ndata: a\n\n", [event("a", last_id="\u2603\ufffd", has_id=True)]),
        (b"retry: 00000000000000000000010\ndata: a\n\n", [event("a", retry=10)]),
        (b"retry:7\nretry: -1\nretry: 1.5\nretry: 1e3\nretry:  9\nretry:\ndata: a\n\n", [event("a",
        retry=7)]),
        ("retry: \u0663\ndata: a\n\n".encode(), [event("a")]),
        (b"data: a\x00b\n\n", [event("a\0b")]),
        ("data: a\u2028b\x85c\x0bd\x0ce\x1cf\n\n".encode(), [event("a\u2028b\x85c\x0bd\x0ce\x1cf")]),
        (b"data: \xff\xe2\x98\ndata: \xf0\x9f\x98\n\n", [event("\ufffd\ufffd\n\ufffd")]),
        (b"data: \xed\xa0\x80\xc0\xaf\n\n", [event("\ufffd" * 5)]),
        (b"data: a\n\ndata: b", [event("a")]),
        (b"data: a\n\ndata: b\n", [event("a")]),
        (b"data: a\n\ndata: b\r", [event("a")]),
    ],
)  # fmt: skip
def test_event_streams(data: bytes, events: list[ServerSentEvent]) -> None:
    assert decode_sse(data)[0] == events


@pytest.mark.parametrize(
    ("data", "last_event_id", "retry", "incomplete"),
    [
        (b"", "", None, False),
        (b"id: 1\n", "", None, True),
        (b"id: 1\n\n", "1", None, False),
        (b"id: 1\n\nid: 2\ndata: x\n", "1", None, True),
        (b"retry: 5\n\n", "", 5, False),
        (b"retry: 5\n", "", 5, True),
        (b": comment", "", None, False),
        (b"data: a\n\n: comment", "", None, False),
        (b"data: a\n\n: comment\n", "", None, False),
        (b"data: a\n\nd", "", None, True),
        (b"data: a\r\n\r", "", None, False),
        (BOM, "", None, False),
        (BOM[:2], "", None, True),
    ],
)
def test_the_state_at_the_end(data: bytes, last_event_id: str, retry: int | None, incomplete: bool) -> None:
    decoder = decode_sse(data)[1]
    decoder.close()
    assert (decoder.last_event_id, decoder.retry, decoder.incomplete) == (last_event_id, retry, incomplete)


def test_an_event_at_the_limit_and_over_it() -> None:
    good = b"data: " + b"x" * 8 + b"\n"
    assert decode_sse(b"data: a\n\n" + good + b"\n", max_event_bytes=14)[0] == [event("a"), event("x" * 8)]
    for more in (
        b"data: a\n\ndata: " + b"x" * 9,
        b"data: a\n\n" + good + b"data\n\n",
        b"data: a\n\n:" + b"x" * 20,
    ):
        events, decoder = decode_sse(more, max_event_bytes=14)
        assert events == [event("a")]
        with pytest.raises(StreamLimitError, match="max_event_bytes"):
            decoder.close()


def decode_lines(data: bytes, **options: int) -> tuple[list[Any], type[RunAgentError] | None]:
    """Decode in every cut; all give the same values and the same fault."""
    accounts = []
    for pieces in every_cut(data):
        decoder, values, fault = NDJSONDecoder(**options), [], None
        try:
            for piece in pieces:
                values += decoder.feed(piece)
            values += decoder.close()
        except RunAgentError as exc:
            fault = type(exc)
        accounts.append((repr(values), fault))
    assert all(account == accounts[0] for account in accounts)
    return values, fault


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"-0.0", -0.0), (b"1E+2", 100.0), (b"123456789012345678901234567890",
        123456789012345678901234567890),
        (b"1e999", float("inf")), (b"1e-999", 0.0), (b'"\x7f"', "\x7f"), (b'"\\u0000\\/"', "\0/"),
        (b'{"":{}}', {"": {}}),
        (b'{"a":1,"a":2}', {"a": 2}), (b'"\\ud83d\\ude00"', "\U0001f600"), (b'"\\ud83d"', "\ud83d"),
        (b'"\\ude00\\ud83d"', "\ude00\ud83d"), (b"\t [ 1 ,\t2 ] \r", [1, 2]), (b"null", None),
        ('"\u2028\u2029\x85"'.encode(), "\u2028\u2029\x85"), (b"[" * 400 + b"]" * 400, ...),
    ],
)  # fmt: skip
def test_json_values(text: bytes, value: Any) -> None:
    values, fault = decode_lines(b"0\n" + text + b"\n" + text)
    assert fault is None
    assert values[0] == 0
    assert values[1] == values[2]
    assert value is ... or values[1] == value


@pytest.mark.parametrize(
    "text",
    [
        b"01", b"+1", b".5", b"1.", b"1e", b"-", b"--1", b"0x1", b"1_0", b"NaN", b"Infinity", b"-Infinity",
        b"nan",
        b'"\x01"', b'"\t"', b'"\x00"', b'"\\x"', b'"\\u12"', b'"\\u00zz"', b'"\\u 123"', b'"\\U0001f600"',
        b"'a'",
        b'"\xed\xa0\xbd"', b'"\xff"', b'"\xc0\x80"', b"[1,]", b"[,1]", b'{"a":1,}', b"{a:1}", b'{"a"}',
        b'{1:2}', b"[1 2]",
        b"/*x*/1", b"1//x", b"true false", b"tru", b"True", b"\x00", b"1\x00", b"\xc2\xa01", b"\x0b1",
        b"\x0c", b"{}}",
        b"[", b'"abc', BOM + b"1", b"\xff\xfe1\x00", "\u0661".encode(), b"[" * 3000, b"9" * 5000,
    ],
)  # fmt: skip
def test_what_is_not_json_gives_the_lines_before_it(text: bytes) -> None:
    if len(text) < 100:
        assert decode_lines(b"1\n" + text + b"\n2\n") == ([1], ProtocolError)
    decoder = NDJSONDecoder()
    assert decoder.feed(b"1\n" + text + b"\n2\n") == [1]
    with pytest.raises(ProtocolError, match="line 2 of the stream is not JSON"):
        decoder.close()


@pytest.mark.parametrize(
    ("data", "values", "fault"),
    [
        (BOM + b"1\n2", [1, 2], None),
        (BOM, [], None),
        (BOM[:2], [], StreamTruncatedError),
        (b"\n\r\n \n1\r\n\n2\r", [1, 2], None),
        (b'1\n{"a":', [1], StreamTruncatedError),
        (b'1\n"\xf0\x9f', [1], StreamTruncatedError),
        *(
            (b"1\n" + cut, [1], StreamTruncatedError)
            for cut in b'tru|[1, nul|-|[-|2.|[2.5e+|["x\\|{"a": "\\u12|{|[1,|{"a"'.split(b"|")
        ),
        *(
            (b"1\n" + bad, [1], ProtocolError)
            for bad in b'{oops}|xyz|[1,]|{"a" 1|01|+1|"\\x|"a\x01|["\xff"|2.x'.split(b"|")
        ),
        (b'1\n{"a":1} x', [1], ProtocolError),
        (b"1\n2 3", [1], ProtocolError),
        (b"1\r2\n", [], ProtocolError),
    ],
)
def test_lines_and_their_end(data: bytes, values: list[Any], fault: type[RunAgentError] | None) -> None:
    assert decode_lines(data) == (values, fault)


def test_a_line_at_the_limit_and_over_it() -> None:
    assert decode_lines(b'1\n"xxxxxx"\n"xxxxxx"', max_line_bytes=8) == ([1, "x" * 6, "x" * 6], None)
    assert decode_lines(b'1\n"xxxxxxx"\n', max_line_bytes=8) == ([1], StreamLimitError)
    assert decode_lines(b'1\n"xxxxxxx"', max_line_bytes=8) == ([1], StreamLimitError)
    assert decode_lines(b"1\n" + b" " * 9 + b"\n2\n", max_line_bytes=8) == ([1], StreamLimitError)


@pytest.mark.parametrize(
    ("charset", "data", "text"),
    [
        ("utf-8", BOM + "ß\u2028\U0001f600".encode(), "ß\u2028\U0001f600"),
        ("UTF8", BOM + BOM, "\ufeff"),
        ("utf-8", BOM[:2], "\ufffd"),
        ("utf-8", BOM[:1] + b"a", "\ufffda"),
        ("utf-8", b"a\xf0\x9f\x98", "a\ufffd"),
        ("utf-8", b"\xc0\xaf\xed\xa0\x80\xf5", "\ufffd" * 6),
        ("utf-16", "ß\U0001f600".encode("utf-16-be").join((codecs.BOM_UTF16_BE, b"")), "ß\U0001f600"),
        ("utf-16", "ß\U0001f600".encode("utf-16-le"), "ß\U0001f600"),
        ("utf-16le", b"\x3d\xd8a\0", "\ufffda"),
        ("utf-16be", b"\xd8\x3d", "\ufffd"),
        ("iso-8859-1", bytes(range(0xA0, 0x100)), "".join(map(chr, range(0xA0, 0x100)))),
        ("windows-1252", b"\x80\x81", "\u20ac\ufffd"),
        ("shift_jis", "日本".encode("shift_jis") + b"\x93", "日本\ufffd"),
        ("gb18030", "\U0001f600語".encode("gb18030"), "\U0001f600語"),
        ("us-ascii", b"a\x80", "a\ufffd"),
    ],
)
def test_text(charset: str, data: bytes, text: str) -> None:
    for pieces in every_cut(data):
        decoder = text_decoder(charset)
        assert "".join(map(decoder.decode, pieces)) + decoder.decode(b"", True) == text


@pytest.mark.parametrize(
    "charset",
    [
        "nope",
        "rot13",
        "hex",
        "zlib",
        "base64",
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "a\0b",
        "x" * 999,
    ],
)
def test_invalid_charsets(charset: str) -> None:
    with pytest.raises(ProtocolError, match="charset") as caught:
        text_decoder(charset)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("decoder", [SSEDecoder, NDJSONDecoder])
def test_an_endless_line_in_tiny_pieces_takes_little_more_than_its_size(decoder: Any) -> None:
    size, reader = 400_000, decoder()
    tracemalloc.start()
    try:
        for _ in range(size // 2):
            reader.feed(b"x" * 2)
        assert tracemalloc.get_traced_memory()[1] < 3 * size
    finally:
        tracemalloc.stop()
