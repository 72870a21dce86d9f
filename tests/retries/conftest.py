"""Waits between attempts, which take no time in these tests."""

from __future__ import annotations

import random

import pytest


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Let no run wait between its attempts, and note the bounds of every wait."""
    bounds: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        bounds.append((low, high))
        return 0.0

    monkeypatch.setattr(random, "uniform", uniform)
    return bounds
