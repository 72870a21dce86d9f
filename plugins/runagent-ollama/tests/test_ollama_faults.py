"""Every fault of the catalogue, over both endpoints: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

import pytest

from runagent_testing import faults
from tests.support.plugin_faults import meet_fault, survive_chaos


@pytest.mark.parametrize(
    "fault",
    [f for api in ("chat", "generate") for f in faults.for_transport(f"ollama-{api}", "memory")],
    ids=lambda fault: f"{fault.transport}-{fault}",
)
def test_every_fault_ends_as_it_should(fault: faults.Fault) -> None:
    meet_fault(fault, "ollama", ollama_api=fault.transport.removeprefix("ollama-"))


@pytest.mark.parametrize("api", ["chat", "generate"])
def test_no_run_under_chaos_is_cut_short(api: str) -> None:
    survive_chaos("ollama", ollama_api=api)
