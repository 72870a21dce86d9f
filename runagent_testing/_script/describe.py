"""Descriptions of steps, for timelines, for failing tests and for ``runagent-fake check``."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from runagent_testing._script.gates import Gate
from runagent_testing._script.repetition import Repeat
from runagent_testing._script.steps import (
    Chunk,
    Custom,
    Delay,
    Ending,
    Error,
    Heartbeat,
    Raw,
    RawResponse,
    Reasoning,
    Status,
    Step,
    ToolCall,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from runagent_testing._internal.redaction import Secrets

__all__ = ["described", "without_secrets"]

_short = Repr()
_short.maxstring = _short.maxother = 28


def described(step: Step, shown: Callable[[Any], str] | None = None) -> str:
    """Describe a step.

    Args:
        step: The step.
        shown: Writes a value; every value that the script has set is then included. Without it, the
            description has only what distinguishes the step from others, shortened.
    """
    write = shown or _short.repr
    details = "" if shown is None else "".join(_details(step, shown))
    match step:
        case Chunk(content=content):
            return f"chunk {write(content)}{details}"
        case Reasoning(text=text):
            return f"reasoning {write(text)}{details}"
        case ToolCall(name=name):
            return f"tool_call {name!r}{details}"
        case Custom(name=name):
            return f"custom {name!r}{details}"
        case Delay(seconds=seconds):
            return f"delay {seconds:g} s"
        case Gate(name=name):
            return f"gate {name!r}"
        case Error(code=code, message=message):
            return f"error {code} {write(message)}{details}"
        case Raw(data=data) | RawResponse(data=data):
            return f"{_name(step)} {_short.repr(data) if shown is None else repr(data)}"
        case Status(status=status, code=code):
            return f"status {status}" + (details or (f" {code}" if code else ""))
        case Repeat(steps=steps, times=times):
            often = "without end" if times is None else f"{times} times"
            return f"repeat {often} ({', '.join(described(one, shown) for one in _as_steps(steps))})"
        case Ending(kind=kind):
            return f"ending {kind!r}{details}"
        case _:
            return f"{_name(step)}{details}"


def _as_steps(items: Iterable[Any]) -> Iterator[Step]:
    for item in items:
        yield item if isinstance(item, Step) else Chunk(item)


def without_secrets(step: Step, secrets: Secrets) -> Step:
    """Return the step with the credentials hidden in everything it sends."""
    if isinstance(step, Gate | Delay | Heartbeat):
        return step
    if isinstance(step, Repeat):
        return replace(step, steps=tuple(without_secrets(one, secrets) for one in step.steps))
    return replace(step, **{field.name: secrets.sent(getattr(step, field.name)) for field in fields(step)})


def _name(step: Step) -> str:
    return "raw_response" if isinstance(step, RawResponse) else type(step).__name__.lower()


def _details(step: Step, shown: Callable[[Any], str]) -> Iterator[str]:
    """Describe the fields that differ from their defaults."""
    for field in fields(step):
        usual = field.default if field.default_factory is MISSING else field.default_factory()
        value = getattr(step, field.name)
        if field.repr and usual is not MISSING and value != usual:
            yield f", {field.name} {shown(value)}"
