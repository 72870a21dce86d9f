"""Whether the chunks of a stream come without a gap, and a resumed stream goes on in its place."""

from __future__ import annotations

from typing import Any

from runagent._call import ResumePoint
from runagent._errors import ProtocolError, RunAgentError, StreamError

__all__ = ["ChunkCount"]

_MAX_ID_CHARACTERS = 1024


class ChunkCount:
    """Counts the chunks of one stream whose agent numbers them.

    Args:
        resume: Where the stream was asked to go on; its first chunk must prove that it does.

    Attributes:
        next_index: The index of the next chunk; None where the agent does not count.
        active: Whether there is anything to check: chunks without an index then need not be shown.
    """

    def __init__(self, resume: ResumePoint | None = None) -> None:
        self.next_index: int | None = None
        self.active = resume is not None
        self._resume = resume
        self._first = True

    def take(self, index: int | None) -> RunAgentError | None:
        """Take the index of the next chunk, None for one without; return what is wrong with it."""
        expected = self.next_index
        if self._first and self._resume is not None and not self._resume.trusted:
            expected = self._resume.next_index
            if index is None or index != expected:
                return StreamError(f"the agent did not resume at chunk {expected} but at {index}")
        if index is not None and expected is not None and index != expected:
            fault = "came twice" if index < expected else "is missing"
            return ProtocolError(f"chunk {min(index, expected)} {fault}: index {index} instead of {expected}")
        self._first = False
        if index is not None or expected is not None:
            self.active = True
            self.next_index = (expected if index is None else index) + 1  # type: ignore[operator]
        return None

    def take_row(self, indices: list[Any]) -> bool:
        """Take the indices of chunks in a row; False, and nothing is taken, where one needs a closer look."""
        if indices.count(None) == len(indices):
            return not self.active
        if (self._first and self._resume is not None) or set(map(type, indices)) != {int}:
            return False
        expected = indices[0] if self.next_index is None else self.next_index
        behind = expected + len(indices)
        if indices != list(range(expected, behind)):
            return False
        self._first, self.active, self.next_index = False, True, behind
        return True

    def resume_point(self, last_event_id: str = "") -> ResumePoint | None:
        """Tell where another attempt could go on, if anything tells it.

        Args:
            last_event_id: The last one seen; "" where there are no ids.
        """
        if not _fits_a_header(last_event_id):
            last_event_id = ""
        if self.next_index is None and not last_event_id:
            return None
        return ResumePoint(self.next_index, last_event_id)


def _fits_a_header(event_id: str) -> bool:
    """Whether ``Last-Event-ID`` can give an id back as it came: RFC 9110 §5.5, and what servers take."""
    return len(event_id) <= _MAX_ID_CHARACTERS and event_id == event_id.strip() and event_id.isprintable()
