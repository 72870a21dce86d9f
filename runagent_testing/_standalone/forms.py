"""What may be written in a script file: each form is a function of the Python interface, by its name.

``{error: CAPACITY_ERROR, retry_after: 3}`` is ``error("CAPACITY_ERROR", retry_after=3)``: the value of
the form's own key is the first argument, the other keys next to it are the others.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from runagent_testing._internal.suggestions import nearest
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script import pacing, repetition, steps, writes
from runagent_testing._script.script import Framing, Resume
from runagent_testing._standalone.document import Item, Problems

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "CHAOS",
    "INTEGER",
    "NUMBER",
    "OBJECT",
    "OPTIONS",
    "PACES",
    "SECONDS",
    "STEPS",
    "TEXT",
    "WRITES",
    "Choice",
    "FieldType",
    "Form",
    "StepList",
    "as_chunks",
    "read_fields",
    "read_form",
    "read_step",
    "shown",
]

__tracebackhide__ = is_ours


@dataclass(frozen=True, slots=True)
class FieldType:
    """Values that fit an argument, and their name."""

    name: str
    fits: Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Form:
    """A function, and the kinds of its arguments; the first one is the value of the form's own key."""

    function: Callable[..., Any]
    fields: Mapping[str, FieldType | Choice | StepList]


@dataclass(frozen=True, slots=True)
class Choice:
    """Forms of which one may be in a place.

    Attributes:
        name: With its article.
        others: What may be there instead of any of them.
    """

    name: str
    forms: Mapping[str, Form]
    others: FieldType | None = None


@dataclass(frozen=True, slots=True)
class StepList:
    """Steps in a list; any values but mappings are chunks."""


def shown(value: Any) -> str:
    """Show a value in one short line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:56]} ..."


def as_chunks(values: Sequence[Any]) -> list[Any]:
    """Make chunks of lists: in a file, one is not taken for steps that the author forgot to unpack."""
    return [steps.Chunk(step) if isinstance(step, list) else step for step in values]


def read_form(item: Item, family: Choice, problems: Problems) -> Any:
    """Make what a form means; None, and a problem, if it is invalid."""
    if family.others is not None and not isinstance(item.value, dict):
        return _read(item, family.others, family.name, problems)
    names = [name for name in item.value if name in family.forms] if isinstance(item.value, dict) else []
    if len(names) == 1:
        return _read_one(item, names[0], family.forms[names[0]], problems)
    if names:
        problems.add(item, f"this is both {' and '.join(names)}: write one after the other")
    elif isinstance(item.value, dict) and item.value:
        word = next(iter(item.value))
        hint = "" if family is not STEPS else " (an object as a chunk is written {chunk: {...}})"
        problems.add(item.keys[word], f"{word!r} is not {family.name}: {nearest(word, family.forms)}{hint}")
    else:
        problems.add(item, f"{shown(item.plain)} is not {family.name}: known are {', '.join(family.forms)}")
    return None


def read_step(item: Item, problems: Problems) -> Any:
    """Make the step that a mapping means, harmless if it is invalid; anything else is a chunk's content."""
    if not isinstance(item.value, dict):
        return item.plain
    step = read_form(item, STEPS, problems)
    return steps.Delay(0.0) if step is None else step


def read_fields(
    item: Item,
    fields: Mapping[str, FieldType | Choice | StepList],
    problems: Problems,
    *,
    of: str,
    own: str = "",
) -> dict[str, Any]:
    """Read the keys of a mapping that are known, and note a problem for each of the others.

    Args:
        item: The mapping.
        fields: Those that are known.
        problems: Where problems are noted.
        of: What they are properties of.
        own: The one that follows that name itself.
    """
    found = {}
    for key, value in item.value.items():
        if key not in fields:
            problems.add(item.keys[key], f"{key!r} is no property of {of}: {nearest(key, fields)}")
        elif key == own and _holds_properties(value, fields, own):
            names = [of, *(name for name in value.value if name != own)]
            problems.add(value, f"write it as {{{', '.join(f'{name}: ...' for name in names)}}}")
        else:
            found[key] = _read(value, fields[key], of if key == own else key, problems)
    return found


def _holds_properties(item: Item, fields: Mapping[str, FieldType | Choice | StepList], own: str) -> bool:
    kind = fields[own]
    is_misplaced = isinstance(kind, FieldType) and isinstance(item.value, dict) and not kind.fits(item.plain)
    return is_misplaced and bool(item.value) and item.value.keys() <= fields.keys()


def _read_one(item: Item, name: str, form: Form, problems: Problems) -> Any:
    before = len(problems)
    own = next(iter(form.fields), "")
    renamed = {own if key == name else key: value for key, value in item.value.items()}
    keys = {own if key == name else key: place for key, place in item.keys.items()}
    if own != name and own in item.value:
        problems.add(item.keys[own], f"{own!r} is what follows {name!r} already")
    if not own and renamed.pop(own).value not in (None, True):
        problems.add(item.value[name], f"{name} takes nothing: write it with nothing behind")
    arguments = read_fields(Item(item.place, renamed, keys), form.fields, problems, of=name, own=own)
    if len(problems) > before:
        return None
    try:
        return form.function(**arguments)
    except (TypeError, ValueError) as exc:
        problems.add(item, str(exc))
        return None


def _read(item: Item, kind: FieldType | Choice | StepList, name: str, problems: Problems) -> Any:
    if isinstance(kind, StepList):
        items = item.value if isinstance(item.value, list) else [item]
        return [read_step(one, problems) for one in items]
    if isinstance(kind, Choice):
        return read_form(item, kind, problems)
    value = item.plain
    if kind.fits(value):
        return value
    choices = kind.name.split(" | ")
    if isinstance(value, str) and len(choices) > 1:
        problems.add(item, f"{name} cannot be {value!r}: {nearest(value, choices)}")
    else:
        problems.add(item, f"{name} is {kind.name}, not {shown(value)}")
    return None


# Kinds


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _or_null(kind: FieldType) -> FieldType:
    return FieldType(f"{kind.name} or null", lambda value: value is None or kind.fits(value))


def _list_of(kind: FieldType) -> FieldType:
    return FieldType(
        f"a list, each {kind.name}", lambda value: isinstance(value, list) and all(map(kind.fits, value))
    )


def _one_of(choices: tuple[str, ...]) -> FieldType:
    return FieldType(" | ".join(choices), lambda value: isinstance(value, str) and value in choices)


def _headers(kind: FieldType) -> FieldType:
    return FieldType(
        f"a mapping of names, each to {kind.name}",
        lambda value: isinstance(value, dict) and all(map(kind.fits, value.values())),
    )


ANY = FieldType("anything", lambda _: True)
BOOLEAN = FieldType("true or false", lambda value: isinstance(value, bool))
TEXT = FieldType("text", lambda value: isinstance(value, str))
NUMBER = FieldType("a number", _is_number)
INTEGER = FieldType("a whole number", _is_integer)
SECONDS = FieldType("a number of seconds", lambda value: _is_number(value) and 0 <= value < float("inf"))
OBJECT = FieldType("a mapping", lambda value: isinstance(value, dict))
LINE = FieldType("text or a whole number", lambda value: isinstance(value, str) or _is_integer(value))
RETRY_AFTER = FieldType("seconds or an HTTP date", lambda value: _is_number(value) or isinstance(value, str))
_RESUME = FieldType(
    " | ".join([*get_args(Resume), "true", "false"]),
    lambda value: isinstance(value, bool) or (isinstance(value, str) and value in get_args(Resume)),
)


def _bytes(data: str, encoding: str) -> bytes:
    if encoding != "base64":
        return data.encode(encoding)
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except binascii.Error as exc:
        raise ValueError(f"this is no base64: {exc}") from exc


def _status(status: int, body: Any = None, encoding: str | None = None, **options: Any) -> steps.Status:
    if encoding is not None:
        if not isinstance(body, str):
            raise TypeError("encoding is that of a body that is text")
        body = _bytes(body, encoding)
    return steps.status(status, body=body, **options)


_ENCODING = _one_of(("utf-8", "latin-1", "base64"))
_BYTES = {"data": TEXT, "encoding": _ENCODING}
_JITTER = {"first": SECONDS, "jitter": NUMBER, "seed": INTEGER}

STEPS = Choice(
    "a step",
    {
        "chunk": Form(
            steps.chunk, {"content": ANY, "index": ANY, "id": _or_null(LINE), "event": _or_null(LINE)}
        ),
        "reasoning": Form(steps.reasoning, {"text": TEXT, "id": _or_null(TEXT)}),
        "tool_call": Form(
            steps.tool_call,
            {"name": TEXT, "arguments": ANY, "id": _or_null(TEXT), "index": _or_null(INTEGER)},
        ),
        "custom": Form(steps.custom, {"name": TEXT, "value": ANY}),
        "delay": Form(steps.delay, {"seconds": NUMBER}),
        "heartbeat": Form(steps.heartbeat, {}),
        "gate": Form(steps.gate, {"name": TEXT}),
        "error": Form(
            steps.error,
            {"code": _or_null(TEXT), "message": _or_null(TEXT), "retry_after": _or_null(NUMBER)},
        ),
        "done": Form(
            steps.done,
            {
                "message": _or_null(TEXT),
                "usage": _or_null(OBJECT),
                "execution_time": _or_null(NUMBER),
                "metadata": _or_null(OBJECT),
                "stop_reason": _or_null(TEXT),
                "interrupts": _or_null(_list_of(OBJECT)),
            },
        ),
        "raw": Form(lambda data, encoding="utf-8": steps.raw(_bytes(data, encoding)), _BYTES),
        "raw_response": Form(
            lambda data, encoding="utf-8": steps.raw_response(_bytes(data, encoding)), _BYTES
        ),
        "head": Form(
            steps.head,
            {"status": _or_null(INTEGER), "headers": _headers(_or_null(TEXT)), "start": BOOLEAN},
        ),
        "status": Form(
            _status,
            {
                "status": INTEGER,
                "retry_after": _or_null(RETRY_AFTER),
                "code": _or_null(TEXT),
                "message": _or_null(TEXT),
                "body": ANY,
                "headers": _headers(TEXT),
                "encoding": _ENCODING,
            },
        ),
        "repeat": Form(
            lambda steps, times=None: repetition.repeat(*as_chunks(steps), times=times),
            {"steps": StepList(), "times": _or_null(INTEGER)},
        ),
        "ending": Form(
            steps.ending,
            {"kind": _one_of(get_args(steps.EndingKind)), "seconds": NUMBER, "code": INTEGER, "reason": TEXT},
        ),
    },
)
PACES = Choice(
    "a pace",
    {
        "fixed": Form(pacing.fixed, {"seconds": NUMBER, **_JITTER}),
        "uniform": Form(pacing.uniform, {"low": NUMBER, "high": NUMBER, "first": SECONDS, "seed": INTEGER}),
        "log_normal": Form(
            pacing.log_normal, {"median": NUMBER, "sigma": NUMBER, "first": SECONDS, "seed": INTEGER}
        ),
        "tokens_per_second": Form(pacing.tokens_per_second, {"rate": NUMBER, **_JITTER}),
    },
)
WRITES = Choice(
    "a policy of writes",
    {
        "every": Form(writes.every, {"size": INTEGER}),
        "at": Form(lambda offsets: writes.at(*offsets), {"offsets": _list_of(INTEGER)}),
        "inside": Form(lambda places: writes.inside(*places), {"places": _list_of(TEXT)}),
        "rechunked": Form(writes.rechunked, {"seed": INTEGER}),
    },
    others=_one_of(("merged", "per-step")),
)
CHAOS: dict[str, FieldType | Choice] = {
    "rate": NUMBER,
    "seed": INTEGER,
    "only": _list_of(TEXT),
    "without": _list_of(TEXT),
    "test": TEXT,
}
OPTIONS: dict[str, FieldType | Choice] = {
    "indexed": BOOLEAN,
    "ids": BOOLEAN,
    "resume": _RESUME,
    "pace": PACES,
    "writes": WRITES,
    "write_gap": SECONDS,
    "framing": _one_of(get_args(Framing)),
    "session_id": _or_null(TEXT),
}
