"""A folder of recordings, which numbers them and groups those of one run."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from runagent_testing._internal.credentials import USUAL_NAMES, Names
from runagent_testing._internal.redaction import Secrets
from runagent_testing._recording.format import MAX_RECORDING, SUFFIX
from runagent_testing._recording.heading import Heading, recognised
from runagent_testing._recording.scrubbing import Ids
from runagent_testing._recording.writing import Place, RecordingWriter

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from runagent_testing.dialects import Dialect, Request

__all__ = ["RecordingFolder"]

_NUMBER = re.compile(r"(\d{4,12})-.*")
_RESUMED = re.compile(r"-\d+$")  # at the end of the Idempotency-Key of a resumption


class RecordingFolder:
    """A folder of recordings; threads may share it.

    Args:
        directory: Made if it does not exist.
        stable_ids: Whether ids become placeholders.
        secrets: Texts that are hidden in addition to the credentials of each exchange.
        dialects: Asked before the built-in and the installed ones what a request is.
        max_bytes: The largest file; what goes beyond that is left out.

    Raises:
        OSError: The folder cannot be made or read.
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        stable_ids: bool = False,
        secrets: Iterable[str] = (),
        dialects: Sequence[Dialect] = (),
        max_bytes: int = MAX_RECORDING,
    ) -> None:
        self._directory = Path(directory)
        self._directory.mkdir(parents=True, exist_ok=True)
        self._ids = Ids() if stable_ids else None
        self._values = tuple(secrets)
        self._dialects = tuple(dialects)
        self._max_bytes = max_bytes
        taken = (_NUMBER.fullmatch(path.name) for path in self._directory.glob(f"*{SUFFIX}"))
        self._number = max((int(match[1]) for match in taken if match), default=0)
        self._runs: dict[str, tuple[int, int]] = {}
        self._lock = threading.Lock()

    def begin(self, request: Request, now: float) -> RecordingWriter:
        """Begin the recording of an exchange, whose request is sent now."""
        dialect, run_request = recognised(request, self._dialects)
        names = USUAL_NAMES if dialect is None else Names(dialect.credential_fields)
        bodies = () if request.body is None else (request.body,)
        secrets = Secrets(names, self._values).seen_in(request.headers, request.path, bodies)
        heading = Heading(request, dialect, run_request, names)
        return RecordingWriter(heading, secrets, self._place, self._ids, self._max_bytes, now)

    def _place(self, heading: Heading) -> Place:
        with self._lock:
            path = self._next_file(heading)
            key = _RESUMED.sub("", heading.request.headers.get("idempotency-key", ""))
            run, attempts = self._runs.get(key, (self._number, 0)) if key else (self._number, 0)
            self._runs[key] = run, attempts + 1
            return Place(path, run, attempts + 1)

    def _next_file(self, heading: Heading) -> Path:
        """Make the next file; another process may use the same folder."""
        while True:
            self._number += 1
            path = self._directory / f"{self._number:04}-{heading.name}{SUFFIX}"
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                continue
            return path
