"""Counts, errors and histograms of the streams of one name, and of all names."""

from __future__ import annotations

from typing import Any, Self

from runagent_locust.histogram import Histogram

__all__ = ["COUNTS", "HISTOGRAMS", "Measures", "Names"]

COUNTS = ("started", "completed", "failed", "closed", "retries", "chunks")
HISTOGRAMS = ("first", "gap", "stream", "rate")


class Measures:
    """Counts, errors and histograms of the streams of one name.

    Once all have ended, ``started`` is the sum of ``completed``, ``failed`` and ``closed``.

    Attributes:
        started: Streams that have begun.
        completed: Streams whose end was good, and whose check was.
        failed: Streams that raised an error, or whose check did.
        closed: Streams that the end of the test, or of their user, cut.
        retries: Attempts after the first of a stream, those that resumed it included.
        chunks: Chunks of all streams.
        first: Microseconds from the beginning of a stream to its first chunk.
        gap: Microseconds between two reads of a stream that brought something, such as chunks.
        stream: Microseconds from the beginning to the end of a stream that completed.
        rate: Chunks a second, in thousandths, after the first read of a stream that completed.
        errors: How often a stream failed with an error, by the error's class and HTTP status.
    """

    __slots__ = (*COUNTS, *HISTOGRAMS, "errors")

    def __init__(self) -> None:
        self.started = self.completed = self.failed = self.closed = self.retries = self.chunks = 0
        self.first, self.gap, self.stream, self.rate = (Histogram() for _ in HISTOGRAMS)
        self.errors: dict[str, int] = {}

    def note_error(self, label: str) -> None:
        """Count a stream that failed."""
        self.failed += 1
        self.errors[label] = self.errors.get(label, 0) + 1

    def add(self, other: Measures) -> None:
        """Add what was measured elsewhere."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in HISTOGRAMS:
            getattr(self, name).add(getattr(other, name))
        for label, count in other.errors.items():
            self.errors[label] = self.errors.get(label, 0) + count

    def as_data(self) -> dict[str, Any]:
        """Return it in dicts, lists and numbers, for a message between processes."""
        counts: dict[str, Any] = {name: getattr(self, name) for name in COUNTS}
        histograms = {name: getattr(self, name).as_data() for name in HISTOGRAMS}
        return counts | histograms | {"errors": dict(self.errors)}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Return the measures of which `as_data` was made."""
        made = cls()
        for name in COUNTS:
            setattr(made, name, data[name])
        for name in HISTOGRAMS:
            setattr(made, name, Histogram.from_data(data[name]))
        made.errors = dict(data["errors"])
        return made


class Names(dict[str, Measures]):
    """The measures of each name; those of a new name are made when it is first asked for."""

    def __missing__(self, name: str) -> Measures:
        return self.setdefault(name, Measures())

    def add(self, other: Names) -> None:
        """Add what was measured elsewhere, name by name."""
        for name, measures in other.items():
            self[name].add(measures)

    def as_data(self) -> dict[str, Any]:
        """Return all of it in dicts, lists and numbers, for a message between processes."""
        return {name: measures.as_data() for name, measures in self.items()}

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Return the measures of which `as_data` was made."""
        return cls({name: Measures.from_data(measures) for name, measures in data.items()})
