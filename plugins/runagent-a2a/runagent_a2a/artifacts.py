"""What has come of the artifacts of a task: contents as they are handed out, and the proof of a snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent.transports import SnapshotParts, SurrogateJoiner
from runagent_a2a.repeats import Repeats
from runagent_a2a.words import pieces_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runagent import RunAgentError
    from runagent.transports import ResumePoint
    from runagent_a2a.words import Piece

__all__ = ["Artifacts"]


class Artifacts:
    """Turns parts of artifacts into contents, and finds what of a snapshot is new.

    Args:
        resume: Where the stream was asked to go on.
        max_parts: How many artifacts a task may have.

    Attributes:
        repeats: Finds updates behind a snapshot that are in it; None without a snapshot, or if that is over.
        is_comparable: Whether a snapshot can be compared with what has come: not if an artifact was replaced,
            nor if the task had artifacts before this run.
    """

    def __init__(self, resume: ResumePoint | None, max_parts: int) -> None:
        self._parts = SnapshotParts(resume, max_parts=max_parts)
        self._joiners: dict[str, SurrogateJoiner] = {}  # of artifacts that end with half a character
        self._known: set[str] = set()
        self.repeats: Repeats | None = None
        self.is_comparable = True

    def is_known(self, artifact: dict[str, Any]) -> bool:
        """Whether an artifact of this id has come."""
        return artifact["artifactId"] in self._known

    def add(self, artifact: dict[str, Any]) -> tuple[list[Piece], RunAgentError | None]:
        """Take more parts of an artifact; return their contents, and the error if a snapshot is missing."""
        name: str = artifact["artifactId"]
        self._known.add(name)
        new: list[Piece] = []
        for piece in pieces_of(artifact["parts"]):
            content = self._joined(name, piece)
            if (fault := self._parts.add(name, content)) is not None:
                return new, fault
            if content != "":
                new.append(content)
        return new, None

    def take_all(self, artifacts: Iterable[dict[str, Any]]) -> tuple[list[Piece], RunAgentError | None]:
        """Take everything so far; return what is new of it, and an error if it is not what came before."""
        self._joiners.clear()  # what was kept back is in the snapshot, too
        artifacts = list(artifacts)
        self.repeats = Repeats(artifacts)
        whole = list(self._contents(artifacts))
        self._known.update(name for name, _ in whole)
        new, fault = self._parts.take_snapshot(whole)
        return [content for _, content in new], fault  # type: ignore[misc]  # of what was put in

    def flush(self) -> list[Piece]:
        """Return halves of characters that are still kept, as U+FFFD."""
        halves: list[Piece] = [joiner.flush() for joiner in self._joiners.values()]
        self._joiners.clear()
        return halves

    def resume_point(self) -> ResumePoint | None:
        """Return where another attempt could go on; None if it could not prove the place."""
        return self._parts.resume_point() if self.is_comparable and not self._joiners else None

    def _contents(self, artifacts: Iterable[dict[str, Any]]) -> Iterator[tuple[str, Piece]]:
        for artifact in artifacts:
            name = artifact["artifactId"]
            for piece in pieces_of(artifact["parts"]):
                yield name, self._joined(name, piece)

    def _joined(self, name: str, piece: Piece) -> Piece:
        """Join the halves of a character that is cut between two parts of an artifact."""
        if not isinstance(piece, str):
            return piece
        joiner = self._joiners.pop(name, None)
        if joiner is None and not _may_end_in_half(piece):
            return piece
        joiner = joiner or SurrogateJoiner()
        text = joiner.join(piece)
        if joiner.half:
            self._joiners[name] = joiner
        return text


def _may_end_in_half(text: str) -> bool:
    return not text.isascii()
