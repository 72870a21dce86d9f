"""The observers of one call, and how its facts are reported to them."""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from runagent._address.fields import validate_headers
from runagent._call import AgentCall, merge_headers
from runagent._internal.foreign import ENDS_LOOPS, let_signals_through
from runagent._internal.jsoninput import copy_input, copy_input_object, read_entrypoint_tag
from runagent._public import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runagent._events import Completed, Event, RunResult
    from runagent._report import Attempt, RunReport

__all__ = ["CHANGEABLE", "HOOKS", "CallObserver", "CallObservers", "Source", "ask"]

_logger = logging.getLogger("runagent.plugins")

CHANGEABLE = frozenset({"args", "entrypoint_tag", "headers", "input"})
HOOKS = ("prepare", "attempt", "attempt_ended", "first_event", "received", "completed", "finished")


class CallObserver(Protocol):
    """What an observer of one call may have; every method may be left out.

    Methods are plain functions and must not wait: they run in the reader's thread or task, but for a stream
    that nobody holds any more, which is finished by the collection of garbage, in any thread. What one
    raises is logged, and the observer is asked nothing more about the call.
    """

    def prepare(self, call: AgentCall) -> AgentCall | None:
        """Change the call before it begins. Called once.

        Returns:
            None to leave it as it is, or a call made by ``call.replace(...)`` that differs in ``headers``,
            ``input``, ``args`` or ``entrypoint_tag`` and in nothing else.
        """

    def attempt(self, attempt: Attempt) -> Mapping[str, str] | None:
        """Learn that an attempt begins; nothing of it has been sent.

        Returns:
            Header fields for this attempt alone, such as the id of its span, or None.
        """

    def attempt_ended(self, attempt: Attempt) -> None:
        """Learn how an attempt ended: its times, status and error are there."""

    def first_event(self, seconds: float) -> None:
        """Learn that the first event has come, so many seconds after the run began."""

    def received(self, events: Sequence[Event], seconds: float) -> None:
        """Get the events of one read, so many seconds after the run began; never called for each chunk."""

    def completed(self, event: Completed | RunResult) -> None:
        """Get the last event of a good run: usage and stop reason are in it."""

    def finished(self, report: RunReport) -> None:
        """Learn how the run ended. Called exactly once, whatever its end is."""


class Source(msgspec.Struct, frozen=True):
    """What makes observers: a plugin, or an object that was registered."""

    name: str
    observer: object
    function: Callable[[AgentCall], Any]


def ask(source: Source, call: AgentCall) -> Any:
    """Return the observer that a source has for a call; None for none, or if it fails."""
    try:
        observer = source.function(call)
        if observer is not None and not any(hasattr(observer, hook) for hook in HOOKS):
            raise TypeError(f"{observer!r} has none of the methods {', '.join(HOOKS)}")
    except (Exception, *ENDS_LOOPS) as exc:  # noqa: BLE001  # of a third party: whatever it raises, the run goes on
        _log_failure(source.name, exc)
        return None
    return observer


class CallObservers:
    """The observers of one call.

    Args:
        observers: Each with the name of its source.
    """

    def __init__(self, observers: list[tuple[str, Any]]) -> None:
        self._observers = observers

    @property
    def watches_reads(self) -> bool:
        """Whether one of them wants the events of each read."""
        return any(hasattr(observer, "received") for _, observer in self._observers)

    def prepare(self, call: AgentCall) -> AgentCall:
        """Let each observer change the call, one after the other."""
        for name, observer, method in self._with("prepare"):
            try:
                changed = _checked(call, _result(method(call)))
            except (Exception, *ENDS_LOOPS) as exc:  # noqa: BLE001  # see `ask`
                self._drop(name, observer, exc)
            else:
                call = changed
        return call

    def attempt(self, attempt: Attempt) -> tuple[tuple[str, str], ...]:
        """Report that an attempt begins, and return the header fields that it gets."""
        found: tuple[tuple[str, str], ...] = ()
        for name, observer, method in self._with("attempt"):
            try:
                found = merge_headers(found, validate_headers(_result(method(attempt))))
            except (Exception, *ENDS_LOOPS) as exc:  # noqa: BLE001  # see `ask`
                self._drop(name, observer, exc)
        return found

    def report(self, hook: str, *facts: Any) -> None:
        """Call one of the other methods of each observer that has it."""
        for name, observer, method in self._with(hook):
            try:
                _result(method(*facts))
            except (Exception, *ENDS_LOOPS) as exc:  # noqa: BLE001  # see `ask`
                self._drop(name, observer, exc)

    def _with(self, hook: str) -> Iterator[tuple[str, Any, Callable[..., Any]]]:
        for name, observer in tuple(self._observers):
            if (method := getattr(observer, hook, None)) is not None:
                yield name, observer, method

    def _drop(self, name: str, observer: object, exc: BaseException) -> None:
        _log_failure(name, exc)
        self._observers = [each for each in self._observers if each[1] is not observer]


def _log_failure(name: str, exc: BaseException) -> None:
    let_signals_through(exc)
    # As text: a traceback, also one in a log record, would hold the stream and all it holds.
    text = "".join(traceback.format_exception(exc)).rstrip()
    exc.__traceback__ = None
    _logger.warning("the observer %s failed and is asked nothing more about this call\n%s", name, text)


def _result(returned: Any) -> Any:
    """Return what a method has returned, unless that has to be awaited."""
    if hasattr(returned, "__await__"):
        if hasattr(returned, "close"):
            returned.close()  # a coroutine that is never awaited complains
        raise TypeError("an observer's methods have to be plain functions without await")
    return returned


def _checked(call: AgentCall, changed: object) -> AgentCall:
    """Return what an observer has made of a call.

    Raises:
        TypeError: It is no call.
        ValueError: It changes what is not an observer's to change.
        RunAgentError: Its header fields or its input could not be sent.
    """
    if changed is None:
        return call
    if not isinstance(changed, AgentCall):
        raise TypeError(f"prepare returned {changed!r} instead of an AgentCall or None")
    for name in (name for name in AgentCall.__struct_fields__ if name not in CHANGEABLE):
        if getattr(changed, name) != getattr(call, name):
            allowed = ", ".join(sorted(CHANGEABLE))
            raise ValueError(f"prepare changed {name}; it may change {allowed}")
    return changed.replace(
        headers=validate_headers(dict(changed.headers)),
        entrypoint_tag=read_entrypoint_tag(changed.entrypoint_tag),
        input=copy_input_object(changed.input, "input"),
        args=tuple(copy_input(changed.args, "args")),
    )


publish(CallObserver)
