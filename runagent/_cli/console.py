"""Standard output and error, as a terminal or a pipe wants them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

__all__ = ["Console", "OutputError", "in_columns", "make_harmless", "one_line"]

_FRAMES = "|/-\\"
_FRAME_SECONDS = 0.1
_CLEAR_LINE = "\r\x1b[K"

# What makes a terminal do something, or shows text in another order than it is: C0 but for \t, \n and
# \r\n, DEL, C1, and the bidirectional embeddings, overrides and isolates (UAX #9).
_HARMFUL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")


class OutputError(Exception):
    """Standard output does not take what is written.

    Attributes:
        nobody_reads: The reader of the pipe has gone, as ``head`` does when it has enough.
    """

    def __init__(self, message: str, *, nobody_reads: bool = False) -> None:
        super().__init__(message)
        self.nobody_reads = nobody_reads


def make_harmless(text: str) -> str:
    """Replace what acts on a terminal by its escape, which is the one of JSON if JSON text can hold it."""
    return _HARMFUL.sub(lambda match: _escape(match.group()), text)


def one_line(text: str) -> str:
    """Put a message into one line that does nothing to a terminal."""
    return make_harmless(" ".join(text.splitlines())).replace("\t", " ")


def in_columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows of as many cells each as lines, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"


class Console:
    """Writes text to standard output, at once, and messages to standard error.

    On a terminal, text is made harmless and keeps to the terminal's encoding. Anywhere else it is
    UTF-8, unchanged, whatever the locale is.

    Attributes:
        interactive: Somebody watches both.
    """

    def __init__(self, out: TextIO | None, err: TextIO | None) -> None:
        self._out = out
        self._err = err
        self._out_is_terminal = _is_terminal(out)
        self.interactive = self._out_is_terminal and _is_terminal(err)
        self._mid_line = False
        self._held = ""  # a \r at the end of a text, which may be half of a line end
        self._spinner: _Spinner | None = None

    def write(self, text: str) -> None:
        """Write agent text as it is, or harmless on a terminal, and flush it.

        Raises:
            OutputError: Nobody takes it.
        """
        if self._out_is_terminal:
            text = self._held + text
            self._held = "\r" if text.endswith("\r") else ""
            text = make_harmless(text.removesuffix("\r") if self._held else text)
        if text:
            self.end_wait()
            self._mid_line = not text.endswith("\n")
            self._send(text)

    def line(self, text: str) -> None:
        """Write a text and end its line."""
        self.write(f"{text}\n")

    def end_line(self) -> None:
        """On a terminal, go to a fresh line; a pipe gets nothing that the agent did not send."""
        if self._out_is_terminal and (self._mid_line or self._held):
            held, self._held, self._mid_line = self._held, "", False
            self._send(make_harmless(held) + "\n")

    def flush(self) -> None:
        """Flush what others have written to standard output.

        Raises:
            OutputError: Nobody takes it.
        """
        if self._out is not None:
            with _output_errors():
                self._out.flush()

    def abandon_output(self) -> None:
        """Write nothing more to standard output, and let the interpreter's last flush go nowhere."""
        self.end_wait()
        out, self._out = self._out, None
        if out is None:
            return
        with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), out.fileno())

    def note(self, message: str) -> None:
        """Write one line to standard error; if nobody takes it, nobody can be informed."""
        with contextlib.suppress(OutputError):
            self.end_line()
        self._complain(one_line(message) + "\n")

    def traceback(self, error: BaseException) -> None:
        """Write a traceback to standard error."""
        import traceback

        self._complain(make_harmless("".join(traceback.format_exception(error))))

    def begin_wait(self, text: str) -> None:
        """Show that something is awaited, until something is written; only if somebody watches."""
        if self.interactive and self._err is not None and os.environ.get("TERM", "dumb") != "dumb":
            self._spinner = _Spinner(self._err, text)

    def end_wait(self) -> None:
        """Take the sign of waiting away."""
        spinner, self._spinner = self._spinner, None
        if spinner is not None:
            spinner.stop()

    def _send(self, text: str) -> None:
        if self._out is None:
            raise OutputError("standard output is closed")
        binary = getattr(self._out, "buffer", None)
        with _output_errors():
            if binary is None:  # a substitute of a test or of a program that calls `main`
                self._out.write(text)
            else:
                encoding = (self._out.encoding if self._out_is_terminal else None) or "utf-8"
                self._out.flush()
                _write_all(binary, text.encode(encoding, "backslashreplace"))
            (binary or self._out).flush()

    def _complain(self, text: str) -> None:
        self.end_wait()
        if self._err is not None:
            with contextlib.suppress(OSError, ValueError):
                self._err.write(_expressible(text, self._err))
                self._err.flush()


class _Spinner:
    """A sign of life on a terminal, drawn by a thread because the program itself waits for the network."""

    def __init__(self, stream: TextIO, text: str) -> None:
        self._stream = stream
        self._text = text
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="runagent-spinner", daemon=True)
        with contextlib.suppress(RuntimeError):  # no thread to be had: the run does without
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _draw(self) -> None:
        frame = 0
        with contextlib.suppress(OSError, ValueError):
            # There is no wait for an answer within a frame: nothing flickers.
            while not self._stopped.wait(_FRAME_SECONDS):
                self._put(f"\r{_FRAMES[frame % len(_FRAMES)]} {self._text}")
                frame += 1
            if frame:
                self._put(_CLEAR_LINE)

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _expressible(text: str, stream: TextIO) -> str:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _write_all(binary: BinaryIO, data: bytes) -> None:
    # `python -u` has no buffer below: its writes may be partial.
    view = memoryview(data)
    while view:
        written = binary.write(view)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, "it is non-blocking and full")
        view = view[written:]


@contextlib.contextmanager
def _output_errors() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as exc:
        raise OutputError("nobody reads it", nobody_reads=True) from exc
    except OSError as exc:
        raise OutputError(exc.strerror or str(exc)) from exc
    except ValueError as exc:
        raise OutputError("standard output is closed") from exc
