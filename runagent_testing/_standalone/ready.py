"""The file that shows other processes that the server can be used."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from runagent_testing._standalone.command import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ready_file", "remove_stale"]


def remove_stale(path: str | None) -> None:
    """Remove the file of a server that was killed, so that nobody takes its URL for that of the next one."""
    if path is not None and Path(path).is_file():
        with contextlib.suppress(OSError):  # what writes the file reports it
            Path(path).unlink()


@contextlib.contextmanager
def ready_file(path: str | None, url: str) -> Iterator[None]:
    """Keep a file with the URL while the body runs.

    It is written in one piece, so that nobody reads half of it, and removed at the end, unless another
    process has replaced it.

    Raises:
        CommandError: It cannot be written.
    """
    if path is None:
        yield
        return
    own = _written(Path(path), f"{url}\n")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if Path(path).stat().st_ino == own:
                Path(path).unlink()


def _written(path: Path, text: str) -> int:
    """Write the file, and return the number that shows whether it is still the same."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():
            raise OSError(None, "it is not a file")
        draft.write_text(text, encoding="utf-8")
        number = draft.stat().st_ino
        draft.replace(path)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise CommandError(f"cannot write {path}: {exc.strerror or exc}") from exc
    return number
