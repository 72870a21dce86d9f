"""Exchanges for people to read: the scripted steps next to the writes."""

from __future__ import annotations

from itertools import zip_longest
from reprlib import Repr
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.redaction import escaped
from runagent_testing._render.plan import ENDS, Pass, Wait, Write
from runagent_testing._script.describe import described, without_secrets
from runagent_testing._script.steps import Chunk, Ending

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from runagent_testing._internal.redaction import Secrets
    from runagent_testing._journal.record import Record, Sent
    from runagent_testing._render.plan import AnyPlan, Move

__all__ = ["timeline"]

_LEFT = 40  # characters
_STEPS_SHOWN = 5  # of one write
_MOVES_SHOWN = 8, 5, 2  # at the beginning, around the current move, at the end
_AROUND = 300  # bytes around a write in which a field's name is searched, as the write may begin in its value
_SEARCHED = 20_000  # bytes at each end of a write that are searched, as only its ends are shown
_LEFT_HOW = {
    "closed": "closed the connection (FIN)",
    "reset": "reset the connection (RST)",
    "half-closed": "closed its sending half",
}

_excerpt = Repr()
_excerpt.maxother = 64


def timeline(exchange: Record, secrets: Secrets) -> str:
    """Show one exchange; a long one is shortened in the middle.

    Args:
        exchange: The exchange.
        secrets: The credentials to hide.
    """
    lines = [f"request {exchange.title}, connection {exchange.connection}"]
    lines[0] += " (used before)" if exchange.reused else " (new)"
    if exchange.body is not None:
        lines.append(f"  input: {_brief(secrets.value(exchange.input))}")
    wrong = {name: getattr(exchange, name) for name in ("unmatched", "refused", "failure", "fault")}
    lines += [f"  {name}: {secrets.text(text)}" for name, text in wrong.items() if text is not None]
    rows = [("scripted", "seconds  sent"), ("-" * _LEFT, "-" * 40), *_rows(exchange, secrets)]
    lines += [f"  {_fitting(left):{_LEFT}} | {right}".rstrip() for left, right in rows]
    return "\n".join(map(escaped, [*lines, f"  {_conclusion(exchange)}"]))


def _rows(exchange: Record, secrets: Secrets) -> Iterator[tuple[str, str]]:
    plan = exchange.plan
    if plan is None:
        yield from (
            (f"{number:>4}  {described(without_secrets(step, secrets))}", "   never")
            for number, step in enumerate(exchange.steps, 1)
        )
    unplanned, times = exchange.unplanned_places, exchange.times
    seen: set[int] = set()
    shown = -1
    for at in _moves_to_show(exchange):
        assert plan is not None
        if at > shown + 1:
            yield f"      ... {at - shown - 1} more moves ...", ""
        shown = at
        move = plan.moves[at]
        seconds = times[at] if at < len(times) else None
        while unplanned and unplanned[0].after <= at:
            yield _unplanned_line(unplanned.pop(0).sent, secrets)
        data = _shown_data(plan.moves, at, secrets)
        scripted = _scripted(move, exchange, seen, secrets)
        yield from zip_longest(scripted, _played(move, data, seconds), fillvalue="")
    yield from (_unplanned_line(extra.sent, secrets) for extra in unplanned)
    if plan is not None:
        yield _ending(exchange, plan, secrets)


def _moves_to_show(exchange: Record) -> list[int]:
    count = 0 if exchange.plan is None else len(exchange.plan.moves)
    first, around, last = _MOVES_SHOWN
    here = exchange.moves_done
    shown = {*range(first), *range(here - around, here + around), *range(count - last, count)}
    return [at for at in sorted(shown) if 0 <= at < count]


def _shown_data(moves: Sequence[Move], at: int, secrets: Secrets) -> bytes:
    """Hide credentials in a write, even parts of them; a long write loses its middle."""
    room = secrets.longest + _AROUND
    before, after = b"", b""
    for move in reversed(moves[max(at - room, 0) : at]):
        if len(before) < room and isinstance(move, Write):
            before = move.data[-room:] + before
    for move in moves[at + 1 : at + 1 + room]:
        if len(after) < room and isinstance(move, Write):
            after += move.data[:room]
    move = moves[at]
    data = move.data if isinstance(move, Write) else b""
    if len(data) <= 2 * _SEARCHED:
        return secrets.data(before + data + after)[len(before) : len(before) + len(data)]
    begin = secrets.data(before + data[:_SEARCHED])[len(before) :]
    return begin + secrets.data(data[-_SEARCHED:] + after)[:_SEARCHED]


def _scripted(move: Move, exchange: Record, seen: set[int], secrets: Secrets) -> list[str]:
    """List the steps of a move."""
    if isinstance(move, Write):
        numbers = list(move.steps)
    else:
        numbers = [] if move.step is None else [move.step]
    lines = []
    for number in numbers:
        more = " (more of it)" if number in seen else ""
        if isinstance(move, Wait) and isinstance(exchange.steps[number], Chunk):
            more = " (its pace)"
        else:
            seen.add(number)
        lines.append(f"{number + 1:>4}  {described(without_secrets(exchange.steps[number], secrets))}{more}")
    if len(lines) > _STEPS_SHOWN:
        lines[3:-1] = [f"      ... {len(lines) - 4} more steps ..."]
    return lines


def _played(move: Move, shown: bytes, seconds: float | None) -> list[str]:
    match move:
        case Write(data=data, whole=whole):
            cut = "" if whole else ", cut inside an event"
            text = f"write of {_size(data)}{cut}", f"         {_excerpt.repr(shown)}"
        case Wait(seconds=length):
            text = f"waited {length:g} s", ""
        case Pass(gate=gate):
            # One that a run has passed may have been closed since.
            text = f"gate {'open' if seconds is not None or gate.is_open else 'shut'}", ""
    when = "   never" if seconds is None else f"{seconds:8.3f}"
    return [f"{when}  {text[0]}", *filter(None, text[1:])]


def _unplanned_line(sent: Sent, secrets: Secrets) -> tuple[str, str]:
    shown = _excerpt.repr(secrets.data(sent.data))
    return "      (the protocol)", f"{sent.seconds:8.3f}  {_size(sent.data)} {shown}"


def _size(data: bytes) -> str:
    return "1 byte" if len(data) == 1 else f"{len(data)} bytes"


def _ending(exchange: Record, plan: AnyPlan, secrets: Secrets) -> tuple[str, str]:
    last = exchange.steps[-1] if exchange.steps else None
    left = (
        f"{len(exchange.steps):>4}  {described(without_secrets(last, secrets))}"
        if isinstance(last, Ending)
        else "      (the end)"
    )
    if plan.rest is not None:
        return "      (more to come)", f"   never  from {plan.rest}"
    if exchange.moves_done < len(plan.moves) or plan.end is None:
        return left, "   never"
    at = exchange.ended_at if exchange.outcome == "done" else max(exchange.times, default=0.0)
    when = "        " if at is None else f"{at:8.3f}"
    return left, f"{when}  {ENDS[plan.end].description}"


def _conclusion(exchange: Record) -> str:
    ended = "" if exchange.ended_at is None else f" after {exchange.ended_at:.3f} s"
    text = f"{exchange.outcome}{ended}; "
    if exchange.client == "still reading":
        given_up = exchange.outcome == "client disconnected"
        return text + ("the agent gave up the client" if given_up else "the client had not disconnected")
    text += f"the client {_LEFT_HOW[exchange.client]} after {exchange.disconnected_at or 0.0:.3f} s"
    return text if exchange.unread_bytes is None else f"{text} with {exchange.unread_bytes} bytes unread"


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def _fitting(text: str) -> str:
    return text if len(text) <= _LEFT else f"{text[: _LEFT - 3]}..."
