"""Every fault of the catalogue: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

from typing import cast

import pytest

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork, faults
from tests.support.families import family

LIMIT = 64 * 1024  # bytes


@pytest.mark.parametrize("fault", faults.for_transport("vercel", "memory"), ids=str)
def test_every_fault_ends_as_it_should(fault: faults.Fault) -> None:
    memory = MemoryNetwork()
    fault.install(memory, "a", interval=10, oversize=2 * LIMIT)
    client = RunAgentClient(
        "a",
        base_url=f"{memory.url}/vercel/a",
        network=memory.blocking,
        transport="vercel",
        transport_options={"max_event_bytes": LIMIT},
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
