"""Properties of the codecs: the cut changes nothing, and only our errors come of bad bytes.

Valid streams are made by hypothesis together with what they mean.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runagent._errors import ProtocolError, RunAgentError
from runagent._wire.content_coding import content_decoder
from runagent._wire.http1 import ResponseDecoder
from runagent._wire.ndjson import NDJSONDecoder
from runagent._wire.plaintext import text_decoder
from runagent._wire.sse import ServerSentEvent, SSEDecoder
from runagent._wire.websocket import WebSocketConnection
from tests.fuzz.invariants import TARGETS
from tests.support.peer import websocket_frame as frame

settings.register_profile("codecs", derandomize=True, max_examples=60, database=None)
modest = settings(settings.get_profile("codecs"))


@st.composite
def pieces(draw: st.DrawFn, whole: bytes) -> list[bytes]:
    """Cut some bytes anywhere, also into empty pieces."""
    places = draw(st.lists(st.integers(0, len(whole)), max_size=12))
    if draw(st.integers(0, 3)) == 0:
        places = list(range(len(whole)))
    bounds = [0, *sorted(places), len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(bounds)]


# Server-sent events


line_end = st.sampled_from(["\n", "\r", "\r\n"])
line_text = st.text(st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"]), max_size=12)
noise = st.lists(st.sampled_from([": hb", ":", "foo: bar", "data2: x", "retry: soon"]), max_size=2)


@st.composite
def event_streams(draw: st.DrawFn) -> tuple[bytes, list[ServerSentEvent]]:
    """Write events as lines, in any order of fields, with noise; return the bytes and the events."""
    stream, events, last_id = draw(st.sampled_from(["", "\ufeff"])), [], ""
    for _ in range(draw(st.integers(0, 4))):
        data = draw(st.lists(line_text, min_size=1, max_size=3))
        name = draw(line_text)
        own_id = draw(st.none() | line_text.filter(lambda text: "\0" not in text))
        retry = draw(st.none() | st.integers(0, 10**9))
        last_id = last_id if own_id is None else own_id
        events.append(ServerSentEvent(name or "message", "\n".join(data), last_id, retry, own_id is not None))
        lines = [f"data: {text}" for text in data] + [f"event: {name}"] * bool(name)
        lines += [] if own_id is None else [f"id: {own_id}"]
        lines += [] if retry is None else [f"retry:{retry}"]
        for text in draw(noise):
            lines.insert(draw(st.integers(0, len(lines))), text)
        stream += "".join(text + draw(line_end) for text in lines)
        # An empty line's LF behind a CR would make one line end of the two.
        stream += draw(st.sampled_from(["\r", "\r\n"]) if stream.endswith("\r") else line_end)
    return stream.encode(), events


@modest
@given(st.data())
def test_any_splitting_of_an_event_stream_gives_its_events(data: st.DataObject) -> None:
    stream, events = data.draw(event_streams())
    decoder = SSEDecoder()
    assert events == [event for piece in data.draw(pieces(stream)) for event in decoder.feed(piece)]
    assert not decoder.incomplete
    decoder.close()


# Newline-delimited JSON


any_text = st.text(st.characters(exclude_categories=["Cs"]))
numbers = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)


@modest
@given(st.data())
def test_any_splitting_of_an_NDJSON_body_gives_its_values(data: st.DataObject) -> None:
    values = data.draw(st.lists(json_values, max_size=5))
    ascii_only = data.draw(st.booleans())
    body = data.draw(st.sampled_from(["", "\ufeff"]))
    for value in values:
        padding = data.draw(st.sampled_from(["", " ", "\t"]))
        body += padding + json.dumps(value, ensure_ascii=ascii_only) + padding
        body += data.draw(st.sampled_from(["\n", "\r\n", "\n\n", "\n \r\n"]))
    if data.draw(st.booleans()):
        body = body.rstrip("\r\n")  # the last line need not end
    decoder = NDJSONDecoder()
    found = [value for piece in data.draw(pieces(body.encode())) for value in decoder.feed(piece)]
    assert values == found + decoder.close()


@modest
@given(st.data(), st.sampled_from(["utf-8", "utf-16", "utf-32", "shift_jis", "gb18030", "latin-1", "koi8-r"]))
def test_any_splitting_of_a_text_gives_the_text(data: st.DataObject, charset: str) -> None:
    letters = st.sampled_from("aß€жあ漢한\N{GRINNING FACE}\x00\n~")
    encoded = "".join(data.draw(st.lists(letters))).encode(charset, "replace")
    text = encoded.decode(charset)
    decoder = text_decoder(charset)
    assert text == "".join(map(decoder.decode, data.draw(pieces(encoded)))) + decoder.decode(b"", True)


# HTTP/1.1


def chunk(data: bytes, extension: bytes, *, upper: bool) -> bytes:
    size = b"%X" % len(data) if upper else b"%04x" % len(data)
    return size + extension + b"\r\n" + data + b"\r\n"


@modest
@given(st.data())
def test_any_splitting_of_a_chunked_answer_gives_its_body(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
    interim = data.draw(
        st.lists(st.sampled_from([b"100 Continue", b"103 Early Hints\r\nLink: </x>"]), max_size=2)
    )
    extensions = st.sampled_from([b"", b";a", b";a=b", b';a="b;c"'])
    trailers = data.draw(st.sampled_from([b"", b"X-Sum: 1\r\n", b"A: 1\r\nB: 2\r\n"]))
    answer = b"".join(b"HTTP/1.1 " + line + b"\r\n\r\n" for line in interim)
    answer += b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-Own: \xe9\r\n\r\n"
    answer += b"".join(chunk(p, data.draw(extensions), upper=data.draw(st.booleans())) for p in parts)
    answer += b"0\r\n" + trailers + b"\r\n"
    decoder = ResponseDecoder()
    assert b"".join(parts) == b"".join(map(decoder.feed, data.draw(pieces(answer))))
    decoder.close()
    headers = {"transfer-encoding": "chunked", "x-own": "\xe9"}
    assert (200, headers, True, True) == (decoder.status, decoder.headers, decoder.complete, decoder.proven)
    assert (True, False) == (decoder.keep_alive, decoder.excess)


@modest
@given(st.data())
def test_what_follows_an_answer_is_no_part_of_it(data: st.DataObject) -> None:
    chunked = b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
    first = data.draw(st.sampled_from([b"Content-Length: 2\r\n\r\nab", chunked]))
    second = data.draw(st.sampled_from([b"HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx", b"junk", b"\0"]))
    decoder = ResponseDecoder()
    cut = data.draw(pieces(b"HTTP/1.1 200 OK\r\n" + first + second))
    assert b"ab" == b"".join(map(decoder.feed, cut))
    assert (200, True, True) == (decoder.status, decoder.complete, decoder.excess)


@modest
@given(st.data())
def test_a_chunked_answer_cut_short_anywhere_is_an_error(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=4))
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer += b"".join(chunk(part, b"", upper=False) for part in parts) + b"0\r\n\r\n"
    short = answer[: data.draw(st.integers(0, len(answer) - 1))]
    decoder = ResponseDecoder()
    body = b"".join(map(decoder.feed, data.draw(pieces(short))))
    assert b"".join(parts).startswith(body)
    with pytest.raises(RunAgentError):
        decoder.close()


# Reads that are one chunk, that nearly are, and that look like one where it is none.
chunk_like = st.text("1235ab\r\n", max_size=12).map(str.encode)
chunk_reads = st.one_of(
    st.one_of(chunk_like, st.binary(max_size=2000)).map(lambda body: b"%x\r\n%b\r\n" % (len(body), body)),
    st.builds(lambda size, body: b"%x\r\n%b\r\n" % (size, body), st.integers(0, 12), chunk_like),
    chunk_like,
    st.sampled_from(
        [b"5;a\r\nhello\r\n", b"A\r\n0123456789\r\n", b"01\r\n.\r\n", b"0\r\n\r\n", b"5\nhello\r\n"]
    ),
)

TE_CHUNKED, BY_LENGTH = b"Transfer-Encoding: chunked\r\n\r\n", b"Content-Length: 60\r\n\r\n"


def decoded(reads: list[bytes]) -> tuple[bytes, bool, bool, str]:
    decoder, body = ResponseDecoder(), b""
    for data in reads:
        if not decoder.error and data:
            body += decoder.feed(data)
    return body, decoder.complete, decoder.excess, repr(decoder.error)


@settings(modest, max_examples=1000)
@example(
    TE_CHUNKED, [b"2\r\n1", b"1\r\n1\r\n", b"1\r\n2\r\n"]
)  # where the first 1 is the body's, and no size
@example(TE_CHUNKED, [b"2\r\nab\r\n", b"2\r\nab\n\n"])
@given(st.sampled_from([TE_CHUNKED, TE_CHUNKED, BY_LENGTH, b"\r\n"]), st.lists(chunk_reads, max_size=6))
def test_a_read_that_is_one_chunk_is_read_as_the_parser_reads_it(framing: bytes, reads: list[bytes]) -> None:
    answer = [b"HTTP/1.1 200 OK\r\n" + framing, *reads]
    by_bytes = [bytes([byte]) for byte in b"".join(answer)]
    assert decoded(answer) == decoded(by_bytes)


@modest
@given(st.data())
def test_any_splitting_of_gzip_members_gives_their_contents(data: st.DataObject) -> None:
    contents = data.draw(st.lists(st.binary(max_size=40), min_size=1, max_size=3))
    levels = st.integers(0, 9)
    coded = b"".join(gzip.compress(content, data.draw(levels), mtime=0) for content in contents)
    coding = content_decoder("gzip")
    assert coding is not None
    assert b"".join(contents) == b"".join(map(coding.feed, data.draw(pieces(coded))))
    coding.close()


@modest
@given(st.data(), st.binary(min_size=1, max_size=60))
def test_gzip_cut_short_anywhere_is_an_error(data: st.DataObject, content: bytes) -> None:
    coded = gzip.compress(content, mtime=0)
    coding = content_decoder("gzip")
    assert coding is not None
    found = b"".join(map(coding.feed, data.draw(pieces(coded[: data.draw(st.integers(1, len(coded) - 1))]))))
    assert content.startswith(found)
    with pytest.raises(RunAgentError):
        coding.close()


# WebSocket


TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
messages = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.binary(max_size=200)


@st.composite
def fragmented(draw: st.DrawFn, message: str | bytes) -> tuple[bytes, int]:
    """Write a message in fragments, cut also within characters, control frames between; count the pings."""
    data = message.encode() if isinstance(message, str) else message
    opcode = TEXT if isinstance(message, str) else BINARY
    parts = draw(pieces(data)) if draw(st.booleans()) else [data]
    frames, pings = b"", 0
    for number, part in enumerate(parts):
        frames += frame(part, opcode if number == 0 else 0, fin=number == len(parts) - 1)
        for control, payload in draw(st.lists(controls, max_size=1)):
            frames += frame(payload, control)
            pings += control == PING
    return frames, pings


@modest
@given(st.data())
def test_any_splitting_of_frames_gives_the_messages(data: st.DataObject) -> None:
    sent = data.draw(st.lists(messages, max_size=4))
    code, reason = (
        data.draw(st.sampled_from([1000, 1001, 1011, 4999])),
        data.draw(st.text("aß€", max_size=20)),
    )
    stream, pings = b"", 0
    for message in sent:
        frames, count = data.draw(fragmented(message))
        stream, pings = stream + frames, pings + count
    stream += frame(struct.pack("!H", code) + reason.encode(), CLOSE)
    connection = WebSocketConnection()
    assert sent == [m for piece in data.draw(pieces(stream)) for m in connection.receive_data(piece)]
    assert (code, reason, None) == (connection.close_code, connection.close_reason, connection.error)
    assert pings == connection.pings


# Arbitrary bytes


WORDS = [
    b"data: a\n\n",
    b"\r\n",
    b"\xef\xbb\xbf",
    b'{"type":"chunk"}\n',
    b"HTTP/1.1 200 OK\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n",
    b"\x1f\x8b\x08\x00",
    b"\x81\x01a",
    b"\x89\x00",
    b"\x88\x02\x03\xe8",
]

anything = st.lists(st.sampled_from(WORDS) | st.binary(max_size=20), max_size=12).map(b"".join)


@pytest.mark.parametrize("target", TARGETS)
@modest
@given(anything)
@example(b"")
def test_arbitrary_bytes_end_in_our_errors_only_and_alike_in_any_cut(target: str, data: bytes) -> None:
    TARGETS[target](data)


@modest
@given(st.binary(max_size=60), st.sampled_from(["gzip", "deflate", "deflate, gzip"]))
def test_arbitrary_coded_bytes_end_in_our_errors_only(data: bytes, field: str) -> None:
    for prefix in (b"", gzip.compress(b"a"), zlib.compress(b"a")):
        coding = content_decoder(field)
        assert coding is not None
        try:
            coding.feed(prefix + data)
            coding.close()
        except RunAgentError as exc:
            assert isinstance(exc, RunAgentError)  # noqa: PT017 - which kind is left open


def test_coded_bytes_that_were_good_are_delivered_before_the_bad_ones() -> None:
    content = random.Random(1).randbytes(5000)
    coded = bytearray(gzip.compress(content, mtime=0))
    coded[-6] ^= 0xFF  # the checksum
    coding = content_decoder("gzip")
    assert coding is not None
    assert content == coding.feed(bytes(coded))
    with pytest.raises(ProtocolError):
        coding.close()
