"""The pace of an agent: the waits before its chunks, drawn when a script is rendered.

A pace puts a wait between any two chunks, and ``first`` seconds before the first one. The same
seed gives the same waits on every transport; a resumed run has the waits that the whole run has
at the same chunks. Explicit delays are added to them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from math import exp
from random import Random
from typing import TYPE_CHECKING, Literal

from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.numbers import check_seconds, is_number

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Pace", "fixed", "log_normal", "tokens_per_second", "uniform"]

__tracebackhide__ = is_ours


_MOST_SIGMA = 10  # above it, a wait can exceed the range of a float


@dataclass(frozen=True, slots=True)
class Pace:
    """A distribution of waits, made by the functions of this module.

    Attributes:
        kind: "uniform" between ``low`` and ``high``, or "log-normal" of median ``low`` and sigma ``high``.
        first: Seconds before the first chunk.
    """

    kind: Literal["uniform", "log-normal"]
    low: float
    high: float
    first: float = 0.0
    seed: int = 0

    def __repr__(self) -> str:
        more = [f"{name}={value:g}" for name, value in (("first", self.first), ("seed", self.seed)) if value]
        return f"{self.kind.replace('-', '_')}({', '.join([f'{self.low:g}', f'{self.high:g}', *more])})"

    def waits(self, count: int) -> list[float]:
        """Return the seconds before each of ``count`` chunks."""
        return list(islice(self.drawn(), count))

    def drawn(self) -> Iterator[float]:
        """Draw the seconds before each chunk, endlessly."""
        random = Random(self.seed)
        yield self.first
        while True:
            yield self._draw(random)

    def _draw(self, random: Random) -> float:
        if self.kind == "uniform":
            return random.uniform(self.low, self.high)
        return self.low * exp(random.gauss(0, self.high))


@suggest_keywords
def fixed(seconds: float, *, first: float = 0.0, jitter: float = 0.0, seed: int = 0) -> Pace:
    """Wait equally long between any two chunks.

    Args:
        seconds: The wait.
        first: Seconds before the first chunk.
        jitter: Fraction, 0 to 1, by which each wait may be shorter or longer.
        seed: Seed of the jitter.
    """
    if not is_number(jitter) or not 0 <= jitter <= 1:
        raise ValueError(f"jitter is a fraction from 0 to 1, not {jitter!r}")
    check_seconds(seconds, "a pace")
    return _pace("uniform", seconds * (1 - jitter), seconds * (1 + jitter), first, seed)


@suggest_keywords
def uniform(low: float, high: float, *, first: float = 0.0, seed: int = 0) -> Pace:
    """Wait between ``low`` and ``high`` seconds, uniformly random."""
    if is_number(low) and is_number(high) and not low <= high:
        raise ValueError(f"low may not be above high: {low!r}, {high!r}")
    return _pace("uniform", low, high, first, seed)


@suggest_keywords
def log_normal(median: float, sigma: float, *, first: float = 0.0, seed: int = 0) -> Pace:
    """Draw each wait from a log-normal distribution, which has the long tail of real services.

    Args:
        median: Half of the waits are shorter than this, in seconds.
        sigma: Standard deviation of the waits' logarithm; 0.5 is a steady service, 1.5 an erratic one.
        first: Seconds before the first chunk.
        seed: Seed of the waits.
    """
    if is_number(sigma) and sigma > _MOST_SIGMA:
        raise ValueError(f"sigma is at most {_MOST_SIGMA}, not {sigma!r}")
    return _pace("log-normal", median, sigma, first, seed)


@suggest_keywords
def tokens_per_second(rate: float, *, first: float = 0.0, jitter: float = 0.0, seed: int = 0) -> Pace:
    """Send chunks at the rate of a language model; every chunk counts as one token.

    Args:
        rate: Chunks per second after the first one.
        first: Seconds to the first token.
        jitter: As for `fixed`.
        seed: As for `fixed`.
    """
    if not is_number(rate) or not 0 < rate < float("inf"):
        raise ValueError(f"a rate is a positive number of tokens per second, not {rate!r}")
    return fixed(1 / rate, first=first, jitter=jitter, seed=seed)


def _pace(kind: Literal["uniform", "log-normal"], low: float, high: float, first: float, seed: int) -> Pace:
    if not isinstance(seed, int):
        raise TypeError(f"a seed is a whole number, not {seed!r}")
    for number in (low, high, first):
        if not is_number(number) or not 0 <= number < float("inf"):
            raise ValueError(f"a pace takes numbers of 0 or more, not {number!r}")
    return Pace(kind, low, high, first, seed)
