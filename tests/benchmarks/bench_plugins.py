"""What an event of each protocol costs our client and the official one: ``make bench-plugins``.

A fake agent in another process sends a stream of many chunks at once. Our client reads it over the protocol's
transport, and over ``sse`` with longer chunks, so that an event has the same number of bytes. The official
client reads it in a process of its environment. Figures are CPU time of the reading process for one event,
the best of some streams.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer
from tests.benchmarks.tables import Goal, Table
from tests.interop.programs import NODE_PACKAGES, environment, find
from tests.interop.protocols.official import AGENT, PROTOCOLS, Protocol, ask
from tests.support.process import in_process

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection

__all__ = ["OF_SSE", "main", "ratio_to_sse"]

# Of which the official client gives the decoded JSON only: with what its reader does to have what ours gives.
INTERPRETED = {
    "langgraph": [
        replace(PROTOCOLS["langgraph"], name="langgraph-messages", client="langgraph-sdk, langchain-core")
    ]
}
EVENTS = 2000
WORD = "word {:4d} "
OF_SSE, OF_OFFICIAL = 4.0, 10.0  # at most so much of our `sse`; at least so many times less than in Python


def words(width: int = 0) -> list[str]:
    """Return the chunks of a stream, each at least `width` characters long."""
    return [WORD.format(number).ljust(width) for number in range(EVENTS)]


@contextlib.contextmanager
def served(widths: Sequence[int]) -> Iterator[str]:
    """Serve the agent, and one for each width of its chunks, from another process; give the URL."""
    with in_process(_serve, widths) as pipe:
        yield str(pipe.recv())


def _serve(pipe: Connection[str, str], widths: Sequence[int]) -> None:
    with FakeAgentServer() as server:
        server.agent(AGENT).always(*words())
        for width in widths:
            server.agent(f"{AGENT}-{width}").always(*words(width))
        pipe.send(server.url)
        with contextlib.suppress(EOFError):
            pipe.recv()


def client_of(protocol: Protocol, url: str) -> RunAgentClient:
    """Make our client for a protocol."""
    return RunAgentClient(
        AGENT,
        base_url=url + protocol.path,
        transport=protocol.transport,
        transport_options=dict(protocol.options),
    )


def width_of(protocol: Protocol) -> int:
    """Return the length of chunks with which ``sse`` has events of the same size in bytes."""
    with FakeAgentServer() as server:
        server.agent(AGENT).always(*words())
        clients = client_of(protocol, server.url), RunAgentClient(AGENT, base_url=server.url, transport="sse")
        sizes = []
        for client in clients:
            stream = client.run_generic_stream("x")
            stream.text()
            sizes.append(stream.report.bytes_received)
            client.close()
    return max(0, round((sizes[0] - sizes[1]) / EVENTS)) + len(WORD.format(0))


def cost_of(client: RunAgentClient, times: int) -> float:
    """Return the seconds of CPU that one event takes, and close the client."""
    best = float("inf")
    with client:
        for _ in range(times):
            began = time.process_time()
            count = sum(1 for _ in client.run_generic_stream("x"))
            best = min(best, (time.process_time() - began) / count)
            assert count == EVENTS
    return best


def costs(protocol: Protocol, times: int) -> tuple[float, float]:
    """Return what an event costs over the protocol's transport, and over ``sse`` at the same size."""
    width = width_of(protocol)
    with served([width]) as url:
        over_sse = RunAgentClient(f"{AGENT}-{width}", base_url=url, transport="sse")
        return cost_of(client_of(protocol, url), times), cost_of(over_sse, times)


def ratio_to_sse(protocol: Protocol, times: int = 5) -> float:
    """Return how many times as much as over ``sse`` an event costs."""
    ours, sse = costs(protocol, times)
    return ours / sse


def official_cost(protocol: Protocol, times: int) -> float:
    """Return what an event costs in the official client."""
    with served([]) as url:
        report = ask(protocol, url, times)
    assert report["end"] == "completed", f"{protocol.client}: {report}"
    return float(report["cpu"]) / EVENTS


def is_installed(protocol: Protocol) -> bool:
    """Whether the official client can run."""
    if protocol.environment == "node":
        return find("node") is not None and NODE_PACKAGES.exists()
    return not protocol.environment or environment(protocol.environment).exists()


def main() -> None:
    """Print the table and the goals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=7, help="streams of each, of which the best counts")
    times = parser.parse_args().times
    columns = ("protocol", "us", "x sse", "official client", "us", "x ours")
    table, goals = Table("CPU for one event of other protocols, synchronous client", columns), []
    for protocol in PROTOCOLS.values():
        ours, sse = costs(protocol, times)
        goals.append(Goal(f"{protocol.name}: of our sse with events of the same size", ours / sse, OF_SSE))
        for other in (protocol, *INTERPRETED.get(protocol.name, ())):
            theirs = official_cost(other, times) if is_installed(other) else float("nan")
            table.rows.append(
                (protocol.name, ours * 1e6, ours / sse, other.client, theirs * 1e6, theirs / ours)
            )
            if other.environment != "node":
                what = f"{protocol.name}: less than {other.client}"
                goals.append(Goal(what, theirs / ours, OF_OFFICIAL, at_least=True))
    print(table, Table.of_goals(goals), sep="\n")  # noqa: T201  # its output


if __name__ == "__main__":
    main()
