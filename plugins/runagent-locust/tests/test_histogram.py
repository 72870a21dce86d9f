"""Histograms: exact sums, percentiles within 1/128, bounded size."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runagent_locust import Histogram

HOUR = 3_600_000_000  # microseconds
few = settings(derandomize=True, max_examples=30, database=None)
values = st.lists(st.integers(0, HOUR), max_size=20)


def histogram_of(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@few
@given(values, st.integers(1, 5))
def test_the_sum_over_workers_is_that_of_all_values(values: list[int], workers: int) -> None:
    merged = Histogram()
    for worker in range(workers):
        merged.add(histogram_of(values[worker::workers]))
    whole = histogram_of(values)
    assert whole == merged
    assert whole.counts == merged.counts


@few
@given(values)
def test_count_sum_least_and_greatest_are_exact(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert (len(values), sum(values)) == (histogram.count, histogram.total)
    assert (min(values, default=None), max(values, default=0)) == (histogram.least, histogram.greatest)
    assert (sum(values) / len(values) if values else 0.0) == histogram.mean


@few
@given(values.filter(bool), st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_a_percentile_is_never_less_and_more_by_less_than_a_128th(values: list[int], share: float) -> None:
    exact = sorted(values)[max(math.ceil(round(share * len(values), 6)), 1) - 1]
    shown = histogram_of(values).percentile(share)
    assert exact <= shown <= max(values)
    assert shown - exact < max(exact / 128, 1)


@few
@given(values)
def test_a_message_between_processes_keeps_everything(values: list[int]) -> None:
    histogram = histogram_of(values)
    assert histogram == Histogram.from_data(json.loads(json.dumps(histogram.as_data())))


def test_buckets_are_without_a_hole_and_few() -> None:
    value, buckets = 0, 0
    while value <= HOUR:
        ((lowest, highest, _),) = histogram_of([value]).buckets()
        assert value == lowest <= highest
        value, buckets = highest + 1, buckets + 1
    assert 3000 < buckets <= 3328


@pytest.mark.parametrize("share", [0.07, 0.29, 0.57, 0.99])
def test_a_share_that_binary_fractions_miss_takes_no_value_too_many(share: float) -> None:
    assert round(share * 100) == histogram_of(list(range(1, 101))).percentile(share)


def test_an_empty_one_has_zeros() -> None:
    empty = Histogram()
    assert (0, 0.0, 0, []) == (empty.count, empty.mean, empty.percentile(0.5), list(empty.buckets()))
    assert "<Histogram of 0 values, 0 to 0>" == repr(empty)


def test_a_value_below_0_counts_as_0() -> None:
    assert {0: 1} == histogram_of([-5]).counts
