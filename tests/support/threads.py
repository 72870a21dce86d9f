"""What a test can know of its other threads."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from runagent._net import blocking

if TYPE_CHECKING:
    from types import CodeType, FrameType


def wait_for_reader(function: CodeType | None = None) -> None:
    """Wait until another thread is inside the network, connecting or receiving, which nothing else shows.

    Args:
        function: Where it waits instead.
    """
    pause, own = threading.Event(), threading.get_ident()
    for _ in range(5000):
        for thread, frame in sys._current_frames().items():
            if thread != own and _is_inside(frame, function):
                return
        pause.wait(0.001)
    raise AssertionError("nobody reads")


def _is_inside(frame: FrameType | None, function: CodeType | None) -> bool:
    while frame is not None:
        code = frame.f_code
        if code is function or (function is None and code.co_filename == blocking.__file__):
            return True
        frame = frame.f_back
    return False
