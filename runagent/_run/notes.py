"""What stays of a run's events after they were read in any way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._errors import StreamLimitError
from runagent._events import Completed, Started, ToolCall
from runagent._internal.tracebacks import is_ours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from runagent._events import Event

__all__ = ["RunNotes"]

__tracebackhide__ = is_ours

MAX_TOOL_CALL_BYTES = 16 * 1024 * 1024  # of all that are kept


class RunNotes:
    """What a run notes for its stream.

    Attributes:
        started: The last event of this kind.
        completed: The last event.
        accepted: The service has accepted the run.
        awaited: The reader knows of that: a later refusal is a broken stream.
        on_accepted: Called once the service has accepted the run, and dropped: it leads back to the run.
    """

    # Class attributes: most streams never set them.
    started: Started | None = None
    completed: Completed | None = None
    accepted: bool = False
    awaited: bool = False
    on_accepted: Callable[[], None] | None = None
    _tool_calls: list[ToolCall] | None = None
    _bytes = 0

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tool calls so far.

        Raises:
            StreamLimitError: They are too large to be kept.
        """
        if self._bytes > MAX_TOOL_CALL_BYTES:
            raise StreamLimitError(
                f"the tool calls are larger than {MAX_TOOL_CALL_BYTES} bytes in all",
                hint="read events(), which gives any number",
                limit_name="max_tool_call_bytes",
                limit=MAX_TOOL_CALL_BYTES,
            )
        return list(self._tool_calls or ())

    def accept(self) -> None:
        """Note that the service has accepted the run."""
        self.accepted = True
        call, self.on_accepted = self.on_accepted, None
        if call is not None:
            call()

    def take(self, events: Iterable[Event]) -> None:
        """Note those of the events that are kept."""
        for event in events:
            kind = type(event)
            if kind is ToolCall:
                self._keep(event)  # type: ignore[arg-type]
            elif kind is Started:
                self.started = event  # type: ignore[assignment]
            elif kind is Completed:
                self.completed = event  # type: ignore[assignment]

    def _keep(self, call: ToolCall) -> None:
        self._bytes += len(call.arguments.encode("utf-8", "surrogatepass")) + len(call.name)
        if self._tool_calls is None:
            self._tool_calls = []
        if self._bytes <= MAX_TOOL_CALL_BYTES:
            self._tool_calls.append(call)
        else:
            self._tool_calls.clear()
