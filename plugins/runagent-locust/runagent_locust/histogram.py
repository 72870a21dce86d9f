"""Histograms whose sum over many workers is exact, count for count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Histogram"]

_BITS = 8  # significant ones that a value keeps


class Histogram:
    """How often values came, by value: microseconds, or thousandths of chunks a second.

    Values are whole numbers from 0. Those below 256 are kept as they are; of larger ones the first 8 binary
    digits are, so that a bucket is at most 1/128 of its values wide. Sum, least and greatest are exact. A
    histogram of times up to an hour has at most 3 328 buckets, and only those that are used take memory.

    Adding histograms adds counts: the sum does not depend on which worker recorded what.

        >>> gaps = Histogram()
        >>> for microseconds in (200, 20_000, 20_100):
        ...     gaps.record(microseconds)
        >>> gaps.count, gaps.percentile(0.5), gaps.greatest
        (3, 20095, 20100)

    Attributes:
        counts: The count of each bucket, by the lowest value that is in it.
        total: The sum of the values.
        least: The least value; None for an empty histogram.
        greatest: The greatest value; 0 for an empty histogram.
    """

    __slots__ = ("counts", "greatest", "least", "total")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.total = 0
        self.least: int | None = None
        self.greatest = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Histogram) and self.as_data() == other.as_data()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"<Histogram of {self.count} values, {self.least or 0} to {self.greatest}>"

    @property
    def count(self) -> int:
        """How many values came."""
        return sum(self.counts.values())

    @property
    def mean(self) -> float:
        """The mean of the values, exactly; 0 if there are none."""
        count = self.count
        return self.total / count if count else 0.0

    def record(self, value: int) -> None:
        """Count a value; one below 0, which only a clock that was set back could give, as 0."""
        value = max(value, 0)
        lowest = value & -(1 << _dropped_bits(value))
        self.counts[lowest] = self.counts.get(lowest, 0) + 1
        self.total += value
        self.greatest = max(self.greatest, value)
        self.least = value if self.least is None else min(self.least, value)

    def add(self, other: Histogram) -> None:
        """Add the values of another one."""
        for lowest, count in other.counts.items():
            self.counts[lowest] = self.counts.get(lowest, 0) + count
        self.total += other.total
        self.greatest = max(self.greatest, other.greatest)
        if other.least is not None:
            self.least = other.least if self.least is None else min(self.least, other.least)

    def percentile(self, share: float) -> int:
        """Return a value that this share of the values does not exceed; 0 if there are none.

        Args:
            share: From 0 to 1: 0.99 for the 99th percentile.

        Returns:
            The largest value of the bucket in which the percentile is: never less than the percentile, and
            more by less than 1/128.
        """
        wanted = max(round(share * self.count, 6), 1)
        seen = 0
        for _, highest, count in self.buckets():
            seen += count
            if seen >= wanted:
                return min(highest, self.greatest)
        return self.greatest

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """Give the lowest value, the highest value and the count of each bucket, in order."""
        for lowest in sorted(self.counts):
            yield lowest, lowest + (1 << _dropped_bits(lowest)) - 1, self.counts[lowest]

    def as_data(self) -> dict[str, Any]:
        """Return it in lists and numbers, for a message between processes."""
        buckets = [[lowest, self.counts[lowest]] for lowest in sorted(self.counts)]
        return {
            "buckets": buckets,
            "total": self.total,
            "least": self.least,
            "greatest": self.greatest,
        }

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """Return the histogram of which `as_data` was made."""
        made = cls()
        made.counts = dict(data["buckets"])
        made.total, made.least, made.greatest = data["total"], data["least"], data["greatest"]
        return made


def _dropped_bits(value: int) -> int:
    return max(value.bit_length() - _BITS, 0)
