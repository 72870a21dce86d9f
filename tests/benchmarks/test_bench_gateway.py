"""How the bench of gateways compares; tests/interop/gateways measures with it."""

from __future__ import annotations

import pytest

from tests.benchmarks.bench_gateway import Cost, goals_of, ratio, table_of


def test_ratios_are_medians_over_the_rounds() -> None:
    costs = {
        "relay, bare ASGI": [Cost(chunk, 11, 1, 0) for chunk in (20, 33, 90)],
        "bare ASGI on our client": [Cost(chunk, 10, 1, 0) for chunk in (20, 30, 30)],
    }
    assert 1.1 == pytest.approx(ratio(costs, "relay, bare ASGI", "bare ASGI on our client"))
    assert [1.1, 1.1] == pytest.approx([goal.value for goal in goals_of(costs)])
    assert "| bare ASGI on our client | 30" in str(table_of("Gateways", costs))
