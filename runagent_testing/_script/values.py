"""Checks of the values in steps and options: JSON, header fields and lines have to be able to carry them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.gates import Gate
from runagent_testing._script.jsonvalues import json_fault
from runagent_testing._script.steps import (
    Chunk,
    Custom,
    Delay,
    Done,
    Ending,
    Error,
    Head,
    Reasoning,
    Status,
    Step,
    ToolCall,
)

__all__ = ["check_usage", "fault_of"]

__tracebackhide__ = is_ours

_REASON_BYTES = 123  # of a Close frame (RFC 6455 section 5.5)


def _object(value: object) -> str | None:
    return json_fault(value) if isinstance(value, Mapping) else "it is an object"


def _objects(value: object) -> str | None:
    if not isinstance(value, list | tuple):
        return "they are a list"
    return next((fault for each in value if (fault := _object(each))), None)


def _text(value: object) -> str | None:
    return None if isinstance(value, str) else "it is text"


def _number(value: object) -> str | None:
    return None if isinstance(value, int | float) and math.isfinite(value) else "it is a finite number"


def _seconds(value: Any) -> str | None:
    return _number(value) or (None if value >= 0 else "it is 0 or more")


def _whole(value: object) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else "it is a whole number"


def _line(value: object) -> str | None:
    """Check for text that stays one line of an event; raw(...) can write other text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return None
    return _text(value) or ("it is one line" if any(mark in str(value) for mark in "\r\n\0") else None)


def _field(value: object) -> str | None:
    """Check a header's value."""
    if not isinstance(value, str):
        return "a header's value is text"
    return "a header's value is one line" if any(mark in value for mark in "\r\n\0") else None


def _is_token(name: str) -> bool:
    return bool(name) and name.isascii() and not any(mark in name for mark in " :\r\n\0")


def _headers(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return "headers are a mapping"
    for name, text in value.items():
        if not isinstance(name, str) or not _is_token(name):
            return f"a header cannot be called {name!r}"
        if text is not None and (fault := _field(text)):
            return f"{fault}, not {text!r}"
    return None


def _retry_after(value: object) -> str | None:
    return _field(value) if isinstance(value, str) else _number(value)


def _body(value: object) -> str | None:
    return None if isinstance(value, bytes) else json_fault(value)


def _boolean(value: object) -> str | None:
    return None if isinstance(value, bool) else "it is True or False"


def _reason(value: object) -> str | None:
    if not isinstance(value, str):
        return "it is text"
    size = len(value.encode("utf-8", "surrogatepass"))
    if size > _REASON_BYTES or any("\ud800" <= mark <= "\udfff" for mark in value):
        return f"it is at most {_REASON_BYTES} bytes of UTF-8"
    return None


_FIELDS: dict[type, dict[str, Callable[[Any], str | None]]] = {
    Chunk: {"index": json_fault, "id": _line, "event": _line},
    Reasoning: {"text": _text, "id": _text},
    ToolCall: {"name": _text, "arguments": _text, "id": _text, "index": _whole},
    Custom: {"name": _line, "value": json_fault},
    Delay: {"seconds": _seconds},
    Gate: {"name": _text},
    Error: {"code": _text, "message": _text, "retry_after": _number},
    Done: {
        "message": _text,
        "usage": _object,
        "execution_time": _number,
        "metadata": _object,
        "stop_reason": _text,
        "interrupts": _objects,
    },
    Head: {"status": _whole, "headers": _headers, "start": _boolean},
    Status: {
        "status": _whole,
        "retry_after": _retry_after,
        "code": _text,
        "message": _text,
        "body": _body,
        "headers": _headers,
    },
    Ending: {"seconds": _seconds, "code": _whole, "reason": _reason},
}


_NAMES: dict[type, str] = {
    Reasoning: "text",
    ToolCall: "name",
    Custom: "name",
}  # which they cannot do without


def fault_of(step: Step) -> str | None:
    """Return which value of a step cannot be written, and why; does not check a chunk's content."""
    if fault := _encoding_fault(step):
        return fault
    named = _NAMES.get(type(step))
    if named is not None and not isinstance(value := getattr(step, named), str):
        return f" has {named}={value!r}: it is text"
    for name, check in _FIELDS.get(type(step), {}).items():
        value = getattr(step, name)
        if value is not None and value is not ... and (fault := check(value)):
            return f" has {name}={_shown(value)}: {fault}"
    return None


def _shown(value: object) -> str:
    try:
        return repr(value)
    except RecursionError:
        return f"<{type(value).__name__}>"


def _encoding_fault(step: Step) -> str | None:
    """Return which text of a step its encoding lacks: Latin-1 in header fields, elsewhere UTF-8."""
    texts: list[tuple[str, Any, str]] = []
    if isinstance(step, Head | Status):
        for name, value in step.headers.items():
            texts += [("a header's name", name, "latin-1"), (f"the header {name!r}", value, "latin-1")]
    if isinstance(step, Status):
        texts.append(("retry_after", step.retry_after, "latin-1"))
    if isinstance(step, Chunk):
        texts += [("the id", step.id, "utf-8"), ("the event", step.event, "utf-8")]
    for what, text, encoding in texts:
        try:
            _ = text.encode(encoding) if isinstance(text, str) else b""
        except UnicodeEncodeError as exc:
            return f": {what} cannot be written in {encoding}: position {exc.start}"
    return None


def check_usage(options: Mapping[str, Any]) -> None:
    """Reject metadata that the answer of a plain run cannot carry.

    Raises:
        TypeError: A value has the wrong type, or is not JSON.
    """
    checks = {"usage": _object, "execution_time": _number, "agent_version": _text}
    for name, check in checks.items():
        value = options.get(name)
        if value is not None and (fault := check(value)):
            raise TypeError(f"{name}= is {value!r}: {fault}")
