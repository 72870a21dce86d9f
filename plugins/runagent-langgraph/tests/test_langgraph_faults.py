"""Every fault of the catalogue that breaks a stream: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

from typing import cast

import pytest

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork, faults
from tests.support.families import family

LIMIT = 64 * 1024  # bytes
# Left out are those behind a whole stream: the run's status decides what they mean, and these runs have none.
FAULTS = [each for each in faults.for_transport("langgraph", "memory") if each.expected.error != "ok"]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_every_fault_ends_as_it_should(fault: faults.Fault) -> None:
    memory = MemoryNetwork()
    fault.install(memory, "a", interval=10, oversize=2 * LIMIT)
    client = RunAgentClient(
        "a",
        base_url=memory.url,
        network=memory.blocking,
        transport="langgraph",
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
