"""What all commands of ``runagent-fake`` share: the parser, the output, and errors in one line."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

from runagent_testing._internal.redaction import Secrets, escaped
from runagent_testing._internal.suggestions import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from runagent_testing._recording.reading import RecordingError
    from runagent_testing._standalone.script_file import ScriptFile, ScriptFileError

    InvalidFile = RecordingError | ScriptFileError

__all__ = [
    "FAILED",
    "GOOD",
    "INTERRUPTED",
    "INVALID",
    "PROGRAM",
    "CommandError",
    "Parser",
    "lines_for",
    "load",
    "note",
    "print_lines",
    "read_checked",
    "report",
]

T = TypeVar("T")

GOOD, FAILED, INVALID, INTERRUPTED = 0, 1, 2, 130
PROGRAM = "runagent-fake"


class CommandError(Exception):
    """The command cannot continue; its text is the error, in one line.

    Attributes:
        problems: What is wrong with a file: lines to show before the error.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class Parser(argparse.ArgumentParser):
    """A parser with ``--version`` that raises if argparse would print its usage and exit."""

    def __init__(self, **options: Any) -> None:
        from runagent._version import __version__

        super().__init__(allow_abbrev=False, **options)
        self.add_argument("-V", "--version", action="version", version=f"{PROGRAM} {__version__}")

    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{Secrets().line(message)} (see {self.prog} --help)")

    def reject(self, unknown: Sequence[str]) -> NoReturn:
        """Report arguments that are unknown, with the option that was probably meant by the first one."""
        known = [name for action in self._actions for name in action.option_strings]
        meant = nearest(unknown[0].partition("=")[0], known, "")
        self.error(f"unrecognized arguments: {' '.join(unknown)}{'; ' if meant else ''}{meant}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            near = difflib.get_close_matches(value, action.choices, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(action.choices)}"
            raise argparse.ArgumentError(action, f"invalid choice: {value!r}; {hint}")


def report(error: CommandError) -> int:
    """Report an error as ``runagent`` does, in one line, and return the exit code."""
    note([*error.problems, f"{PROGRAM}: error: {error}"])
    return INVALID


def note(lines: Iterable[str]) -> None:
    """Write lines for people to stderr, if it takes them."""
    with contextlib.suppress(OSError, ValueError):  # nobody can be informed
        _write(sys.stderr, lines)


def print_lines(lines: Iterable[str]) -> None:
    """Write the command's result to stdout; a reader that wants no more of it ends that quietly.

    Raises:
        CommandError: It cannot be written, as when the disk is full.
    """
    try:
        _write(sys.stdout, lines)
    except OSError as exc:
        with contextlib.suppress(OSError, ValueError):  # the interpreter flushes once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(exc, BrokenPipeError):
            raise CommandError(f"cannot write the result: {exc.strerror or exc}") from exc


def lines_for(lines: Iterable[str]) -> str:
    """Return lines as one text for a terminal."""
    return "".join(f"{escaped(line)}\n" for line in lines)


def _write(stream: TextIO | None, lines: Iterable[str]) -> None:
    if stream is None:  # it was closed when the program began
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(lines_for(lines).encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def load(path: str) -> ScriptFile:
    """Read a script file.

    Raises:
        CommandError: It cannot be read, or is invalid; then ``problems`` has the places.
    """
    from runagent_testing._standalone.script_file import ScriptFileError, load_script

    return read_checked(path, load_script, ScriptFileError)


def read_checked(path: str, read: Callable[[str], T], invalid: type[InvalidFile]) -> T:
    """Read a file of the user's.

    Args:
        path: Its path.
        read: Reads it.
        invalid: The error that ``read`` raises for an invalid file.

    Raises:
        CommandError: It cannot be read, or is invalid; then ``problems`` has the places.
    """
    try:
        return read(path)
    except invalid as exc:
        count = len(exc.problems)
        found = f"{count} problem{'s' if count > 1 else ''} in {path}"
        raise CommandError(found, str(exc).split("\n")) from exc
    except OSError as exc:
        raise CommandError(f"cannot read {path}: {exc.strerror or exc}") from exc
