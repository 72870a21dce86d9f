"""What a test can know of its other threads."""

from __future__ import annotations

import sys
import threading

from runagent.net import blocking


def wait_for_reader() -> None:
    """Wait until another thread is inside the network's `receive` (or `sleep`), which nothing else shows."""
    pause, own = threading.Event(), threading.get_ident()
    for _ in range(5000):
        for thread, frame in sys._current_frames().items():
            if thread != own and frame.f_code.co_filename == blocking.__file__:
                return
        pause.wait(0.001)
    raise AssertionError("nobody reads")
