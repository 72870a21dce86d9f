"""The header of a recording, and the name of its file: what is kept of a request. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.log import log_failure
from runagent_testing._recording.format import VERSION, encoded_bytes
from runagent_testing.dialects._builtin import BUILT_IN
from runagent_testing.dialects._hooks import parsed_by
from runagent_testing.dialects._installed import installed_dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runagent_testing._internal.credentials import Names
    from runagent_testing._internal.redaction import Secrets
    from runagent_testing.dialects import Dialect, Request, RunRequest

__all__ = ["Heading", "kept_fields", "recognised"]

# Every other header field is left out: a new one may hold a credential.
_ASKED = ("accept", "content-type", "last-event-id", "upgrade")
_ANSWERED = (
    *("cache-control", "content-language", "content-location", "content-type", "location", "request-id"),
    *("retry-after", "x-request-id", "x-vercel-ai-ui-message-stream"),
)
_LIMITS = re.compile(r"(?:[a-z]+-)?(?:x-)?ratelimit-[a-z-]+")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_NAME = 60  # characters of an agent's id in the name of a file


def recognised(
    request: Request, given: Sequence[Dialect] = (), note_failure: Callable[[Exception], object] = id
) -> tuple[Dialect | None, RunRequest | None]:
    """Find the dialect of a request for a run; neither if no dialect knows it.

    Args:
        request: The request.
        given: Dialects that are tried before the built-in and the installed ones.
        note_failure: Gets what a dialect raises, which is logged, too.
    """
    for dialect in (*given, *BUILT_IN, *installed_dialects()):
        try:
            found = parsed_by(dialect, request)
        except Exception as exc:  # noqa: BLE001 - a dialect may raise anything; another one may know the request
            log_failure(f"the dialect {dialect.name} was unable to read a request", exc)
            note_failure(exc)
            continue
        if found is not None:
            return dialect, found
    return None, None


def kept_fields(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of an answer's head that are kept."""
    return {name: value for name, value in headers.items() if name in _ANSWERED or _LIMITS.fullmatch(name)}


@dataclass(frozen=True, slots=True)
class Heading:
    """What the header of a recording has of the request.

    Attributes:
        request: The request.
        dialect: Its dialect; None if none is known.
        run_request: The run that it asks for, likewise.
        names: Which names mean a credential in it.
    """

    request: Request
    dialect: Dialect | None
    run_request: RunRequest | None
    names: Names

    @property
    def name(self) -> str:
        """The agent and the dialect, as a part of a file's name."""
        agent = "" if self.run_request is None else self.run_request.agent_id
        parts = (agent or "other", "http" if self.dialect is None else self.dialect.name)
        return "-".join(_UNSAFE.sub("_", part)[:_LONGEST_NAME] for part in parts)

    def header(self, secrets: Secrets, replaced: Callable[[bytes], bytes]) -> dict[str, Any]:
        """Make the header, without the answer.

        Args:
            secrets: What is hidden.
            replaced: Replaces ids.
        """
        run = self.run_request

        def clean(data: bytes) -> bytes:
            return replaced(secrets.masked(data, certain=False))

        headers = {name: self.request.headers[name] for name in _ASKED if name in self.request.headers}
        return {
            "runagent_recording": VERSION,
            "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "agent": "" if run is None else run.agent_id,
            "dialect": "" if self.dialect is None else self.dialect.name,
            "transport": "" if run is None else run.transport,
            "request": {
                "method": self.request.method,
                "path": clean(self._path).decode("latin-1"),
                "headers": {
                    name: clean(text.encode()).decode("utf-8", "replace") for name, text in headers.items()
                },
                "body": encoded_bytes(clean(self.request.body or b"")),
            },
            "redacted": sorted(self._redacted(secrets)),
        }

    @property
    def _path(self) -> bytes:
        return self.request.path.encode("latin-1", "replace")

    def _redacted(self, secrets: Secrets) -> Iterator[str]:
        yield from filter(self.names.mean_a_credential, self.request.headers)
        for part, data in (("path", self._path), ("body", self.request.body)):
            if data and secrets.places(data, certain=False):
                yield part
