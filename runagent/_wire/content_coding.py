"""Content codings (RFC 9110 §8.4.1): gzip of one or more members, and deflate, zlib-wrapped or raw.

Bytes after the last gzip member or the deflate data are ignored, as the program gzip does. A body of zero
bytes decodes to an empty body in every coding.
"""

from __future__ import annotations

import contextlib
import re
import zlib
from typing import Protocol

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._limits import Limits

__all__ = ["ContentDecoder", "content_decoder", "unknown_codings"]

_FREE_OUTPUT = 1024 * 1024  # up to this size, output may be as repetitive as it likes
_MEMBER_BYTES = 20  # the shortest member; as it costs time, each counts as so many bytes at the full ratio
_MOST_INSIDE = 10  # the highest ratio for output that has to be decoded again, as that costs time too
_GZIP_MAGIC = b"\x1f\x8b"


class ContentDecoder(Protocol):
    """Decodes one content coding."""

    error: RunAgentError | None

    def feed(self, data: bytes) -> bytes:
        """Take coded bytes and return the decoded ones."""

    def close(self) -> None:
        """Take note that no more bytes will come; raises if the coded data is cut short."""


class _ZlibDecoder:
    """Decodes either coding: they differ in the wrapper, and only gzip may have several members."""

    def __init__(self, coding: str, max_ratio: int) -> None:
        self.error: RunAgentError | None = None
        self._coding = coding
        self._max_ratio = max_ratio
        self._taken = self._given = 0
        self._start = b""
        self._inflate: zlib._Decompress | None = None
        self._began = self._over = False

    def feed(self, data: bytes, wire_bytes: int | None = None) -> bytes:
        """Take coded bytes and return the decoded ones.

        Args:
            data: The next bytes of this coding.
            wire_bytes: How many bytes of the connection they came from, if they were inside another coding.

        Raises:
            ProtocolError: An earlier call received bytes that are not of this coding.
            StreamLimitError: An earlier call exceeded the ratio of output to input.
        """
        if self.error:
            raise self.error
        self._taken += len(data) if wire_bytes is None else wire_bytes
        pieces: list[bytes] = []
        while data and not self.error and not self._over:
            data = self._feed_member(self._start + data, pieces)
        return b"".join(pieces)

    def close(self) -> None:
        """Take note that no more bytes will come.

        Raises:
            StreamTruncatedError: The coded data is cut short, even if the framing around it is complete.
        """
        if self.error:
            raise self.error
        if self._start or self._inflate is not None:
            raise StreamTruncatedError(f"the {self._coding} data of the answer is cut short")

    def _feed_member(self, data: bytes, pieces: list[bytes]) -> bytes:
        """Decode up to the member's end and return the bytes after it."""
        if self._inflate is None:
            self._inflate = self._open_member(data)
            if self._inflate is None:
                return b""
        allowed = max(_FREE_OUTPUT, self._taken * self._max_ratio) - self._given
        untouched = self._inflate.copy()
        try:
            output = self._inflate.decompress(data, max(allowed, 0) + 1)
        except zlib.error as exc:
            self.error = ProtocolError(f"the answer is not valid {self._coding} data: {exc}")
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
        """Begin a member, which takes two bytes; None if there are fewer, or if no member follows."""
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
    """Decode the bytes before a fault one by one, as zlib discards their output when it meets the fault."""
    output = bytearray()
    with contextlib.suppress(zlib.error):
        for at in range(len(data)):
            output += inflate.decompress(data[at : at + 1], allowed + 1 - len(output))
            if len(output) > allowed:
                break
    return bytes(output[:allowed])


class _Chain:
    """Decodes several codings, from the last applied to the first.

    The ratio of each is that of its output to the bytes of the connection, so that two codings do not
    multiply their ratios. For example, 10 bytes that become 100 and then 1,000 count as 10 and 100, not as 10
    and 10.
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
            self.error = decoder.error or self.error  # an inner fault comes before the outer one
        return data

    def close(self) -> None:
        if self.error:
            raise self.error
        for decoder in self._decoders:
            decoder.close()


_MAX_CODINGS = 3
_ALIASES = {"x-gzip": "gzip"}  # RFC 9110 §8.4.1.3
_NOTHING = frozenset({"", "identity"})
# A value that contains one of these words means coded data: the registered codings, and others in use. Any
# other value (none, utf-8, the name of a file type) is a server's mistake, and the data is not coded.
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
    """Return the values of a ``Content-Encoding`` field that name no coding."""
    return [value for value in _values(field) if not (value in _NOTHING or _is_coding(value))]


def content_decoder(
    field: str, *, max_ratio: int = Limits().max_decompression_ratio
) -> ContentDecoder | None:
    """Make a decoder for a ``Content-Encoding`` field, or return None if it names no coding.

    Raises:
        ProtocolError: The field names a coding that this client did not ask for and cannot decode.
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
