"""One fake agent: what it will say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, Self, Unpack

from runagent_testing._host.scripts import AgentScripts, as_result
from runagent_testing._script.computed import Computed
from runagent_testing._script.numbers import check_count, check_texts
from runagent_testing._script.script import Options, Result, Script
from runagent_testing._script.steps import Status
from runagent_testing._script.validation import StepError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing._journal.exchange import Exchange
    from runagent_testing._journal.journal import Journal

__all__ = ["Agent"]


class Home(Protocol):
    """Where an agent lives: a host, as far as its agents have to know it."""

    journal: Journal

    @property
    def url(self) -> str:
        """The base URL."""


class Agent:
    """What one agent answers; every method may be called while it serves."""

    def __init__(self, agent_id: str, host: Home | None = None, scripts: AgentScripts | None = None) -> None:
        self.id = agent_id
        self._host = host
        self._scripts = AgentScripts(agent_id) if scripts is None else scripts

    def always(self, *steps: Any, **options: Unpack[Options]) -> Self:
        """Stream this, whenever no `reply` is queued.

        Args:
            steps: Chunks (text or any JSON value) and steps, in order.
            options: Properties of the whole script; see `runagent_testing._script.script.Options`.

        Raises:
            TypeError: A step is no step, or stands where it cannot; the message says which.
            ValueError: An option has no such value.
        """
        self._scripts.script = Script.of(_unpacked("always", steps), **options)
        return self

    def reply(self, *steps: Any, **options: Unpack[Options]) -> Self:
        """Stream this once; several replies are used up in order. Arguments as for `always`."""
        self._scripts.add_reply(Script.of(_unpacked("reply", steps), **options))
        return self

    def responds(
        self, function: Callable[[Exchange], Any], *, timeout: float = 30.0, **options: Unpack[Options]
    ) -> Self:
        """Ask a function for the steps of every answer, streams and plain runs alike.

        It replaces what `always` and `returns` said before, and they replace it. What it raises, or
        steps that make no sense, are answered with a 500 whose text says so, and fail the test; in the middle
        of a stream it is an error event.

        A server calls a plain function in a thread, an async one in a task of its own loop, so neither keeps
        other agents waiting, and a plain one may ask this server. A `MemoryNetwork` calls it in the reader's
        thread, without a limit, and an async one may not wait there.

        Args:
            function: Gets the request (``transport``, ``dialect``, ``agent_id``, ``input``, ``headers``)
                and returns the steps as a list, or gives them one by one as a generator, plain or async: each
                is asked for when the one before it has left, so there may be no end to them. Over a WebSocket
                it is asked after the handshake, which a status of it can therefore not refuse any more.
            timeout: Seconds that it has, and a generator for each step. After them the answer is a 500, and
                the test fails.
            options: As for `always`.
        """
        self._scripts.script = self._scripts.result = Computed.of(function, timeout, options)
        return self

    def fails(self, times: int, *steps: Any, **options: Unpack[Options]) -> Self:
        """Fail the next runs, streams and plain ones alike, before anything else is used.

        Args:
            times: How many runs.
            steps: How, in steps that fit both kinds of run; default ``status(503, retry_after=0)``.
            options: As for `always`.

        Raises:
            TypeError: As for `always` and `returns`.
        """
        check_count(times, "fails()")
        steps = _unpacked("fails", steps) or (Status(503, retry_after=0),)
        self._scripts.add_failures(times, Script.of(steps, **options), as_result(steps, options))
        return self

    def returns(
        self,
        *steps: Any,
        usage: Mapping[str, Any] | None = None,
        execution_time: float | None = None,
        agent_version: str | None = None,
        **written: Any,
    ) -> Self:
        """Answer plain runs (``invoke``, ``run``) with this, whenever no `returns_once` is queued.

        Args:
            steps: One JSON value, ``error(...)``, ``status(...)`` or ``raw_response(...)``; delays and
                gates may come before it and an ending after it or in its place.
            usage: Token counts (``invoke`` only, as the two below).
            execution_time: Seconds.
            agent_version: For the metadata.
            written: ``writes`` and ``write_gap``, as for `always`.

        Raises:
            TypeError: As for `always`.
        """
        self._scripts.result = Result.of(
            steps, usage=usage, execution_time=execution_time, agent_version=agent_version, **written
        )
        return self

    def returns_once(
        self,
        *steps: Any,
        usage: Mapping[str, Any] | None = None,
        execution_time: float | None = None,
        agent_version: str | None = None,
        **written: Any,
    ) -> Self:
        """Answer one plain run with this; several are used up in order. Arguments as for `returns`."""
        self._scripts.add_result(
            Result.of(
                steps, usage=usage, execution_time=execution_time, agent_version=agent_version, **written
            )
        )
        return self

    def entrypoints(self, *tags: str) -> Self:
        """Know only these entry-point tags (published server's protocol); none given: any tag."""
        check_texts(tags, "an entry-point tag")
        self._scripts.entrypoints = tags
        return self

    @property
    def url(self) -> str:
        """The base URL of where it lives.

        Raises:
            RuntimeError: It lives nowhere, or on a server that has not started.
        """
        return self._home.url

    @property
    def requests(self) -> list[Exchange]:
        """The runs that it was asked for, in order of arrival."""
        return self._home.journal.of(self.id)

    def wait_request(self, count: int = 1, timeout: float = 5.0) -> Exchange:
        """Wait until it was asked for ``count`` runs, and return the last of these.

        Raises:
            TimeoutError: It was not within ``timeout`` seconds.
        """
        return self._home.journal.wait(count, timeout, self.id)

    @property
    def _home(self) -> Home:
        if self._host is None:
            raise RuntimeError(f"agent {self.id!r} lives nowhere: make it with agent({self.id!r}) of a host")
        return self._host


def _unpacked(method: str, steps: tuple[Any, ...]) -> tuple[Any, ...]:
    """Refuse a list of steps that was to be several arguments: it would silently be one chunk."""
    if len(steps) == 1 and isinstance(steps[0], list | tuple):
        hint = f"write {method}(*steps) for the steps in it, chunk([...]) for one chunk that is a list"
        raise StepError(1, f" is a list, and the only one: {hint}")
    return steps
