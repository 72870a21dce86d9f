"""The messages of a run, whatever carried them, as events. See docs/wire.md, "Odd events".

Two vocabularies mean the same: ``start``, ``chunk``, ``error``, ``done`` of the documented API,
and ``status``, ``data``, ``error`` of the published server.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec

from runagent._cutting import cut_text
from runagent._errors import ProtocolError, RunAgentError, StreamError, ValidationError
from runagent._events import Chunk, Completed, Event, Started
from runagent._wire.jsontext import QUOTE_BYTES, InvalidJSONError, decode_json, quote_value
from runagent.transports._base import count_ignored
from runagent.transports._counting import ChunkCount
from runagent.transports._refusals import decode_object, has_error, is_seconds
from runagent.transports._rows import DATA, NOT_OF_THE_KIND, decode_row, unwrap_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec.json import Decoder

    from runagent._call import ResumePoint
    from runagent.transports._rows import ChunkMessage

__all__ = [
    "MessageReader",
    "SurrogateJoiner",
    "is_error",
    "name_of",
    "reports_error",
    "unwrap_payload",
]

_FAILED = ("error", "failed")
_KEPT_CHARACTERS = 64 * 1024  # of a message that is left out
_NO_MESSAGE = "the agent reported an error without a message"


class MessageReader:
    """Read the messages of one run.

    Args:
        ignored: Counts, by kind, whatever is harmless and left out.
        resume: Where this attempt was asked to go on; the first chunk must prove that it does.

    Attributes:
        done: The agent has said that it is done.
        error: The run's end, if it is a bad one.
        request_id: The id by which the server knows the run.
        count: The count of the chunks, where the agent numbers them.
        last_event_id: The last event id seen.
        last_ignored: The last message of an unknown kind, as text or decoded; None if there is none.
    """

    def __init__(self, ignored: dict[str, int], resume: ResumePoint | None = None) -> None:
        self.done = False
        self.error: RunAgentError | None = None
        self.request_id: str | None = None
        self.count = ChunkCount(resume)
        self.last_event_id = resume.last_event_id if resume else ""
        self.last_ignored: Any = None
        self._ignored = ignored
        self._started = False
        self._resumed = resume is not None  # its start is expected, and no news
        self._surrogates = SurrogateJoiner()

    @property
    def over(self) -> bool:
        """Whether everything that may still come is to be ignored."""
        return self.done or self.error is not None

    def take(self, kind: str, message: Any, events: list[Event]) -> None:
        """Add to ``events`` what a message means; a fault sets ``error``."""
        handler = _HANDLERS.get(kind)
        if handler is None:
            self._leave_out(f"unknown message {kind[:40]!r}", message)
        elif not isinstance(message, dict):
            self.error = ProtocolError(f"the {kind} message is not an object: {quote_value(message)}")
        elif reports_error(message):
            self.error = self.error_of(message)
        else:
            handler(self, message, events)

    def take_untyped(self, message: dict[str, Any], events: list[Event]) -> None:
        """Take an object that carries its kind itself, under ``type``; one without may be an error."""
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
        """Take an event without a name: an error if it is one, a chunk if it has content, noise otherwise.

        What looks like an object and is not JSON may be either, and is no noise.
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
        """Return the error in the last message that was left out, if it is one, for a run that ends badly.

        A message of an unknown kind may have an ``error`` that is none of the run's, of a tool for example.
        If the run then goes on, it was harmless; if the run breaks off, it is the agent's last word.
        """
        message = self.last_ignored
        if isinstance(message, str | bytes):
            message = decode_object(message)
        if not isinstance(message, dict):
            return None
        failed = is_error(message) or message.get("status") in _FAILED
        return self.error_of(message) if failed else None

    def take_one(self, kind: Decoder[ChunkMessage], line: bytes) -> Chunk | None:
        """Take a chunk that is the next one; None, and nothing is taken, where it needs a closer look.

        Args:
            kind: What it has to be, see ``rows``.
            line: The message, as `decode_row` wants it.
        """
        try:
            message = kind.decode(line)
        except NOT_OF_THE_KIND:
            return None
        index, count = message.index, self.count
        if index != count.next_index or self._surrogates.half:
            return None
        if type(index) is int:
            count.next_index = index + 1
        elif count.active:
            return None
        return Chunk(message.content, index, self.last_event_id or None)

    def take_row(
        self, kind: Decoder[ChunkMessage], lines: bytes | str, count: int, events: list[Event]
    ) -> bool:
        """Take the messages of a row in one go; False, and nothing is taken, where one needs a closer look.

        Args:
            kind: What they have to be, see ``rows``.
            lines: The messages, as `decode_row` wants them.
            count: How many they are.
            events: Where the chunks go.
        """
        row = decode_row(kind, lines, count)
        if row is None:
            return False
        if count == 1 and kind is not DATA:
            return self._add_one(row[0].content, row[0].index, events)
        contents = [message.content for message in row]
        unwrapped = unwrap_row(contents) if kind is DATA else contents
        return unwrapped is not None and self._add_row(unwrapped, [message.index for message in row], events)

    def resume_point(self) -> ResumePoint | None:
        """Tell where another attempt could go on."""
        return self.count.resume_point(self.last_event_id)

    # The documented vocabulary

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
                self._optional(message, "message", str),
                self._optional(message, "session_id", str),
                self._optional(message, "invocation_id", str),
            )
        )

    def _chunk(self, message: dict[str, Any], events: list[Event]) -> None:
        try:
            content = message["content"]
        except KeyError:
            self.error = ProtocolError(f"a chunk has no content: {quote_value(message)}")
            return
        self._add_chunk(content, self._optional(message, "index", int), events)

    def _done(self, message: dict[str, Any], events: list[Event]) -> None:
        self.done = True
        if half := self._surrogates.flush():
            events.append(Chunk(half))
        events.append(
            Completed(
                message=self._optional(message, "message", str),
                usage=self._optional(message, "usage", dict),
                execution_time=self._seconds(message, "execution_time"),
                total_chunks=self._optional(message, "total_chunks", int),
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
        if "detail" in message and error is None and not (self._started or self._resumed):
            return ValidationError(text, code=code)  # the published server's word for a refusal
        return StreamError(
            text,
            code=code,
            details=fields.get("details"),
            request_id=self._optional(fields, "request_id", str) or self.request_id,
            retry_after=self._seconds(fields, "retry_after"),
        )

    # The published server's vocabulary

    def _status(self, message: dict[str, Any], events: list[Event]) -> None:
        status = message.get("status")
        self._identify(message, "invocation_id")
        if status == "stream_started":
            self._start(message, events)
        elif status == "stream_completed":
            self._done(message, events)
        else:
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
            self._add_chunk(content, self._optional(message, "index", int), events)

    # What both need

    def _identify(self, message: dict[str, Any], name: str) -> None:
        found: str | None = self._optional(message, name, str)
        self.request_id = self.request_id or (found and cut_text(found))

    def _add_chunk(self, content: Any, index: int | None, events: list[Event]) -> None:
        if index is not None or self.count.active:
            self.error = self.count.take(index)
            if self.error:
                return
        if type(content) is str and (self._surrogates.half or not content.isascii()):
            content = self._surrogates.join(content)
        events.append(Chunk(content, index, self.last_event_id or None))

    def _add_one(self, content: Any, index: Any, events: list[Event]) -> bool:
        if index is not None and type(index) is not int:
            return False
        self._add_chunk(content, index, events)
        return True

    def _add_row(self, contents: list[Any], indices: list[Any], events: list[Event]) -> bool:
        """Add chunks whose contents msgspec has decoded, which lets no half of a character through."""
        if len(indices) == 1:
            return self._add_one(contents[0], indices[0], events)
        if self._surrogates.half or not self.count.take_row(indices):
            return False
        events += map(Chunk, contents, indices, repeat(self.last_event_id or None))
        return True

    def _ignore(self, kind: str) -> None:
        count_ignored(self._ignored, kind)

    def _leave_out(self, kind: str, message: Any) -> None:
        self._ignore(kind)
        long = isinstance(message, str | bytes) and len(message) > _KEPT_CHARACTERS
        self.last_ignored = message[:QUOTE_BYTES] if long else message

    def leave_out_line(self, line: bytes) -> None:
        """Take a line that is no part of the format: an error if it is one, noise otherwise."""
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

    def _optional(self, message: dict[str, Any], name: str, kind: type) -> Any:
        """Return an optional field; one of the wrong type is as if absent, and counted."""
        value = message.get(name)
        if value is None or (isinstance(value, kind) and not (kind is int and isinstance(value, bool))):
            return value
        self._ignore(f"{name} of the wrong type")
        return None

    def _seconds(self, message: dict[str, Any], name: str) -> float | None:
        value = message.get(name)
        if value is None or is_seconds(value):
            return value
        self._ignore(f"{name} of the wrong type")
        return None


_HANDLERS: dict[str, Callable[[MessageReader, dict[str, Any], list[Event]], None]] = {
    "start": MessageReader._start,
    "chunk": MessageReader._chunk,
    "done": MessageReader._done,
    "error": MessageReader._error,
    "status": MessageReader._status,
    "data": MessageReader._data,
}


def reports_error(message: dict[str, Any]) -> bool:
    """Whether a message, of whatever kind, is the agent's error: ``error`` is there and no content is."""
    return message.get("content") is None and has_error(message)


def is_error(message: dict[str, Any]) -> bool:
    """Whether a message is the agent's error, by its type or by what it reports."""
    return message.get("type") == "error" or reports_error(message)


def name_of(value: Any) -> str:
    """Return what should be a name as text; of what cannot be one, say what it is."""
    return f"<{type(value).__name__}>" if isinstance(value, dict | list) else str(value)


_PAYLOAD_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_WRAPPING = re.compile(r'\{\s*"(?:type|payload)"\s*:')


def unwrap_payload(content: Any) -> Any:
    """Undo the published server's wrapping: ``{"type", "payload"}`` in a JSON string, the payload in another.

    Content that is not wrapped is returned as it is; older servers send it so.

    Raises:
        InvalidJSONError: The wrapping is there, but its payload is not JSON or cannot be decoded.
    """
    if not isinstance(content, str) or not content.startswith("{"):
        return content
    try:
        wrapped = decode_json(content)
    except InvalidJSONError as exc:
        if exc.undecodable and _WRAPPING.match(content):
            raise
        return content
    if not isinstance(wrapped, dict) or wrapped.keys() != {"type", "payload"}:
        return content
    kind, payload = wrapped["type"], wrapped["payload"]
    if not isinstance(kind, str) or kind not in _PAYLOAD_TYPES:
        return content
    value = decode_json(payload) if isinstance(payload, str) else payload
    if kind == "number" and not isinstance(value, int | float):
        return _odd_number(value)
    return value


def _odd_number(value: Any) -> Any:
    """Read what JSON cannot say: NaN travels as null, the infinities as text."""
    if value is None:
        return float("nan")
    return float(value) if value in ("inf", "-inf", "nan") else value


_HIGH = ("\ud800", "\udbff")


class SurrogateJoiner(msgspec.Struct, gc=False):
    """Join an emoji that was cut between two chunks, where each half came as a ``\\ud83d`` escape.

    The first half waits for the next text; a half that stays alone becomes U+FFFD, because a lone
    surrogate can be neither printed nor encoded.

    Attributes:
        half: What waits for its other half; "" for nothing.
    """

    half: str = ""

    def join(self, text: str) -> str:
        """Return the text with whole characters only."""
        if text.isascii() and not self.half:
            return text
        text, self.half = self.half + text, ""
        if text and _HIGH[0] <= text[-1] <= _HIGH[1]:
            text, self.half = text[:-1], text[-1]
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return text

    def flush(self) -> str:
        """Return what the half that never found its other stands for, if there is one."""
        half, self.half = self.half, ""
        return "\ufffd" if half else ""
