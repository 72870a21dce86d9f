"""JSON as the fake agent writes it: it writes any text and any number. No I/O."""

from __future__ import annotations

import json
import math
from json.encoder import encode_basestring
from typing import Any

__all__ = ["object_json", "structured", "to_json", "without_none"]

# Made once: json.dumps would make one for every event.
_SPACED = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def to_json(value: Any, *, compact: bool = False) -> str:
    """Write JSON without escaping non-ASCII characters, except for lone surrogates."""
    return _encoded(value, _COMPACT if compact else _SPACED)


def _encoded(value: Any, encoder: json.JSONEncoder) -> str:
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is str:
        text = encode_basestring(value)
    else:
        try:
            text = encoder.encode(value)
        except ValueError:
            text = encoder.encode(_finite(value))
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def object_json(fields: dict[str, Any], *, compact: bool = False) -> str:
    """Write an object with plain names as `to_json` does.

    Most values of an event are texts and numbers, which it writes five times as fast: json sets up a new
    encoder for every object.
    """
    comma, colon, encoder = (",", ":", _COMPACT) if compact else (", ", ": ", _SPACED)
    items = [f'"{name}"{colon}{_encoded(value, encoder)}' for name, value in fields.items()]
    return f"{{{comma.join(items)}}}"


# In this order: True is an int, too.
_TYPE_NAMES: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    dict: "object",
    list: "array",
    tuple: "array",
    type(None): "null",
}


def structured(value: Any) -> str:
    """Wrap a value as the published server does: JSON text in JSON text (docs/wire.md section 2)."""
    return object_json({"type": _type_name(value), "payload": to_json(value)})


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _type_name(value: Any) -> str:
    known = _TYPE_NAMES.get(type(value))
    return known or next(name for kind, name in _TYPE_NAMES.items() if isinstance(value, kind))


def without_none(**fields: Any) -> dict[str, Any]:
    """Leave out the fields that are None."""
    return {name: value for name, value in fields.items() if value is not None}
