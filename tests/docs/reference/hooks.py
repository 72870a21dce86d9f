"""The hooks of plugins, and the methods of observers."""

from __future__ import annotations

import inspect
from typing import Any

from runagent import CallObserver
from runagent._plugins import hookspecs
from runagent._plugins.call_observers import HOOKS
from runagent_testing.dialects import _hookspecs as dialect_hookspecs
from tests.docs.reference.docstrings import markdown

__all__ = ["hooks", "page"]

_INTRODUCTION = """\
Functions that an installed package may implement, marked with `hookimpl` of `runagent` or of
`runagent_testing.dialects`. [Writing a transport](../plugins.md), [observers](../observers.md) and
[dialects](../dialects.md) show each at work."""


def hooks() -> dict[str, Any]:
    """Return every hook by its name."""
    found: dict[str, Any] = {}
    for module in (hookspecs, dialect_hookspecs):
        attribute = f"{module.PROJECT}_spec"
        found |= {name: value for name, value in vars(module).items() if hasattr(value, attribute)}
    return found


def page() -> str:
    """Return the page of hooks."""
    parts = [
        "# Hooks",
        _INTRODUCTION,
    ]
    for name, hook in hooks().items():
        parts += _described("##", name, hook)
    parts += ["## Methods of an observer", markdown(CallObserver.__doc__)]
    for name in HOOKS:
        parts += _described("###", name, getattr(CallObserver, name))
    return "\n\n".join(parts)


def _described(level: str, name: str, function: Any) -> list[str]:
    signature = str(inspect.signature(function)).replace("'", "")
    return [f"{level} {name}", f"```py\n{name}{signature}\n```", markdown(function.__doc__)]
