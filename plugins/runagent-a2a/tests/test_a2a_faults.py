"""Every fault of the catalogue, over each binding: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from runagent import RunAgentClient, RunAgentError
from runagent_testing import faults
from tests.support.families import family

if TYPE_CHECKING:
    from runagent_testing import MemoryNetwork

LIMIT = 64 * 1024  # bytes
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
    fault.install(memory, "writer", interval=10, oversize=2 * LIMIT)
    client = RunAgentClient(
        "writer",
        base_url=f"{memory.url}/a2a/writer",
        network=memory.blocking,
        transport="a2a",
        transport_options={"max_event_bytes": LIMIT, **BINDINGS[name]},
        max_retries=0,
        resume=False,
    )
    shown = "ok"
    contents: list[object] = []
    try:
        contents.extend(client.run_generic_stream("x"))
    except RunAgentError as error:
        shown = family(error)
    fault.check(cast("faults.ErrorFamily", shown), contents)
