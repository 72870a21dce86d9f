"""Strike short runs with signals at random moments, and count what happens to them; a separate program.

    python -W ignore -m tests.support.storm STYLE RAISED SECONDS

STYLE is ``sync``, ``ahead`` (synchronous, reading ahead) or ``trio``; RAISED is what the handler of a timer
raises, or ``SIGINT``, for Ctrl-C pressed by another thread (trio guards its own code against that alone).
"""

from __future__ import annotations

import contextlib
import gc
import json
import random
import signal
import socket
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import trio

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent._net import base
from runagent_testing import FakeAgentServer
from tests.support.signals import SoftTimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KINDS = {"KeyboardInterrupt": KeyboardInterrupt, "SoftTimeLimit": SoftTimeLimit, "SIGINT": KeyboardInterrupt}
TRANSPORTS = ("sse", "chunked", "websocket")
LONGEST = 0.005


class Keyboard:
    """Presses Ctrl-C from a thread, once a run."""

    def __init__(self) -> None:
        self._main = threading.get_ident()
        self._lock = threading.Lock()
        self._armed, self._wait = threading.Event(), 0.0
        self.pressed = 0
        self._awaited = False
        threading.Thread(target=self._work, daemon=True).start()

    @contextlib.contextmanager
    def armed(self, seconds: float) -> Iterator[None]:
        self._wait, self._awaited = seconds, True
        self._armed.set()
        try:
            yield
        finally:
            with self._lock:
                self._awaited = False

    def _work(self) -> None:
        while True:
            self._armed.wait()
            self._armed.clear()
            time.sleep(self._wait)
            with self._lock:
                if self._awaited:
                    self._awaited = False
                    self.pressed += 1
                    signal.pthread_kill(self._main, signal.SIGINT)


class Alarm:
    """Has a handler raise in the main thread, once a run."""

    def __init__(self, kind: type[BaseException]) -> None:
        self.pressed = 0
        self._kind = kind
        signal.signal(signal.SIGALRM, self._ring)

    @contextlib.contextmanager
    def armed(self, seconds: float) -> Iterator[None]:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    def _ring(self, _number: int, _frame: object) -> None:
        self.pressed += 1
        raise self._kind("struck")


def run_once(style: str, transport: str, url: str) -> None:
    options: dict[str, Any] = {"read_ahead_bytes": 1000} if style == "ahead" else {}
    with RunAgentClient("a", base_url=url, transport=transport, transport_options=options) as client:
        client.run_generic_stream("x").text()


async def run_in_trio(_style: str, transport: str, url: str) -> None:
    client = AsyncRunAgentClient("a", base_url=url, transport=transport)
    await client.run_generic_stream("x").text()


def storm(style: str, raised: str, seconds: float) -> dict[str, Any]:
    """Run for so many seconds, and give the counts."""
    dropped: list[Any] = []
    sys.unraisablehook = dropped.append
    # Else the finalizer of a socket would run Python for its warning, and drop signals silently.
    socket.socket.__repr__ = object.__repr__  # type: ignore[method-assign]
    source = Keyboard() if raised == "SIGINT" else Alarm(KINDS[raised])
    run: Callable[..., Any] = run_once if style != "trio" else lambda *args: trio.run(run_in_trio, *args)
    chance, seen, runs = random.Random(1), 0, 0
    swallowed: Counter[str] = Counter()
    others: Counter[str] = Counter()
    with FakeAgentServer() as server:
        server.agent("a").always("Once", " upon", " a")
        for transport in TRANSPORTS:  # what an interrupted import leaves behind is the interpreter's
            run(style, transport, server.url)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            transport = chance.choice(TRANSPORTS)
            before, known = source.pressed, len(dropped)
            runs += 1
            try:
                with source.armed(chance.uniform(0.0, LONGEST)):
                    run(style, transport, server.url)
            except KINDS[raised]:
                seen += 1
            except BaseException as exc:  # noqa: BLE001  # that is the question
                struck = source.pressed - before, len(dropped) - known
                others[f"{exc!r} from {exc.__cause__!r}, (signals, dropped in finalizers): {struck}"] += 1
            else:
                if source.pressed > before and len(dropped) == known:
                    swallowed[transport] += 1
        gc.collect()
    return {
        "runs": runs,
        "sent": source.pressed,
        "seen": seen,
        "swallowed": swallowed,
        "others": others,
        "finalizers": len(dropped),
        "held": len(base._open),
    }


if __name__ == "__main__":
    print(json.dumps(storm(sys.argv[1], sys.argv[2], float(sys.argv[3]))))  # noqa: T201
