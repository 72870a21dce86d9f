"""What reports of failed tests show of their fake agents, and the files that ``--fake-agent-save`` keeps.

The plugin for pytest imports this module when a test that uses fake agents fails.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from runagent_testing._host.host import AgentHost

__all__ = ["saved", "sections"]

_TIMELINES = "fake agents: what was scripted and what was sent"
_TRANSCRIPTS = "fake agents: transcripts"
_SUFFIXES = (".txt", ".json", ".har")
_LONGEST = 120  # characters of a file's name


def sections(hosts: Iterable[AgentHost], *, verbose: bool) -> Iterator[tuple[str, str]]:
    """Yield the sections of a report.

    Args:
        hosts: The fake agents of the test.
        verbose: Whether to show transcripts, too, as ``pytest -v`` does.
    """
    hosts = list(hosts)
    if timelines := list(filter(None, (host.timelines() for host in hosts))):
        yield _TIMELINES, "\n\n".join(timelines)
    if verbose and (transcripts := list(filter(None, (host.journal.transcript() for host in hosts)))):
        yield _TRANSCRIPTS, "\n\n".join(transcripts)


def saved(hosts: Iterable[AgentHost], folder: str, test: str) -> str:
    """Save the journals of a test, and return the names of the files, or why there are none.

    Args:
        hosts: The fake agents of the test.
        folder: Where the files go; it is made if it does not exist.
        test: The id of the test, which the names are made of.
    """
    name = re.sub(r"[^\w.-]+", "-", test).strip("-")[-_LONGEST:]
    journals = [host.journal for host in hosts if host.journal.exchanges]
    lines = []
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for number, journal in enumerate(journals, 1):
            for suffix in _SUFFIXES:
                path = Path(folder) / f"{name}{'' if number == 1 else f'-{number}'}{suffix}"
                journal.save(path)
                lines.append(str(path))
    except OSError as exc:
        lines.append(f"not saved: {exc}")
    return "\n".join(lines)
