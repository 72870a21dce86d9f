"""JSON texts as typed structures."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec

from runagent._errors import ProtocolError
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import InvalidJSONError, decode_json, quote, quote_value
from runagent._wire.nesting import json_decoder

__all__ = ["JSONReader"]

__tracebackhide__ = is_ours

T = TypeVar("T")


class JSONReader(Generic[T]):
    """Reads JSON texts as one type; fields that the type lacks are skipped.

    Make one for each type, once: it is the fastest way to read an event. A field that may hold anything is
    typed ``Any``, so that its value fails only the code that needs it.

    Args:
        kind: The type, a ``msgspec.Struct``.
        what: What such a text is called in an error's message.

    Example:
        >>> class Delta(msgspec.Struct):
        ...     text: str = ""
        >>> JSONReader(Delta, "an event").read('{"text": "Once", "more": 1}')
        Delta(text='Once')
    """

    def __init__(self, kind: type[T], what: str) -> None:
        self._kind = kind
        self._what = what
        self._decoder: msgspec.json.Decoder[T] = json_decoder(kind)

    def read(self, text: str | bytes) -> T:
        """Read one text.

        Raises:
            ProtocolError: It is not JSON, or of another type.
        """
        try:
            return self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return self._read_slowly(text)

    def convert(self, value: Any) -> T:
        """Read a value that is decoded already.

        Raises:
            ProtocolError: It is of another type.
        """
        return self._convert(value, value)

    def _read_slowly(self, text: str | bytes) -> T:
        """Read a text of another type, or with half an emoji, which msgspec rejects and JSON allows."""
        try:
            return self._convert(decode_json(text), text)
        except InvalidJSONError as exc:
            raise ProtocolError(f"{self._what} is {exc}") from None

    def _convert(self, value: Any, shown: Any) -> T:
        try:
            return msgspec.convert(value, self._kind)
        except (msgspec.ValidationError, UnicodeEncodeError) as exc:  # the latter: half a character in a name
            shown = quote(shown) if isinstance(shown, str | bytes) else quote_value(shown)
            raise ProtocolError(f"{self._what} is of another form ({exc}): {shown}") from None


publish(JSONReader, module="runagent.transports")
