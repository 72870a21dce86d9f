"""The transports of plugins meet the faults of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork
from tests.support.families import family

if TYPE_CHECKING:
    from runagent_testing import faults

__all__ = ["meet_fault"]

LIMIT = 64 * 1024  # bytes


def meet_fault(
    fault: faults.Fault,
    transport: str,
    *,
    path: str = "",
    memory: MemoryNetwork | None = None,
    **options: Any,
) -> None:
    """Read one stream that has the fault, and check what its caller is shown.

    Args:
        fault: The fault.
        transport: The transport.
        path: Where the dialect has the agent ``a``, behind the URL.
        memory: The network, if a new one of all dialects does not do.
        options: ``transport_options``.
    """
    memory = MemoryNetwork() if memory is None else memory
    fault.install(memory, "a", interval=10, oversize=2 * LIMIT)
    client = RunAgentClient(
        "a",
        base_url=memory.url + path,
        network=memory.blocking,
        transport=transport,
        transport_options={"max_event_bytes": LIMIT, **options},
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
