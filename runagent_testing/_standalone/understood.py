"""What a client of its protocol understands of a recording, played on virtual time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from runagent import RunAgentClient, RunAgentError
from runagent_testing._memory.network import MemoryNetwork
from runagent_testing._recording.heading import recognised
from runagent_testing._recording.replayed import Replayed
from runagent_testing.dialects._request import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._recording.format import Recording
    from runagent_testing.dialects import Dialect, RunRequest

__all__ = ["Heard", "Reader", "is_plain_run", "readers_of", "understood"]

_FOREVER = 1e9  # seconds: a recording may be silent for as long as a client has waited


@dataclass(frozen=True, slots=True)
class Heard:
    """What a client has understood.

    Attributes:
        events: The events, and the seconds between each and the one before; of a plain run, the value.
        error: The error of the run.
        seconds: The time from the last event to the end.
    """

    events: list[tuple[float, Any]]
    error: RunAgentError | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Reader:
    """A client of a transport."""

    agent_id: str
    transport: str
    options: dict[str, Any]
    path: str
    is_plain: bool

    def read(self, script: Replayed) -> Heard | None:
        """Read a replay; None if the client cannot ask for it."""
        memory = MemoryNetwork()
        agent = memory.agent(self.agent_id)
        agent._scripts.script = agent._scripts.result = script
        return self.run(memory)

    def run(self, memory: MemoryNetwork) -> Heard | None:
        """Ask the agents of a network; None if they have no answer to it."""
        network = memory.blocking
        events: list[tuple[float, Any]] = []
        before = network.now()
        error: RunAgentError | None = None
        try:
            with RunAgentClient(
                self.agent_id,
                base_url=f"{memory.url}{self.path}",
                network=network,
                transport=self.transport,
                transport_options=self.options,
                max_retries=0,
                resume=False,
                timeout=_FOREVER,
            ) as client:
                for event in (
                    [client.run_generic("x")] if self.is_plain else client.run_generic_stream("x").events()
                ):
                    events.append((network.now() - before, event))
                    before = network.now()
        except RunAgentError as exc:
            error = exc
        if not memory.requests or memory.unmatched or any(one.failure for one in memory.requests):
            return None
        return Heard(events, error, network.now() - before)


def readers_of(recording: Recording, *, is_plain: bool) -> Iterator[Reader]:
    """Yield the clients that may understand a recording, by the usual names of transports and paths."""
    name, dialect = recording.transport, recording.dialect
    family, _, api = name.partition("-")
    transports: list[tuple[str, dict[str, Any]]] = [(name, {}), (dialect, {}), ("sse", {}), ("websocket", {})]
    if api:
        transports.insert(0, (family, {f"{family}_api": api}))
    agent_id = recording.agent_id or "recorded"
    for transport, options in transports:
        for path in ("", f"/{dialect}/{agent_id}"):
            yield Reader(agent_id, transport, options, path, is_plain)


def is_plain_run(recording: Recording) -> bool:
    """Whether the request asked for one whole answer."""
    run_request = _recognised(recording)[1]
    return run_request is not None and run_request.kind == "plain"


def _recognised(recording: Recording) -> tuple[Dialect | None, RunRequest | None]:
    headers = dict(recording.request_headers)
    return recognised(Request(recording.method, recording.path, headers, 1, recording.request_body))


def understood(recording: Recording) -> Heard | None:
    """Return what the client of its protocol gets; None if no installed transport is for it."""
    named = _named(recording)
    if not named.dialect:
        return None
    names = (named.transport, named.transport.partition("-")[0], named.dialect)
    script = Replayed.from_recording(recording)
    readers = readers_of(named, is_plain=is_plain_run(recording))
    tries = (reader.read(script) for reader in readers if reader.transport in names)
    return next((heard for heard in tries if heard is not None), None)


def _named(recording: Recording) -> Recording:
    """Add the names that a header may leave out, if a dialect knows the request."""
    dialect, run = _recognised(recording)
    if recording.dialect or dialect is None or run is None:
        return recording
    agent_id = recording.agent_id or run.agent_id
    return replace(recording, agent_id=agent_id, dialect=dialect.name, transport=run.transport)
