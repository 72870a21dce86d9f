"""The check of what a session returns: events in a list, and nothing else in their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._errors import PluginError
from runagent._events import Chunk, Completed, Custom, Event, Reasoning, RunResult, Started, ToolCall
from runagent._internal.tracebacks import is_ours
from runagent._redact import describe

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CODE", "UNREPEATABLE", "as_events", "check_order", "split_events"]

__tracebackhide__ = is_ours

CODE = "INVALID_EVENTS"
UNREPEATABLE = frozenset({Chunk, Reasoning, ToolCall, Custom})
_LAST = frozenset({Completed, RunResult})
_OF_STREAMS = UNREPEATABLE | {Started, Completed}
_OF_PLAIN_RUNS = _OF_STREAMS | {RunResult}


def as_events(events: object, hook: str) -> list[Event]:
    """Return what a hook of a session has returned, which has to be a list.

    Raises:
        PluginError: It is something else; a ``return`` may have been forgotten.
    """
    if type(events) is not list:
        raise _refuse(f"{hook} has to return a list of events, not {describe(events)}")
    return events


def split_events(
    events: object, last: type[Event], *, over: bool
) -> tuple[list[Event], list[Event], PluginError | None]:
    """Return the events before the first thing that is no event in its place, and what is wrong with that.

    Args:
        events: What a session has returned.
        last: The last event of such a run.
        over: The last event has come.

    Returns:
        The events, those of them that are no chunks, and the error or None.
    """
    try:
        events = as_events(events, "receive_data or receive_eof")
    except PluginError as exc:
        return [], [], exc
    allowed = _OF_PLAIN_RUNS if last is RunResult else _OF_STREAMS
    others = _without_chunks(events)
    kinds = list(map(type, others))
    at_end = last not in kinds or (kinds.index(last) == len(kinds) - 1 and others[-1] is events[-1])
    if not over and at_end and allowed.issuperset(kinds):  # no loop: a burst may be in the read
        return events, others, None
    good, fault = _split_at_fault(events, last, allowed, over=over)
    return good, _without_chunks(good), fault


def _without_chunks(events: list[Event]) -> list[Event]:
    return [event for event in events if type(event) is not Chunk]


def _split_at_fault(
    events: list[Event], last: type[Event], allowed: frozenset[type], *, over: bool
) -> tuple[list[Event], PluginError | None]:
    for place, event in enumerate(events):
        if over:
            return events[:place], _refuse(f"{_name(event)} came behind {last.__name__}")
        if type(event) not in allowed:
            return events[:place], _no_event(event, allowed)
        over = type(event) is last
    return events, None


def check_order(events: Iterable[object], *, over: bool) -> bool:
    """Check the events that a library hands over at once, and return whether the run is over with them.

    Args:
        events: The events.
        over: It was over before.

    Raises:
        PluginError: One is no event, or comes behind the last one.
    """
    for event in events:
        if type(event) not in _OF_PLAIN_RUNS:
            raise _no_event(event, _OF_PLAIN_RUNS)
        if over:
            raise _refuse(f"{_name(event)} came behind the last event")
        over = type(event) in _LAST
    return over


def _no_event(event: object, allowed: frozenset[type]) -> PluginError:
    names = sorted(kind.__name__ for kind in allowed)
    return _refuse(f"expected one of {', '.join(names)}, not {describe(event)}")


def _name(event: object) -> str:
    return type(event).__name__


def _refuse(problem: str) -> PluginError:
    return PluginError(problem, code=CODE)
