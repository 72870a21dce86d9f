"""The two clients, and the two streams, have the same methods, arguments and words about them."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent._run.async_stream import AsyncStream
from runagent._run.stream import Stream

TWINS: list[tuple[type, type]] = [(RunAgentClient, AsyncRunAgentClient), (Stream, AsyncStream)]
CLOSING = {"close": "aclose"}
OTHER_WORDS = {"close"}  # it waits for threads or for tasks


def public_methods(kind: type) -> dict[str, Any]:
    """Return the methods that users call, by name; closing has the synchronous name."""
    names = {new: old for old, new in CLOSING.items()}
    found = inspect.getmembers(kind, inspect.isfunction)
    return {names.get(name, name): method for name, method in found if not name.startswith("_")}


def parameters(method: Any) -> list[tuple[str, Any, Any]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]


def section(method: Any, name: str) -> str:
    """Return a section of a docstring, such as ``Args``; "" if there is none."""
    found = re.search(rf"^{name}:\n((?:[ ]+.*\n?|\n)*)", inspect.getdoc(method) or "", re.MULTILINE)
    return found[1].rstrip() if found else ""


PAIRS = [
    pytest.param(one, two, name, id=f"{one.__name__}.{name}")
    for one, two in TWINS
    for name in sorted(public_methods(one).keys() & public_methods(two).keys())
]


@pytest.mark.parametrize(("one", "two"), TWINS)
def test_twins_have_the_same_public_methods(one: type, two: type) -> None:
    assert public_methods(one).keys() == public_methods(two).keys()


@pytest.mark.parametrize(("one", "two", "name"), PAIRS)
def test_twins_take_the_same_arguments_and_document_them_alike(one: type, two: type, name: str) -> None:
    first, second = public_methods(one)[name], public_methods(two)[name]
    assert parameters(first) == parameters(second)
    for part in ("Raises",) if name in OTHER_WORDS else ("Args", "Raises"):
        assert section(first, part) == section(second, part), part
