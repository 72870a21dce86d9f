"""The requests that a host of fake agents received, in order."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runagent_testing._internal.clock import wait_for
from runagent_testing._internal.redaction import Secrets
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._internal.uncopied import Uncopied
from runagent_testing._journal.asdict import as_dict
from runagent_testing._journal.bounds import Bounds
from runagent_testing._journal.recorder import Recorder
from runagent_testing._journal.transcript import transcript, transcripts
from runagent_testing._script.numbers import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from runagent_testing._journal.exchange import Exchange

__all__ = ["Journal", "save_journal"]

__tracebackhide__ = is_ours

FALLBACK = "*"
"""The id of the agent that answers the runs of unknown agents."""


class Journal(Uncopied):
    """Every request of a host; may be written and read by different threads.

    Args:
        url: Returns the host's base URL.

    Attributes:
        requests: The requests for runs, in order of arrival.
        others: The requests for anything else that were answered, in order of arrival.
        unmatched: The requests that no script answers; those that were answered are in one of the other
            lists, too.
        cleared: How often everything was forgotten.
    """

    def __init__(self, url: Callable[[], str] = str) -> None:
        self._url = url
        self.requests: list[Exchange] = []
        self.others: list[Exchange] = []
        self.unmatched: list[Exchange] = []
        self.cleared = 0
        self._count = self._arrivals = 0
        self._arrived = threading.Condition()
        self._bounds: Bounds | None = None
        self._forgotten: dict[str, int] = {}  # requests for runs, by agent

    def keep_last(self, limit: int, on_forget: Callable[[Exchange, list[Exchange]], object]) -> None:
        """Forget the oldest exchanges that have ended, when there are more or they are large; see `Bounds`.

        Args:
            limit: How many each list keeps.
            on_forget: Called with each exchange that is forgotten, and the list.
        """

        def forget(exchange: Exchange, whence: list[Exchange]) -> None:
            if whence is self.requests:
                # Clients choose the ids of unknown agents: there may be any number of them.
                is_known = not exchange.is_fallback and exchange.unmatched is None
                agent_id = exchange.agent_id if is_known else FALLBACK
                self._forgotten[agent_id] = self._forgotten.get(agent_id, 0) + 1
            on_forget(exchange, whence)

        self._bounds = Bounds(limit, forget)

    def note(self, exchange: Exchange) -> None:
        """Record a request for a run."""
        with self._arrived:
            self._count += 1
            exchange.number = self._count
            self._add(exchange, self.requests)
        Recorder(exchange).log_begin()

    def note_other(self, exchange: Exchange) -> None:
        """Record a request that asks for no run."""
        with self._arrived:
            self._add(exchange, self.others)

    def note_unmatched(self, exchange: Exchange, why: str) -> None:
        """Record a request that no script answers, with the nearest match."""
        exchange.unmatched = why
        with self._arrived:
            self._add(exchange, self.unmatched)

    def _add(self, exchange: Exchange, exchanges: list[Exchange]) -> None:
        exchanges.append(exchange)
        if not exchange.arrival:
            self._arrivals += 1
            exchange.arrival = self._arrivals
        if self._bounds is not None:
            self._bounds.add(exchange, exchanges)
        self._arrived.notify_all()

    @property
    def secrets(self) -> Secrets:
        """The credentials of all requests, which must not be shown."""
        return Secrets().joined(exchange.secrets for exchange in self.exchanges)

    @property
    def exchanges(self) -> list[Exchange]:
        """Every exchange once, unmatched ones included, in order of arrival."""
        with self._arrived:
            every = dict.fromkeys([*self.requests, *self.others, *self.unmatched])
        return sorted(every, key=lambda exchange: exchange.arrival)

    def as_dict(self) -> dict[str, Any]:
        """Return all exchanges so far as a JSON value: those of `exchanges`, as of `Exchange.as_dict`."""
        secrets = self.secrets
        return {"exchanges": [as_dict(exchange, secrets) for exchange in self.exchanges]}

    def transcript(self, headers: Collection[str] = (), *, sort: bool = False) -> str:
        """Return the transcripts of `exchanges` as one text; an id has the same placeholder in all of them.

        Args:
            headers: See `Exchange.transcript`.
            sort: Whether to put them into the order of their contents. The order of requests that were made
                at the same time differs from run to run.
        """
        return "\n\n".join(map(transcript, self.transcript_list(headers, sort=sort)))

    def transcript_list(self, headers: Collection[str] = (), *, sort: bool = False) -> list[dict[str, Any]]:
        """Return the same as a JSON value.

        Args:
            headers: See `Exchange.transcript`.
            sort: See `transcript`.
        """
        return transcripts(self.exchanges, self.secrets, headers, sort=sort)

    def as_har(self) -> dict[str, Any]:
        """Return `exchanges` as an HTTP Archive, HAR 1.2, which browsers and other tools show.

        Messages of WebSockets are in ``_webSocketMessages``, as browsers write them: "send" is the client's.
        Credentials are "<redacted>", or asterisks in what the agent sent.
        """
        from runagent_testing._journal.har import as_har

        scheme = self._url().partition("://")[0]
        return as_har(self.exchanges, self.secrets, scheme if scheme == "https" else "http")

    def save(self, path: str | Path) -> None:
        """Write `exchanges` to a file: ``.har``, ``.json`` (as of `as_dict`) or ``.txt`` (their transcript).

        Raises:
            ValueError: The name has another ending.
            OSError: The file cannot be written.
        """
        save_journal(path, self.as_har, self.as_dict, self.transcript)

    def of(self, agent_id: str | None) -> list[Exchange]:
        """Return the requests for runs of one agent, or of all agents if it is None."""
        return [exchange for exchange in list(self.requests) if _is_of(exchange, agent_id)]

    def wait_until(self, reached: Callable[[], bool], timeout: float) -> bool:
        """Wait until a condition holds, which is checked after each arrival; False if it does not in time."""
        with self._arrived:
            return wait_for(self._arrived, reached, timeout)

    def wait(self, count: int, timeout: float, agent_id: str | None = None) -> Exchange:
        """Wait until ``count`` requests for runs have arrived, and return the last of them.

        Raises:
            LookupError: The journal has forgotten it.
            TimeoutError: Fewer requests came within ``timeout`` seconds.
            ValueError: ``count`` is not a positive number.
        """
        if not is_whole(count, 1):
            raise ValueError(f"wait_request() takes how many requests, 1 or more, not {count!r}")
        seen = matching = 0

        def has_come() -> bool:
            nonlocal seen, matching
            if self._bounds is not None:  # the list loses its first ones
                seen, matching = 0, self.count_forgotten(agent_id)
            new = self.requests[seen:]
            seen += len(new)
            matching += sum(_is_of(exchange, agent_id) for exchange in new)
            return matching >= count

        with self._arrived:
            wait_for(self._arrived, has_come, timeout)
            came, forgotten = self.of(agent_id), self.count_forgotten(agent_id)
        whose = "" if agent_id is None else f" of agent {agent_id!r}"
        if len(came) + forgotten < count:
            raise TimeoutError(
                f"expected {count} request(s){whose} within {timeout:g} s, but {len(came) + forgotten} came"
                + "".join(f"; unmatched: {exchange.title}" for exchange in self.unmatched)
                + _blocked()
            )
        if count <= forgotten:
            raise LookupError(f"request {count}{whose} is forgotten: the journal keeps only the last ones")
        return came[count - forgotten - 1]

    def count_forgotten(self, agent_id: str | None) -> int:
        """Count the requests for runs of one agent, or of all agents, that are no longer kept."""
        return sum(self._forgotten.values()) if agent_id is None else self._forgotten.get(agent_id, 0)

    def clear(self) -> None:
        """Forget everything."""
        with self._arrived:
            self.requests.clear()
            self.others.clear()
            self.unmatched.clear()
            self._forgotten.clear()
            if self._bounds is not None:
                self._bounds.clear()
            self.cleared += 1
            self._count = self._arrivals = 0


def _is_of(exchange: Exchange, agent_id: str | None) -> bool:
    return agent_id in (None, exchange.agent_id) or (agent_id == FALLBACK and exchange.is_fallback)


def _blocked() -> str:
    """Return the end of a message if the wait has blocked an event loop."""
    import sniffio  # only tests that fail come here

    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return ""
    call = "trio.to_thread.run_sync" if library == "trio" else "asyncio.to_thread"
    return f"; this has blocked the event loop of {library}: call it through {call}"


def save_journal(
    path: str | Path,
    as_har: Callable[[], dict[str, Any]],
    as_dict: Callable[[], dict[str, Any]],
    transcript: Callable[[], str],
) -> None:
    """Write a journal to a file, in the form that the file's name asks for; see `Journal.save`."""
    path = Path(path)
    writers: dict[str, Callable[[], Any]] = {".har": as_har, ".json": as_dict, ".txt": transcript}
    if path.suffix not in writers:
        raise ValueError(f"journal.save() writes {', '.join(writers)} files, not {path.name!r}")
    content = writers[path.suffix]()
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=2)
    path.write_text(f"{text}\n", encoding="utf-8", errors="backslashreplace")
