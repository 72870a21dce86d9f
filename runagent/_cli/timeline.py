"""``runagent timeline``: a recording or a saved journal as a drawing, in text, SVG or HTML."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from runagent._cli.arguments import PHASES, UsageError
from runagent_testing._recording.reading import RecordingError
from runagent_testing._timeline.picture import as_html, as_svg
from runagent_testing._timeline.reading import read_timelines
from runagent_testing._timeline.text import as_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from runagent._cli.console import Console
    from runagent_testing._timeline.model import Timeline

__all__ = ["timeline"]

_ENDINGS = {".svg": "svg", ".html": "html", ".htm": "html", ".txt": "text", "": "text"}
_PIPE_WIDTH = 100  # columns, if the output is no terminal


def timeline(arguments: argparse.Namespace, console: Console) -> None:
    """Draw files, each exchange from its request on, all on one axis.

    Raises:
        UsageError: A file cannot be read or is invalid, or the output cannot be written, or has a name whose
            ending is not known.
    """
    drawn_as = arguments.format or _format_of(arguments.output)
    timelines = _chosen(_read(arguments.files), arguments.request)
    given = {phase: getattr(arguments, f"{phase}_timeout") for phase in PHASES}
    limits: Mapping[str, float] = {
        phase: limit for phase, limit in given.items() if limit not in (None, "none")
    }
    match drawn_as:
        case "svg":
            drawn = as_svg(timelines, limits)
        case "html":
            drawn = as_html(timelines, limits)
        case _:
            drawn = as_text(timelines, limits, _width())
    _write(drawn, arguments.output, console)


def _format_of(path: str | None) -> str:
    ending = Path(path or "").suffix.lower()
    if ending not in _ENDINGS:
        known = ", ".join(filter(None, _ENDINGS))
        raise UsageError(f"cannot draw {path}: the endings that are known are {known}; or choose a --format")
    return _ENDINGS[ending]


def _read(paths: list[str]) -> list[Timeline]:
    try:
        timelines = read_timelines(paths)
    except OSError as exc:
        raise UsageError(f"cannot read {exc.filename}: {exc.strerror}") from exc
    except RecordingError as exc:
        first, *more = str(exc).splitlines()
        raise UsageError(f"{first} (and {len(more)} more)" if more else first) from exc
    if not timelines:
        raise UsageError("there is no request in this journal")
    return timelines


def _chosen(timelines: list[Timeline], numbers: list[int]) -> list[Timeline]:
    """Leave out the requests of journals that are not asked for."""
    if unknown := sorted(set(numbers) - {each.request for each in timelines}):
        raise UsageError(f"there is no request {unknown[0]} in this journal")
    return [each for each in timelines if not numbers or each.request in (None, *numbers)]


def _width() -> int:
    return shutil.get_terminal_size((_PIPE_WIDTH, 24)).columns


def _write(drawn: str, path: str | None, console: Console) -> None:
    if path is None:
        console.write(drawn)
        return
    try:
        Path(path).write_text(drawn, encoding="utf-8")
    except OSError as exc:
        raise UsageError(f"cannot write {path}: {exc.strerror}") from exc
