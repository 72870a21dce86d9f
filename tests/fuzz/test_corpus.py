"""The corpus without the fuzzer: no input breaks an invariant, least of all one that has done so before."""

from __future__ import annotations

import pytest

from tests.fuzz.corpus import findings, seeds
from tests.fuzz.invariants import TARGETS


@pytest.mark.parametrize("target", TARGETS)
def test_the_seeds_break_nothing(target: str) -> None:
    inputs = seeds(target)
    assert inputs
    for data in inputs:
        TARGETS[target](data)


@pytest.mark.parametrize(
    ("target", "name"), [(target, name) for target in TARGETS for name in findings(target)]
)
def test_what_was_found_stays_mended(target: str, name: str) -> None:
    TARGETS[target](findings(target)[name])
