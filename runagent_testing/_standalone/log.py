"""The log: one line when a run begins, one when it ends, for people or as JSON."""

from __future__ import annotations

import itertools
import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from runagent_testing._internal.log import logger
from runagent_testing._internal.redaction import Secrets
from runagent_testing._render.plan import Write
from runagent_testing._script.describe import described
from runagent_testing._script.steps import Chunk, Ending

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._journal.exchange import Exchange

__all__ = ["ExchangeLog", "as_json", "as_text", "sent_chunks"]

_COLORS = {
    "begins": "36",
    "done": "32",
    "cancelled": "33",
    "client disconnected": "33",
    "server closed": "33",
    "ERROR": "31",
}
_WIDTH = 100  # characters of an input


class Writer(Protocol):
    """What takes lines: a text file, or an `Output`."""

    def write(self, line: str, /) -> object:
        """Write."""

    def flush(self) -> None:
        """Write at once."""


class Entry(NamedTuple):
    """One line of the log.

    Attributes:
        event: "begins" or "ends" for an exchange, "message" for what was logged, or an event of the program.
        text: For people.
        fields: For programs; JSON values.
        style: A key of the colors: an outcome or a level.
        timed: Whether people are shown the time.
    """

    event: str
    text: str
    fields: dict[str, Any]
    style: str = ""
    timed: bool = True


def as_text(*, color: bool = False) -> Callable[[Entry], str]:
    """Return what makes lines for people, with ANSI colors if the terminal understands them."""

    def line(entry: Entry) -> str:
        text = entry.text
        if color and entry.style in _COLORS:
            text = f"\x1b[{_COLORS[entry.style]}m{text}\x1b[0m"
        now = f"{datetime.now().astimezone():%H:%M:%S.%f}"[:12]
        return f"{now} {text}" if entry.timed else text

    return line


def as_json(entry: Entry) -> str:
    """Make a line that is one JSON object."""
    time = datetime.now().astimezone().isoformat(timespec="milliseconds")
    return json.dumps({"time": time, "event": entry.event, **entry.fields}, default=repr)


class ExchangeLog(logging.Handler):
    """Writes the records of ``runagent_testing``, and of other libraries.

    Args:
        stream: Where to.
        line: Makes the line of an entry.
        api_key: Never shown, wherever it may turn up.
    """

    def __init__(
        self,
        stream: Writer,
        *,
        line: Callable[[Entry], str] | None = None,
        api_key: str | None = None,
    ) -> None:
        super().__init__(logging.INFO)
        self._stream = stream
        self._line = line or as_text()
        self._secrets = Secrets(values=[] if api_key is None else [api_key])
        self._running: dict[Exchange, int] = {}
        self._count = 0

    def note(self, event: str, text: str, *, timed: bool = True, **fields: Any) -> None:
        """Write about the program itself."""
        self._write(Entry(event, text, fields, timed=timed))

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; what cannot be shown stops nobody."""
        try:
            self._emit(record)
        except Exception as exc:  # noqa: BLE001 - whatever a dialect has made of a request
            self._message(f"a line is missing here: {type(exc).__name__}", "ERROR")

    def _emit(self, record: logging.LogRecord) -> None:
        exchange: Exchange | None = getattr(record, "exchange", None)
        if exchange is None:
            self._message(_message(record), record.levelname)
        elif exchange.outcome == "running":
            self._begun(exchange)
        elif exchange in self._running or exchange.method != "OPTIONS":  # a preflight is the browser's
            self._ended(exchange, self._running.pop(exchange, None))

    def _message(self, text: str, level: str) -> None:
        self._write(Entry("message", text, {"level": level.lower(), "message": text}, level))

    def _begun(self, exchange: Exchange) -> None:
        self._count += 1
        self._running[exchange] = self._count
        given = exchange.secrets.value(exchange.input)
        shown = json.dumps(given, ensure_ascii=False, default=repr)
        shown = shown if len(shown) <= _WIDTH else f"{shown[:_WIDTH]}..."
        text = f"{_name(exchange, self._count)} begins: {shown}"
        fields = {**_fields(exchange, self._count), "input": given}
        self._write(Entry("begins", text, fields, "begins"), exchange)

    def _ended(self, exchange: Exchange, number: int | None) -> None:
        last = exchange.steps[-1] if exchange.steps else None
        ending = described(last) if exchange.outcome == "done" and isinstance(last, Ending) else None
        client = None if exchange.client == "still reading" else exchange.client
        sent, scripted = sent_chunks(exchange)
        if exchange.transport in ("invoke", "run"):
            sent = scripted = 0
        seconds = exchange.ended_at or 0
        status = None if exchange.status == 101 else exchange.status
        parts = [
            exchange.outcome,
            ending,
            None if client is None else f"client {client}",
            f"{sent} of {scripted} chunks" if scripted else None,
            None if status is None else f"status {status}",
            f"{seconds:.3f} s",
            None if exchange.fault is None else f"fault {exchange.fault}",
            exchange.unmatched,
            exchange.refused,
            exchange.failure,
        ]
        fields = {
            **_fields(exchange, number),
            "outcome": exchange.outcome,
            "ending": ending,
            "client": client,
            "sent_chunks": sent if scripted else None,
            "chunks": scripted or None,
            "status": status,
            "seconds": round(seconds, 6),
            "fault": exchange.fault,
            "unmatched": exchange.unmatched,
            "refused": exchange.refused,
            "failure": exchange.failure,
        }
        text = f"{_name(exchange, number)} ends: {', '.join(filter(None, parts))}"
        self._write(Entry("ends", text, fields, exchange.outcome), exchange)

    def _write(self, entry: Entry, exchange: Exchange | None = None) -> None:
        secrets = self._secrets if exchange is None else exchange.secrets
        fields = {name: secrets.value(item) for name, item in entry.fields.items() if item is not None}
        text = secrets.line(entry.text)
        self._stream.write(self._line(entry._replace(text=text, fields=fields)) + "\n")
        self._stream.flush()


def sent_chunks(exchange: Exchange) -> tuple[int, int]:
    """Count the chunks that have left as a whole, and those that the answer has."""
    if exchange.plan is None:
        return 0, 0
    known = exchange.plan.known
    every, left = (
        {
            number
            for move in some
            if isinstance(move, Write)
            for number in move.steps
            if isinstance(exchange.steps[number], Chunk)
        }
        for some in (known, known[exchange.moves_done :])
    )
    more = itertools.islice(exchange.steps, max(every, default=-1) + 1, None)
    to_come = 0 if exchange.plan.is_whole else sum(isinstance(step, Chunk) for step in more)
    return len(every - left), len(every) + to_come


def _name(exchange: Exchange, number: int | None) -> str:
    return exchange.title if number is None else f"#{number} {exchange.agent_id} {exchange.transport}"


def _fields(exchange: Exchange, number: int | None) -> dict[str, Any]:
    path = exchange.secrets.line(exchange.path)
    fields = {"run": number, "method": exchange.method, "path": path, "transport": exchange.transport}
    return fields if number is None else {**fields, "agent": exchange.agent_id, "dialect": exchange.dialect}


def _message(record: logging.LogRecord) -> str:
    if record.name == logger.name:
        return record.getMessage()
    # Of what other libraries log, nothing is known: a traceback may quote anything.
    failure = record.exc_info[1] if record.exc_info else None
    return f"{record.name}: {record.getMessage()}" + (f": {type(failure).__name__}" if failure else "")
