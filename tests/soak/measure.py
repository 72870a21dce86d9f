"""What this process holds: memory, objects, descriptors, threads."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import sys
import threading
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MIB", "Holdings", "Peak", "peak_of_memory", "raise_descriptor_limit"]

MIB = 1024 * 1024
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@dataclass(frozen=True)
class Holdings:
    """What a process holds at a moment.

    Attributes:
        memory: Resident bytes; 0 if that is not known.
        blocks: Objects and buffers that Python has allocated.
        descriptors: Open file descriptors; 0 if that is not known.
        threads: Threads.
    """

    memory: int
    blocks: int
    descriptors: int
    threads: int

    @classmethod
    def now(cls) -> Holdings:
        """Look, with nothing that only waits to be collected."""
        gc.collect()
        descriptors = len(os.listdir("/proc/self/fd")) if _STATUS.exists() else 0  # noqa: PTH208
        return cls(
            _kilobytes("VmRSS") * 1024, sys.getallocatedblocks(), descriptors, threading.active_count()
        )


class Peak:
    """The highest growth of memory.

    Attributes:
        growth: In bytes, once it is over.
    """

    growth = 0


@contextlib.contextmanager
def peak_of_memory(*, exactly: bool) -> Iterator[Peak]:
    """Measure the highest growth of memory within a block.

    Args:
        exactly: Count what Python allocates, which makes it several times as slow; otherwise the
            resident memory of the process, as Linux reports it.
    """
    peak = Peak()
    gc.collect()
    if exactly:
        tracemalloc.start()
        try:
            yield peak
            peak.growth = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        return
    if _CLEAR.exists():
        _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    before = _kilobytes("VmRSS")
    yield peak
    peak.growth = max(_kilobytes("VmHWM") - before, 0) * 1024


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system lets us: a thousand streams are a thousand sockets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _kilobytes(name: str) -> int:
    lines = _STATUS.read_text(encoding="ascii").splitlines() if _STATUS.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
