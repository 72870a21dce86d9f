"""Content codings: gzip with members, both kinds of deflate, cut anywhere; what is short, wrong or a bomb."""

from __future__ import annotations

import gzip
import zlib
from functools import partial

import pytest

from runagent._errors import ProtocolError, StreamLimitError, StreamTruncatedError
from runagent._wire.content_coding import ContentDecoder, content_decoder, unknown_codings

gzipped = partial(gzip.compress, mtime=0)  # the same bytes, and so names of tests, in every process
TEXT = "Once upon a time, Straße \N{GRINNING FACE}\n".encode() * 20
RAW = zlib.compressobj(wbits=-15)
RAW_DEFLATE = RAW.compress(TEXT) + RAW.flush()


def decoder(field: str, **options: int) -> ContentDecoder:
    made = content_decoder(field, **options)
    assert made is not None
    return made


def decode(field: str, data: bytes, step: int) -> bytes:
    coding = decoder(field)
    text = b"".join(coding.feed(data[at : at + step]) for at in range(0, len(data), step))
    coding.close()
    return text


@pytest.fixture(params=[1, 2, 1 << 20], ids=["byte by byte", "by twos", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


@pytest.mark.parametrize(
    ("field", "data", "text"),
    [
        ("gzip", gzipped(TEXT), TEXT),
        ("GZIP", gzipped(TEXT), TEXT),
        ("x-gzip", gzipped(TEXT), TEXT),
        ("gzip", gzipped(TEXT) + gzipped(b"") + gzipped(b"end"), TEXT + b"end"),
        ("gzip", gzipped(TEXT) + b"\0" * 9, TEXT),
        ("deflate", zlib.compress(TEXT), TEXT),
        ("deflate", RAW_DEFLATE, TEXT),
        ("deflate", zlib.compress(TEXT) + b"junk", TEXT),
        ("deflate, gzip", gzipped(zlib.compress(TEXT)), TEXT),
        ("identity, gzip", gzipped(TEXT), TEXT),
        ("gzip", b"", b""),
    ],
)
def test_it_decodes(field: str, data: bytes, text: bytes, step: int) -> None:
    assert text == decode(field, data, step)


@pytest.mark.parametrize("field", ["", "identity", " , ", "identity, identity"])
def test_nothing_is_coded(field: str) -> None:
    assert content_decoder(field) is None
    assert [] == unknown_codings(field)


@pytest.mark.parametrize(
    "field", ["none", "UTF-8", "utf8", "binary", "text/plain", "chunked", "*", "null", "7bit"]
)
def test_what_is_no_coding_means_plain(field: str) -> None:
    assert content_decoder(field) is None
    assert [field.lower()] == unknown_codings(field)
    assert TEXT == decode(f"{field}, gzip", gzipped(TEXT), 1 << 20)


@pytest.mark.parametrize("field", ["br", "zstd", "gzip, br", "gzip, gzip, gzip, gzip", "compress", "snappy"])
def test_an_unrequested_coding_is_refused_by_name(field: str) -> None:
    with pytest.raises(ProtocolError, match=field):
        content_decoder(field)


@pytest.mark.parametrize(
    ("field", "data"),
    [
        ("gzip", gzipped(TEXT)[:-1]),
        ("gzip", gzipped(TEXT)[:12]),
        ("gzip", gzipped(TEXT)[:1]),
        ("gzip", gzipped(TEXT) + gzipped(TEXT)[:-9]),
        ("gzip", gzipped(TEXT) + b"\x1f"),
        ("deflate", zlib.compress(TEXT)[:-1]),
        ("deflate", RAW_DEFLATE[:-1]),
        ("deflate", b"\x78"),
    ],
)
def test_what_is_cut_short_is_marked(field: str, data: bytes, step: int) -> None:
    with pytest.raises(StreamTruncatedError, match=f"the {field} data"):
        decode(field, data, step)


def test_good_output_comes_before_the_fault() -> None:
    coding = decoder("gzip")
    data = gzipped(TEXT)
    assert TEXT == coding.feed(data[:-8])
    assert b"" == coding.feed(b"\0" * 8)
    assert isinstance(coding.error, ProtocolError)
    with pytest.raises(ProtocolError, match="not valid gzip data"):
        coding.feed(b"x")


@pytest.mark.parametrize(("field", "data"), [("gzip", b"<html>"), ("deflate", b"\xff\xff\xff\xff")])
def test_what_is_not_so_coded_is_a_protocol_error(field: str, data: bytes, step: int) -> None:
    with pytest.raises(ProtocolError, match=f"not valid {field} data"):
        decode(field, data, step)


@pytest.mark.parametrize(("mib", "bomb"), [(1, False), (8, True)])
def test_a_bomb_is_stopped(mib: int, bomb: bool) -> None:
    coding = decoder("gzip", max_ratio=10)
    data = gzipped(b"\0" * (mib << 20))
    text = coding.feed(data)
    assert bomb == isinstance(coding.error, StreamLimitError)
    assert (1 << 20) == len(text)
    if isinstance(coding.error, StreamLimitError):
        assert ("max_decompression_ratio", 10) == (coding.error.limit_name, coding.error.limit)


def test_members_share_one_allowance() -> None:
    coding = decoder("gzip", max_ratio=10)
    coding.feed(gzipped(b"\0" * (1 << 19)) * 9)
    assert isinstance(coding.error, StreamLimitError)
