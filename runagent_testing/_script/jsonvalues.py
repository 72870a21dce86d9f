"""Which values JSON can carry, and why not the others."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn

from runagent_testing._internal.tracebacks import is_ours

__all__ = ["json_fault", "write_json_value"]

__tracebackhide__ = is_ours


def json_fault(value: object) -> str | None:
    """Return why a value cannot be written as JSON, or None if it can."""
    try:
        write_json_value(value)
    except ValueError as exc:
        return str(exc)
    return None


def write_json_value(value: object) -> str:
    """Write a value as JSON text.

    Raises:
        ValueError: JSON cannot carry it; the message has the reason.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_refuse)
        if _has_text_names(value):
            return text
        reason = "the names of an object are text"
    except RecursionError:
        reason = "it is nested too deeply"
    except TypeError:  # a key that is no text, number or constant
        reason = "the names of an object are text"
    except ValueError as exc:
        reason = str(exc)
        if "Out of range" in reason:
            reason = "JSON has no NaN and no infinity"
        elif "Circular" in reason:
            reason = "it contains itself"
    raise ValueError(reason)


def _refuse(value: Any) -> NoReturn:
    raise ValueError(f"JSON cannot carry a value of type {type(value).__name__}")


def _has_text_names(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _has_text_names(item) for name, item in value.items())
    return all(map(_has_text_names, value)) if isinstance(value, list | tuple) else True
