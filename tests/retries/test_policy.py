"""The decisions by themselves: how long to wait, and which limit was met."""

from __future__ import annotations

from runagent import StreamTimeoutError, StreamTruncatedError
from runagent._call import ResumePoint
from runagent._config.timeouts import Timeouts
from runagent._run.deadlines import Deadlines
from runagent._run.policy import RetryPolicy


def test_the_retry_field_is_the_first_bound(waits: list[tuple[float, float]]) -> None:
    policy = RetryPolicy(delay=1.0, backoff=2.0, max_wait=60.0, max_retries=9)
    for failures in (1, 2, 9):
        policy.wait(failures, StreamTruncatedError("cut"), 3.0)
    policy.wait(9, StreamTruncatedError("cut"), None)
    assert [(0, 3.0), (0, 6.0), (0, 60.0), (0, 60.0)] == waits
    assert policy.wait(10, StreamTruncatedError("cut"), None) is None


def test_the_bound_stays_one_however_often_it_grows(waits: list[tuple[float, float]]) -> None:
    for delay in (1.0, 0.0):
        RetryPolicy(delay=delay, max_retries=10**6).wait(10**6, StreamTruncatedError("cut"), None)
    assert [(0, 60.0), (0, 0.0)] == waits


def test_total_timeouts_are_not_resumed() -> None:
    error, point = StreamTimeoutError("late", phase="total"), ResumePoint(3, proof="index")
    assert RetryPolicy().resume_from(error, point, may_retry=False) is None
    idle = StreamTimeoutError("late", phase="idle")
    assert point == RetryPolicy().resume_from(idle, point, may_retry=False)


def test_the_nearest_limit_gives_the_phase() -> None:
    deadlines = Deadlines(Timeouts(connect=1, first_event=2, idle=3, progress=10, total=100), 1000.0)
    deadlines.begin_attempt()
    assert (1001.0, 1002.0, "first_event") == (
        deadlines.connect(1000.0),
        deadlines.read(1000.0),
        deadlines.phase(1002.0),
    )
    deadlines.received(0.0, events=True)
    assert (1003.0, "idle") == (deadlines.read(1000.0), deadlines.phase(1003.0))
    for _ in range(4):
        deadlines.received(2.0, events=False)
    assert (1002.0, "progress") == (deadlines.read(1000.0), deadlines.phase(1002.0))
    assert "total" == deadlines.phase(1100.0)
