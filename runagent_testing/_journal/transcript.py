"""Exchanges for snapshots: the same in every run of a test."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.redaction import escaped
from runagent_testing._journal.asdict import as_json_value
from runagent_testing._journal.placeholders import Placeholders
from runagent_testing._journal.progress import progress
from runagent_testing._journal.recorder import Recorder
from runagent_testing._script.describe import described, without_secrets

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from runagent_testing._internal.redaction import Secrets
    from runagent_testing._journal.record import Record

__all__ = ["check_headers", "transcript", "transcripts"]

_HEADERS = ("accept", "authorization", "content-type", "last-event-id", "x-api-key", "x-goog-api-key")
_SETTLING = 1.0  # seconds for the agent to send everything that is due
_FEW = 3  # equal steps in a row that have a line each
_WIDTH = 100  # characters of a JSON value in one line
_FAULTS = ("unmatched", "refused", "failure", "fault")


def check_headers(headers: Collection[str]) -> tuple[str, ...]:
    """Return the names of all header fields to show.

    Raises:
        TypeError: ``headers`` is not a collection of names.
    """
    if isinstance(headers, str) or not all(isinstance(name, str) for name in headers):
        raise TypeError(f"headers= takes names of header fields, such as ['x-tenant'], not {headers!r}")
    return (*_HEADERS, *(name.lower() for name in headers))


def transcripts(
    exchanges: Sequence[Record], secrets: Secrets, headers: Collection[str] = (), *, sort: bool = False
) -> list[dict[str, Any]]:
    """Make the transcripts of exchanges, with the same placeholder for an id in all of them.

    Args:
        exchanges: The exchanges.
        secrets: The credentials to hide.
        headers: Names of header fields to show in addition to the usual ones.
        sort: Whether to sort them by their contents.
    """
    names = check_headers(headers)
    for exchange in exchanges:
        Recorder(exchange).wait_until_idle(_SETTLING)
    sent = [b"".join([write.data for write in exchange.sent]) for exchange in exchanges]

    def of(exchange: Record, placeholders: Placeholders) -> dict[str, Any]:
        return dict(_fields(exchange, secrets, placeholders, names))

    if sort:  # with separate placeholders, as the order decides the numbers of the common ones
        exchanges = sorted(exchanges, key=lambda exchange: transcript(of(exchange, Placeholders(sent))))
    common = Placeholders(sent)
    return [of(exchange, common) for exchange in exchanges]


def transcript(fields: dict[str, Any]) -> str:
    """Write the transcript of an exchange as text."""
    lines = [f"{fields['request']} ({fields['dialect']}, {fields['transport']})"]
    lines += [f"  {name}: {value}" for name, value in fields["headers"].items()]
    if "body" in fields:
        lines += _indented(fields["body"])
    for message in fields.get("messages", ()):
        lines += _indented(message, "> ")
    lines += [f"{name}: {fields[name]}" for name in _FAULTS if name in fields]
    lines.append("answer: " + ("none" if fields["status"] is None else f"{fields['status']}"))
    lines += _counted("  ", fields["steps"])
    lines += ["cancelled"] * fields.get("cancelled", False)
    lines += _counted("  never played: ", fields.get("never_played", ()))
    return "\n".join(map(escaped, lines))


def _counted(mark: str, steps: Iterable[str]) -> Iterator[str]:
    """Yield a line for each step; many equal ones in a row share one."""
    for step, equal in itertools.groupby(steps):
        count = sum(1 for _ in equal)
        yield from [f"{mark}{step}"] * count if count <= _FEW else [f"{mark}{step} ({count} times)"]


def _fields(
    exchange: Record, secrets: Secrets, placeholders: Placeholders, names: Collection[str]
) -> Iterator[tuple[str, Any]]:
    yield "request", placeholders.text(f"{exchange.method} {secrets.text(exchange.path)}")
    yield "agent_id", exchange.agent_id
    yield "dialect", exchange.dialect
    yield "transport", exchange.transport
    headers = secrets.headers({name: exchange.raw_headers.get(name, "") for name in sorted(names)})
    yield (
        "headers",
        {name: placeholders.text(value) for name, value in headers.items() if name in exchange.raw_headers},
    )
    if exchange.messages:
        yield "messages", [_message(message, secrets, placeholders) for message in exchange.messages]
    elif exchange.body is not None:
        yield "body", placeholders.value(as_json_value(secrets.value(exchange.body)))
    for name in _FAULTS:
        if (text := getattr(exchange, name)) is not None:
            yield name, placeholders.text(secrets.text(text))
    yield "status", exchange.status
    played: list[str] = []
    never: list[str] = []
    before = 0
    for number, step, seconds in progress(exchange):
        if number > before + 1:
            played.append(f"... {number - before - 1} more steps ...")
        before = number
        shown = described(placeholders.step(without_secrets(step, secrets)), repr)
        (never if seconds is None else played).append(shown)
    yield "steps", played
    if exchange.outcome == "cancelled":
        yield "cancelled", True
    if never:
        yield "never_played", never


def _message(message: str | bytes, secrets: Secrets, placeholders: Placeholders) -> Any:
    """Return a message of a WebSocket's client: the JSON value that it has, if it has one."""
    value: Any = message
    if isinstance(message, str):
        try:
            value = json.loads(message)
        except ValueError:
            value = message
    return placeholders.value(as_json_value(secrets.value(value)))


def _indented(value: Any, mark: str = "") -> list[str]:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) > _WIDTH:
        text = json.dumps(value, ensure_ascii=False, indent=2)
    first, *others = text.split("\n")
    return [f"  {mark}{first}", *(f"  {' ' * len(mark)}{line}" for line in others)]
