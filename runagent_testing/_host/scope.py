"""What belongs to one test: its agents, the record of its requests, its gates and faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from runagent_testing._host.agent import Agent
from runagent_testing._host.chaos import Injection
from runagent_testing._host.forgotten import Forgotten
from runagent_testing._host.gates import GateFinder, NamedGate
from runagent_testing._host.others import OtherRequests
from runagent_testing._host.scripts import AgentScripts
from runagent_testing._host.verify import report, timelines, unexpected, unused
from runagent_testing._internal.clock import now
from runagent_testing._internal.public import publish
from runagent_testing._internal.redaction import escaped
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._internal.uncopied import Uncopied
from runagent_testing._journal.journal import Journal
from runagent_testing._journal.recorder import Recorder
from runagent_testing._script.numbers import check_count, check_texts
from runagent_testing._script.script import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from runagent_testing._host.disruptor import Disruptor
    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._render.plan import ConnectionFault

__all__ = ["Baseline", "Scope"]

__tracebackhide__ = is_ours

_SETTLING = 1.0  # seconds for all agents to send everything that is due, and for functions to return
_LEAVING = 0.1  # seconds for agents to notice that their clients have disconnected


class Baseline(Protocol):
    """What every scope begins with, such as a script file.

    Attributes:
        chaos: The arguments of `Scope.chaos`; empty for none.
    """

    @property
    def chaos(self) -> Mapping[str, Any]: ...

    def apply_once(self, scope: Scope, /) -> None:
        """Give the agents of a scope their scripts."""


class Scope(Uncopied):
    """One test's share of a server or network: what one scope is asked, no other scope sees.

    A `FakeAgentServer` or `MemoryNetwork` is the scope of all requests that name none. ``server.scope(name)``
    returns another one, for a client with this scope's ``url`` or with the header ``X-Fake-Scope: NAME``.

    Attributes:
        name: The name; "" for the server or network itself.
        requests: Every request for a run, even if it was refused, in order of arrival; a WebSocket's
            counts once its first message has come, or its handshake is refused or has to wait.
        other_requests: Every request for anything else that a dialect (or `on_request`) has answered, such
            as a card, a thread or a list of models, in order of arrival.
        can_forward: Whether its agents can pass requests on to a real service.
        unmatched: Requests that no script answers: for unknown agents or endpoints, or for agents without a
            script. ``exchange.unmatched`` names the nearest match.
    """

    can_forward = True

    def __init__(
        self,
        disruptor: Disruptor,
        name: str = "",
        url: Callable[[], str] = str,
        drop: Callable[[Collection[Exchange]], None] = lambda _: None,
        baselines: Sequence[Baseline] = (),
    ) -> None:
        self.name = name
        self.journal = Journal(lambda: self.url)
        self.requests = self.journal.requests
        self.other_requests = self.journal.others
        self.unmatched = self.journal.unmatched
        self._forgotten = Forgotten()
        self._agents: dict[str, Agent] = {}
        self._scripts: dict[str, AgentScripts] = {}
        self._others = OtherRequests(self._scripts, lambda: self.url)
        self._disruptor = disruptor
        self._gate_finder = GateFinder()
        self._base_url = url
        self._drop = drop
        self._baselines = baselines
        self._start()

    @property
    def url(self) -> str:
        """The base URL for clients that belong to this scope."""
        return self._base_url()

    @property
    def gates(self) -> dict[str, NamedGate]:
        """The gates, by name: those of scripts that wait for runs, and of runs that have not ended."""
        running = [exchange.steps for exchange in list(self.requests) if exchange.outcome == "running"]
        return self._gate_finder.find(list(self._scripts.values()), running)

    def agent(self, agent_id: str) -> Agent:
        """Return the agent with this id; the first call creates it, and until then it is unknown."""
        check_texts((agent_id,), "an agent's id")
        scripts = self._scripts.setdefault(agent_id, AgentScripts(agent_id))
        return self._agents.setdefault(agent_id, Agent(agent_id, self, scripts))

    @suggest_keywords
    def inject(self, fault: str, *, agent: str | None = None, run: int | None = None) -> None:
        """Have a run meet a fault of the catalogue in place of its answer.

        The answer counts as used, and another attempt at the run gets it. `check` reports a fault that no
        run has met, and whether an answer was too short for it.

        Args:
            fault: Its id in `runagent_testing.faults`, such as "fin-after-event-1"; "sse/fin-after-event-1"
                is for runs of one transport only. One before a connection is accepted is for the next
                connection.
            agent: The id of the run's agent; None for any.
            run: The run's place among those of its agent, from 1; None for the next run.

        Raises:
            TypeError: ``fault`` or ``agent`` is not text.
            ValueError: There is no such fault, or not here; or ``run`` is invalid.
        """
        parsed = self._disruptor.parse(fault, agent, run)
        if isinstance(parsed, Injection):
            self._disruptor.add(parsed)
        else:
            self._break_connection(parsed)

    @suggest_keywords
    def chaos(
        self,
        rate: float,
        *,
        seed: int = 0,
        only: Sequence[str] = (),
        without: Sequence[str] = (),
        test: str = "",
    ) -> None:
        """Have some runs, chosen by chance, meet a fault of the catalogue in place of their answers.

        Whether the n-th run of an agent meets one depends on nothing but the arguments, the agent's id and n.
        Its ``exchange.fault`` is then the fault, such as "sse/fin-after-event-1"; no step of it is expected
        to be played, and the answer counts as used. Another attempt at the run is another run of the agent:
        it gets that answer, or meets a fault as well.

        A fault sends nothing but chunks with which the answer begins, so what a client puts together from
        attempts is the answer. Unless ``only`` names others, chance chooses among the faults that a sound
        client shows as an error; on real sockets not among those that are silent, as a client waits for its
        limits then, or for ever.

        Args:
            rate: Which part of the runs, from 0 (none, as at the beginning) to 1 (every run for whose answer
                there is a fault).
            seed: Another seed is another choice.
            only: The faults to choose from: ids ("stall-after-start"), kinds ("stall") or transports
                ("sse"), also together ("sse/stall").
            without: Faults to leave out, likewise.
            test: Part of the seed, so that each test has another choice.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: ``rate`` is not between 0 and 1, or a fault is unknown.
        """
        self._disruptor.set_chaos(rate, seed, only, without, test)

    @suggest_keywords
    def on_request(self, line: str, *steps: Any, times: int = 1) -> None:
        """Answer the next requests with this method and path, which ask for no run, in place of the dialect.

        Args:
            line: Method and path, without the query: ``"POST /threads"``. ``*`` is any one segment of the
                path: ``"GET /threads/*/runs/*"``.
            steps: As for `Agent.returns`: usually ``status(...)``, with delays or an ending, for example.
            times: Number of requests.

        Raises:
            TypeError: A step is invalid or misplaced.
            ValueError: ``line`` is not a method and a path.
        """
        check_texts((line,), "the request of on_request()")
        method, _, path = line.partition(" ")
        if not (method.isupper() and path.startswith("/")):
            raise ValueError(f"on_request() takes a method and a path, such as 'POST /threads', not {line!r}")
        check_count(times, "on_request()")
        self._others.add(line, Result.of(steps), times)

    @suggest_keywords
    def wait_request(self, count: int = 1, timeout: float = 5.0) -> Exchange:
        """Wait until ``count`` requests for runs have arrived, and return the last of them.

        Blocks the thread; see `Exchange` for the consequences on a memory network.

        Raises:
            TimeoutError: Fewer requests came within ``timeout`` seconds.
        """
        return self.journal.wait(count, timeout)

    @suggest_keywords
    def problems(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> list[str]:
        """List the problems that `check` reports; waits a moment for agents that are about to send.

        Args:
            allow_unused: Ignore unused replies, results, failures and faults of connections, and steps
                that were not played (because the client disconnected early, or a gate stayed closed).
            allow_unmatched: Ignore requests that no script answers.
        """
        found = [*unexpected(self.journal, allow_unmatched=allow_unmatched), *self._hung(_SETTLING)]
        if not allow_unused:
            self._settle()
            until = now() + _LEAVING
            for exchange in list(self.requests):
                if exchange.unplayed:
                    exchange.wait_disconnected(max(until - now(), 0.0))
            agents = list(self._scripts.values())
            found += unused(self.journal, agents, self._others, self._connection_faults)
            found += map(str, self._disruptor.unmet())
        found += self._forgotten.problems(allow_unused=allow_unused, allow_unmatched=allow_unmatched)
        return [escaped(problem) for problem in found]

    @suggest_keywords
    def check(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> None:
        """Verify that the client met every script, and that a script answered every request.

        Args:
            allow_unused: See `problems`.
            allow_unmatched: See `problems`.

        Raises:
            AssertionError: Expectations are unmet; the message lists them and shows the exchanges.
        """
        if found := self.problems(allow_unused=allow_unused, allow_unmatched=allow_unmatched):
            raise AssertionError(report(found, self.journal))

    def timelines(self) -> str:
        """Show the last exchanges: the scripted steps next to the writes.

        Waits a moment for agents that are about to send: a client may have read what is not noted yet.
        """
        self._settle()
        return timelines(self.journal)

    def _settle(self) -> None:
        until = now() + _SETTLING
        for exchange in list(self.requests):
            Recorder(exchange).wait_until_idle(max(until - now(), 0.0))

    def clear(self) -> None:
        """Forget agents, requests and faults, chaos included, and end those that are being answered.

        Agents have to be created again; those created before no longer answer, and take no scripts.
        """
        self._drop(self._end())
        self._forget()

    def reset(self) -> None:
        """Forget everything of this scope as `clear` does, and apply the script files once more.

        Connections that answer nothing at the moment stay open.
        """
        self._drop(self._end())
        self._forget()
        self._start()
        for gate in self.gates.values():
            gate.close()

    def _start(self) -> None:
        for baseline in list(self._baselines):
            baseline.apply_once(self)

    def _replace_agents(self, new: Sequence[Baseline], before: Collection[str]) -> None:
        """Replace all scripts of the agents of script files; no request finds an agent without one.

        Args:
            new: The files.
            before: The ids of agents that vanish if the files do not have them.
        """
        prepared = Scope(self._disruptor.another(), self.name)
        for baseline in new:
            baseline.apply_once(prepared)
        for agent_id in set(before) - prepared._scripts.keys():
            self._agents.pop(agent_id, None)
            if (scripts := self._scripts.pop(agent_id, None)) is not None:
                scripts.forget()
        for agent_id, scripts in prepared._scripts.items():
            self.agent(agent_id)
            self._scripts[agent_id].become(scripts)
        if any(baseline.chaos for baseline in new):
            self._disruptor.chaos = prepared._disruptor.chaos

    def _keep(self, baseline: Baseline) -> None:
        """Note what was applied; a host gives it to every scope that is made later."""

    def _keep_last(self, count: int) -> None:
        """Have the journal keep only the last exchanges; problems of the others are kept as text."""

        def note(exchange: Exchange, whence: list[Exchange]) -> None:
            self._forgotten.note(exchange, is_unmatched=whence is self.unmatched)

        self.journal.keep_last(count, note)

    def _end(self) -> list[Exchange]:
        """End every exchange, and return them."""
        exchanges = [*self.requests, *self.other_requests]
        for exchange in exchanges:
            Recorder(exchange).end("server closed")
        return exchanges

    def _break_connection(self, fault: ConnectionFault) -> None:
        """Break the next connection."""
        raise ValueError("a connection belongs to no scope: break it with inject() of the server or network")

    def _forget(self) -> None:
        self._disruptor.clear()
        self._agents.clear()
        for scripts in list(self._scripts.values()):
            scripts.forget()
        self._scripts.clear()
        self._others.clear()
        self.journal.clear()
        self._forgotten.clear()

    def _hung(self, patience: float) -> list[str]:
        """Describe the test's functions that do not return within ``patience`` seconds."""
        return []

    @property
    def _connection_faults(self) -> int:
        """The number of faults of connections that have yet to come."""
        return 0


publish(Scope)
