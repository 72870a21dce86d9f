"""What a dialect can express, found out by asking it, so that its author need not declare it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from runagent_testing._script.steps import Chunk, Custom, Done, Error, Reasoning, Step, ToolCall
from runagent_testing.conformance._harness.samples import (
    CALLS,
    CUSTOMS,
    THOUGHTS,
    end_with_everything,
    facts_in,
)
from runagent_testing.dialects import Dialect, DialectRun, Format
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._installed import installed_dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runagent_testing._journal.exchange import Exchange

__all__ = ["TIMESTAMP", "VALUE", "Traits", "half_an_event", "traits_of"]

_BLANKS = "   "  # four times as many are written, as the text may be cut in two
_MARK = "KIT_MARK"
VALUE = {"page": 1, "of": [2.5, None, True]}
"""A chunk that is not text."""
TIMESTAMP = "2026-01-01T00:00:00+00:00"
"""When every run of the kit begins on the fixed clock."""

_OTHERS: dict[str, tuple[Step, ...]] = {
    "reasoning": (Reasoning("x"), *THOUGHTS),
    "tool_call": (ToolCall("x"), *CALLS),
    "custom": (Custom("x", {}), *CUSTOMS),
}


@dataclass(frozen=True, slots=True)
class Traits:
    """What the dialect can express.

    Attributes:
        transport: The dialect's name for the transport of the request.
        writes_frames: Whether the transport is a WebSocket.
        delimited: Whether the bytes show where a chunk ends.
        structured: Whether a chunk may be a JSON value instead of text.
        supports_errors: Whether a run can fail after its first chunk.
        writes_errors: Whether the stream itself reports that.
        marked: Whether there is an end marker; without one only HTTP's framing, or another answer,
            distinguishes a whole answer from a truncated one.
        separate_end: Whether another answer than the stream reports how the run ended.
        shares_ids: Whether events may share an id.
        heartbeats: Whether there is a sign of life without an event.
        carries: Which of the steps ``reasoning``, ``tool_call`` and ``custom`` it can write.
        text_arguments: Whether it writes the arguments of a tool call as text, whose blanks are kept; if not,
            as an object.
        call_ids: Whether it writes the id of a tool call.
        error_codes: Whether it writes the code of an error as it is.
        end_facts: What it can write about a completed run, as `facts_in` names it.
    """

    transport: str
    writes_frames: bool
    delimited: bool
    structured: bool
    supports_errors: bool
    writes_errors: bool
    marked: bool
    separate_end: bool
    shares_ids: bool
    heartbeats: bool
    carries: frozenset[str]
    text_arguments: bool
    call_ids: bool
    error_codes: bool
    end_facts: frozenset[str]

    @property
    def proves_end(self) -> bool:
        """Whether a whole answer differs from one that ends properly although the agent broke off."""
        return self.marked or self.separate_end


def traits_of(exchange: Exchange, dialects: Iterable[Dialect]) -> Traits:
    """Return what the dialect of a request can express."""
    form, run = _format(exchange, dialects)
    marker = form.done(Done(), run, 0)
    return Traits(
        transport=run.transport,
        writes_frames=form.writes_frames,
        delimited=form.delimited,
        structured=_can_write(run, lambda form: form.chunk(Chunk(VALUE), None, None)),
        supports_errors=form.supports_errors,
        writes_errors=form.supports_errors and bool(form.error(Error(None, "x"))),
        marked=bool(marker) and not form.separate_end,  # behind which more of the stream may come
        separate_end=form.separate_end,
        shares_ids=form.shares_ids,
        heartbeats=bool(form.heartbeat),
        carries=frozenset(
            name for name, steps in _OTHERS.items() if all(_carries(run, name, step) for step in steps)
        ),
        text_arguments=_writes(
            run, "tool_call", ToolCall("x", f'{{"a":{_BLANKS * 4}1}}'), _BLANKS, default=True
        ),
        call_ids=_writes(run, "tool_call", ToolCall("x", id=_MARK), _MARK),
        error_codes=_writes(run, "error", Error(_MARK, "x"), _MARK),
        end_facts=_end_facts(run),
    )


def _end_facts(run: DialectRun) -> frozenset[str]:
    ends = []
    for done in (end_with_everything(), Done()):
        form = run.dialect.stream(run)
        try:
            form.start(run)
            ends.append(form.done(done, run, 0))
        except Exception:  # noqa: BLE001 - a dialect may refuse a step by any exception
            return frozenset()
    return facts_in(*ends)


def _carries(run: DialectRun, name: str, step: Step) -> bool:
    return _can_write(run, lambda form: getattr(form, name)(step))


def _can_write(run: DialectRun, write: Callable[[Format], bytes]) -> bool:
    form = run.dialect.stream(run)
    try:
        form.start(run)
        written = write(form)
    except UnicodeError:  # a ValueError, too, and yet a mistake
        return True
    except (NotImplementedError, ValueError):  # how a format refuses a step
        return False
    except Exception:  # noqa: BLE001 - a mistake in the dialect: the checks of such events report it
        return True
    return bool(written)


def _writes(run: DialectRun, name: str, step: Step, text: str, *, default: bool = False) -> bool:
    """Whether a text of a step is written as it is; ``default`` if the dialect refuses the step."""
    form = run.dialect.stream(run)
    try:
        form.start(run)
        written = getattr(form, name)(step)
    except Exception:  # noqa: BLE001 - a dialect may refuse a step by any exception
        return default
    return text.encode() in written


def half_an_event(exchange: Exchange, dialects: Iterable[Dialect]) -> bytes:
    """Write the first half of a chunk."""
    form, run = _format(exchange, dialects)
    form.start(run)
    written = form.chunk(Chunk("half"), None, None)
    return written[: len(written) // 2]


def _format(exchange: Exchange, dialects: Iterable[Dialect]) -> tuple[Format, DialectRun]:
    spoken = next(
        dialect
        for dialect in (*dialects, *BUILT_IN, *installed_dialects())
        if dialect.name == exchange.dialect
    )
    run = DialectRun(
        exchange.transport,
        "run",
        TIMESTAMP,
        exchange.input if isinstance(exchange.input, dict) else {},
        exchange.raw_headers,
        body=exchange.body,
        dialect=spoken,
    )
    return spoken.stream(run), run
