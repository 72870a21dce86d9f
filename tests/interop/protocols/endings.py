"""How a stream without its end marker ends for the caller: protocol x client x ending."""

from __future__ import annotations

from runagent import RunAgentClient, RunAgentError, Timeouts
from runagent_testing import FakeAgentServer, faults
from tests.interop.protocols.official import AGENT, PROTOCOLS, Protocol, ask

OURS, GOOD = "runagent", "good end"
SILENCE = 1.0  # seconds
# What the table calls them, and their ids in the catalogue of faults.
ENDINGS = {
    "clean end": "no-done-before-end-marker",
    "FIN": "fin-before-end-marker",
    "RST": "reset-before-end-marker",
    "half an event": "no-done-in-event-1",
    "silence": "stall-before-end-marker",
}


def install(server: FakeAgentServer, protocol: Protocol, ending: str) -> None:
    """Script the agent to end its next stream so."""
    known = faults.for_transport(protocol.surface or protocol.transport)
    fault = next(fault for fault in known if fault.id == ENDINGS[ending])
    fault.install(server, AGENT)


def official(protocol: Protocol, url: str) -> str:
    """Return how the stream ended for the caller of the official client."""
    return cell(ask(protocol, url)["end"])


def ours(protocol: Protocol, url: str) -> str:
    """Return how the stream ended for the caller of our client."""
    with RunAgentClient(
        AGENT,
        base_url=url + protocol.path,
        transport=protocol.transport,
        transport_options=dict(protocol.options),
        timeout=Timeouts(idle=SILENCE),
        max_retries=0,
        resume=False,
    ) as client:
        try:
            client.run_generic_stream("Tell me a story").text()
        except RunAgentError as error:
            return cell(type(error).__name__)
    return GOOD


def cell(end: str) -> str:
    """Write an end as the page does."""
    return {"completed": GOOD, "waits": "waits"}.get(end, f"`{end}`")


def table(cells: dict[tuple[str, str, str], str]) -> str:
    """Write the matrix as a table of the documentation."""
    lines = ["| protocol | client | " + " | ".join(ENDINGS) + " |", "|---" * (2 + len(ENDINGS)) + "|"]
    for protocol in PROTOCOLS.values():
        for client in (protocol.client, OURS):
            row = [cells[protocol.name, client, ending] for ending in ENDINGS]
            lines.append(f"| {protocol.name} | {client} | {' | '.join(row)} |")
    return "\n".join(lines)


def measure(protocol: Protocol) -> dict[tuple[str, str, str], str]:
    """Return how each ending looks to both clients."""
    cells = {}
    with FakeAgentServer() as server:
        for ending in ENDINGS:
            for client, read in ((protocol.client, official), (OURS, ours)):
                install(server, protocol, ending)
                cells[protocol.name, client, ending] = read(protocol, server.url)
                server.clear()
    return cells
