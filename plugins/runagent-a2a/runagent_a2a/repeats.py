"""Updates that come once more behind a snapshot which has them already.

A service that listens for updates before it takes the snapshot, as that of a2a-sdk does, sends those in
between twice. They come first and in order, and are the last parts of the snapshot: after the parts "a", "b"
and "c" perhaps "b" and "c" again. So updates that could be such a repetition are held back until one comes
that does not continue it. If all of it has come, only another snapshot shows whether the agent has repeated
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_a2a.words import pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent_a2a.words import Piece

__all__ = ["Repeats"]


class Repeats:
    """Looks at the updates behind a snapshot.

    Args:
        artifacts: The artifacts of the snapshot.

    Attributes:
        held: Updates that are held back, all of one artifact.
    """

    def __init__(self, artifacts: Iterable[dict[str, Any]]) -> None:
        self._known = {each["artifactId"]: list(pieces_of(each["parts"])) for each in artifacts}
        self._places: set[int] = set()  # where in the snapshot the repetition may have come to
        self.held: list[dict[str, Any]] = []

    def hold(self, update: dict[str, Any]) -> bool:
        """Hold an update back if it may be in the snapshot; False if it is new, and so are those held back.

        Raises:
            ValueError: Only another snapshot can show that.
        """
        artifact = update["artifact"]
        name, pieces = artifact["artifactId"], list(pieces_of(artifact["parts"]))
        known = self._known.get(name, [])
        if self.held and name != self.held[0]["artifact"]["artifactId"]:
            raise ValueError("the updates of two artifacts may be in the snapshot")
        starts = self._places if self.held else range(len(known))
        size = len(pieces)
        self._places = {start + size for start in starts if known[start : start + size] == pieces}
        if len(known) in self._places or _ends_with(known, pieces):
            raise ValueError("the updates are the end of the snapshot, or came once more")
        if self._places:
            self.held.append(update)
        return bool(self._places)


def _ends_with(known: list[Piece], pieces: list[Piece]) -> bool:
    """Whether a service that joins texts may have this one at the end of the snapshot."""
    last, first = known[-1:], pieces[:1]
    if not (last and first and isinstance(last[0], str) and isinstance(first[0], str)):
        return False
    return len(first[0]) < len(last[0]) and last[0].endswith(first[0])
