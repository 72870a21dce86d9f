"""The chunks of a run: in order, whole, and those that are alike in one go.

Here is the way that most chunks take, from the decoded row to the reader's list. `take_one` and `take_row`
never judge by other rules than the general way in `MessageReader`: each takes chunks only if the general way
would have taken every one of them, to the same effect; otherwise it takes nothing, changes nothing, and the
general way sees the same bytes. For example, of the three lines ::

    {"content": "a", "index": 4}
    {"content": "b", "index": 5}
    {"content": "c", "index": 7}

`take_row` takes none, as 6 is missing. The general way then hands out the first two and names the gap.
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
        resume: Where this attempt was asked to go on; the first chunk must prove that it does.

    Attributes:
        error: The run's end, if it is a bad one.
        count: The count of the chunks, where the agent numbers them.
        surrogates: Keeps half a character until the other half comes.
        last_event_id: The last event id seen.
    """

    def __init__(self, resume: ResumePoint | None = None) -> None:
        self.error: RunAgentError | None = None
        self.count = ChunkCount(resume)
        self.surrogates = SurrogateJoiner()
        self.last_event_id = resume.last_event_id if resume else ""

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

    def add_chunk(self, content: Any, index: int | None, events: list[Event]) -> None:
        """Add a chunk to ``events`` if it is the next one; otherwise set ``error``."""
        if index is not None or self.count.active:
            self.error = self.count.take(index)
            if self.error:
                return
        if type(content) is str and (self.surrogates.half or not content.isascii()):
            content = self.surrogates.join(content)
        events.append(Chunk(content, index, self.last_event_id or None))

    def resume_point(self) -> ResumePoint | None:
        """Tell where another attempt could go on."""
        return self.count.resume_point(self.last_event_id)

    def _add_one(self, content: Any, index: Any, events: list[Event]) -> bool:
        if index is not None and type(index) is not int:
            return False
        self.add_chunk(content, index, events)
        return True

    def _add_row(self, contents: list[Any], indices: list[Any], events: list[Event]) -> bool:
        """Add chunks whose contents msgspec has decoded, which lets no half of a character through."""
        if len(indices) == 1:
            return self._add_one(contents[0], indices[0], events)
        if self.surrogates.half or not self.count.take_row(indices):
            return False
        events += map(Chunk, contents, indices, repeat(self.last_event_id or None))
        return True
