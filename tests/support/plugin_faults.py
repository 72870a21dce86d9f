"""The transports of plugins meet the faults of the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork
from tests.support.families import family

if TYPE_CHECKING:
    from runagent_testing import faults

__all__ = ["meet_fault", "survive_chaos"]

LIMIT = 64 * 1024  # bytes
RUNS = 40
TEXT = ("Once ", "upon ", "a ", "time")


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


def survive_chaos(
    transport: str, *, path: str = "", memory: MemoryNetwork | None = None, **options: Any
) -> None:
    """Read streams that meet faults by chance, and check that each is whole or raises.

    The client tries again and resumes, so the texts of several attempts are put together.

    Args:
        transport: The transport.
        path: As for `meet_fault`.
        memory: As for `meet_fault`.
        options: ``transport_options``.
    """
    memory = MemoryNetwork() if memory is None else memory
    memory.agent("a").always(*TEXT)
    memory.chaos(0.4, seed=1, without=["oversized-head", "many-headers", "interim-flood"])
    client = RunAgentClient(
        "a",
        base_url=memory.url + path,
        network=memory.blocking,
        transport=transport,
        transport_options=options,
        retry_unsafe=True,
        retry_delay=0.01,
    )
    whole = 0
    with client:
        for _ in range(RUNS):
            try:
                assert client.run_generic_stream("x").text() == "".join(TEXT)
                whole += 1
            except RunAgentError:
                pass
    met = sum(exchange.fault is not None for exchange in memory.requests)
    assert RUNS / 4 < met
    assert RUNS - met < whole < RUNS
    assert memory.problems() == []
