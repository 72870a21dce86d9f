"""What a dialect sees of the host of the fake agents that it serves. No I/O."""

from __future__ import annotations

import copy
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from runagent_testing._internal.public import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing._script.steps import Step
    from runagent_testing.dialects._request import RunRequest

__all__ = ["DialectHost", "DialectState", "HostedRun", "RequestedAgent", "RunStatus"]

RunStatus = Literal["running", "completed", "failed", "cancelled"]


class RequestedAgent(Protocol):
    """A fake agent, as far as a dialect has to know it."""

    id: str

    @property
    def entrypoint_tags(self) -> tuple[str, ...]:
        """The entry points that a description of the agent lists."""

    def has_entrypoint(self, tag: str) -> bool:
        """Whether runs of this entry point are accepted."""


@dataclass(slots=True)
class DialectState:
    """What a host keeps for one dialect until the host is cleared."""

    values: dict[str, Any] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def copied(self) -> DialectState:
        """Return a copy, whose changes are lost."""
        return DialectState(copy.deepcopy(self.values), Counter(self.counts))


class HostedRun(Protocol):
    """A run that a host keeps, because its dialect has `Dialect.keeps_runs`.

    Attributes:
        id: The run's id.
        agent_id: The agent's id.
        body: The decoded request that has begun it.
        input: The agent's input.
    """

    id: str
    agent_id: str
    body: Any
    input: Any

    @property
    def status(self) -> RunStatus:
        """What has become of the run: "running", "completed", "failed" or "cancelled".

        It is "running" also while nobody reads it, and if its script broke off.
        """

    @property
    def sent(self) -> tuple[Step, ...]:
        """The steps that readers were sent so far: chunks and the like, an error, scripted ``done``."""

    def cancel(self) -> bool:
        """Stop the run: its readers get `Format.cancelled` and the end; False if it was over."""


class DialectHost:
    """The server or memory network that has received a request, as its dialect sees it.

    Attributes:
        url: The host's base URL, for documents that contain absolute URLs.
        agents: The fake agents by id, apart from the one that answers for unknown ones.
        state: Values that the dialect keeps between requests, such as its threads; empty at first, and again
            after ``clear()`` of the host. Each host has its own.
        missing: The id of the last agent that `agent` did not find; None if it found all.
    """

    def __init__(
        self,
        url: str,
        agents: Mapping[str, RequestedAgent],
        state: DialectState,
        find_run: Callable[[str], HostedRun | None],
        begin_run: Callable[[RunRequest], HostedRun],
        fallback: RequestedAgent | None = None,
    ) -> None:
        self.url = url
        self._fallback = fallback
        self._find_run = find_run
        self._begin_run = begin_run
        self.agents = agents
        self._state = state
        self.missing: str | None = None

    @property
    def state(self) -> dict[str, Any]:
        return self._state.values

    def agent(self, agent_id: str) -> RequestedAgent | None:
        """Find the agent that a request names.

        That may be ``agent("*")``, whose ``id`` is another one. If there is none, the host's ``check()``
        reports the request as unmatched, with the nearest id.
        """
        found = self.agents.get(agent_id) or self._fallback
        if found is None:
            self.missing = agent_id
        return found

    def run(self, run_id: str) -> HostedRun | None:
        """Return a run of this dialect; None if there is none with this id."""
        return self._find_run(run_id)

    def begin_run(self, run_request: RunRequest) -> HostedRun:
        """Begin a run that later requests read (`RunRequest.attach_to`), as this one is answered at once.

        For `Dialect.answer`, of a dialect with `Dialect.keeps_runs`. If the agent is unknown or its script
        refuses the run, this method does not return: the refusal is the answer to the request, which then
        is in ``requests`` of the host. Otherwise the requests that read the run are.

        Args:
            run_request: The run; its ``resume_…``, ``attach_to`` and ``snapshot`` have no effect.

        Raises:
            TypeError: The dialect does not keep its runs.
        """
        return self._begin_run(run_request)

    def number(self, name: str) -> int:
        """Count: return 1 at the first call with this name, then 2, and so on; 1 again after ``clear()``.

        Ids that are made of such numbers are the same in each run of a test.
        """
        with self._state.lock:
            self._state.counts[name] += 1
            return self._state.counts[name]


publish(DialectHost, HostedRun, RequestedAgent, module="runagent_testing.dialects")
