"""The scripts of an agent or a rule: queues that runs use up, and the scripts for all other runs."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from runagent_testing._journal.journal import FALLBACK
from runagent_testing._script.computed import Computed
from runagent_testing._script.script import Result, Script
from runagent_testing._script.writes import MERGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from runagent_testing._host.conditions import Conditions
    from runagent_testing._host.limits import RunLimit
    from runagent_testing._recording.replayed import Replayed
    from runagent_testing._script.script import Options
    from runagent_testing._script.steps import Step

__all__ = ["AgentScripts", "RuleScripts", "Scripts", "as_result", "find_agent"]

T = TypeVar("T")

_versions = itertools.count(1)


class Scripts:
    """The scripts of one agent or rule; the test writes them through it, requests take them.

    Attributes:
        can_forward: Whether the host can pass requests on to a real service.
        version: Another number after each change of the answers, and one that no other object has had.
        is_forgotten: Whether the host has forgotten the agent, so that no request asks for them.
    """

    is_forgotten = False

    def __init__(self) -> None:
        self._script: Script | Computed | None = None
        self._result: Result | Computed | Script | None = None
        self.can_forward = True
        self.version = next(_versions)
        self._failures: deque[tuple[Script, Result]] = deque()
        self._replies: deque[Script] = deque()
        self._results: deque[Result] = deque()
        self._replays: deque[Replayed] = deque()
        self._queued: set[str] = set()

    @property
    def script(self) -> Script | Computed | None:
        """The answer of every stream for which no reply is queued."""
        return self._script

    @script.setter
    def script(self, script: Script | Computed | None) -> None:
        self._script = script
        self._note_change()

    @property
    def result(self) -> Result | Computed | Script | None:
        """The answer of every plain run for which no result is queued."""
        return self._result

    @result.setter
    def result(self, result: Result | Computed | Script | None) -> None:
        self._result = result
        self._note_change()

    def add_reply(self, script: Script) -> None:
        """Queue the answer of one stream."""
        self._queue("reply", self._replies, [script])

    def add_result(self, result: Result) -> None:
        """Queue the answer of one plain run."""
        self._queue("returns_once", self._results, [result])

    def add_replays(self, replays: Sequence[Replayed]) -> None:
        """Queue recorded answers."""
        self._queue("replay", self._replays, replays)

    def add_failures(self, times: int, script: Script, result: Result) -> None:
        """Queue how the next runs fail, streams by the script and plain ones by the result."""
        self._queue("fails", self._failures, [(script, result)] * times)

    def take_script(self) -> tuple[Script | Computed | None, Callable[[], None]]:
        """Take the next failure or reply, or the script of every stream; None if there is none.

        Returns:
            The script, and a function that puts it back to where it was, for another run.
        """
        if self._failures:
            (script, _), put_back = self._take(self._failures)
            return script, put_back
        if self._replies:
            return self._take(self._replies)
        if self._replays:
            return self._take(self._replays)
        return self.script, lambda: None

    def take_result(self) -> Result | Computed | Script | None:
        """Take the next failure or plain result, or the result of every plain run; None if there is none."""
        if self._failures:
            return self._take(self._failures)[0][1]
        if self._results:
            return self._take(self._results)[0]
        return self._take(self._replays)[0] if self._replays else self.result

    def take_replay(self, method: str, path: str) -> Replayed | None:
        """Take the first recorded answer to a request with this method and path; None if there is none."""
        for replay in self._replays:
            recording = replay.recording
            same = recording.method == method and recording.path.partition("?")[0] == path
            if same and not recording.is_websocket:
                self._replays.remove(replay)
                self._note_change()
                return replay
        return None

    def lasts(self, *, plain: bool) -> bool:
        """Whether there is an answer to every such run, however many come."""
        return (self.result if plain else self.script) is not None

    def has_answer(self, *, plain: bool) -> bool:
        """Whether there is an answer to another such run."""
        queue: deque[Any] = self._results if plain else self._replies
        return bool(self._failures or queue or self._replays) or self.lasts(plain=plain)

    def used_up(self, *, plain: bool) -> str | None:
        """Return the method of which all answers to such runs were used; None if it was not called."""
        once = "returns_once" if plain else "reply"
        return next((method for method in ("replay", once, "fails") if method in self._queued), None)

    def count_unused(self) -> dict[str, int]:
        """Count the unused scripts in the queues, by the method that queued them."""
        counts = {method: len(queue) for method, queue in self._queues()}
        return {method: count for method, count in counts.items() if count}

    def unused(self, limit: int | None = None) -> Iterator[tuple[str, tuple[Step, ...]]]:
        """Yield each unused script in the queues: the method that queued it, and its steps.

        Args:
            limit: How many of each queue at most.
        """
        for method, queue in self._queues():
            # A list in one go: requests use the queue up in the meantime.
            for script in list(itertools.islice(queue, limit)):
                yield method, (script[0] if isinstance(script, tuple) else script).steps

    def answers(self, limit: int | None = None) -> Iterator[tuple[str, tuple[Step, ...]]]:
        """Yield each answer in the order of its use: the method that made it, and its steps.

        Args:
            limit: As for `unused`.
        """
        yield from self.unused(limit)
        for method, answer in (("always", self.script), ("returns", self.result)):
            if answer is not None:
                yield method, () if isinstance(answer, Computed) else answer.steps

    def _queues(self) -> tuple[tuple[str, deque[Any]], ...]:
        """Return the queues in the order of their use, each with the method that fills it."""
        return (
            ("fails", self._failures),
            ("reply", self._replies),
            ("returns_once", self._results),
            ("replay", self._replays),
        )

    def _queue(self, method: str, queue: deque[T], answers: Sequence[T]) -> None:
        queue.extend(answers)
        self._queued.add(method)
        self._note_change()

    def _take(self, queue: deque[T]) -> tuple[T, Callable[[], None]]:
        """Take the first answer of a queue; the function puts it back."""
        answer = queue.popleft()
        self._note_change()

        def put_back() -> None:
            queue.appendleft(answer)
            self._note_change()

        return answer, put_back

    def _note_change(self) -> None:
        # After the change: who looks in between sees it with the old version, and looks once more.
        self.version = next(_versions)


class RuleScripts(Scripts):
    """The scripts of a rule.

    Attributes:
        conditions: Those that a run has to meet.
    """

    def __init__(self, conditions: Conditions) -> None:
        super().__init__()
        self.conditions = conditions


class AgentScripts(Scripts):
    """The scripts of an agent, which answer the runs that no rule answers.

    Attributes:
        id: The agent's id.
        entrypoints: The accepted tags; empty for any tag.
        rules: In the order in which they are tried.
        count: The number of runs so far.
        limit: How many runs are accepted in some time; None for any number.
    """

    def __init__(self, agent_id: str) -> None:
        super().__init__()
        self.id = agent_id
        self.entrypoints: tuple[str, ...] = ()
        self.rules: list[RuleScripts] = []
        self.count = 0
        self.limit: RunLimit | None = None

    def add_rule(self, conditions: Conditions) -> RuleScripts:
        """Make a rule, which is tried after those that were made before."""
        rule = RuleScripts(conditions)
        rule.can_forward = self.can_forward
        self.rules.append(rule)
        return rule

    def forget(self) -> None:
        """Note that the host has forgotten the agent."""
        for scripts in (self, *self.rules):
            scripts.is_forgotten = True

    def become(self, other: AgentScripts) -> None:
        """Take over all scripts of another agent; no request finds one without."""
        self.__dict__.update(vars(other))

    @property
    def versions(self) -> list[int]:
        """The versions of the agent and its rules: others after each change of an answer."""
        return [self.version, *(rule.version for rule in list(self.rules))]

    def answers(self, limit: int | None = None) -> Iterator[tuple[str, tuple[Step, ...]]]:
        """Yield each answer, those of rules first."""
        for rule in list(self.rules):
            for method, steps in rule.answers(limit):
                yield f"{rule.conditions}.{method}", steps
        yield from super().answers(limit)

    def describe_missing(self, *, plain: bool) -> str:
        """Describe what is missing if the agent itself has no answer to a run."""
        once, every = ("returns_once", "returns") if plain else ("reply", "always")
        used_up = self.used_up(plain=plain)
        if used_up == "replay":
            return f"agent {self.id!r} has used up the recordings of its replay(...)"
        if used_up == once:
            return f"agent {self.id!r} has used up its {once}(...): call it for each run, or {every}(...)"
        return f"agent {self.id!r} has no answer to a {'plain' if plain else 'stream'} run: call {every}(...)"

    @property
    def entrypoint_tags(self) -> tuple[str, ...]:
        """The tags that the architecture lists."""
        return self.entrypoints or ("generic", "generic_stream")

    def has_entrypoint(self, tag: str) -> bool:
        """Whether runs of this entry point are accepted."""
        return not self.entrypoints or tag in self.entrypoints


def find_agent(agents: Mapping[str, AgentScripts], agent_id: str) -> AgentScripts | None:
    """Find the agent that answers runs of this id: the fallback if there is no such agent."""
    found = agents.get(agent_id)
    return agents.get(FALLBACK) if found is None and agent_id else found


def as_result(steps: tuple[Any, ...], options: Options) -> Result:
    """Make a plain result of a script, most of whose options do not apply to it."""
    return Result.of(steps, writes=options.get("writes", MERGED), write_gap=options.get("write_gap", 0.0))
