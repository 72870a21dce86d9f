"""What a test can know of its other threads."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from runagent.net import blocking

if TYPE_CHECKING:
    from types import FrameType


def wait_for_reader() -> None:
    """Wait until another thread is inside the network, connecting or receiving, which nothing else shows."""
    pause, own = threading.Event(), threading.get_ident()
    for _ in range(5000):
        for thread, frame in sys._current_frames().items():
            if thread != own and _is_in_network(frame):
                return
        pause.wait(0.001)
    raise AssertionError("nobody reads")


def _is_in_network(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code.co_filename != blocking.__file__:
        frame = frame.f_back
    return frame is not None
