"""Answers in named parts, of which a resumed stream begins with everything so far."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

import msgspec

from runagent._call import NOT_RESUMED, ReceivedPart, ResumePoint
from runagent._errors import ProtocolError, RunAgentError, StreamLimitError
from runagent._internal.tracebacks import is_ours
from runagent._limits import Limits
from runagent._public import publish
from runagent._wire.jsontext import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent._events import JSONValue

__all__ = ["SnapshotParts"]

__tracebackhide__ = is_ours

_DIGEST_BYTES = 16
_LONG_NAME = 64  # of a longer one only the digest is kept
_VALUE, _END = b"\xfe", b"\xff"  # around a value; neither is in any UTF-8

Piece = tuple[str, "JSONValue"]


class SnapshotParts:
    """Compares what has come of an answer with a snapshot of it, and finds the rest.

    A part has a name, which is the same in every snapshot, and grows at its end: texts, which count as one
    text however the service cuts or joins them, and JSON values, which count as a whole. A2A's artifacts are
    such parts, by ``artifactId``. Of each part only the length and a digest are kept.

    Proven is that the snapshot begins, part by part, with exactly what has come, and what is new in it
    follows: nothing of a part is lost, repeated or changed. The order *between* parts is that of the
    snapshot. What is in no part, such as a change of state, is not compared.

    Args:
        resume: Where the stream asked to resume; before anything else, it must send a snapshot.
        max_parts: How many parts an answer may have; ``max_snapshot_parts`` of the call's limits.
    """

    def __init__(
        self, resume: ResumePoint | None = None, *, max_parts: int = Limits().max_snapshot_parts
    ) -> None:
        self._resume = resume
        self._max = max_parts
        self._known = {part.name: part for part in resume.parts} if resume is not None else {}
        self._parts: dict[str, _Part] = {}

    def add(self, name: str, content: JSONValue) -> RunAgentError | None:
        """Note what the reader is given next of a part; return the error if a snapshot had to come first.

        Args:
            name: The part's name.
            content: A text of whole characters (`SurrogateJoiner`), or another JSON value.
        """
        if self._resume is not None:
            return ProtocolError(
                f"the resumed stream began with {quote(name)} in place of everything so far", code=NOT_RESUMED
            )
        key = _key(name)
        part = self._parts.get(key)
        if part is None:
            if len(self._parts) >= self._max:
                return self._too_many()
            part = self._parts[key] = _Part()
        try:
            part.add(_encode(content))
        except ValueError as exc:
            return ProtocolError(f"a value of part {quote(name)} {exc}")
        return None

    def take_snapshot(self, pieces: Iterable[Piece]) -> tuple[list[Piece], RunAgentError | None]:
        """Take everything so far; return what the reader has not been given yet, and the error if it differs.

        It may come at any time, and in a stream that is not resumed as well. With an error nothing is new.

        Args:
            pieces: The name of a part and a content for each piece; one part may have several pieces.
        """
        known = (
            self._known if self._resume is not None else {k: p.received(k) for k, p in self._parts.items()}
        )
        found: dict[str, _Comparison] = {}
        new: list[Piece] = []
        for name, content in pieces:
            key = _key(name)
            if key not in found:
                if len(found) >= self._max:
                    return [], self._too_many()
                found[key] = _Comparison(known.get(key))
            try:
                rest = found[key].take(content)
            except ValueError:
                return [], _differs(f"does not begin part {quote(name)} with")
            new += [(name, each) for each in rest]
        for key, part in known.items():
            if part.size and (key not in found or found[key].size < part.size):
                return [], _differs(f"has less of part {quote(key)} than")
        self._parts = {key: comparison.part for key, comparison in found.items()}
        self._resume = None
        self._known = {}
        return new, None

    def resume_point(self) -> ResumePoint:
        """Return where another attempt could resume: behind everything that was added or found new."""
        if self._resume is not None:
            return self._resume
        parts = tuple(part.received(key) for key, part in self._parts.items())
        return ResumePoint(proof="snapshot", parts=parts)

    def _too_many(self) -> StreamLimitError:
        return StreamLimitError(
            f"the answer has more than {self._max} parts",
            hint="raise max_snapshot_parts to accept it",
            limit_name="max_snapshot_parts",
            limit=self._max,
        )


class _Part(msgspec.Struct):
    """How much of a part has come."""

    size: int = 0
    hash: blake2b = msgspec.field(default_factory=lambda: blake2b(digest_size=_DIGEST_BYTES))

    def add(self, data: bytes) -> None:
        self.size += len(data)
        self.hash.update(data)

    def received(self, name: str) -> ReceivedPart:
        return ReceivedPart(name, self.size, self.hash.hexdigest())


class _Comparison:
    """A part of a snapshot, and how far it is known already."""

    def __init__(self, known: ReceivedPart | None) -> None:
        self.part = _Part()
        self._known = known if known is not None and known.size else None

    @property
    def size(self) -> int:
        return self.part.size

    def take(self, content: JSONValue) -> list[JSONValue]:
        """Take the next piece and return what is new of it.

        Raises:
            ValueError: It is not what came before.
        """
        data, known, part = _encode(content), self._known, self.part
        if not data:
            return []
        if known is None or part.size >= known.size:
            part.add(data)
            return [content]
        cut = known.size - part.size
        part.add(data[:cut])
        if part.size < known.size:
            return []
        if part.received("").digest != known.digest:
            raise ValueError
        # The bytes that came end with a character or a value, so that only a text can be cut behind them.
        rest = data[cut:]
        part.add(rest)
        return [rest.decode("utf-8", "surrogatepass")] if rest else []


def _differs(how: str) -> ProtocolError:
    return ProtocolError(f"the snapshot {how} what came before", code=NOT_RESUMED)


def _key(name: str) -> str:
    if len(name) <= _LONG_NAME:
        return name
    return (
        f"{name[:8]}…{blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=_DIGEST_BYTES).hexdigest()}"
    )


def _encode(content: JSONValue) -> bytes:
    """Return the bytes of a piece; those of joined texts are those of the texts, joined.

    Raises:
        ValueError: A value is nested too deeply.

    For example, the pieces ``"ab"``, ``"c"`` and ``{"n": 1}`` are ``abc\\xfe{"n":1}\\xff``. As
    neither of those two bytes is in any text, the same bytes are always the same texts and values.
    """
    if isinstance(content, str):
        return content.encode("utf-8", "surrogatepass")
    try:
        return _VALUE + json.dumps(content, sort_keys=True, separators=(",", ":")).encode() + _END
    except RecursionError:
        raise ValueError("is nested too deeply") from None


publish(SnapshotParts, module="runagent.transports")
