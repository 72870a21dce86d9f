"""`RemoteFakeAgentServer`: a server in another process, with the methods of one in this process."""

from __future__ import annotations

import functools
import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from runagent_testing._host.scopes import checked_name
from runagent_testing._internal.clock import now
from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._internal.uncopied import Uncopied
from runagent_testing._remote.exchanges import RemoteExchange, RemoteGate, RemoteJournal
from runagent_testing._remote.http import ControlConnection, RemoteControlError
from runagent_testing._remote.scripts import RemoteAgent, answer_form, gates_in
from runagent_testing._script.numbers import check_count, check_texts, is_whole
from runagent_testing._script.script import Result

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from runagent_testing._render.plan import ConnectionFault
    from runagent_testing._script.gates import Gate
    from runagent_testing._script.steps import Step

__all__ = ["RemoteFakeAgentServer"]

__tracebackhide__ = is_ours

_LONGEST = 30.0  # seconds that one request to the server waits
_REMEMBERED = 1000  # scripts whose steps `RemoteExchange.wait_sent` knows
_NOT_FOUND = 404


# Many methods: those of a server in this process, and what its agents and exchanges ask.
class RemoteFakeAgentServer(Uncopied):
    """Steers a fake agent server in another process, which has to have the control API (docs/control.md).

    Its methods are those of `FakeAgentServer`, and so are those of its agents; those of its exchanges are in
    `RemoteExchange`. Functions and dialects cannot be sent: `Agent.responds` and the like raise
    `RemoteUnsupportedError`. A gate that was made in this process opens the server's gates with its name.
    Usable from any thread. It keeps connections, so close it, or use it in a ``with`` block.

    Args:
        url: The base URL of the server.
        token: The server's ``control_token``.
        scope: The name of a scope, for a test that shares the server with others.
        ssl_context: For ``https``; by default the system's certificates count.

    Attributes:
        name: The name of the scope; "" for the server itself.
        journal: All exchanges, as JSON, as an HTTP Archive and as transcripts.
    """

    @suggest_keywords
    def __init__(
        self,
        url: str,
        token: str | None = None,
        scope: str | None = None,
        *,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        name = "" if scope is None else checked_name(scope)
        self._control = ControlConnection(url, token, name, ssl_context)
        self._access = url, token, ssl_context
        self.name = name
        self.journal = RemoteJournal(self, lambda: self._exchanges("all"))
        self._agents: dict[str, RemoteAgent] = {}
        self._steps: deque[Sequence[Step]] = deque(maxlen=_REMEMBERED)
        self._watched: set[Gate] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the server, which goes on; a later call opens new ones."""
        self._control.close()

    @property
    def url(self) -> str:
        """The base URL for clients of this server, or scope."""
        return f"{self._control.root}{self._control.prefix}"

    @property
    def connections(self) -> int:
        """The number of connections that the server has accepted, those of the control API aside.

        Raises:
            RemoteControlError: This is a scope, to which no connections belong.
        """
        counts = self._ask("GET", "/counts")
        if "connections" not in counts:
            raise RemoteControlError("connections belong to no scope")
        return int(counts["connections"])

    @property
    def requests(self) -> list[RemoteExchange]:
        """See `Scope.requests`."""
        return self._exchanges("run")

    @property
    def other_requests(self) -> list[RemoteExchange]:
        """See `Scope.other_requests`."""
        return self._exchanges("other")

    @property
    def unmatched(self) -> list[RemoteExchange]:
        """See `Scope.unmatched`."""
        return self._exchanges("unmatched")

    @property
    def gates(self) -> dict[str, RemoteGate]:
        """See `Scope.gates`."""
        return {gate["name"]: RemoteGate(self, gate["name"]) for gate in self._ask("GET", "/gates")["gates"]}

    def agent(self, agent_id: str) -> RemoteAgent:
        """Return the agent with this id; it is unknown to clients until it was given a script."""
        check_texts((agent_id,), "an agent's id")
        with self._lock:
            if agent_id not in self._agents:
                self._agents[agent_id] = RemoteAgent(agent_id, self)
            return self._agents[agent_id]

    def scope(self, name: str) -> RemoteFakeAgentServer:
        """Return a client of the scope with this name; close it as well."""
        url, token, ssl_context = self._access
        return RemoteFakeAgentServer(url, token, name, ssl_context=ssl_context)

    def scopes(self) -> list[tuple[RemoteFakeAgentServer, float]]:
        """See `AgentHost.scopes`."""
        listed = self._ask("GET", "/scopes")["scopes"]
        return [(self.scope(scope["name"]), scope["idle_seconds"]) for scope in listed]

    def drop_scope(self, name: str) -> bool:
        """See `AgentHost.drop_scope`."""
        return self._unless_missing("DELETE", f"/scopes/{quote(name, safe='')}")

    @suggest_keywords
    def on_connect(self, fault: ConnectionFault, *, times: int = 1) -> None:
        """See `AgentHost.on_connect`; the connections of this object are spared, except over TLS."""
        check_count(times, "on_connect()")
        self._ask("POST", "/on-connect", {"fault": fault, "times": times})

    @suggest_keywords
    def on_request(self, line: str, *steps: Any, times: int = 1) -> None:
        """See `Scope.on_request`."""
        check_texts((line,), "the request of on_request()")
        check_count(times, "on_request()")
        result = Result.of(steps)
        self._ask("POST", "/on-request", {"request": line, "answer": answer_form(result), "times": times})
        self._note_steps(result.steps)

    @suggest_keywords
    def inject(self, fault: str, *, agent: str | None = None, run: int | None = None) -> None:
        """See `Scope.inject`."""
        self._ask("POST", "/faults", {"fault": fault, "agent": agent, "run": run})

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
        """See `Scope.chaos`."""
        chosen = {"only": list(only), "without": list(without)}
        self._ask("PUT", "/chaos", {"rate": rate, "seed": seed, "test": test, **chosen})

    @suggest_keywords
    def wait_request(self, count: int = 1, timeout: float = 5.0) -> RemoteExchange:
        """See `Scope.wait_request`."""
        return self._wait_request(count, timeout, None)

    @suggest_keywords
    def problems(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> list[str]:
        """See `Scope.problems`."""
        return list(self._problems(allow_unused, allow_unmatched)["problems"])

    @suggest_keywords
    def check(self, *, allow_unused: bool = False, allow_unmatched: bool = False) -> None:
        """See `Scope.check`."""
        found = self._problems(allow_unused, allow_unmatched)
        if found["problems"]:
            raise AssertionError(found["report"])

    def timelines(self) -> str:
        """See `Scope.timelines`."""
        return str(self._ask("GET", "/timelines")["timelines"])

    def clear(self) -> None:
        """Forget the agents, requests and faults of this server, or scope, and end what is being answered.

        Other scopes, idle connections and the server's script files stay: `reset` applies these again.
        """
        self._ask("POST", "/clear")

    def reset(self) -> None:
        """See `Scope.reset`."""
        self._ask("POST", "/reset")

    # What its agents, exchanges and gates ask

    def _ask(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        try:
            return self._control.ask(method, path, body, query)
        except RemoteControlError as exc:
            if exc.code == "INVALID":
                raise ValueError(str(exc)) from None
            raise

    def _unless_missing(self, method: str, path: str, body: Any = None) -> bool:
        """Ask for something that may be gone, and return whether it was there."""
        try:
            self._ask(method, path, body)
        except RemoteControlError as exc:
            if exc.status != _NOT_FOUND:
                raise
            return False
        return True

    def _wait(
        self,
        method: str,
        path: str,
        query: dict[str, Any],
        timeout: float,
        is_enough: Callable[[Any], bool],
    ) -> Any:
        """Ask again and again, as one request does not wait for ever, and return the last answer."""
        until = now() + timeout
        while True:
            rest = min(max(until - now(), 0.0), _LONGEST)
            began = now()
            answer = self._control.ask(method, path, None, {**query, "timeout": rest}, wait=rest)
            gave_up = now() - began < rest  # it can no longer happen
            if is_enough(answer) or gave_up or now() >= until:
                return answer

    def _exchanges(self, kind: str, agent_id: str | None = None) -> list[RemoteExchange]:
        listed = self._ask("GET", "/exchanges", None, {"kind": kind, "agent": agent_id})
        return [RemoteExchange(self, facts) for facts in listed["exchanges"]]

    def _wait_request(self, count: int, timeout: float, agent_id: str | None) -> RemoteExchange:
        if not is_whole(count, 1):
            raise ValueError(f"wait_request() takes how many requests, 1 or more, not {count!r}")
        until = now() + timeout
        while True:
            rest = min(max(until - now(), 0.0), _LONGEST)
            query = {"agent": agent_id, "wait": count, "timeout": rest}
            try:
                answer = self._control.ask("GET", "/exchanges", None, query, wait=rest)
            except RemoteControlError as exc:
                if exc.code != "TIMEOUT":
                    raise
                if now() >= until:
                    fault = str(exc).replace(f" within {rest:g} s", f" within {timeout:g} s")
                    raise TimeoutError(fault) from None
                continue
            kept = answer["exchanges"]
            if (place := count - 1 - (answer["count"] - len(kept))) < 0:
                raise LookupError(f"request {count} is forgotten: the journal keeps the last {len(kept)}")
            return RemoteExchange(self, kept[place])

    def _problems(self, allow_unused: bool, allow_unmatched: bool) -> Any:
        query = {"allow_unused": allow_unused, "allow_unmatched": allow_unmatched}
        return self._ask("GET", "/problems", None, query)

    def _gate(self, name: str, change: dict[str, bool] | None = None) -> Any:
        return self._ask("PUT" if change else "GET", f"/gates/{quote(name, safe='')}", change)

    def _note_steps(self, steps: Sequence[Step]) -> None:
        """Know the steps of a script that was sent, and open the server's gates with their originals here."""
        self._steps.append(steps)
        for gate in gates_in(steps):
            if gate not in self._watched:
                self._watched.add(gate)
                gate.on_open(functools.partial(self._open, gate))

    def _open(self, gate: Gate) -> None:
        self._watched.discard(gate)
        # Its runs may be over by now.
        self._unless_missing("PUT", f"/gates/{quote(gate.name, safe='')}", {"open": True})

    def _number_of(self, step: Step) -> int | None:
        """Return the number, from 1, of a step in the script that was sent last with it."""
        for steps in reversed(list(self._steps)):
            for number, one in enumerate(steps, 1):
                if one is step:
                    return number
        return None


publish(RemoteFakeAgentServer)
