"""Plain text in the charsets of the Web (WHATWG Encoding), decoded as it is received.

Only the charsets of a list are accepted: their decoders keep a few bytes at most and take the same time for
each byte. Other codecs of Python keep everything until a section ends (UTF-7), or are not charsets. A peer's
name of a charset is looked up in that list alone, as Python's registry of codecs keeps every name that it
gets.
"""

from __future__ import annotations

import codecs

from runagent._errors import ProtocolError

__all__ = ["CHARSETS", "text_decoder"]

_BYTE_ORDER_MARKS: dict[str, tuple[bytes, ...]] = {
    "utf-8": (codecs.BOM_UTF8,),
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}
# Python's names, and other spellings of them; "-", "_" and spaces are ignored.
_NAMES = {
    "ascii": "us-ascii ansi_x3.4-1968 iso646-us",
    "utf-8": "unicode-1-1-utf-8 utf8mb4 utf-8-sig",
    "utf-16": "unicode ucs-2 iso-10646-ucs-2 csunicode",
    "utf-16-le": "",
    "utf-16-be": "unicodefffe",
    "utf-32": "ucs-4",
    "utf-32-le": "",
    "utf-32-be": "",
    "iso8859-1": "iso-8859-1 latin-1 l1 cp819 ibm819",
    "iso8859-2": "iso-8859-2 latin-2 l2",
    "iso8859-3": "iso-8859-3 latin-3 l3",
    "iso8859-4": "iso-8859-4 latin-4 l4",
    "iso8859-5": "iso-8859-5 cyrillic",
    "iso8859-6": "iso-8859-6 arabic",
    "iso8859-7": "iso-8859-7 greek",
    "iso8859-8": "iso-8859-8 iso-8859-8-i hebrew",
    "iso8859-9": "iso-8859-9 latin-5 l5",
    "iso8859-10": "iso-8859-10 latin-6 l6",
    "iso8859-11": "iso-8859-11",
    "iso8859-13": "iso-8859-13",
    "iso8859-14": "iso-8859-14",
    "iso8859-15": "iso-8859-15 latin-9 l9",
    "iso8859-16": "iso-8859-16 latin-10",
    "cp437": "ibm437",
    "cp850": "ibm850",
    "cp866": "ibm866",
    "cp874": "windows-874 dos-874 tis-620",
    "cp1250": "windows-1250 x-cp1250",
    "cp1251": "windows-1251 x-cp1251",
    "cp1252": "windows-1252 x-cp1252",
    "cp1253": "windows-1253 x-cp1253",
    "cp1254": "windows-1254 x-cp1254",
    "cp1255": "windows-1255 x-cp1255",
    "cp1256": "windows-1256 x-cp1256",
    "cp1257": "windows-1257 x-cp1257",
    "cp1258": "windows-1258 x-cp1258",
    "koi8-r": "koi8",
    "koi8-u": "koi8-ru",
    "mac-roman": "macintosh x-mac-roman",
    "mac-cyrillic": "x-mac-cyrillic",
    "gb2312": "euc-cn csgb2312",
    "gbk": "cp936 ms936 windows-936 x-gbk",
    "gb18030": "",
    "big5": "big5-tw cn-big5 x-x-big5",
    "big5hkscs": "big5-hkscs",
    "shift_jis": "sjis s-jis x-sjis ms_kanji",
    "cp932": "windows-31j ms932",
    "euc_jp": "ujis x-euc-jp",
    "iso2022_jp": "iso-2022-jp csiso2022jp",
    "euc_kr": "ks_c_5601-1987 ksc5601 korean",
    "cp949": "uhc windows-949",
}


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")


CHARSETS = {_plain(each): name for name, others in _NAMES.items() for each in (name, *others.split())}


class _TextDecoder(codecs.IncrementalDecoder):
    """Python's decoder of a charset with ``"replace"``, whose remaining errors become a ProtocolError."""

    def __init__(self, charset: str) -> None:
        super().__init__("replace")
        self._charset = charset
        self._marks = _BYTE_ORDER_MARKS.get(charset, ())
        self._start = b""
        self._decoder = None if self._marks else codecs.getincrementaldecoder(charset)("replace")

    def decode(self, data: bytes, final: bool = False) -> str:  # type: ignore[override]  # bytes are all we have
        if self._decoder is None:
            self._start += data
            if not final and any(m.startswith(self._start) and m != self._start for m in self._marks):
                return ""
            self._decoder, data = self._in_byte_order(self._start), self._start
            self._start = b""
        try:
            return self._decoder.decode(data, final)
        except UnicodeError as exc:
            raise ProtocolError(f"the agent's text is not in the charset {self._charset!r}: {exc}") from None

    def _in_byte_order(self, start: bytes) -> codecs.IncrementalDecoder:
        """Make the decoder; wide characters without a mark are little-endian (WHATWG Encoding)."""
        marked = start.startswith(self._marks)
        if self._charset == "utf-8":  # Python's own utf-8-sig loses half a mark at the end
            name = "utf-8-sig" if marked else "utf-8"
        else:
            name = self._charset if marked else f"{self._charset}-le"
        return codecs.getincrementaldecoder(name)("replace")


def text_decoder(charset: str) -> codecs.IncrementalDecoder:
    """Make a decoder that keeps the bytes of an incomplete character until the rest arrives.

    Bytes that are invalid in the charset become U+FFFD; a byte order mark at the start of UTF-8 is dropped.

    Raises:
        ProtocolError: The charset is not supported. Decoding raises it, too, if Python's decoder fails.
    """
    name = CHARSETS.get(_plain(charset[:40])) if len(charset) <= 40 else None
    if name is None:
        raise ProtocolError(f"the agent answered in the charset {charset[:40]!r}, which is not supported")
    return _TextDecoder(name)
