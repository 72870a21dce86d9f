"""Every fault of the catalogue, over both endpoints: none passes for a good end, and no chunk is lost."""

from __future__ import annotations

import pytest

from runagent import (
    AgentError,
    NetworkError,
    ProtocolError,
    RunAgentClient,
    RunAgentError,
    RunTimeoutError,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
)
from runagent_testing import MemoryNetwork, faults

LIMIT = 64 * 1024  # bytes
# In this order: the last is the base of some before it.
FAMILIES: dict[type[Exception], faults.ErrorFamily] = {
    StreamTruncatedError: "truncated",
    StreamLimitError: "limit",
    RunTimeoutError: "timeout",
    NetworkError: "network",
    ProtocolError: "protocol",
    AgentError: "agent",
    StreamError: "agent",
}


@pytest.mark.parametrize(
    "fault",
    [f for api in ("chat", "generate") for f in faults.for_transport(f"ollama-{api}", "memory")],
    ids=lambda fault: f"{fault.transport}-{fault}",
)
def test_every_fault_ends_as_it_should(fault: faults.Fault) -> None:
    memory = MemoryNetwork()
    fault.install(memory, "a", interval=10, oversize=2 * LIMIT)
    client = RunAgentClient(
        "a",
        base_url=memory.url,
        network=memory.blocking,
        transport="ollama",
        transport_options={
            "ollama_api": fault.transport.removeprefix("ollama-"),
            "max_event_bytes": LIMIT,
        },
        max_retries=0,
        resume=False,
    )
    shown: faults.ErrorFamily = "ok"
    contents: list[object] = []
    try:
        contents.extend(client.run_generic_stream("x"))
    except RunAgentError as error:
        shown = next(family for kind, family in FAMILIES.items() if isinstance(error, kind))
    fault.check(shown, contents)
