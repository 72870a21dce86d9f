"""Frozen dates, as libraries for tests make them: every Python function that reads the time is replaced.

    python -m tests.support.frozen STYLE WHEN

runs one client against a slow agent and a silent one while dates are frozen, and prints the result.
"""

from __future__ import annotations

import contextlib
import json
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.peer import PeerConnection

__all__ = ["frozen"]

_EPOCH = 1_700_000_000.0
_NAMES = ("time", "monotonic", "perf_counter")
_LIMIT = 0.3
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_PIECES = (_HEAD, b'data: {"content": "a"}\n\n', b"event: done\ndata: {}\n\n")


class Frozen:
    """A time that runs on from where it was set."""

    def __init__(self) -> None:
        self._real = time.perf_counter
        self._begun = self._real()
        self._start = _EPOCH

    def now(self) -> float:
        """Return what every clock shows."""
        return self._start + self._real() - self._begun

    def now_ns(self) -> int:
        """Return it in nanoseconds."""
        return int(self.now() * 1e9)

    def move(self, seconds: float) -> None:
        """Set all clocks forward."""
        self._start += seconds


@contextlib.contextmanager
def frozen() -> Iterator[Frozen]:
    """Replace the clocks of the module ``time``, even if another module holds one of its functions."""
    state = Frozen()
    fakes: dict[int, Any] = {}
    for name in _NAMES:
        fakes[id(getattr(time, name))] = state.now
        fakes[id(getattr(time, f"{name}_ns"))] = state.now_ns
    replaced = []
    for module in list(sys.modules.values()):
        for attribute, value in list(vars(module).items()):
            if id(value) in fakes:
                setattr(module, attribute, fakes[id(value)])
                replaced.append((module, attribute, value))
    try:
        yield state
    finally:
        for module, attribute, value in replaced:
            setattr(module, attribute, value)


def _pause() -> None:
    threading.Event().wait(0.1)  # by the clock of the system


def _slow(connection: PeerConnection, dates: list[Frozen]) -> None:
    connection.read_request()
    for piece in _PIECES:
        _pause()
        if dates:
            dates[0].move(3600)
        connection.send(piece)


def _silent(connection: PeerConnection) -> None:
    connection.read_request()
    connection.wait_gone()


def outcome(style_name: str, when: str) -> list[object]:
    """Freeze dates before the run or in the middle of it, unless that is done; return the outcomes."""
    with contextlib.ExitStack() as stack:
        dates: list[Frozen] = []
        from runagent import RunTimeoutError, Timeouts
        from tests.support.peer import Peer
        from tests.support.styles import Style

        style = Style(style_name, debug=False)  # which would report how long a step took
        slow = stack.enter_context(Peer(partial(_slow, dates=dates)))
        silent = stack.enter_context(Peer(_silent))
        real = time.perf_counter if when != "before-import" else None

        async def scenario() -> list[object]:
            client = style.client("a", base_url=slow.url, max_retries=0)
            if when != "before-import":
                await client.run_generic_stream("x").text()
                dates.append(stack.enter_context(frozen()))
            if when == "before-run":
                dates.clear()
            text = await client.run_generic_stream("x").text()
            other = style.client(
                "a", base_url=silent.url, max_retries=0, timeout=Timeouts(first_event=_LIMIT)
            )
            begun = real() if real else None
            try:
                await other.run_generic_stream("x").text()
            except RunTimeoutError as exc:
                return [text, exc.phase, begun is None or real is None or real() - begun >= _LIMIT * 0.9]
            return [text, None, False]

        result: list[object] = style.run(scenario)
        return result


def main(when: str, *style_names: str) -> None:
    """Freeze dates before the package is imported, before each run or in the middle of it."""
    with frozen() if when == "before-import" else contextlib.nullcontext():
        outcomes = {style_name: outcome(style_name, when) for style_name in style_names}
    print(json.dumps(outcomes))  # noqa: T201  # read by the test that started us


if __name__ == "__main__":
    main(*sys.argv[1:])
