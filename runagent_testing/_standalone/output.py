"""Lines for a terminal, a file or a pipe that nobody may be reading: writing them never stops the writer."""

from __future__ import annotations

import queue
import threading
from typing import Any, TextIO

__all__ = ["Output"]

_ROOM = 10_000  # lines
_CLOSING = 1.0  # seconds for what has not been written yet


class Output:
    """Writes lines from a separate thread.

    A stream may fail (a full disk, a pipe without a reader) or never take anything more. The lines that
    it has not taken are lost, and the next one that it takes is preceded by their number.

    Args:
        stream: Where to; encoded as it wants, and with escapes for what its encoding does not have. None, as
            `sys.stderr` is if it was closed when the program began, loses every line.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        # Past the buffers: those keep what could not be written, and fail once more when the program ends.
        self._raw: Any = getattr(getattr(stream, "buffer", None), "raw", None)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._lines: queue.Queue[str | None] = queue.Queue(_ROOM)
        self._lock = threading.Lock()
        self._missed = 0  # while the queue was full
        self._thread = threading.Thread(target=self._work, name="fake-agent-output", daemon=True)
        self._thread.start()

    def write(self, line: str) -> None:
        """Have a line written, if there is room for it; callable from any thread."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            with self._lock:
                self._missed += 1

    def flush(self) -> None:
        """Do nothing: every line is written at once."""

    def close(self) -> None:
        """Wait a moment for what is still to be written."""
        try:
            self._lines.put(None, timeout=_CLOSING)
        except queue.Full:
            return  # the thread ends with the process
        self._thread.join(_CLOSING)

    def _work(self) -> None:
        lost, why = 0, "nobody read it"
        while (line := self._lines.get()) is not None:
            with self._lock:
                lost, self._missed = lost + self._missed, 0
            about = f"{lost} line{'s' if lost > 1 else ''} of this log got lost: {why}\n" if lost else ""
            try:
                self._put(about + line)
            except (OSError, ValueError) as exc:  # ValueError: the stream is closed
                lost, why = lost + 1, getattr(exc, "strerror", None) or str(exc)
            else:
                lost, why = 0, "nobody read it"

    def _put(self, text: str) -> None:
        data = text.encode(self._encoding, "backslashreplace")
        if self._stream is None:
            return
        if self._raw is None:
            self._stream.write(data.decode(self._encoding))
            self._stream.flush()
            return
        while data:
            # None: the stream does not block, and has no room.
            if not (written := self._raw.write(data)):
                raise BlockingIOError(0, "there was no room for it")
            data = data[written:]
