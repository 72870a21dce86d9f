"""Inputs: a copy of what the caller gave, or the exact place of what JSON cannot carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from runagent._errors import ConfigurationError, ValidationError
from runagent._redact import describe, lone_surrogate

__all__ = ["add_session_id", "copy_input", "copy_input_object", "read_entrypoint_tag"]

# The common types first: to be a Mapping is asked of an abstract class, which takes its time.
_OBJECTS = (str, dict, Mapping)
_CONTAINERS = (dict, list, tuple, Mapping)
_LISTS = (list, tuple)
_EXPECTED = "a mapping of names to values, a text, a dataclass, a msgspec struct or a pydantic model"
_MAX_DEPTH = 200
_MAX_INTEGER_BITS = 14_000  # some 4 200 digits; Python refuses to write more than 4 300


def copy_input(value: Any, where: str) -> Any:
    """Return a deep copy made of dicts, lists and scalars; what the caller changes later does no harm.

    Args:
        value: The value to send.
        where: What the value is called, for the path in an error.

    Raises:
        ValidationError: JSON cannot carry it; the message begins with the path to the culprit.
    """
    return _copy(value, where, ())


def copy_input_object(value: Any, where: str) -> dict[str, Any]:
    """Return a deep copy of an input object; a text means ``{"query": text}``.

    Raises:
        ValidationError: It is neither, nor an object with fields, or JSON cannot carry it.
    """
    given = value if isinstance(value, _OBJECTS) else _fields(value, where)
    if not isinstance(given, _OBJECTS):
        messages = '; messages are a field: {"messages": [...]}' if isinstance(value, _LISTS) else ""
        raise _refuse(where, f"expected {_EXPECTED}, not {_kind(value)}{messages}")
    copied: dict[str, Any] = copy_input({"query": given} if isinstance(given, str) else given, where)
    return copied


def add_session_id(copied: dict[str, Any], session_id: Any) -> dict[str, Any]:
    """Put the id of a conversation into a copied input object, and return it.

    Raises:
        ValidationError: It is not a text, or the input has another one.
    """
    if session_id is None:
        return copied
    if not isinstance(session_id, str) or not session_id:
        raise _refuse("session_id", f"expected a text that is not empty, not {describe(session_id)}")
    session_id = _copy_text(session_id, "session_id")
    if copied.setdefault("session_id", session_id) != session_id:
        raise _refuse("session_id", "the input has another one; give it in one place")
    return copied


# Where a value is: what the whole is called, or a place in a container (None for a key itself). It is spelled
# out if there is something to refuse.
_Path = str | tuple["_Path", str | int | None]


def _copy(value: Any, path: _Path, parents: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _copy_text(value, path)
    if isinstance(value, int):
        if value.bit_length() > _MAX_INTEGER_BITS:
            raise _refuse(path, "the integer is too long to be written; send it as text")
        return int(value)
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        raise _refuse(path, f"{value!r} is not a JSON number; send null or a text instead")
    if isinstance(value, _CONTAINERS):
        return _copy_container(value, path, parents)
    fields = _fields(value, path)
    if fields is not value:
        return _copy(fields, path, parents)
    raise _refuse_kind(value, path)


def _fields(value: Any, path: _Path) -> Any:
    """Return the fields of a dataclass, msgspec struct or pydantic model as JSON has them, else the value."""
    if isinstance(value, type):
        return value
    if callable(getattr(type(value), "model_dump", None)):
        try:
            return value.model_dump(mode="json")
        except ValueError as exc:  # pydantic's own error is one
            raise _refuse(path, f"{type(value).__name__} cannot be written as JSON: {exc}") from None
    # As `dataclasses.is_dataclass` does it, whose import takes longer than the whole copy.
    if not hasattr(type(value), "__dataclass_fields__") and not isinstance(value, msgspec.Struct):
        return value
    try:
        return msgspec.to_builtins(value, str_keys=True, enc_hook=lambda inner: _inner(inner, path))
    except RecursionError:
        raise _refuse(path, "it contains itself, or is nested too deep") from None


def _inner(value: Any, path: _Path) -> Any:
    fields = _fields(value, path)
    if fields is value:
        raise _refuse_kind(value, path)
    return fields


def _kind(value: Any) -> str:
    return f"class {value.__name__}" if isinstance(value, type) else type(value).__name__


def _refuse_kind(value: Any, path: _Path) -> ValidationError:
    kind = _kind(value)
    hint = {"set": "make it a list", "bytes": "decode it, or send it as base64 text"}.get(
        kind, "make an object of it" if isinstance(value, type) else "convert it first"
    )
    return _refuse(path, f"JSON has no {kind}; {hint}")


def _copy_text(value: str, path: _Path) -> str:
    if type(value) is str and value.isascii():
        return value
    if (at := lone_surrogate(value)) is not None:
        raise _refuse(path, f"the text holds a lone surrogate at position {at}")
    return str.__str__(value)


def _copy_container(value: Any, path: _Path, parents: tuple[int, ...]) -> Any:
    if id(value) in parents:
        raise _refuse(path, "it contains itself")
    if len(parents) >= _MAX_DEPTH:
        raise _refuse(_spelled(path)[:200], f"it is nested more than {_MAX_DEPTH} levels deep")
    parents = (*parents, id(value))
    if isinstance(value, _LISTS):
        return [_copy(item, (path, i), parents) for i, item in enumerate(value)]
    copied = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise _refuse(path, f"its key {key!r} is not text")
        copied[_copy_text(key, (path, None))] = _copy(item, (path, key), parents)
    return copied


def _spelled(path: _Path) -> str:
    if isinstance(path, str):
        return path
    container, place = path
    return _spelled(container) + (" (a key)" if place is None else f"[{place!r}]")


def _refuse(path: _Path, why: str) -> ValidationError:
    spelled = _spelled(path)
    return ValidationError(f"{spelled}: {why}", code="INVALID_INPUT", details={"path": spelled})


def read_entrypoint_tag(tag: object) -> str | None:
    """Return an entry point's name that can be sent, or None for the default.

    Raises:
        ConfigurationError: It is something else.
    """
    if tag is None:
        return None
    if not isinstance(tag, str) or not tag:
        raise ConfigurationError(
            f"entrypoint_tag: expected the name of an entry point, found {describe(tag)}"
        )
    if (at := lone_surrogate(tag)) is not None:
        raise ConfigurationError(f"entrypoint_tag: the text holds a lone surrogate at position {at}")
    return str.__str__(tag)
