"""The base of sessions for the protocols of plugins: what the events of a stream may mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from runagent._errors import RunAgentError, StreamError, StreamTruncatedError
from runagent._events import Chunk, Completed, Custom, Reasoning, Started
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import quote
from runagent.transports._base import Wants
from runagent.transports._error_objects import error_object, has_error, parse_error
from runagent.transports._http import HttpSession
from runagent.transports._surrogates import SurrogateJoiner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent._address.route import Route
    from runagent._call import AgentCall, ResumePoint
    from runagent._events import Event

__all__ = ["ContentSession"]

__tracebackhide__ = is_ours

_QUOTED = 1000  # characters


class ContentSession(HttpSession):
    """A streamed run: text as it comes, anything else once it is whole.

    `EventStreamSession` and `LineStreamSession` find the events of a body; a session with another framing
    inherits from this class, and calls `take_each` in ``read_body``. All of them hand out events with the
    methods below, which join characters that were cut in two, and end with `complete`.

    Attributes:
        end_marker: The event that ends a run well, for the error of a stream without it.
    """

    end_marker: ClassVar[str] = "its last event"
    # Not made in __init__: Python is slower to read attributes of an object that has more than 30 of them.
    _thoughts: SurrogateJoiner | None = None
    _begun = False
    _left_out = ""

    def __init__(self, call: AgentCall, route: Route, resume: ResumePoint | None = None) -> None:
        super().__init__(call, route, resume)
        self._texts = SurrogateJoiner()

    # For subclasses

    def take(self, item: Any, events: list[Event]) -> None:
        """Add to ``events`` what an item of the stream means; call `complete` at the one that ends the run.

        Args:
            item: What the framing gives: a `ServerSentEvent`, or the object of a line.
            events: Where its events go.

        Raises:
            RunAgentError: It is an error, or not what it should be; the events before it stay.
        """
        raise NotImplementedError

    def is_error(self, message: dict[str, Any]) -> bool:
        """Whether an object that the service sent reports an error.

        By default it is one whose ``error`` is not empty, or whose ``type`` is "error".
        """
        return ("error" in message and has_error(message)) or message.get("type") == "error"

    def make_error(self, message: dict[str, Any]) -> RunAgentError:
        """Make the error that an object in the stream reports; by default of all usual forms."""
        fields = parse_error(error_object(message))
        text = fields.pop("message", "the agent reported an error without a message")
        return StreamError(text, **fields)

    def hidden_error(self) -> RunAgentError | None:
        """Return the error in what is left of a stream that broke off, or None."""
        return None

    # What an item may mean

    def begin(self, events: list[Event], *, session_id: Any = None, invocation_id: Any = None) -> None:
        """Report, once, that the agent has begun.

        Args:
            events: Where the event goes.
            session_id: The conversation, which the next turn sends; anything but text counts as unknown.
            invocation_id: The service's id of the run; the same.
        """
        if not self._begun:
            self._begun = True
            events.append(Started(session_id=_text(session_id), invocation_id=_text(invocation_id)))

    def add_text(self, text: str, events: list[Event], *, id: str | None = None) -> None:
        """Hand out a piece of the answer's text; ``id`` is that of its event, if it has one."""
        if self._texts.half or not text.isascii():
            text = self._texts.join(text)
        if text:
            events.append(Chunk(text, None, id))

    def add_reasoning(self, text: str, events: list[Event], *, id: Any = None) -> None:
        """Hand out a piece of what the model thinks; ``id`` is that of its train of thought."""
        if self._thoughts is None:
            self._thoughts = SurrogateJoiner()
        if whole := self._thoughts.join(text):
            events.append(Reasoning(whole, _text(id)))

    def add_custom(self, name: str, value: Any, events: list[Event]) -> None:
        """Hand out something else, under the protocol's name for it."""
        events.append(Custom(name, value))

    def flush_text(self, events: list[Event]) -> None:
        """Hand out halves of characters that are still kept, as U+FFFD."""
        if self._thoughts is not None and (half := self._thoughts.flush()):
            events.append(Reasoning(half))
        if half := self._texts.flush():
            events.append(Chunk(half))

    @property
    def keeps_half(self) -> bool:
        """Whether half a character is kept: the stream cannot be resumed behind it."""
        return bool(self._texts.half or (self._thoughts is not None and self._thoughts.half))

    def complete(
        self,
        events: list[Event],
        *,
        usage: dict[str, Any] | None = None,
        stop_reason: str | None = None,
        interrupts: Iterable[dict[str, Any]] = (),
        metadata: dict[str, Any] | None = None,
        proven: bool = True,
    ) -> None:
        """End the run well.

        Args:
            events: Where the last ones go.
            usage: Token counts as the service sent them; by default ``self.usage``.
            stop_reason: Why the model stopped, in the protocol's word.
            interrupts: What the agent waits for, each with its ``id``; `runagent.answer` answers one.
            metadata: Anything else that came with the end.
            proven: False if the end looks like a cut.
        """
        self.usage = self.usage if usage is None else usage
        self.flush_text(events)
        events.append(
            Completed(
                usage=self.usage,
                stop_reason=stop_reason,
                interrupts=list(interrupts),
                proven=proven,
                metadata=metadata,
            )
        )
        self.finish()

    def leave_out(self, kind: str, text: str) -> None:
        """Count something that is left out, and keep its text: it may be the only message about a failure."""
        self.ignore(kind)
        self._left_out = text[:_QUOTED]

    # What the base classes call

    def take_each(self, items: Iterable[Any], events: list[Event]) -> None:
        """Take items until the run is over; an error fails the run, after these events.

        Args:
            items: What the framing gives; taken one by one, so a generator may raise the error of a frame.
            events: Where their events go.
        """
        try:
            for item in items:
                self._take_checked(item, events)
                if self.wants is not Wants.READ or self.following:
                    return
        except RunAgentError as exc:
            self.fail(exc)

    def _take_checked(self, item: Any, events: list[Event]) -> None:
        """Take an item, unless its framing shows already that it is an error."""
        self.take(item, events)

    def end_body(self, proven: bool) -> list[Event]:
        """Fail: only ``end_marker`` ends a run well. Override it for a protocol that has none."""
        raise StreamTruncatedError(f"the stream ended without {self.end_marker}")

    def fail(self, error: RunAgentError) -> None:
        """End the session with an error; if the stream broke off, prefer the service's own to that."""
        if isinstance(error, StreamTruncatedError) and self.wants is Wants.READ:
            error = self.hidden_error() or error
        super().fail(error)

    @property
    def last_ignored(self) -> str:
        """The last item that was left out, quoted; "" if there is none."""
        return quote(self._left_out) if self._left_out else ""


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


publish(ContentSession, module="runagent.transports")
