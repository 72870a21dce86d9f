"""Whether an error shows a secret: in its text, its fields, its pickle, or the variables of our frames."""

from __future__ import annotations

import copy
import os
import pickle
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

import runagent

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["places_of"]

_OURS = f"{Path(runagent.__file__).parent}{os.sep}"


def places_of(secret: str, error: BaseException) -> list[str]:
    """Return the places at which an error, or one of those that led to it, shows a secret."""
    found = []
    for exc in _chain(error):
        name = type(exc).__name__
        clones = [exc]
        if isinstance(exc, runagent.RunAgentError):
            clones += [copy.copy(exc), copy.deepcopy(exc), pickle.loads(pickle.dumps(exc))]
        for clone in clones:
            shown = [
                str(clone),
                repr(clone),
                repr(vars(clone)),
                repr(clone.args),
                repr(getattr(clone, "__notes__", "")),
            ]
            found += [f"{name}: {text}" for text in shown if secret in text]
        if secret in "".join(traceback.format_exception(exc)):
            found.append(f"{name}: its traceback")
        found += [f"{name}: {place}" for place in _frames_with(secret, exc)]
    return found


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error, what caused it, and what was being handled when it came."""
    waiting, seen = [error], set()
    while waiting:
        exc = waiting.pop()
        if exc is not None and id(exc) not in seen:
            seen.add(id(exc))
            yield exc
            waiting += [exc.__cause__, exc.__context__, *getattr(exc, "exceptions", ())]


def _frames_with(secret: str, exc: BaseException) -> Iterator[str]:
    for frame, line in traceback.walk_tb(exc.__traceback__):
        if frame.f_code.co_filename.startswith(_OURS):
            for name, value in frame.f_locals.items():
                if secret in _shown(value):
                    yield f"{name} in {frame.f_code.co_qualname}, line {line}"


def _shown(value: Any) -> str:
    """Return what a debugger shows of a variable."""
    text = repr(value)
    if isinstance(value, memoryview):
        text += repr(bytes(value))
    return text
