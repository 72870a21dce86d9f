"""Files that other people wrote: read up to a limit, as not every file ends."""

from __future__ import annotations

from pathlib import Path

from runagent_testing._internal.tracebacks import is_ours

__all__ = ["MAX_FILE", "FileTooLargeError", "read_file", "read_text"]

__tracebackhide__ = is_ours

MAX_FILE = 1024 * 1024  # bytes


class FileTooLargeError(OSError):
    """A file is larger than what is read of one."""


def read_file(path: str | Path, limit: int = MAX_FILE) -> bytes:
    """Read a file.

    Raises:
        FileTooLargeError: It has more than ``limit`` bytes.
        OSError: It cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise FileTooLargeError(None, f"it has more than {limit} bytes", str(path))
    return data


def read_text(path: str | Path) -> str:
    """Read a file as UTF-8; the errors are those of `read_file`.

    Raises:
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_file(path).decode("utf-8")
