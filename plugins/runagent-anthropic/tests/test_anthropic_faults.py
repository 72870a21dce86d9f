"""Every fault of the catalogue: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

import pytest

from runagent_testing import faults
from tests.support.plugin_faults import meet_fault


@pytest.mark.parametrize("fault", faults.for_transport("anthropic", "memory"), ids=str)
def test_every_fault_ends_as_it_should(fault: faults.Fault) -> None:
    meet_fault(fault, "anthropic")
