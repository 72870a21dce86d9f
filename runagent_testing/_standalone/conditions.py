"""The conditions of rules, and limits, in a script file."""

from __future__ import annotations

import re
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from runagent_testing._host.agent import Agent
from runagent_testing._standalone.forms import INTEGER, NUMBER, read_fields, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing._standalone.document import Item, Problems

__all__ = ["CONDITIONS", "read_conditions", "read_limit"]

CONDITIONS = ("query", "body", "headers", "nth")
_LIMIT = {"runs": INTEGER, "per": NUMBER}
_RANGE = {"from": INTEGER, "to": INTEGER}


def read_conditions(item: Item, problems: Problems) -> dict[str, Any]:
    """Read the conditions among the keys of a rule, and check them.

    Returns:
        The arguments of `Agent.when`.
    """
    before = len(problems)
    given = {key: value for key, value in item.value.items() if key in CONDITIONS}
    if not given:
        problems.add(item, f"a rule has conditions: some of {', '.join(CONDITIONS)}")
    found = {
        key: _numbers(value, problems) if key == "nth" else _value(value, problems)
        for key, value in given.items()
    }
    if len(problems) == before:
        for key, value in found.items():
            _check(partial(Agent("?").when, **{key: value}), given[key], problems)
    return found


def read_limit(item: Item, problems: Problems) -> dict[str, Any]:
    """Read ``limit: {runs: 3, per: 60}``; return the arguments of `Agent.limit`."""
    before = len(problems)
    found = read_fields(item, _LIMIT, problems, of="limit") if isinstance(item.value, dict) else {}
    if len(problems) > before:
        return found
    if found.keys() != _LIMIT.keys():
        problems.add(item, "limit is so many runs in so many seconds: limit: {runs: 3, per: 60}")
    else:
        _check(partial(Agent("?").limit, **found), item, problems)
    return found


def _check(call: Callable[[], object], item: Item, problems: Problems) -> None:
    try:
        call()
    except (TypeError, ValueError) as exc:
        problems.add(item, str(exc))


def _value(item: Item, problems: Problems) -> Any:
    """Read a part of a request, in which ``{regex: ...}`` is a pattern."""
    if isinstance(item.value, list):
        return [_value(one, problems) for one in item.value]
    if not isinstance(item.value, dict):
        return item.value
    if item.value.keys() == {"regex"}:
        return _pattern(item.value["regex"], problems)
    members: Mapping[str, Item] = item.value
    return {name: _value(one, problems) for name, one in members.items()}


def _pattern(item: Item, problems: Problems) -> re.Pattern[str] | None:
    try:
        return re.compile(item.value)
    except (re.error, OverflowError, RecursionError) as exc:
        problems.add(item, f"this is no regular expression: {exc}")
    except TypeError:
        problems.add(item, f"regex is text, not {shown(item.plain)}")
    return None


def _numbers(item: Item, problems: Problems) -> Any:
    """Read a number, a list of numbers, or ``{from: 2, to: 4}``."""
    if not isinstance(item.value, dict):
        return item.plain
    found = read_fields(item, _RANGE, problems, of="nth")
    return range(found.get("from", 1), found.get("to", sys.maxsize - 1) + 1)
