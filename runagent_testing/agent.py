"""One fake agent: what it will say, and what it was asked."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from runagent_testing.script import Result, Script, Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing.formats import Transport

__all__ = ["Agent", "Exchange", "Outcome"]

Outcome = Literal["running", "done", "client gone", "server closed"]


class Agent:
    """What one agent of a `FakeAgentServer` answers; every method may be called while it serves."""

    def __init__(self, agent_id: str) -> None:
        self.id = agent_id
        self._script = Script((_nothing_to_say(agent_id, "stream", "always"),))
        self._replies: deque[Script] = deque()
        self._result = Result((_nothing_to_say(agent_id, "plain", "returns"),))
        self._results: deque[Result] = deque()
        self._entrypoints: tuple[str, ...] = ()

    def always(self, *steps: Any, indexed: bool = True, ids: bool = False, resume: bool = True) -> Self:
        """Stream this, whenever no `reply` is queued.

        Args:
            steps: Chunks (text or any JSON value) and steps, in order.
            indexed: SSE and NDJSON chunks carry their place as ``index``, counted from 0.
            ids: SSE chunks carry their place as ``id:``.
            resume: Skip what ``parameters.resume_from_index`` says the client has; with ``ids``,
                ``Last-Event-ID``, too.

        Raises:
            TypeError: A step is no step, or stands where it cannot; the message says which.
        """
        self._script = Script.of(steps, indexed=indexed, ids=ids, resume=resume)
        return self

    def reply(self, *steps: Any, indexed: bool = True, ids: bool = False, resume: bool = True) -> Self:
        """Stream this once; several replies are used up in order. Arguments as for `always`."""
        self._replies.append(Script.of(steps, indexed=indexed, ids=ids, resume=resume))
        return self

    def returns(
        self,
        *steps: Any,
        usage: Mapping[str, Any] | None = None,
        execution_time: float | None = None,
        agent_version: str | None = None,
    ) -> Self:
        """Answer plain runs (``invoke``, ``run``) with this, whenever no `returns_once` is queued.

        Args:
            steps: One JSON value, ``error(...)`` or ``status(...)``; delays and gates may come before
                it and an ending ("cut", "reset", "stall") after it or in its place.
            usage: Token counts (``invoke`` only, as the two below).
            execution_time: Seconds.
            agent_version: For the metadata.

        Raises:
            TypeError: As for `always`.
        """
        self._result = Result.of(
            steps, usage=usage, execution_time=execution_time, agent_version=agent_version
        )
        return self

    def returns_once(
        self,
        *steps: Any,
        usage: Mapping[str, Any] | None = None,
        execution_time: float | None = None,
        agent_version: str | None = None,
    ) -> Self:
        """Answer one plain run with this; several are used up in order. Arguments as for `returns`."""
        self._results.append(
            Result.of(steps, usage=usage, execution_time=execution_time, agent_version=agent_version)
        )
        return self

    def entrypoints(self, *tags: str) -> Self:
        """Know only these entry-point tags (published server's surface); none given: any tag."""
        self._entrypoints = tags
        return self

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that the architecture lists."""
        return self._entrypoints or ("generic", "generic_stream")

    def knows(self, tag: str) -> bool:
        """Whether runs of this entry point are accepted."""
        return not self._entrypoints or tag in self._entrypoints

    def take_script(self) -> Script:
        """Take the next reply, or what the agent always says."""
        return self._replies.popleft() if self._replies else self._script

    def give_back(self, script: Script) -> None:
        """Return a script from `take_script` that no run came to use."""
        if script is not self._script:
            self._replies.appendleft(script)

    def take_result(self) -> Result:
        """Take the next plain result, or the usual one."""
        return self._results.popleft() if self._results else self._result


@dataclass(slots=True, eq=False)
class Exchange:
    """One request that the server received, and how its answer went.

    Attributes:
        transport: "sse", "chunked", "text", "websocket", "invoke" or "run".
        agent_id: As decoded from the path.
        path: As received, percent-encoded, with the query.
        headers: Names in lower case; a repeated header's values joined with a comma.
        connection: Number of the TCP connection, counted from 1.
        body: The decoded JSON of the request (on a WebSocket: its message), None if there is none.
        outcome: "running", "done" (all that was scripted, a fault included), "client gone" (before
            that) or "server closed".
    """

    transport: Transport
    agent_id: str
    path: str
    headers: dict[str, str]
    connection: int
    body: Any = None
    outcome: Outcome = "running"
    _over: threading.Event = field(default_factory=threading.Event, repr=False)

    @property
    def input(self) -> Any:
        """The agent's input: the body, or the ``input_kwargs`` of the published server's surface."""
        published = self.transport in ("websocket", "run") and isinstance(self.body, dict)
        return self.body.get("input_kwargs") if published else self.body

    @property
    def input_args(self) -> list[Any]:
        """The positional inputs (published server's surface only)."""
        args = self.body.get("input_args") if isinstance(self.body, dict) else None
        return args if isinstance(args, list) and self.transport in ("websocket", "run") else []

    def wait_done(self, timeout: float) -> bool:
        """Wait until the answer was given as scripted; False if it was not within ``timeout`` seconds."""
        self._over.wait(timeout)
        return self.outcome == "done"

    def wait_client_gone(self, timeout: float) -> bool:
        """Wait until the client left early; False if it was not within ``timeout`` seconds."""
        self._over.wait(timeout)
        return self.outcome == "client gone"

    def end(self, outcome: Outcome) -> None:
        """Note how it went; only the first word counts."""
        if self.outcome == "running":
            self.outcome = outcome
            self._over.set()


def _nothing_to_say(agent_id: str, kind: str, method: str) -> Status:
    call = f"server.agent({agent_id!r}).{method}(...)"
    return Status(500, code="NO_SCRIPT", message=f"this agent has no answer to a {kind} run: call {call}")
