"""Writes the recording of one exchange, line by line as it goes on."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from runagent_testing._internal.credentials import values_in
from runagent_testing._internal.log import log_failure
from runagent_testing._recording.format import END, MAX_GAP, entry_line, line_of
from runagent_testing._recording.heading import kept_fields
from runagent_testing._recording.scrubbing import Scrubber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from runagent_testing._internal.redaction import Secrets
    from runagent_testing._recording.heading import Heading
    from runagent_testing._recording.scrubbing import Ids

__all__ = ["Place", "RecordingWriter"]


class Place(NamedTuple):
    """Where an exchange is recorded.

    Attributes:
        path: The file, which is empty.
        run: The number of the file of the run's first attempt.
        attempt: Counted from 1.
    """

    path: Path
    run: int
    attempt: int


class RecordingWriter:
    """Records one exchange; times are in seconds of any clock that only grows.

    A file that cannot be written is logged once, and the exchange goes on.

    Args:
        heading: Describes the request.
        secrets: The credentials of the request.
        place: Makes the file, once there is something to write.
        ids: Replaces ids; None to keep them.
        max_bytes: The largest file; what goes beyond that is left out.
        now: The time of the request.
    """

    def __init__(
        self,
        heading: Heading,
        secrets: Secrets,
        place: Callable[[Heading], Place],
        ids: Ids | None,
        max_bytes: int,
        now: float,
    ) -> None:
        self._heading = heading
        self._secrets = secrets
        self._place = place
        self._ids = ids
        self._max_bytes = max_bytes
        self._agent = Scrubber(secrets, ids=ids)
        self._client = Scrubber(secrets, certain=False, ids=ids)
        self._waiting: deque[tuple[float, str]] = deque()
        self._asked = now
        self._last = 0.0
        self._path: Path | None = None
        self._size = 0
        self._is_over = False

    def answer(self, now: float, status: int | None, headers: Mapping[str, str]) -> None:
        """Write the header, once the head of the answer is there; status None: there was no answer."""
        self._learn(values_in(self._heading.names, headers))
        header = self._heading.header(self._secrets, self._replaced)
        if status is None:
            header["response"] = None
        else:
            masked = {name: self._clean(value) for name, value in kept_fields(headers).items()}
            header["response"] = {"status": status, "headers": masked, "gap": self._gap(now)}
        try:
            self._path, run, attempt = self._place(self._heading)
        except OSError as exc:
            self._give_up(exc)
        else:
            self._write(line_of({**header, "run": run, "attempt": attempt}))

    def add(self, now: float, kind: str, data: bytes) -> None:
        """Note a read, or a message of either side."""
        if self._is_over:
            return
        if kind == "client":
            self._learn(values_in(self._heading.names, {}, "", (data,)))
        self._waiting.append((now, kind))
        self._scrubber(kind).add(data, is_whole=kind != "write")
        self._drain()

    def end(self, now: float, kind: str, *, reason: str = "", outcome: str | None = None) -> None:
        """Write the rest, and the end."""
        if self._is_over:
            return
        if self._path is None:
            self.answer(now, None, {})
        for scrubber in (self._agent, self._client):
            scrubber.finish()
        self._drain()
        count = self._agent.count + self._client.count
        facts = {"kind": kind, "reason": self._clean(reason), "outcome": outcome, "redacted": count}
        self._write(line_of([self._gap(now), END, {name: fact for name, fact in facts.items() if fact}]))
        self._is_over = True

    def break_off(self, why: str) -> None:
        """Leave the recording without an end, with a comment."""
        self._write(f"# {why}\n")
        self._is_over = True

    def _scrubber(self, kind: str) -> Scrubber:
        return self._client if kind == "client" else self._agent

    def _learn(self, values: Iterable[str]) -> None:
        """Hide credentials that have come later than the request, too."""
        self._secrets = self._secrets.with_values(values)
        self._agent.secrets = self._client.secrets = self._secrets

    def _replaced(self, data: bytes) -> bytes:
        return data if self._ids is None else self._ids.replaced(data)

    def _clean(self, text: str) -> str:
        data = text.encode("utf-8", "replace")
        return self._replaced(self._secrets.masked(data)).decode("utf-8", "replace")

    def _drain(self) -> None:
        """Write the entries whose bytes are finished, in order."""
        while self._waiting and (ready := self._scrubber(self._waiting[0][1]).ready):
            now, kind = self._waiting.popleft()
            self._write(entry_line(self._gap(now), kind, ready.popleft()))

    def _gap(self, now: float) -> float:
        # The difference of rounded times, so that errors of rounding do not add up.
        before, self._last = self._last, max(now - self._asked, self._last)
        return round(min(round(self._last, 3) - round(before, 3), MAX_GAP), 3)

    def _write(self, line: str) -> None:
        if self._is_over or self._path is None:
            return
        data = line.encode()
        self._size += len(data)
        is_full = self._size > self._max_bytes
        if is_full:
            data = f"# more than {self._max_bytes} bytes: the rest is left out\n".encode()
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(data)
        except OSError as exc:
            self._give_up(exc)
        self._is_over |= is_full

    def _give_up(self, exc: OSError) -> None:
        self._is_over = True
        log_failure(f"a recording cannot be written: {exc.strerror or exc}: {exc.filename}", None)
