"""Exchanges and gates of a server in another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from runagent_testing._internal.public import publish
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._journal.journal import save_journal
from runagent_testing._journal.transcript import transcript
from runagent_testing._script.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

__all__ = ["RemoteExchange", "RemoteGate", "RemoteJournal"]

__tracebackhide__ = is_ours

_PATIENCE = 5.0  # seconds


class Asked(Protocol):
    """The server, as far as exchanges and gates have to know it."""

    def _ask(self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None) -> Any:
        """Send a request to the control API, and return the content of the answer."""

    def _wait(
        self, method: str, path: str, query: dict[str, Any], timeout: float, is_enough: Callable[[Any], bool]
    ) -> Any:
        """Ask until the answer is enough, or the time is over, and return the last answer."""

    def _number_of(self, step: Step) -> int | None:
        """Return the number, from 1, of a step in the script that was sent last with it."""

    def _gate(self, name: str, change: dict[str, bool] | None = None) -> Any:
        """Return what the server knows of a gate, after a change."""


class RemoteExchange:
    """One request that an agent of a server in another process received, with its answer.

    Its attributes are the keys of ``Exchange.as_dict()``, such as ``agent_id``, ``input`` and ``outcome``;
    the server is asked for each of them until it can no longer change.

    Attributes:
        arrival: Its place among all requests of the scope, counted from 1.
        number: Its place among the requests for runs; 0 if it does not ask for one.
    """

    def __init__(self, server: Asked, facts: dict[str, Any]) -> None:
        self._server = server
        self._facts = facts
        self._is_final = False
        self.arrival: int = facts["arrival"]
        self.number: int = facts["number"]

    def __repr__(self) -> str:
        facts = self._facts
        return f"<RemoteExchange {facts['number']}: {facts['method']} {facts['path']} ({facts['transport']})>"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"a RemoteExchange has no attribute {name!r}")
        self._refresh()
        if name not in self._facts:
            raise AttributeError(f"a RemoteExchange has no attribute {name!r}")
        return self._facts[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._facts})

    def as_dict(self) -> dict[str, Any]:
        """Return the exchange so far as a JSON value; see `Exchange.as_dict`."""
        self._refresh()
        return dict(self._facts)

    def timeline(self) -> str:
        """Show the scripted steps next to the writes, and the outcome."""
        text: str = self.as_dict()["timeline"]
        return text

    def transcript(self, headers: Collection[str] = ()) -> str:
        """See `Exchange.transcript`."""
        return str(self._transcript(headers)["transcript"])

    def transcript_dict(self, headers: Collection[str] = ()) -> dict[str, Any]:
        """See `Exchange.transcript_dict`."""
        value: dict[str, Any] = self._transcript(headers)["value"]
        return value

    def wait_sent(self, target: int | Step, timeout: float = _PATIENCE) -> bool:
        """See `Exchange.wait_sent`; a step is one of a script that this process has sent, the same object."""
        if isinstance(target, int):
            return self._wait("sent", timeout, chunks=target)
        if not isinstance(target, Step):
            raise TypeError(f"wait_sent() takes a number of chunks, or a step itself, not {target!r}")
        step = self._server._number_of(target)
        return step is not None and self._wait("sent", timeout, step=step)

    def wait_done(self, timeout: float = _PATIENCE) -> bool:
        """See `Exchange.wait_done`."""
        return self._wait("done", timeout)

    def wait_disconnected(self, timeout: float = _PATIENCE) -> bool:
        """See `Exchange.wait_disconnected`."""
        return self._wait("disconnected", timeout)

    def _wait(self, until: Literal["sent", "done", "disconnected"], timeout: float, **target: int) -> bool:
        path, query = f"/exchanges/{self.arrival}", {"until": until, **target}
        answer = self._server._wait("GET", path, query, timeout, lambda answer: answer["reached"])
        self._facts = answer["exchange"]
        return bool(answer["reached"])

    def _transcript(self, headers: Collection[str]) -> Any:
        path, query = f"/exchanges/{self.arrival}/transcript", {"headers": ",".join(headers)}
        return self._server._ask("GET", path, None, query)

    def _refresh(self) -> None:
        if not self._is_final:
            self._facts = self._server._ask("GET", f"/exchanges/{self.arrival}")["exchange"]
            self._is_final = self._facts["is_over"]


class RemoteJournal:
    """All exchanges of a server in another process, as `AgentHost.journal` has them.

    Args:
        server: The server.
        exchanges: Lists them.
    """

    def __init__(self, server: Asked, exchanges: Callable[[], list[RemoteExchange]]) -> None:
        self._server = server
        self._exchanges = exchanges

    @property
    def exchanges(self) -> list[RemoteExchange]:
        """Every exchange once, unmatched ones included, in order of arrival."""
        return self._exchanges()

    def as_dict(self) -> dict[str, Any]:
        """Return all exchanges so far as a JSON value; see `Exchange.as_dict`."""
        return self._get({})

    def as_har(self) -> dict[str, Any]:
        """Return all exchanges so far as an HTTP Archive, HAR 1.2."""
        return self._get({"format": "har"})

    def transcript(self, headers: Collection[str] = (), *, sort: bool = False) -> str:
        """Return the transcripts of all exchanges as one text."""
        return "\n\n".join(map(transcript, self.transcript_list(headers, sort=sort)))

    def transcript_list(self, headers: Collection[str] = (), *, sort: bool = False) -> list[dict[str, Any]]:
        """Return the same as a JSON value."""
        query = {"format": "transcript", "headers": ",".join(headers), "sort": sort}
        return list(self._get(query)["transcripts"])

    def save(self, path: str | Path) -> None:
        """Write all exchanges to a file of this machine: ``.har``, ``.json`` or ``.txt`` (their transcripts).

        Raises:
            ValueError: The name has another ending.
            OSError: The file cannot be written.
        """
        save_journal(path, self.as_har, self.as_dict, self.transcript)

    def _get(self, query: dict[str, Any]) -> dict[str, Any]:
        content: dict[str, Any] = self._server._ask("GET", "/journal", None, query)
        return content


class RemoteGate:
    """Every gate with one name in the scripts of a server in another process; as `NamedGate`.

    Attributes:
        name: The name.
    """

    __slots__ = ("_server", "name")

    def __init__(self, server: Asked, name: str) -> None:
        self._server = server
        self.name = name

    def __repr__(self) -> str:
        return f"<RemoteGate {self.name}>"

    @property
    def is_open(self) -> bool:
        """Whether runs pass all of them without waiting."""
        return bool(self._server._gate(self.name)["open"])

    @property
    def waiting(self) -> int:
        """The number of runs that wait at them."""
        return int(self._server._gate(self.name)["waiting"])

    def open(self) -> None:
        """Let every run pass, now and later."""
        self._server._gate(self.name, {"open": True})

    def close(self) -> None:
        """Make the runs wait that reach one of them from now on."""
        self._server._gate(self.name, {"open": False})


publish(RemoteExchange)
