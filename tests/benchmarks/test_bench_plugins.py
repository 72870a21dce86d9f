"""What the transports of plugins cost, with a bound that a busy machine keeps, too."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_plugins import OF_SSE, ratio_to_sse
from tests.interop.protocols.official import PROTOCOLS, Protocol


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_a_burst_costs_a_few_times_that_of_our_sse(protocol: Protocol) -> None:
    assert ratio_to_sse(protocol, times=3) < 2 * OF_SSE
