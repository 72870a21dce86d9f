"""Removes credentials from what is recorded, before a byte of it reaches the disk. No I/O."""

from __future__ import annotations

import re
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._internal.redaction import Secrets

__all__ = ["Ids", "Scrubber"]

_CONTEXT = 512  # bytes before a read in which the name of a field may be whose value the read begins with
_LONGEST_LINE = 64 * 1024  # bytes that wait for the end of their line
_ID = re.compile(
    rb"(?<![\w-])(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}"
    rb"|[A-Za-z]{2,16}[-_][A-Za-z0-9]{16,64})(?![\w-])"
)
_UNFINISHED = re.compile(rb"[\w-]{1,128}\Z")

Span = tuple[int, int, bytes | None]


class Ids:
    """Placeholders for ids, so that two recordings of the same exchanges differ in little else."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}

    def spans(self, data: bytes) -> Iterator[Span]:
        """Yield the place of each id, and its placeholder: the same one for the same id."""
        for match in _ID.finditer(data):
            yield *match.span(), self._known.setdefault(match[0], b"<id:%d>" % (len(self._known) + 1))

    def replaced(self, data: bytes) -> bytes:
        """Replace the ids of a whole text."""
        return _ID.sub(lambda match: next(self.spans(match[0]))[2] or b"", data)


class Scrubber:
    """Replaces credentials by as many asterisks in the reads of one direction.

    A credential that is cut over several reads is found, too: bytes are held back while they may be the
    beginning of one that is known, and while their line is not complete, as the names of fields mean only
    something together with their values.

    Args:
        secrets: What is hidden.
        certain: Whether ambiguous names, such as "token", hide nothing.
        ids: Replaces ids; None to keep them.

    Attributes:
        ready: The reads that are finished, in order.
        count: How many places were hidden.
    """

    def __init__(self, secrets: Secrets, *, certain: bool = True, ids: Ids | None = None) -> None:
        self.secrets = secrets
        self.ready: deque[bytes] = deque()
        self.count = 0
        self._certain = certain
        self._ids = ids
        self._before = b""
        self._held = b""
        self._sizes: deque[int] = deque()
        self._finished: list[bytes] = []  # of the first read that is held back

    def add(self, data: bytes, *, is_whole: bool = False) -> None:
        """Take a read; ``is_whole``: no field goes on after it, as in the message of a WebSocket."""
        self._held += data
        self._sizes.append(len(data))
        self._decide(is_whole=is_whole)

    def finish(self) -> None:
        """Finish all reads, as nothing follows."""
        self._decide(is_whole=True, is_last=True)

    def _decide(self, *, is_whole: bool, is_last: bool = False) -> None:
        spans = list(self._spans())
        border = len(self._held)
        if not is_whole:
            border = max(self._held.rfind(b"\n") + 1, border - _LONGEST_LINE)
        if not is_last:
            border = min(border, len(self._held) - self.secrets.begun_by(self._held))
            border = min([border, *(begin for begin, end, _ in spans if end > border)])
        if self._ids is not None and not is_last and (match := _UNFINISHED.search(self._held)):
            border = min(border, match.start())
        self._release(border, [span for span in spans if span[0] < border])

    def _spans(self) -> Iterator[Span]:
        """Yield the places in what is held back, in order."""
        skipped = len(self._before)
        data = self._before + self._held
        found: list[Span] = [
            (begin, end, None) for begin, end in self.secrets.places(data, certain=self._certain)
        ]
        found += () if self._ids is None else self._ids.spans(data)
        at = skipped
        for begin, end, text in sorted(found, key=lambda span: span[:2]):
            if end > at and begin >= (at if text is not None else 0):
                yield max(begin, at) - skipped, end - skipped, text
                at = end

    def _release(self, border: int, spans: list[Span]) -> None:
        """Finish the first bytes: each read gets those that were its own."""
        self.count += sum(text is None for _, _, text in spans)
        pieces = deque(_pieces(self._held[:border], spans))
        while self._sizes and (pieces or not self._sizes[0]):
            if not self._sizes[0]:
                self._sizes.popleft()
                self._finish_read()
                continue
            size, data, text = pieces.popleft()
            taken = min(size, self._sizes[0])
            self._sizes[0] -= taken
            self._finished.append(data[:taken] if text is None else text)
            if taken < size:
                pieces.appendleft((size - taken, data[taken:], None if text is None else b""))
        self._before = (self._before + self._held[:border])[-_CONTEXT:]
        self._held = self._held[border:]

    def _finish_read(self) -> None:
        self.ready.append(b"".join(self._finished))
        self._finished.clear()


def _pieces(data: bytes, spans: list[Span]) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Yield sizes, and the bytes of as many, or a text in place of all of them."""
    at = 0
    for begin, end, text in chain(spans, [(len(data), len(data), None)]):
        if begin > at:
            yield begin - at, data[at:begin], None
        if end > begin:
            yield end - begin, b"*" * (end - begin), text
        at = end
