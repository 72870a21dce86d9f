"""The ways in which a connection's bytes are cut: what is sent in one go need not arrive so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.specifications.loader import Case, random_cut

if TYPE_CHECKING:
    from tests.specifications.replay import Cut

__all__ = ["CUTS", "cuts_of"]

_BYTE_BY_BYTE_BYTES = 8 * 1024
_READ_BYTES = 64 * 1024


def _in_reads_of(size: int, most: int = 1 << 30) -> Cut:
    """Cut every ``size`` bytes what is not larger than ``most``, the rest as a socket would be read."""

    def cut(data: bytes) -> list[bytes]:
        step = size if len(data) <= most else _READ_BYTES
        return [data[at : at + step] for at in range(0, len(data), step)]

    return cut


def _at_random(seed: int) -> Cut:
    return lambda data: random_cut(data, seed)


CUTS: dict[str, Cut] = {
    "whole": lambda data: [data],
    "by reads": _in_reads_of(_READ_BYTES),
    "byte by byte": _in_reads_of(1, _BYTE_BY_BYTE_BYTES),
    "by sevens": _in_reads_of(7, _BYTE_BY_BYTE_BYTES),
} | {f"at random, {seed}": _at_random(seed) for seed in range(12)}

_LARGE = ("whole", "by reads", "at random, 0")


def cuts_of(case: Case) -> dict[str, Cut]:
    """Return the ways to cut a case: fewer if it is large, since each takes a noticeable time."""
    sent = (data for steps in case["connections"] for step, data in steps if step == "send")
    return CUTS if sum(map(len, sent)) <= _READ_BYTES else {name: CUTS[name] for name in _LARGE}
