"""Every fault of the catalogue that breaks a stream: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

import pytest

from runagent_testing import faults
from tests.support.plugin_faults import meet_fault, survive_chaos

# Left out are those behind a whole stream: the run's status decides what they mean, and these runs have none.
FAULTS = [each for each in faults.for_transport("langgraph", "memory") if each.expected.error != "ok"]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_every_fault_ends_as_it_should(fault: faults.Fault) -> None:
    meet_fault(fault, "langgraph")


def test_no_run_under_chaos_is_cut_short() -> None:
    survive_chaos("langgraph")
