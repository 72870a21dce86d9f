"""Every fault of the catalogue, over each binding: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import faults
from tests.support.plugin_faults import meet_fault, survive_chaos

if TYPE_CHECKING:
    from runagent_testing import MemoryNetwork

BINDINGS: dict[str, dict[str, Any]] = {
    "a2a-jsonrpc": {"a2a_version": "1.0"},
    "a2a-http-json": {"a2a_binding": "HTTP+JSON"},
    "a2a-jsonrpc-0.3": {"a2a_version": "0.3"},
}
CASES = [
    pytest.param(name, fault, id=f"{name}-{fault}")
    for name in BINDINGS
    for fault in faults.for_transport(name, "memory")
]


@pytest.mark.parametrize(("name", "fault"), CASES)
def test_every_fault_ends_as_it_should(name: str, fault: faults.Fault, memory: MemoryNetwork) -> None:
    meet_fault(fault, "a2a", path="/a2a/a", memory=memory, **BINDINGS[name])


@pytest.mark.parametrize("name", BINDINGS)
def test_no_run_under_chaos_is_cut_short(name: str, memory: MemoryNetwork) -> None:
    survive_chaos("a2a", path="/a2a/a", memory=memory, **BINDINGS[name])
