"""What the transports of plugins cost, with bounds that a busy machine keeps, too."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_plugins import compare
from tests.benchmarks.plugins import PLUGINS
from tests.benchmarks.race import origins


@pytest.mark.parametrize("plugin", PLUGINS)
def test_a_burst_costs_a_few_times_that_of_our_sse(plugin: str) -> None:
    with origins() as (plain, _):
        sse, ours, _ = compare(plain, plugin, "sync", rounds=3, peers=False, events=2000)
    assert ours.ratio(sse, "cpu") < 12
