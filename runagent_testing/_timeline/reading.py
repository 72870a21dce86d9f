"""Reads what a timeline can be drawn of: a recording, or a saved journal."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from runagent_testing._internal.files import read_file
from runagent_testing._recording.format import MAX_RECORDING
from runagent_testing._recording.reading import parse_recording
from runagent_testing._timeline.recorded import recorded
from runagent_testing._timeline.saved import journaled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent_testing._timeline.model import Timeline

__all__ = ["read_timelines"]


def read_timelines(paths: Sequence[str]) -> list[Timeline]:
    """Return the timelines of files, in order; each of them begins with its request.

    Raises:
        OSError: A file cannot be read, or has more than 64 MiB.
        RecordingError: One is neither a recording nor a journal, or is invalid; the error has the line.
    """
    found = []
    for path in paths:
        data = read_file(path, MAX_RECORDING)
        timelines = [recorded(parse_recording(data, path))] if _is_recording(data) else journaled(data, path)
        found += [replace(each, title=f"{Path(path).name}: {each.title}") for each in timelines]
    return found


def _is_recording(data: bytes) -> bool:
    """Look at the first line: a recording has its header there, all of it."""
    try:
        return isinstance(json.loads(data.partition(b"\n")[0]), dict) and b'"exchanges"' not in data[:64]
    except (ValueError, RecursionError):
        return False
