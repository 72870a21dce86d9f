"""What a host of fake agents was asked, in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from runagent_testing._internal.clock import wait_for
from runagent_testing._internal.redaction import Secrets
from runagent_testing._journal.record import Recorder
from runagent_testing._script.numbers import is_whole

if TYPE_CHECKING:
    from runagent_testing._journal.exchange import Exchange

__all__ = ["Journal"]


class Journal:
    """Every request of a host; may be written and read by different threads.

    Attributes:
        requests: The runs that were asked for, in order of arrival.
        unmatched: What had no answer in any script; what of it asked for a run is in ``requests``, too.
    """

    def __init__(self) -> None:
        self.requests: list[Exchange] = []
        self.unmatched: list[Exchange] = []
        self._count = 0
        self._arrived = threading.Condition()

    def note(self, exchange: Exchange) -> None:
        """Note a run that was asked for."""
        with self._arrived:
            self.requests.append(exchange)
            self._count += 1
            exchange.number = self._count
            self._arrived.notify_all()
        Recorder(exchange).log_begin()

    def note_unmatched(self, exchange: Exchange, why: str) -> None:
        """Note what nobody has scripted, and what comes nearest."""
        exchange.unmatched = why
        with self._arrived:
            self.unmatched.append(exchange)

    @property
    def secrets(self) -> Secrets:
        """What must not be shown: the credentials of all requests."""
        exchanges = [*list(self.requests), *list(self.unmatched)]
        return Secrets().joined(exchange.secrets for exchange in exchanges)

    def of(self, agent_id: str | None) -> list[Exchange]:
        """Return the runs that one agent was asked for; None for all agents."""
        return [exchange for exchange in list(self.requests) if agent_id in (None, exchange.agent_id)]

    def wait(self, count: int, timeout: float, agent_id: str | None = None) -> Exchange:
        """Wait until so many runs were asked for, and return the last of these.

        Raises:
            TimeoutError: They were not within ``timeout`` seconds.
            ValueError: It is no number of requests.
        """
        if not is_whole(count, 1):
            raise ValueError(f"wait_request() takes how many requests, 1 or more, not {count!r}")
        seen = matching = 0

        def has_come() -> bool:
            nonlocal seen, matching
            new = self.requests[seen:]
            seen += len(new)
            matching += sum(agent_id in (None, exchange.agent_id) for exchange in new)
            return matching >= count

        with self._arrived:
            wait_for(self._arrived, has_come, timeout)
        came = self.of(agent_id)
        if len(came) < count:
            whose = "" if agent_id is None else f" of agent {agent_id!r}"
            raise TimeoutError(
                f"{count} request(s){whose} were to come within {timeout:g} s, and {len(came)} did"
                + "".join(f"; unmatched: {exchange.title}" for exchange in self.unmatched)
                + _blocked()
            )
        return came[count - 1]

    def clear(self) -> None:
        """Forget everything."""
        with self._arrived:
            self.requests.clear()
            self.unmatched.clear()
            self._count = 0


def _blocked() -> str:
    """Say what could not go on meanwhile in this thread."""
    import sniffio  # only tests that fail come here

    try:
        library = sniffio.current_async_library()
    except sniffio.AsyncLibraryNotFoundError:
        return ""
    call = "trio.to_thread.run_sync" if library == "trio" else "asyncio.to_thread"
    return f"; this has blocked the event loop of {library}: call it through {call}"
