"""The chunks of a run: in order and without a gap, with a fast path for chunks that are alike.

Most chunks take the fast path, `take_one` or `take_row`, from the line to the reader's list. Invariant: the
fast path takes chunks only if the general path in `MessageReader` would take all of them with the same
effect. Otherwise it takes none and changes nothing, and the general path gets the same bytes. For example, of
the three lines ::

    {"content": "a", "index": 4}
    {"content": "b", "index": 5}
    {"content": "c", "index": 7}

`take_row` takes none, as 6 is missing. The general path then returns the first two and reports the gap.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

from runagent._events import Chunk, Event
from runagent.transports._counting import ChunkCount
from runagent.transports._rows import DATA, NOT_OF_THE_KIND, decode_row, unwrap_row
from runagent.transports._surrogates import SurrogateJoiner

if TYPE_CHECKING:
    from msgspec.json import Decoder

    from runagent._call import ResumePoint
    from runagent._errors import RunAgentError
    from runagent.transports._rows import ChunkMessage

__all__ = ["ChunkReader"]


class ChunkReader:
    """Reads the chunks of one run.

    Args:
        resume: Where this attempt asked to resume; the first chunk must prove that it does.

    Attributes:
        error: Why the run failed, or None.
        count: Checks the indices, if the agent numbers its chunks.
        surrogates: Keeps half a character until the other half comes.
        last_event_id: The last event id seen.
        unproven: Nothing has proved yet that a resumed stream goes on in its place.
        held: The events that wait for that proof.
    """

    def __init__(self, resume: ResumePoint | None = None) -> None:
        self.error: RunAgentError | None = None
        self.count = ChunkCount(resume)
        self.surrogates = SurrogateJoiner()
        self.last_event_id = resume.last_event_id if resume else ""
        self.unproven = resume is not None and resume.proof is not None
        self.held: list[Event] = []

    def take_one(self, kind: Decoder[ChunkMessage], line: bytes) -> Chunk | None:
        """Return the chunk if it is the next one; None, without any effect, if the general path must decide.

        Args:
            kind: The decoder of its kind, one of `_rows`.
            line: The message, in the form that `decode_row` requires.
        """
        try:
            message = kind.decode(line)
        except NOT_OF_THE_KIND:
            return None
        index, count = message.index, self.count
        if index != count.next_index or self.surrogates.half:
            return None
        if type(index) is int:
            count.next_index = index + 1
        elif count.active:
            return None
        return Chunk(message.content, index, self.last_event_id or None)

    def take_row(
        self, kind: Decoder[ChunkMessage], lines: bytes | str, count: int, events: list[Event]
    ) -> bool:
        """Take all messages of a row; return False, without any effect, if the general path must decide.

        Args:
            kind: The decoder of their kind, one of `_rows`.
            lines: The messages, in the form that `decode_row` requires.
            count: The number of messages.
            events: The list to which the chunks are appended.
        """
        row = decode_row(kind, lines, count)
        if row is None:
            return False
        if count == 1 and kind is not DATA:
            return self._add_one(row[0].content, row[0].index, events)
        contents = [message.content for message in row]
        unwrapped = unwrap_row(contents) if kind is DATA else contents
        return unwrapped is not None and self._add_row(unwrapped, [message.index for message in row], events)

    def add_chunk(self, content: Any, index: int | None, events: list[Event]) -> None:
        """Append a chunk to ``events`` if it is the next one; otherwise set ``error``."""
        if index is not None or self.count.active:
            self.error = self.count.take(index)
            if self.error:
                return
            if self.unproven:
                self.prove(events)
        if type(content) is str and (self.surrogates.half or not content.isascii()):
            content = self.surrogates.join(content)
        events.append(Chunk(content, index, self.last_event_id or None))

    def prove(self, events: list[Event]) -> None:
        """Append what waited for the proof."""
        self.unproven = False
        events += self.held
        self.held = []

    def resume_point(self) -> ResumePoint | None:
        """Return where another attempt could resume; None if that is unknown, or behind half a character."""
        return None if self.surrogates.half else self.count.resume_point(self.last_event_id)

    def _add_one(self, content: Any, index: Any, events: list[Event]) -> bool:
        if index is not None and type(index) is not int:
            return False
        self.add_chunk(content, index, events)
        return True

    def _add_row(self, contents: list[Any], indices: list[Any], events: list[Event]) -> bool:
        """Append chunks whose contents msgspec decoded, so that none ends in half a character."""
        if len(indices) == 1:
            return self._add_one(contents[0], indices[0], events)
        if self.surrogates.half or not self.count.take_row(indices):
            return False
        events += map(Chunk, contents, indices, repeat(self.last_event_id or None))
        return True
