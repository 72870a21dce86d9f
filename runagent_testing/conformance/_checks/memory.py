"""What is required of the memory that a session uses."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

from runagent._errors import StreamLimitError
from runagent_testing._script import steps
from runagent_testing.conformance._checks.common import demand
from runagent_testing.conformance._checks.guards import LIMIT
from runagent_testing.conformance._harness.feeding import Feeding, rechunked
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import AGENT

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent._address.route import Address
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._memory import MemoryNetwork
    from runagent_testing._memory.calls import Clock
    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.recording import Agents, Line, Remote
    from runagent_testing.conformance._harness.samples import Sample

_EVENTS = 1000  # small ones, of each kind
_SIZE = 500  # bytes of one: far from any limit of a single event
_REPEATED = 100 * LIMIT  # bytes of repeated pieces
_MOST_PIECES = 10_000
_REPEATED_KEPT = 8 * LIMIT  # bytes of memory that half of them may cost
_KINDS: dict[str, Callable[[int], Any]] = {
    "chunk": lambda number: f"{number:>{_SIZE}}",
    "reasoning": lambda number: steps.reasoning(f"{number:>{_SIZE}}"),
    "tool_call": lambda number: steps.tool_call("x", {"n": f"{number:>{_SIZE}}"}, id=f"call-{number}"),
    "custom": lambda number: steps.custom("x", {"n": f"{number:>{_SIZE}}"}),
}


@required(
    "session.memory",
    "The memory of a session is bounded by its limits, also over many small events.",
    'docs/transports.md, "Limits"',
)
def check_memory(lab: Lab) -> None:
    """A run may take hours and send millions of events; what a session keeps of each adds up.

    To mend it: keep counters instead of lists, and drop what has been returned; bound what has to be
    gathered.
    """
    for kind, step in _KINDS.items():
        if kind != "chunk" and kind not in lab.subject.traits.carries:
            continue
        kept, seen = _kept(lab, [step(number) for number in range(_EVENTS)], _EVENTS * _SIZE)
        if isinstance(seen.error, StreamLimitError):
            continue
        demand(seen.error is None, f"{_EVENTS} events of {_SIZE} bytes ({kind}): {seen.summarize()}")
        demand(
            kept < _EVENTS * _SIZE // 4,
            f"over {_EVENTS // 2} events of {_SIZE} bytes ({kind}) the session's memory grew by {kept} bytes,"
            f" although max_event_bytes is {LIMIT}",
        )
    for sample in lab.subject.own_samples:
        _check_repeated_bytes(lab, sample)


def _check_repeated_bytes(lab: Lab, sample: Sample) -> None:
    """Repeat each ``raw(...)`` of a sample, which may be a piece of a tool call, far over the limit."""
    for place, step in enumerate(sample.steps):
        if isinstance(step, steps.Raw) and step.data:
            count = min(_REPEATED // len(step.data), _MOST_PIECES)
            script = [*sample.steps[:place], *[step] * count, *sample.steps[place + 1 :]]
            kept, _ = _kept(lab, script, count * len(step.data))
            demand(
                kept < _REPEATED_KEPT,
                f"the sample {sample.name!r}, step {place} repeated {count} times: the session's memory grew"
                f" by {kept} bytes, although max_event_bytes is {LIMIT}",
            )


class _Forgetful:
    """A network that drops what a session sends after the request for the run, such as acknowledgements.

    The fake agent keeps all messages of a WebSocket; its memory would count as that of the session.
    """

    def __init__(self, memory: MemoryNetwork) -> None:
        self._memory = memory
        self.url = memory.url

    @property
    def requests(self) -> list[Exchange]:
        return self._memory.requests

    def open(self, address: Address, clock: Clock) -> tuple[Line, Remote]:
        line, self._remote = self._memory.open(address, clock)
        return line, self

    def receive_data(self, data: bytes) -> None:
        if not self.requests:
            self._remote.receive_data(data)


def _kept(lab: Lab, script: list[Any], size: int) -> tuple[int, Any]:
    """Return how much memory the second half of an answer has cost, and what the session did.

    Args:
        lab: Opens and feeds the session.
        script: The answer.
        size: About how many bytes it has.
    """
    memory = lab.subject.memory()
    memory.agent(AGENT).always(*script)
    agents: Agents = _Forgetful(memory) if lab.subject.traits.writes_frames else memory
    feeding = Feeding(agents, lab.open(memory, options={"max_event_bytes": LIMIT}), rechunked(6))
    seen, traced, begun, kept = feeding.seen, tracemalloc.is_tracing(), None, 0
    try:
        for _ in feeding.steps():
            seen.events.clear()  # they are the reader's
            seen.sent.clear()  # it has left the session
            if begun is not None:
                kept = max(kept, tracemalloc.get_traced_memory()[0] - begun)
            elif seen.received > size // 2:
                if not traced:
                    tracemalloc.start()  # of what was allocated before, nothing counts
                begun = tracemalloc.get_traced_memory()[0]
    finally:
        if not traced:
            tracemalloc.stop()
    return kept, seen
