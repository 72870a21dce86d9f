"""Writes scripts in the form of a script file; `forms` reads the same."""

from __future__ import annotations

import base64
import re
from dataclasses import MISSING, fields
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.gates import Gate
from runagent_testing._script.repetition import Repeat
from runagent_testing._script.steps import (
    Chunk,
    Custom,
    Delay,
    Done,
    Ending,
    Error,
    Head,
    Heartbeat,
    Raw,
    RawResponse,
    Reasoning,
    Status,
    ToolCall,
)
from runagent_testing._script.writes import writes_form

if TYPE_CHECKING:
    from runagent_testing._host.conditions import Conditions
    from runagent_testing._script.pacing import Pace
    from runagent_testing._script.script import Result, Script
    from runagent_testing._script.steps import Step

__all__ = ["FormError", "conditions_form", "script_form"]

__tracebackhide__ = is_ours

# By type, the form's name; it also names the first field, whose value is the form's own.
_NAMES: dict[type, str] = {
    Chunk: "chunk",
    Reasoning: "reasoning",
    ToolCall: "tool_call",
    Custom: "custom",
    Delay: "delay",
    Heartbeat: "heartbeat",
    Error: "error",
    Done: "done",
    Head: "head",
    Status: "status",
    Ending: "ending",
}


class FormError(TypeError):
    """Something that a script file cannot express."""


def script_form(script: Script | Result) -> dict[str, Any]:
    """Return a script as a script file has it: ``{"steps": [...], ...}``, with the options that it has.

    Raises:
        FormError: A policy of writes is one that the test has written.
    """
    form: dict[str, Any] = {"steps": [_step_form(step) for step in script.steps]}
    for name, value in _changed(script).items():
        if name == "pace":
            form[name] = _pace_form(value)
        elif name == "writes":
            form[name] = _writes_form(value)
        elif name != "steps":
            form[name] = value
    return form


def conditions_form(conditions: Conditions) -> dict[str, Any]:
    """Return the conditions of a rule as a script file has them.

    Raises:
        FormError: A condition is a function.
    """
    if conditions.matches is not None:
        raise FormError("when(matches=...) is a function, which only the server's own process can call")
    nth = conditions.nth
    numbers: Any = nth if nth is None or isinstance(nth, int) else sorted(nth)
    if isinstance(nth, range) and nth.step == 1:
        numbers = {"from": nth[0], "to": nth[-1]}
    given = {
        "query": _with_patterns(conditions.query),
        "body": _with_patterns(conditions.body),
        "headers": _with_patterns(conditions.headers),
        "nth": numbers,
    }
    return {name: value for name, value in given.items() if value is not None}


def _changed(data: Any) -> dict[str, Any]:
    """Return the fields of a dataclass that do not have their default values."""
    found = {}
    for field in filter(lambda field: field.init, fields(data)):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        value = getattr(data, field.name)
        if value is not default and (default is ... or value != default or type(value) is not type(default)):
            found[field.name] = value
    return found


def _step_form(step: Step) -> Any:
    match step:
        case Gate(name=name):
            return {"gate": name}
        case Repeat(steps=steps, times=times):
            inner = [_step_form(one) for one in steps]
            return {"repeat": inner} | ({} if times is None else {"times": times})
        case Raw(data=data):
            return {"raw": base64.b64encode(data).decode(), "encoding": "base64"}
        case RawResponse(data=data):
            return {"raw_response": base64.b64encode(data).decode(), "encoding": "base64"}
    name = _NAMES[type(step)]
    changed = _changed(step)
    names = [field.name for field in fields(step)]
    form = {name: getattr(step, names[0]) if names else None}
    form |= {other: value for other, value in changed.items() if other != (names[:1] or [""])[0]}
    if isinstance(step, Status) and isinstance(step.body, bytes):
        form |= {"body": base64.b64encode(step.body).decode(), "encoding": "base64"}
    if isinstance(step, Ending) and step.kind == "stall-reset":
        form["seconds"] = step.seconds
    if isinstance(step, Chunk) and len(form) == 1 and not isinstance(step.content, dict):
        return step.content
    return form


def _pace_form(pace: Pace) -> dict[str, Any]:
    if pace.kind == "uniform":
        form: dict[str, Any] = {"uniform": pace.low, "high": pace.high}
    else:
        form = {"log_normal": pace.low, "sigma": pace.high}
    return form | {name: getattr(pace, name) for name in ("first", "seed") if getattr(pace, name)}


def _writes_form(writes: Any) -> Any:
    if (form := writes_form(writes)) is None:
        raise FormError(f"writes={writes!r} is a policy of the test's own, which no script file can name")
    return form


def _with_patterns(value: Any) -> Any:
    """Return a part of a request in which patterns are ``{"regex": ...}``."""
    if isinstance(value, re.Pattern):
        flags = "".join(letter for flag, letter in _FLAGS if value.flags & flag)
        return {"regex": f"(?{flags}){value.pattern}" if flags else value.pattern}
    if isinstance(value, dict):
        return {name: _with_patterns(one) for name, one in value.items()}
    return [_with_patterns(one) for one in value] if isinstance(value, list | tuple) else value


_FLAGS = (
    (re.ASCII, "a"),
    (re.IGNORECASE, "i"),
    (re.MULTILINE, "m"),
    (re.DOTALL, "s"),
    (re.VERBOSE, "x"),
)
