"""The boundaries between writes that a script can choose.

A policy gets the bytes between two pauses as events made of pieces, each with its kind, and returns
the offsets to cut at. On the memory network every write is one read of the client; on sockets the
kernel may join writes that no pause separates (``write_gap=`` adds pauses).
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, Self, get_args

from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.numbers import is_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "MERGED",
    "WRITE_LIMIT",
    "Event",
    "Piece",
    "Place",
    "Writes",
    "at",
    "every",
    "inside",
    "named_writes",
    "rechunked",
    "writes_form",
]

__tracebackhide__ = is_ours

WRITE_LIMIT = 256 * 1024  # bytes

PieceKind = Literal["head", "chunk-header", "chunk-end", "frame-header", "payload"]
Place = Literal["characters", "crlf", "chunk-header", "frame-header"]


Piece = tuple[PieceKind, bytes]


class Event(NamedTuple):
    """Bytes that belong together: a head, a framed event or an end marker.

    Attributes:
        step: Number of the script's step, from 0; None for bytes that the protocol adds.
        size: Total of bytes.
    """

    step: int | None
    pieces: tuple[Piece, ...]
    size: int

    @classmethod
    def of(cls, step: int | None, pieces: tuple[Piece, ...]) -> Self:
        """Make an event of its pieces."""
        size = 0
        for _, data in pieces:
            size += len(data)
        return cls._make((step, pieces, size))


class Writes(Protocol):
    """A policy that chooses the boundaries of writes."""

    def cuts(self, events: Sequence[Event], start: int) -> Iterable[int]:
        """Choose where to cut; equal bytes need equal cuts, as many runs may share a plan.

        Args:
            events: The events between two pauses.
            start: Number of the answer's bytes before them.

        Returns:
            Offsets into the bytes of ``events``; offsets outside of them are ignored.
        """


@dataclass(frozen=True, slots=True)
class _Merged:
    """One write, so that an end marker is sent with the last event; large ones are cut between events."""

    limit: int = WRITE_LIMIT

    def __repr__(self) -> str:
        return "merged"

    def cuts(self, events: Sequence[Event], start: int) -> Iterator[int]:
        offset = size = 0
        for event in events:
            if size and size + event.size > self.limit:
                yield offset
                size = 0
            offset += event.size
            size += event.size

    def settled(self, events: Sequence[Event]) -> int:
        count = size = 0
        for number, event in enumerate(events):
            if size and size + event.size > self.limit:
                count, size = number, 0
            size += event.size
        return count


@dataclass(frozen=True, slots=True)
class _PerStep:
    def __repr__(self) -> str:
        return "per-step"

    def cuts(self, events: Sequence[Event], start: int) -> Iterator[int]:
        offset = 0
        for event in events:
            offset += event.size
            yield offset


@dataclass(frozen=True, slots=True)
class _Every:
    size: int

    def __repr__(self) -> str:
        return f"every({self.size})"

    def cuts(self, events: Sequence[Event], start: int) -> Iterable[int]:
        return range(self.size - start % self.size, sum(event.size for event in events), self.size)


@dataclass(frozen=True, slots=True)
class _At:
    offsets: tuple[int, ...]

    def __repr__(self) -> str:
        return f"at({_listed(self.offsets)})"

    def cuts(self, events: Sequence[Event], start: int) -> Iterable[int]:
        return [offset - start for offset in self.offsets]


@dataclass(frozen=True, slots=True)
class _Inside:
    places: tuple[Place, ...]

    def __repr__(self) -> str:
        return f"inside({_listed(self.places)})"

    def cuts(self, events: Sequence[Event], start: int) -> Iterator[int]:
        offset = 0
        for event in events:
            for kind, data in event.pieces:
                for place in self.places:
                    yield from (offset + cut for cut in _INSIDE[place](kind, data))
                offset += len(data)


@dataclass(frozen=True, slots=True)
class _Rechunked:
    seed: int

    def __repr__(self) -> str:
        return f"rechunked({self.seed})"

    def cuts(self, events: Sequence[Event], start: int) -> Iterator[int]:
        random, size = Random(f"{self.seed}/{start}"), sum(event.size for event in events)
        offset = 0
        while offset < size:
            # Writes of every size: single bytes, a few bytes, and several events at once.
            offset += random.randint(1, random.choice((1, 4, 40, 400)))
            yield offset


def settled(writes: Writes, events: Sequence[Event]) -> int:
    """Return how many of the first events have writes that no later event can change."""
    if isinstance(writes, _PerStep):
        return len(events)
    return writes.settled(events) if isinstance(writes, _Merged) else 0


def splits_events(writes: Writes) -> bool:
    """Whether a policy may cut inside an event."""
    return not isinstance(writes, _Merged | _PerStep)


def _listed(values: tuple[object, ...]) -> str:
    return ", ".join(map(repr, values))


def _inside_characters(kind: PieceKind, data: bytes) -> Iterable[int]:
    if kind != "payload":
        return ()
    return (at for at, byte in enumerate(data) if 0x80 <= byte <= 0xBF)


def _inside_crlf(kind: PieceKind, data: bytes) -> Iterable[int]:
    if kind in ("payload", "frame-header"):
        return ()
    return (at + 1 for at in range(len(data) - 1) if data[at : at + 2] == b"\r\n")


def _inside_chunk_header(kind: PieceKind, data: bytes) -> Iterable[int]:
    return range(1, len(data)) if kind == "chunk-header" else ()


def _inside_frame_header(kind: PieceKind, data: bytes) -> Iterable[int]:
    return range(1, len(data)) if kind == "frame-header" else ()


_INSIDE = {
    "characters": _inside_characters,
    "crlf": _inside_crlf,
    "chunk-header": _inside_chunk_header,
    "frame-header": _inside_frame_header,
}
MERGED: Writes = _Merged()
_NAMED: dict[str, Writes] = {"merged": MERGED, "per-step": _PerStep()}


def every(size: int) -> Writes:
    """Cut after every ``size`` bytes, counted from the first byte of the answer."""
    if not is_whole(size, 1):
        raise ValueError(f"a write has at least one byte, not {size!r}")
    return _Every(size)


def at(*offsets: int) -> Writes:
    """Cut at these offsets, counted from the first byte of the answer.

    A WebSocket's handshake is a separate answer, with separate offsets.
    """
    for offset in offsets:
        if not isinstance(offset, int):
            raise TypeError(f"an offset is a whole number, not {offset!r}")
    return _At(offsets)


def inside(*places: Place) -> Writes:
    """Cut at every byte inside certain places.

    Args:
        places: "characters" (multi-byte ones of UTF-8, in payloads), "crlf" (in heads and in the
            framing of HTTP chunks), "chunk-header" (an HTTP chunk's size line), "frame-header" (of a
            WebSocket).
    """
    for place in places:
        if place not in get_args(Place):
            raise ValueError(f"a place is one of {', '.join(get_args(Place))}, not {place!r}")
    return _Inside(places)


def rechunked(seed: int) -> Writes:
    """Cut anywhere, at random; the same seed cuts the same bytes at the same places."""
    return _Rechunked(seed)


def writes_form(writes: Writes) -> Any:
    """Return a policy as a script file names it; None for one that the test has written."""
    match writes:
        case _Merged() | _PerStep():
            return repr(writes)
        case _Every(size=size):
            return {"every": size}
        case _At(offsets=offsets):
            return {"at": list(offsets)}
        case _Inside(places=places):
            return {"inside": list(places)}
        case _Rechunked(seed=seed):
            return {"rechunked": seed}
    return None


def named_writes(writes: Writes | str) -> Writes:
    """Return a policy, which is looked up if its name is given."""
    if hasattr(writes, "cuts"):
        return writes
    if writes not in _NAMED:
        raise ValueError(
            f"writes= is one of {', '.join(_NAMED)}, or every(), at(), inside(), rechunked(); not {writes!r}"
        )
    return _NAMED[writes]
