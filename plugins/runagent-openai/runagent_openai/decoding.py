"""Events and answers as typed structures; fields that nobody knows are skipped."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from runagent import ProtocolError
from runagent.transports import InvalidJSONError, SurrogateJoiner, decode_json, quote

__all__ = ["Reader", "joined", "objects_in", "undecodable"]

T = TypeVar("T")


def joined(parts: list[str]) -> str:
    """Join a text that came in pieces; an emoji may have been cut between two of them."""
    joiner = SurrogateJoiner()
    return joiner.join("".join(parts)) + joiner.flush()


def objects_in(value: Any) -> list[dict[str, Any]]:
    """Return the objects of a list; none if the value is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def undecodable(text: bytes) -> str:
    """Return why a text that may be JSON is too large to be decoded; "" for any other text."""
    try:
        decode_json(text)
    except InvalidJSONError as exc:
        return str(exc) if exc.undecodable else ""
    return ""


class Reader(Generic[T]):
    """Reads JSON texts as one type.

    Args:
        kind: The type, a ``msgspec.Struct``.
        what: What such a text is called in an error's message.
    """

    def __init__(self, kind: type[T], what: str) -> None:
        self._kind = kind
        self._what = what
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, text: str | bytes) -> T:
        """Read one text.

        Raises:
            ProtocolError: It is not JSON, or of another type.
        """
        try:
            return self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self._read_slowly(text)

    def _read_slowly(self, text: str | bytes) -> T:
        """Read what is not of the type, or holds half an emoji, which msgspec refuses and JSON allows."""
        try:
            return msgspec.convert(decode_json(text), self._kind)
        except InvalidJSONError as exc:
            raise ProtocolError(f"{self._what} is {exc}") from None
        except (msgspec.ValidationError, UnicodeEncodeError) as exc:  # the latter: half a character in a name
            raise ProtocolError(f"{self._what} is of another form ({exc}): {quote(text)}") from None
