"""The timer that ends waits on asyncio, on a loop whose time the test moves."""

from __future__ import annotations

import heapq
import itertools
from typing import Any

import pytest

from runagent._net.aio_watchdog import Watchdog


class Timer:
    def __init__(self, callback):
        self.callback = callback

    def cancel(self):
        self.callback = None


class Loop:
    """What the watchdog uses of a loop."""

    def __init__(self):
        self._now = 0.0
        self._timers = []
        self._numbers = itertools.count()
        self.fired = 0

    def time(self):
        return self._now

    def call_later(self, seconds, callback):
        timer = Timer(callback)
        heapq.heappush(self._timers, (self._now + seconds, next(self._numbers), timer))
        return timer

    def run(self):
        while self._timers:
            when, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self._now, self.fired = when, self.fired + 1
                timer.callback()


class Wait:
    """A connection that waits until it is timed out."""

    def __init__(self, loop, deadline):
        self.loop, self.deadline, self.ended = loop, deadline, None

    def time_out(self):
        self.deadline, self.ended = float("inf"), self.loop.time()


def watched(deadlines):
    loop: Any = Loop()
    watchdog = Watchdog(loop)
    waits = [Wait(loop, deadline) for deadline in deadlines]
    watchdog.connections.update(waits)
    watchdog.wake_at(min(deadlines))
    loop.run()
    return loop, waits


@pytest.mark.parametrize("deadlines", [[5.0], [1.0, 2.0, 3.0], [4.0] * 50])
def test_few_waits_end_at_their_deadlines(deadlines):
    _, waits = watched(deadlines)
    assert deadlines == pytest.approx([wait.ended for wait in waits], abs=1e-6)


def test_many_waits_are_not_all_examined_at_the_deadline_of_each():
    # Five thousand streams that fell silent one after the other, within a second.
    loop, waits = watched([60 + number / 5000 for number in range(5000)])
    late = [
        wait.ended - deadline
        for wait, deadline in zip(waits, (60 + n / 5000 for n in range(5000)), strict=True)
    ]
    assert 0 <= min(late)
    assert 0.051 > max(late)
    assert 22 > loop.fired
