"""Content codings (RFC 9110 §8.4.1): gzip, also of several members, and deflate, zlib-wrapped or raw.

What follows the last member, or the deflate data, and is no member is ignored, as gzip itself does. A body
without a byte is an empty body, whatever its coding.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from typing import Protocol

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._limits import Limits

__all__ = ["ContentDecoder", "content_decoder", "unknown_codings"]

_FREE_OUTPUT = 1024 * 1024  # small answers may be as repetitive as they like
_MEMBER_BYTES = 20  # of the shortest member: each counts as what so many bytes may become, for it costs time
_MOST_INSIDE = 10  # of decompressed bytes per byte of the connection that still are coded: they cost time too
_GZIP_MAGIC = b"\x1f\x8b"


class ContentDecoder(Protocol):
    """What undoes one content coding."""

    error: RunAgentError | None

    def feed(self, data: bytes) -> bytes:
        """Take coded bytes and return what they decode to."""

    def close(self) -> None:
        """Say that no more bytes will come; raises where the coded data is cut short."""


class _ZlibDecoder:
    """Both codings: they differ in the wrapping, and in whether members may follow each other."""

    def __init__(self, coding: str, max_ratio: int) -> None:
        self.error: RunAgentError | None = None
        self._coding = coding
        self._max_ratio = max_ratio
        self._taken = self._given = 0
        self._start = b""
        self._inflate: zlib._Decompress | None = None
        self._began = self._over = False

    def feed(self, data: bytes, wire_bytes: int | None = None) -> bytes:
        """Take coded bytes and return what they decode to.

        Args:
            data: The next bytes of this coding.
            wire_bytes: How many bytes of the connection they stand for, where another coding lies around.

        Raises:
            ProtocolError: An earlier call has met bytes that are not of this coding.
            StreamLimitError: An earlier call has met far more output than its input deserves.
        """
        if self.error:
            raise self.error
        self._taken += len(data) if wire_bytes is None else wire_bytes
        pieces: list[bytes] = []
        while data and not self.error and not self._over:
            data = self._feed_member(self._start + data, pieces)
        return b"".join(pieces)

    def close(self) -> None:
        """Say that no more bytes will come.

        Raises:
            StreamTruncatedError: The coded data is cut short, whatever the framing around it says.
        """
        if self.error:
            raise self.error
        if self._start or self._inflate is not None:
            raise StreamTruncatedError(f"the {self._coding} data of the answer is cut short")

    def _feed_member(self, data: bytes, pieces: list[bytes]) -> bytes:
        """Decode up to the member's end and return what lies behind it."""
        if self._inflate is None:
            self._inflate = self._open_member(data)
            if self._inflate is None:
                return b""
        allowed = max(_FREE_OUTPUT, self._taken * self._max_ratio) - self._given
        untouched = self._inflate.copy()
        try:
            output = self._inflate.decompress(data, max(allowed, 0) + 1)
        except zlib.error as exc:
            self.error = ProtocolError(f"the answer is not the {self._coding} data it claims to be: {exc}")
            pieces.append(_decode_good_part(untouched, data, max(allowed, 0)))
            return b""
        pieces.append(output[: max(allowed, 0)])
        self._given += len(output)
        if len(output) > allowed or allowed < 0:
            self.error = StreamLimitError(
                f"the {self._coding} data of the answer grows more than {self._max_ratio}-fold",
                limit_name="max_decompression_ratio",
                limit=self._max_ratio,
            )
        rest = b""
        if self._inflate.eof:
            rest, self._inflate = self._inflate.unused_data, None
            self._given += _MEMBER_BYTES * self._max_ratio
        return rest

    def _open_member(self, data: bytes) -> zlib._Decompress | None:
        """Start on a member once two bytes tell what it is; None where they do not, or where none follows."""
        self._start = b""
        if self._began and not (self._coding == "gzip" and _GZIP_MAGIC.startswith(data[:2])):
            self._over = True
            return None
        if len(data) < 2:
            self._start = data
            return None
        if self._coding == "gzip":
            window = 16 + zlib.MAX_WBITS
        else:
            wrapped = data[0] & 0x0F == 8 and int.from_bytes(data[:2]) % 31 == 0  # RFC 1950 §2.2
            window = zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS
        self._began = True
        return zlib.decompressobj(window)


def _decode_good_part(inflate: zlib._Decompress, data: bytes, allowed: int) -> bytes:
    """Decode byte by byte what lies before a fault: zlib throws it away together with the fault."""
    output = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(len(data)):
            output += inflate.decompress(data[at : at + 1], allowed + 1 - len(output))
            if len(output) > allowed:
                break
    return bytes(output[:allowed])


class _Chain:
    """Several codings, undone from the last applied to the first.

    Each may give so many bytes for a byte of the connection: two codings must not multiply their ratios.
    """

    def __init__(self, decoders: list[_ZlibDecoder]) -> None:
        self.error: RunAgentError | None = None
        self._decoders = decoders

    def feed(self, data: bytes) -> bytes:
        if self.error:
            raise self.error
        wire_bytes = len(data)
        for decoder in self._decoders:
            data = decoder.feed(data, wire_bytes)
            self.error = decoder.error or self.error  # an inner fault lies before the outer one
        return data

    def close(self) -> None:
        if self.error:
            raise self.error
        for decoder in self._decoders:
            decoder.close()


_MAX_CODINGS = 3
_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 §8.4.1.3
_NOTHING = frozenset({"", "identity"})
# A value with one of these words in it stands for coded data: the registered codings, and others in use.
# What is none of them (none, utf-8, the name of a file type) is a server's mistake, and the data is plain.
_CODINGS = frozenset(
    (
        "aes128gcm",
        "br",
        "brotli",
        "bzip2",
        "compress",
        "dcb",
        "dcz",
        "deflate",
        "exi",
        "gzip",
        "lz4",
        "lzma",
        "pack200",
        "snappy",
        "xz",
        "zstandard",
        "zstd",
    )
)


def unknown_codings(field: str) -> list[str]:
    """Return the values of a ``Content-Encoding`` field that stand for no coding at all."""
    return [value for value in _values(field) if not (value in _NOTHING or _is_coding(value))]


def content_decoder(field: str, *, max_ratio: int = Limits.max_decompression_ratio) -> ContentDecoder | None:
    """Make a decoder for a ``Content-Encoding`` field; None where nothing is coded.

    Raises:
        ProtocolError: A coding that we did not ask for and cannot undo.
    """
    codings = [_ALIASES.get(value, value) for value in _values(field) if _is_coding(value)]
    if not codings:
        return None
    if len(codings) > _MAX_CODINGS or not {"gzip", "deflate"}.issuperset(codings):
        raise ProtocolError(f"the answer's content coding is not one that we asked for: {field[:80]!r}")
    inside = min(max_ratio, _MOST_INSIDE)
    decoders = [_ZlibDecoder(coding, inside if n else max_ratio) for n, coding in enumerate(codings)][::-1]
    return decoders[0] if len(decoders) == 1 else _Chain(decoders)


def _values(field: str) -> list[str]:
    return [value.strip(" \t").lower() for value in field.split(",")]


def _is_coding(value: str) -> bool:
    return not _CODINGS.isdisjoint(re.findall("[a-z0-9]+", value))
