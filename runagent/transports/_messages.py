"""The messages of a run, turned into events, for every transport. See docs/wire.md, "Odd events".

There are two sets of messages: ``start``, ``chunk``, ``error``, ``done`` of the documented API, and
``status``, ``data``, ``error`` of the published server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._call import NOT_RESUMED
from runagent._cutting import cut_text
from runagent._errors import ProtocolError, RunAgentError, StreamError, ValidationError
from runagent._events import Chunk, Completed, Event, Started
from runagent._wire.jsontext import QUOTE_BYTES, InvalidJSONError, decode_json, quote_value
from runagent.transports._error_objects import decode_object, has_error
from runagent.transports._payloads import unwrap_payload
from runagent.transports._unnumbered import UnnumberedReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._call import ResumePoint

__all__ = [
    "MessageReader",
    "is_error",
    "name_of",
    "reports_error",
]

_FAILED = ("error", "failed")
_KEPT_CHARACTERS = 64 * 1024  # of a message that is left out
_NO_MESSAGE = "the agent reported an error without a message"


class MessageReader(UnnumberedReader):
    """Read the messages of one run.

    Args:
        ignored: Counts, by kind, harmless things that are ignored.
        resume: Where this attempt asked to resume; the first chunk must prove that it does.
        max_held_bytes: Bytes of the messages that may come before that proof, as JSON.

    Attributes:
        done: The agent has reported that it is done.
        request_id: The server's id of the run.
        usage: Token counts, once the agent is done.
        last_ignored: The last message of an unknown kind, as text or decoded; None if there is none.
        refusable: An error before the start may refuse the run, as no status can.
    """

    def __init__(
        self,
        ignored: dict[str, int],
        resume: ResumePoint | None = None,
        max_held_bytes: int = 0,
    ) -> None:
        super().__init__(ignored, resume, max_held_bytes)
        self.done = False
        self.request_id: str | None = None
        self.usage: dict[str, Any] | None = None
        self.last_ignored: Any = None
        self.refusable = False
        self._started = False
        self._resumed = resume is not None  # its start message is then not a new event
        self._asked = resume.next_index if resume is not None and resume.proof == "index" else None

    @property
    def over(self) -> bool:
        """Whether all further messages are ignored."""
        return self.done or self.error is not None

    def take(self, kind: str, message: Any, events: list[Event]) -> None:
        """Append a message's events to ``events``; a fault sets ``error``."""
        handler = _HANDLERS.get(kind)
        if handler is None:
            self._leave_out(f"unknown message {kind[:40]!r}", message)
        elif not isinstance(message, dict):
            self.error = ProtocolError(f"the {kind} message is not an object: {quote_value(message)}")
        elif "error" in message and reports_error(message):
            self.error = self.error_of(message)
        else:
            handler(self, message, events)

    def take_untyped(self, message: dict[str, Any], events: list[Event]) -> None:
        """Take a message with its kind under ``type``; one without a kind may be an error."""
        kind = message.get("type")
        if kind is None and reports_error(message):
            kind = "error"
        self.take(name_of(kind), message, events)

    def take_json(self, kind: str, text: str | bytes, events: list[Event]) -> None:
        """Decode a message and take it; text that is not JSON sets ``error``."""
        if kind not in _HANDLERS:
            self._leave_out(f"unknown message {kind[:40]!r}", text)
            return
        try:
            message = decode_json(text)
        except InvalidJSONError as exc:
            self.error = ProtocolError(f"the {kind} message is {exc}")
        else:
            self.take(kind, message, events)

    def take_unnamed(self, text: str, events: list[Event]) -> None:
        """Take an event without a name: an error, a chunk if it has content, or else noise to ignore.

        Text that begins like an object but is not JSON may be either of the first two, so it sets ``error``.
        """
        try:
            message = decode_json(text)
        except InvalidJSONError as exc:
            if text.lstrip().startswith("{"):
                self.error = ProtocolError(f"an event without a name is {exc}")
                return
            message = None
        message = message if isinstance(message, dict) else {}
        if is_error(message):
            self.error = self.error_of(message)
        elif "content" in message:
            self.take("chunk", message, events)
        else:
            self._leave_out("unknown message 'message'", text)

    def hidden_error(self) -> RunAgentError | None:
        """Return the error in the last ignored message, if it has one, for a run that broke off.

        A message of an unknown kind may have an ``error`` that does not end the run, for example that of a
        tool. If the run continues, the error was harmless; if the run breaks off, it is the likely reason.
        """
        message = self.last_ignored
        if isinstance(message, str | bytes):
            message = decode_object(message)
        if not isinstance(message, dict):
            return None
        failed = is_error(message) or message.get("status") in _FAILED
        return self.error_of(message) if failed else None

    # Messages of the documented API

    def _start(self, message: dict[str, Any], events: list[Event]) -> None:
        if self._started:
            self._ignore("another start")
            return
        self._started = True
        if self._resumed:
            return
        self._identify(message, "request_id")
        events.append(
            Started(
                session_id=self._optional(message, "session_id", str),
                invocation_id=self._optional(message, "invocation_id", str),
                message=self._optional(message, "message", str),
            )
        )

    def _chunk(self, message: dict[str, Any], events: list[Event]) -> None:
        try:
            content = message["content"]
        except KeyError:
            self.error = ProtocolError(f"a chunk has no content: {quote_value(message)}")
            return
        self.add_chunk(content, self._optional(message, "index", int), events)

    def _done(self, message: dict[str, Any], events: list[Event]) -> None:
        total = self._optional(message, "total_chunks", int)
        # The end alone resumes a stream that broke right before it: no index proves the place then, but the
        # agent may count the chunks, of the whole answer or of the resumed part.
        if self.unproven and self._asked is not None and total not in (None, 0, self._asked):
            what = f"the agent did not resume at chunk {self._asked} but ended after {total}"
            self.error = StreamError(what, code=NOT_RESUMED)
            return
        self.done = True
        self.usage = self._optional(message, "usage", dict)
        self.flush(events)
        if half := self.surrogates.flush():
            events.append(Chunk(half))
        events.append(
            Completed(
                usage=self.usage,
                stop_reason=self._optional(message, "stop_reason", str),
                interrupts=self._objects(message, "interrupts"),
                message=self._optional(message, "message", str),
                execution_time=self._seconds(message, "execution_time"),
                total_chunks=total,
                proven=message.get("proven") is not False,
                metadata=self._optional(message, "metadata", dict),
            )
        )

    def _error(self, message: dict[str, Any], events: list[Event]) -> None:
        self.error = self.error_of(message)

    def error_of(self, message: dict[str, Any]) -> RunAgentError:
        """Make the error that an agent's message reports."""
        error = message.get("error")
        fields = {**message, **error} if isinstance(error, dict) else message
        texts = [t for t in (error, fields.get("message"), fields.get("detail")) if isinstance(t, str) and t]
        code = self._optional(fields, "code", str)
        text = texts[0] if texts else code or _NO_MESSAGE
        if not (self._started or self._resumed):
            if "detail" in message and error is None:
                return ValidationError(text, code=code)  # how the published server refuses a run
            if self.refusable and (refusal := _refusal(message)) is not None:
                return refusal
        return StreamError(
            text,
            code=code,
            details=fields.get("details"),
            request_id=self._optional(fields, "request_id", str) or self.request_id,
            retry_after=self._seconds(fields, "retry_after"),
        )

    # Messages of the published server

    def _status(self, message: dict[str, Any], events: list[Event]) -> None:
        status = message.get("status")
        self._identify(message, "invocation_id")
        if status == "stream_started":
            self._start(message, events)
        elif status == "stream_completed":
            self._done(message, events)
        elif status != "heartbeat":
            self._leave_out(f"unknown status {name_of(status)[:40]!r}", message)

    def _data(self, message: dict[str, Any], events: list[Event]) -> None:
        if "content" not in message:
            self._chunk(message, events)
            return
        try:
            content = unwrap_payload(message["content"])
        except InvalidJSONError as exc:
            self.error = ProtocolError(f"the payload of a data message is {exc}")
        else:
            self.add_chunk(content, self._optional(message, "index", int), events)

    # For both

    def _identify(self, message: dict[str, Any], name: str) -> None:
        found: str | None = self._optional(message, name, str)
        self.request_id = self.request_id or (found and cut_text(found))

    def _leave_out(self, kind: str, message: Any) -> None:
        self._ignore(kind)
        long = isinstance(message, str | bytes) and len(message) > _KEPT_CHARACTERS
        self.last_ignored = message[:QUOTE_BYTES] if long else message

    def leave_out_line(self, line: bytes) -> None:
        """Take a line that is not part of the format: an error, or else noise to ignore."""
        try:
            message = decode_json(line)
        except InvalidJSONError as exc:
            if exc.undecodable:
                self.error = ProtocolError(f"a line of the stream that is no field is {exc}")
                return
            message = None
        if isinstance(message, dict) and is_error(message):
            self.error = self.error_of(message)
        else:
            self._leave_out("a line that is no field", line)


_HANDLERS: dict[str, Callable[[MessageReader, dict[str, Any], list[Event]], None]] = {
    "start": MessageReader._start,
    "chunk": MessageReader._chunk,
    "done": MessageReader._done,
    "error": MessageReader._error,
    "status": MessageReader._status,
    "data": MessageReader._data,
    "reasoning": MessageReader.read_reasoning,
    "tool_call": MessageReader.read_tool_call,
    "custom": MessageReader.read_custom,
}


def _refusal(message: dict[str, Any]) -> RunAgentError | None:
    from runagent.transports._refusals import error_from_message  # only a run that fails needs it

    return error_from_message(message)


def reports_error(message: dict[str, Any]) -> bool:
    """Whether a message of any kind is the agent's error: it has an ``error`` and no content."""
    return message.get("content") is None and has_error(message)


def is_error(message: dict[str, Any]) -> bool:
    """Whether a message is the agent's error, by its type or its fields."""
    return message.get("type") == "error" or reports_error(message)


def name_of(value: Any) -> str:
    """Return a value that should be a name as text; for an object or a list, its type."""
    return f"<{type(value).__name__}>" if isinstance(value, dict | list) else str(value)
