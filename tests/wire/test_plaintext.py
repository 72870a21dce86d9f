"""The charsets that are read: their decoders keep nothing behind our limits."""

from __future__ import annotations

import codecs
import random
import sys
from typing import Any

import pytest

from runagent._errors import ProtocolError
from runagent._wire.plaintext import CHARSETS, text_decoder

MOST_KEPT = 16  # bytes
HOSTILE = {
    "noise": random.Random(3).randbytes(4000),
    "base64 of utf-7": b"+" + b"AGEAYgBj" * 500,
    "escapes": b"\x1b$B" + b"\x1b" * 2000 + b"~{" * 500,
    "lead bytes": b"\x81" * 4000,
    "half characters": b"\xf0\x9f\x98" * 1000,
    "surrogates": b"\xd8\x3d" * 2000,
    "zeros": bytes(4000),
}


def kept_most(decoder: Any, data: bytes) -> int:
    """Feed byte by byte and return how many bytes were fed, at most, that have had no effect yet."""
    waiting = most = 0
    for at in range(len(data)):
        waiting = 0 if decoder.decode(data[at : at + 1]) else waiting + 1
        most = max(most, waiting)
    return most


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("charset", sorted(set(CHARSETS.values())))
def test_no_charset_keeps_more_than_a_few_bytes(charset: str, kind: str) -> None:
    decoder: Any = text_decoder(charset)
    data = HOSTILE[kind]
    for at in range(len(data)):
        decoder.decode(data[at : at + 1])
        assert MOST_KEPT > len(decoder._start)
        assert decoder._decoder is None or MOST_KEPT > len(decoder._decoder.getstate()[0])


def test_utf_7_would_be_found_out() -> None:
    decoder = codecs.getincrementaldecoder("utf-7")("replace")
    assert MOST_KEPT < kept_most(decoder, HOSTILE["base64 of utf-7"])


@pytest.mark.parametrize("name", CHARSETS)
def test_every_name_is_read_in_any_spelling(name: str) -> None:
    for spelling in (name, name.upper()):
        assert isinstance(text_decoder(spelling).decode(b"ab\0\0", True), str)


@pytest.mark.parametrize(
    "name",
    [
        "utf-7",
        "UTF7",
        "unicode-1-1-utf-7",
        "hz",
        "hz-gb-2312",
        "iso-2022-kr",
        "raw_unicode_escape",
        "mbcs",
        "oem",
        "cp037",
        "latiné",
        "utf-8\0",
        "../utf-8",
        "encodings.utf_8",
        "none",
        "x" * 70000,
    ],
)
def test_another_name_is_refused_and_never_looked_up(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(asked: str) -> Any:
        raise AssertionError(asked)

    monkeypatch.setattr(codecs, "lookup", look_up)
    before = set(sys.modules)
    with pytest.raises(ProtocolError, match="charset") as caught:
        text_decoder(name)
    assert 200 > len(str(caught.value))
    assert before == set(sys.modules)
