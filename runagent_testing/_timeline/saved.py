"""Timelines of saved journals: the JSON of ``journal.save()`` and of ``--fake-agent-save``. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import msgspec

from runagent_testing._recording.reading import RecordingError
from runagent_testing._timeline.model import AGENT, CLIENT, Mark, Timeline
from runagent_testing._timeline.recorded import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["journaled"]

# Steps that are no event of an answer; the description of a step begins with its kind.
_NO_EVENTS = ("heartbeat", "delay", "gate", "head", "status", "ending")
_CLIENT = {
    "closed": "closed the connection (FIN)",
    "reset": "reset the connection (RST)",
    "half-closed": "closed its sending half (FIN)",
}
_NATURAL_END = "as the protocol ends an answer"
_FIN = "FIN without an end"
_ENDINGS = {"cut": _FIN, "fin": _FIN, "fin-in-chunk": "FIN inside a chunk or frame", "reset": "RST"}
_ENDING = re.compile(r"ending '([a-z-]+)'")
_STEPS_SHOWN = 20  # of one write
_AT_BYTE = re.compile(r" \(byte (\d+)\)$")


_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class _Step(msgspec.Struct):
    number: int
    step: str


class _Write(msgspec.Struct):
    seconds: _Seconds
    bytes: int
    steps: list[int] = []
    text: str = ""


class _Exchange(msgspec.Struct):
    arrival: int
    agent_id: str | None
    transport: str | None
    method: str
    path: str
    outcome: str
    status: int | None = None
    client: str = ""
    messages: list[object] = []
    message_times: list[_Seconds | None] = []
    ended_at: _Seconds | None = None
    disconnected_at: _Seconds | None = None
    steps: list[_Step] = []
    writes: list[_Write] = []


class _Journal(msgspec.Struct):
    exchanges: list[_Exchange]


def journaled(data: bytes, path: str) -> list[Timeline]:
    """Return the timeline of each exchange of a journal; its times are those of the agent's writes.

    Raises:
        RecordingError: It is not the JSON of a journal.
    """
    try:
        journal = msgspec.json.decode(data, type=_Journal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise RecordingError(path, [_problem(exc, data)]) from None
    return [_timeline(exchange) for exchange in journal.exchanges]


def _problem(exc: Exception, data: bytes) -> tuple[int, str]:
    """Return the line of a fault and what it is; a value of another type is named by its path in the JSON."""
    text = str(exc)
    at = _AT_BYTE.search(text)
    line = data.count(b"\n", 0, int(at[1])) + 1 if at else 1
    return line, f"this is neither a recording nor the JSON of a journal: {_AT_BYTE.sub('', text)}"


def _timeline(exchange: _Exchange) -> Timeline:
    status = "no answer" if exchange.status is None else f"status {exchange.status}"
    names = [exchange.agent_id, exchange.transport]
    asked = f"{exchange.method} {exchange.path}"
    title = ", ".join([f"request {exchange.arrival}", *filter(None, names), asked, status])
    marks = tuple(sorted(_marks(exchange), key=lambda mark: mark.seconds))
    is_done = exchange.outcome == "done"
    last = exchange.steps[-1].step if exchange.steps else ""
    ending = match[1] if (match := _ENDING.match(last)) else "clean"
    is_whole = is_done and ending == "clean"
    end = exchange.outcome if not is_done else _NATURAL_END if is_whole else _ENDINGS.get(ending, last)
    return Timeline(title, marks, end, exchange.ended_at, is_whole, exchange.arrival)


def _marks(exchange: _Exchange) -> Iterator[Mark]:
    yield Mark(0.0, CLIENT, f"request {exchange.method} {exchange.path}")
    for message, seconds in zip(exchange.messages, exchange.message_times, strict=False):
        if seconds is not None:
            yield Mark(seconds, CLIENT, excerpt(str(message).encode("utf-8", "replace")))
    events = _events(exchange)
    steps = {step.number: step.step for step in exchange.steps}
    for number, write in enumerate(exchange.writes):
        text = ", ".join(steps[each] for each in write.steps[:_STEPS_SHOWN] if each in steps)
        yield Mark(write.seconds, AGENT, text or excerpt(_data(write)), write.bytes, events.get(number, 0))
    if exchange.disconnected_at is not None:
        yield Mark(exchange.disconnected_at, CLIENT, _CLIENT.get(exchange.client, exchange.client))


def _events(exchange: _Exchange) -> dict[int, int]:
    """Count the events that are complete with a write: those steps of which it is the last."""
    kinds = {step.number: step.step for step in exchange.steps}
    last = {step: number for number, write in enumerate(exchange.writes) for step in write.steps}
    counts: dict[int, int] = {}
    for step, number in last.items():
        if not kinds.get(step, "").startswith(_NO_EVENTS):
            counts[number] = counts.get(number, 0) + 1
    return counts


def _data(write: _Write) -> bytes:
    return write.text.encode("utf-8", "replace") if write.text else b"(binary)"
