"""Agents of another process: their methods send what they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from urllib.parse import quote

from runagent_testing._host.agent import Agent
from runagent_testing._host.scripts import AgentScripts, RuleScripts, Scripts
from runagent_testing._internal.public import publish
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._script.computed import Computed
from runagent_testing._script.gates import Gate
from runagent_testing._script.script import Result, Script
from runagent_testing._script.unrolling import leaves
from runagent_testing._standalone.serialize import FormError, conditions_form, script_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from runagent_testing._host.conditions import Conditions
    from runagent_testing._host.limits import RunLimit
    from runagent_testing._recording.replayed import Replayed
    from runagent_testing._remote.exchanges import RemoteExchange
    from runagent_testing._script.steps import Step

__all__ = ["RemoteAgent", "RemoteUnsupportedError", "answer_form", "gates_in"]

__tracebackhide__ = is_ours


_LOCAL = "replay() and forwards() name files and services, which a server takes from its own process only"


class RemoteUnsupportedError(FormError):
    """A server in another process cannot be given this: a function of the test, or a file of its machine."""


class RemoteHome(Protocol):
    """The server of a remote agent, as far as the agent has to know it."""

    @property
    def url(self) -> str:
        """The base URL for clients."""

    def inject(self, fault: str, *, agent: str | None, run: int | None) -> None:
        """Have a run meet a fault."""

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the control API, and return the content of the answer."""

    def _note_steps(self, steps: Sequence[Step]) -> None:
        """Know the steps of a script that was sent."""

    def _exchanges(self, kind: str, agent_id: str | None) -> list[RemoteExchange]:
        """List exchanges."""

    def _wait_request(self, count: int, timeout: float, agent_id: str | None) -> RemoteExchange:
        """Wait for a request."""


class _Sending(Scripts):
    """Scripts that are sent instead of kept.

    Args:
        server: The server.
        path: Where they are sent.
    """

    def __init__(self, server: RemoteHome, path: str) -> None:
        # Not those of the base: nothing is kept here.
        self._server = server
        self._path = path

    @property
    def script(self) -> Script | Computed | None:
        return None

    @script.setter
    def script(self, script: Script | Computed | None) -> None:
        if script is not None:
            self._send("always", answer_form(script), script)

    @property
    def result(self) -> Result | Computed | Script | None:
        return None

    @result.setter
    def result(self, result: Result | Computed | Script | None) -> None:
        if result is not None:
            self._send("returns", answer_form(result), result)

    def add_reply(self, script: Script) -> None:
        """Queue the answer of one stream."""
        self._send("replies", [answer_form(script)], script)

    def add_result(self, result: Result) -> None:
        """Queue the answer of one plain run."""
        self._send("returns_once", [answer_form(result)], result)

    def add_replays(self, replays: Sequence[Replayed]) -> NoReturn:
        """Refuse recorded answers."""
        raise RemoteUnsupportedError(_LOCAL)

    def add_failures(self, times: int, script: Script, result: Result) -> None:
        """Queue how the next runs fail."""
        self._send("fails", {"times": times, **answer_form(script)}, script)

    def _send(self, key: str, form: Any, script: object = None) -> None:
        self._server._ask("POST", self._path, {key: form})
        if isinstance(script, Script | Result):
            self._server._note_steps(script.steps)


class _SendingRule(_Sending, RuleScripts):
    def __init__(self, server: RemoteHome, path: str, conditions: Conditions) -> None:
        super().__init__(server, path)
        self.conditions = conditions


class _SendingAgent(_Sending, AgentScripts):
    def __init__(self, server: RemoteHome, agent_id: str) -> None:
        super().__init__(server, f"/agents/{quote(agent_id, safe='')}")
        self.id = agent_id
        self.rules = []
        self.count = 0

    @property
    def entrypoints(self) -> tuple[str, ...]:
        return ()

    @entrypoints.setter
    def entrypoints(self, tags: tuple[str, ...]) -> None:
        self._send("entrypoints", list(tags))

    @property
    def limit(self) -> RunLimit | None:
        return None

    @limit.setter
    def limit(self, limit: RunLimit | None) -> None:
        if limit is not None:
            self._send("limit", {"runs": limit.runs, "per": limit.per})

    def add_rule(self, conditions: Conditions) -> RuleScripts:
        """Make a rule."""
        try:
            form = conditions_form(conditions)
        except FormError as exc:
            raise RemoteUnsupportedError(str(exc)) from None
        number = self._server._ask("POST", f"{self._path}/rules", form)["rule"]
        return _SendingRule(self._server, f"{self._path}/rules/{number}", conditions)


class RemoteAgent(Agent):
    """An agent of a server in another process; its methods are those of `Agent`.

    `responds`, `replay`, `forwards` and `when` with ``matches=`` raise `RemoteUnsupportedError`.
    """

    def __init__(self, agent_id: str, server: RemoteHome) -> None:
        super().__init__(agent_id, None, _SendingAgent(server, agent_id))
        self._server = server

    @suggest_keywords
    def inject(self, fault: str, *, run: int | None = None) -> RemoteAgent:
        """See `Agent.inject`."""
        self._server.inject(fault, agent=self.id, run=run)
        return self

    @property
    def url(self) -> str:
        """The base URL of its server, or scope, for clients."""
        return self._server.url

    @property
    def requests(self) -> list[RemoteExchange]:  # type: ignore[override]
        """The requests for runs of this agent, in order of arrival."""
        return self._server._exchanges("run", self.id)

    def wait_request(self, count: int = 1, timeout: float = 5.0) -> RemoteExchange:  # type: ignore[override]
        """See `Agent.wait_request`."""
        return self._server._wait_request(count, timeout, self.id)


def answer_form(script: Script | Result | Computed) -> dict[str, Any]:
    """Return a script in the form in which it is sent.

    Raises:
        RemoteUnsupportedError: Its function, file or service is one of this process, or the test has written
            its ``writes``.
    """
    if isinstance(script, Computed):
        raise RemoteUnsupportedError(
            f"responds() takes a function, {script.name}, which only the server's own process can call"
        )
    if type(script) not in (Script, Result):
        raise RemoteUnsupportedError(_LOCAL)
    try:
        return script_form(script)
    except FormError as exc:
        raise RemoteUnsupportedError(str(exc)) from None


def gates_in(steps: Sequence[Step]) -> list[Gate]:
    """Return the gates among steps, each once."""
    return list(dict.fromkeys(step for step in leaves(steps) if isinstance(step, Gate)))


publish(RemoteUnsupportedError)
