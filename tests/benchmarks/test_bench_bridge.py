"""What a library behind ``AsyncTransport`` costs, with bounds that a busy machine keeps, too."""

from __future__ import annotations

from tests.benchmarks.bench_bridge import measure


def test_a_burst_through_the_bridge_costs_a_few_times_the_library() -> None:
    alone, in_the_loop, in_a_thread, *_ = measure("burst 3000", rounds=3).values()
    assert in_the_loop < 6 * alone
    assert in_a_thread < 10 * alone
