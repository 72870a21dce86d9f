"""Every fault of the catalogue: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

import pytest

from runagent_testing import faults
from tests.support.plugin_faults import meet_fault, survive_chaos


@pytest.mark.parametrize("fault", faults.for_transport("anthropic", "memory"), ids=str)
def test_every_fault_ends_as_it_should(fault: faults.Fault) -> None:
    meet_fault(fault, "anthropic")


def test_no_run_under_chaos_is_cut_short() -> None:
    survive_chaos("anthropic")
