"""The indices of chunks: they must have no gap, and a resumed stream must continue at the right one."""

from __future__ import annotations

from typing import Any

from runagent._call import NOT_RESUMED, ResumePoint
from runagent._errors import ProtocolError, RunAgentError, StreamError
from runagent._public import publish

__all__ = ["ChunkCount", "fits_a_header"]

_MAX_ID_CHARACTERS = 1024
_INDICES, _NO_INDICES = {int}, {type(None)}


class ChunkCount:
    """Checks the indices of the chunks of one stream.

    Args:
        resume: Where the stream asked to resume; its first chunk must prove that it does.

    Attributes:
        next_index: The index of the next chunk; None if the agent does not number them.
        active: Whether indices are checked. If not, ``take`` need not be called for a chunk without an index.
    """

    def __init__(self, resume: ResumePoint | None = None) -> None:
        self.next_index: int | None = None
        self.active = resume is not None
        self._resume = resume
        self._first = True

    def take(self, index: int | None) -> RunAgentError | None:
        """Check the index of the next chunk, None if it has none; return the error if it is wrong."""
        expected = self.next_index
        if self._first and self._resume is not None and self._resume.proof == "index":
            expected = self._resume.next_index
            if index is None or index != expected:
                return StreamError(
                    f"the agent did not resume at chunk {expected} but at {index}", code=NOT_RESUMED
                )
        if index is not None and expected is not None and index != expected:
            fault = "came twice" if index < expected else "is missing"
            return ProtocolError(f"chunk {min(index, expected)} {fault}: index {index} instead of {expected}")
        self._first = False
        if index is not None or expected is not None:
            self.active = True
            self.next_index = (expected if index is None else index) + 1  # type: ignore[operator]
        return None

    def take_row(self, indices: list[Any]) -> bool:
        """Take the indices of consecutive chunks; return False, without any effect, unless all are right."""
        kinds = set(map(type, indices))
        if kinds == _NO_INDICES:
            return not self.active
        if (self._first and self._resume is not None) or kinds != _INDICES:
            return False
        expected = indices[0] if self.next_index is None else self.next_index
        behind = expected + len(indices)
        if indices != list(range(expected, behind)):
            return False
        self._first, self.active, self.next_index = False, True, behind
        return True

    def resume_point(self, last_event_id: str = "") -> ResumePoint | None:
        """Return where another attempt could resume, or None without an index and an event id.

        Args:
            last_event_id: The last one seen; "" if there are none.
        """
        if not fits_a_header(last_event_id):
            last_event_id = ""
        if self.next_index is None and not last_event_id:
            return None
        return ResumePoint(self.next_index, last_event_id, None if self.next_index is None else "index")


def fits_a_header(event_id: str) -> bool:
    """Whether ``Last-Event-ID`` can carry an id unchanged (RFC 9110 §5.5) and servers accept its length."""
    return len(event_id) <= _MAX_ID_CHARACTERS and event_id == event_id.strip() and event_id.isprintable()


publish(ChunkCount, module="runagent.transports")
