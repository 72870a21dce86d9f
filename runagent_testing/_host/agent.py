"""One fake agent, as a test scripts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self

from runagent_testing._host.answering import Answering
from runagent_testing._host.conditions import Conditions
from runagent_testing._host.limits import RunLimit
from runagent_testing._host.rules import Rule
from runagent_testing._host.scripts import AgentScripts
from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.numbers import check_texts

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Collection, Mapping

    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._journal.journal import Journal

__all__ = ["Agent"]

__tracebackhide__ = is_ours


class Home(Protocol):
    """The host of an agent, as far as the agent has to know it."""

    journal: Journal
    can_forward: bool

    def inject(self, fault: str, *, agent: str | None, run: int | None) -> None:
        """Have a run meet a fault."""

    @property
    def url(self) -> str:
        """The base URL."""


class Agent(Answering):
    """A scriptable agent; every method may be called while the agent serves requests."""

    def __init__(self, agent_id: str, host: Home | None = None, scripts: AgentScripts | None = None) -> None:
        scripts = AgentScripts(agent_id) if scripts is None else scripts
        self.id = agent_id
        self._host = host
        scripts.can_forward = host is None or host.can_forward
        super().__init__(scripts, agent_id)

    @property
    def _scripts(self) -> AgentScripts:
        scripts = super()._scripts
        assert isinstance(scripts, AgentScripts)
        return scripts

    @suggest_keywords
    def when(
        self,
        *,
        query: str | re.Pattern[str] | None = None,
        body: Any = None,
        headers: Mapping[str, str | re.Pattern[str] | None] | None = None,
        nth: int | Collection[int] | None = None,
        matches: Callable[[Exchange], object] | None = None,
    ) -> Rule:
        """Make a rule: its answers are those of runs that meet all of its conditions.

        Rules are tried in the order in which they were made. The first one that applies and has an answer
        left answers; if there is none, the agent itself does, its `fails` included. Replies of a rule that
        were not used fail the test, as those of the agent do. Over a WebSocket, the input comes after the
        handshake: if any rule has another condition than ``headers``, a status can no longer refuse the
        handshake.

        Args:
            query: The input's query or, in a protocol with messages, the last text of the user (see
                `Dialect.find_query`).
            body: A part of the decoded request. An object has to have these members, perhaps more; a list
                has to have these items, and no more; any other value has to be equal.
            headers: Header fields, in any case; None as a value for one that is missing.
            nth: The number of the run, or a set or range of numbers. The agent's runs are counted from 1,
                retries too; a request that resumes a run has the number of the latest run.
            matches: A plain function, which gets the request, an `Exchange`. It is called if all other
                conditions hold and an answer is left; as the function of `responds`, in a thread, for at
                most 30 seconds. If it raises an exception, the answer is a 500, and the test fails.

        Anywhere in place of a text, a compiled pattern (``re.compile(...)``) is searched for.

        Raises:
            TypeError: There is no condition, or one has the wrong type.
            ValueError: ``nth`` has a number below 1, or none.
        """
        return Rule(self._scripts.add_rule(Conditions.of(query, body, headers, nth, matches)), self.id)

    @suggest_keywords
    def inject(self, fault: str, *, run: int | None = None) -> Self:
        """Have a run of this agent meet a fault of the catalogue in place of its answer.

        Args:
            fault: As for `AgentHost.inject`; not one of a connection.
            run: The run's place among those of the agent, from 1; None for the next run.

        Raises:
            RuntimeError: The agent has no host.
            TypeError: As for `AgentHost.inject`.
            ValueError: Likewise.
        """
        self._home.inject(fault, agent=self.id, run=run)
        return self

    @suggest_keywords
    def limit(self, runs: int, per: float) -> Self:
        """Accept only so many runs in a window of time, which begins with its first run.

        Another run is refused with a 429 and ``Retry-After``, and uses nothing up. Every answer shows what is
        left, in the header fields that its dialect has for that (`Dialect.limit_headers`). Requests that
        resume a run are not counted. Over a WebSocket, the handshake is refused.

        Args:
            runs: The number of runs.
            per: The length of a window in seconds, virtual ones on a memory network.

        Raises:
            TypeError: ``per`` is not a number.
            ValueError: ``runs`` is not a positive number, or ``per`` is not positive and finite.
        """
        self._scripts.limit = RunLimit(runs, per)
        return self

    def entrypoints(self, *tags: str) -> Self:
        """Know only these entry-point tags (published server's protocol); none given: any tag."""
        check_texts(tags, "an entry-point tag")
        self._scripts.entrypoints = tags
        return self

    @property
    def url(self) -> str:
        """The base URL of its host.

        Raises:
            RuntimeError: The agent has no host, or its server has not started.
        """
        return self._home.url

    @property
    def requests(self) -> list[Exchange]:
        """The requests for runs of this agent, in order of arrival."""
        return self._home.journal.of(self.id)

    def wait_request(self, count: int = 1, timeout: float = 5.0) -> Exchange:
        """Wait until the agent has received ``count`` requests for runs, and return the last of them.

        Raises:
            TimeoutError: Fewer requests came within ``timeout`` seconds.
        """
        return self._home.journal.wait(count, timeout, self.id)

    @property
    def _home(self) -> Home:
        if self._host is None:
            raise RuntimeError(f"agent {self.id!r} has no host: make it with agent({self.id!r}) of a host")
        return self._host


publish(Agent)
