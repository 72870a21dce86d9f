"""JSON texts (RFC 8259): decoded by msgspec, or by the standard library if msgspec rejects them.

msgspec rejects a lone surrogate escape such as ``"\\ud83d"``. The grammar allows it, and a stream of tokens
sends it if an emoji is cut between two tokens. The standard library decodes it; ``json`` is imported only
then, as most runs need no more than msgspec.
"""

from __future__ import annotations

import codecs
import re
from typing import Any, NoReturn

import msgspec

from runagent._cutting import cut_value
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.nesting import json_decoder, refuse_crash

__all__ = [
    "InvalidJSONError",
    "decode_json",
    "encode_json",
    "is_cut_short",
    "quote",
    "quote_value",
    "write_json",
]

__tracebackhide__ = is_ours

_decoder = json_decoder()
_encoder = msgspec.json.Encoder()

QUOTE_BYTES = 200
_LONG_TEXT = 4096  # of a longer one only the start is encoded to be quoted
# The end of a text that is cut inside a string, an escape, a word or a number.
_HALF_TOKEN = r'"(?:[^"\\]|\\.)*+\\?|(?<=\\)u[0-9a-fA-F]{0,3}|tr?u?|fa?l?s?|nu?l?|-|(?<=\d)(?:\.|[eE][+-]?)'


class InvalidJSONError(ValueError):
    """The text is not JSON; the message gives the reason and quotes it.

    Attributes:
        undecodable: The text may be JSON, but nests too deeply or holds an integer of too many digits. Unlike
            other text that is not JSON, it is never taken for noise.
    """

    undecodable: bool = False


class _UnknownConstantError(ValueError):
    pass


def decode_json(text: bytes | str) -> Any:
    """Decode one JSON text.

    Raises:
        InvalidJSONError: It is not JSON, not UTF-8, or nested too deeply.
    """
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _decode_slowly(text)


def _decode_slowly(text: bytes | str) -> Any:
    import json

    try:
        if not isinstance(text, str):
            text = text.decode()
        refuse_crash(text)
        return json.loads(text, parse_constant=_refuse_constant)
    except (json.JSONDecodeError, UnicodeDecodeError, _UnknownConstantError) as exc:
        raise InvalidJSONError(f"not JSON ({exc}): {quote(text)}") from None
    except (RecursionError, ValueError) as exc:  # ValueError: an integer of more than 4300 digits
        why = "nested too deeply" if isinstance(exc, RecursionError) else exc
        error = InvalidJSONError(f"not JSON ({why}): {quote(text)}")
        error.undecodable = True
        raise error from None


def encode_json(value: Any) -> bytes:
    """Encode a value that is known to be JSON as UTF-8; NaN and infinity, which JSON lacks, become null."""
    try:
        return _encoder.encode(value)
    except TypeError:  # msgspec rejects subclasses of str, int and float
        import json

        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def write_json(value: Any) -> str:
    """Write a decoded value as JSON text that any encoding of Unicode can hold.

    Numbers that JSON lacks become ``NaN``, ``Infinity`` and ``-Infinity``. If the value holds half of a
    surrogate pair, every character outside of ASCII becomes an escape.
    """
    import json

    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"))
    return text


def is_cut_short(text: bytes) -> bool:
    """Whether a text that is not JSON may be the beginning of one that is."""
    import json

    try:
        start = codecs.getincrementaldecoder("utf-8")().decode(text)  # without half a character at the end
        refuse_crash(start)
        json.loads(start)
    except json.JSONDecodeError as exc:
        return exc.pos >= len(start) or re.compile(_HALF_TOKEN).fullmatch(start, exc.pos) is not None
    except RecursionError:
        return True
    except ValueError:
        return False
    return False


def _refuse_constant(name: str) -> NoReturn:
    raise _UnknownConstantError(f"{name} is not a JSON value")


def quote(text: bytes | str) -> str:
    """Quote a peer's text for a message: at most 200 bytes, with control characters escaped."""
    left_out = ""
    if isinstance(text, str):
        if len(text) > _LONG_TEXT:
            left_out = f" and {len(text) - QUOTE_BYTES} characters more"
            text = text[:QUOTE_BYTES]
        text = text.encode("utf-8", "backslashreplace")
    data = bytes(text[: QUOTE_BYTES + 1])
    shown = data[:QUOTE_BYTES].decode("utf-8", "backslashreplace")
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    if len(text) > QUOTE_BYTES and not left_out:
        left_out = f" and {len(text) - QUOTE_BYTES} bytes more"
    return f'"{escaped}"{left_out}'


def quote_value(value: Any) -> str:
    """Quote a decoded value; one that could just be decoded may be nested too deeply to be written."""
    try:
        return quote(repr(cut_value(value, _LONG_TEXT)))
    except RecursionError:
        return "a value that is nested too deeply"


publish(InvalidJSONError, module="runagent.transports")
