"""What an agent or a rule answers, as a test scripts it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from runagent_testing._forwarding.upstream import Forward, ForwardingError, Upstream
from runagent_testing._host.scripts import as_result
from runagent_testing._internal.suggestions import suggest_keywords
from runagent_testing._internal.tracebacks import is_ours
from runagent_testing._internal.uncopied import Uncopied
from runagent_testing._recording.folder import RecordingFolder
from runagent_testing._recording.reading import read_recording, recordings_in
from runagent_testing._recording.replayed import Replayed, check_speed
from runagent_testing._script.computed import Computed
from runagent_testing._script.numbers import check_count
from runagent_testing._script.script import Options, Result, Script
from runagent_testing._script.steps import Status
from runagent_testing._script.validation import StepError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent_testing._host.scripts import Scripts
    from runagent_testing._journal.exchange import Exchange

__all__ = ["Answering"]

__tracebackhide__ = is_ours


class Answering(Uncopied):
    """The base of `Agent` and `Rule`: the methods that set answers."""

    def __init__(self, scripts: Scripts, agent_id: str) -> None:
        self._own = scripts
        self._agent_id = agent_id

    @property
    def _scripts(self) -> Scripts:
        """What the methods set.

        Raises:
            RuntimeError: The host has forgotten the agent, so that it would have no effect.
        """
        if self._own.is_forgotten:
            made = f"agent({self._agent_id!r})"
            raise RuntimeError(
                f"the host has forgotten this {made} (clear() and reset() do that): call {made} again"
            )
        return self._own

    def always(self, *steps: Any, **options: Unpack[Options]) -> Self:
        """Stream these steps in every run for which no `reply` is queued.

        Args:
            steps: Chunks (text or any JSON value) and steps, in order.
            options: Properties of the whole script; see `runagent_testing._script.script.Options`.

        Raises:
            TypeError: A step is invalid or misplaced; the message names it. Or an option is unknown.
            ValueError: An option's value is invalid.
        """
        self._scripts.script = Script.of(_unpacked("always", steps), **options)
        return self

    def reply(self, *steps: Any, **options: Unpack[Options]) -> Self:
        """Stream these steps in answer to one request; several replies are used in order.

        A retry and a resumption are requests, too, and each takes the next reply. Arguments as for `always`.
        """
        self._scripts.add_reply(Script.of(_unpacked("reply", steps), **options))
        return self

    def responds(
        self, function: Callable[[Exchange], Any], *, timeout: float = 30.0, **options: Unpack[Options]
    ) -> Self:
        """Compute the steps of every answer with a function, for streams and plain runs alike.

        The function replaces the scripts of `always` and `returns`, and they replace it. If it raises an
        exception or returns invalid steps, the answer is a 500 with the reason (within a stream, an error
        event), and the test fails.

        A server calls a plain function in a thread, and an async one in a task of its event loop. So neither
        blocks other agents, and a plain function may send requests to this server. A `MemoryNetwork` calls
        the function in the reader's thread, without a limit; an async one may not wait there.

        Args:
            function: Gets the request (``transport``, ``dialect``, ``agent_id``, ``input``, ``headers``),
                and returns the steps as a list, or is a generator, plain or async. A generator makes each
                step once the one before has been sent, so it may be endless. Over a WebSocket the function is
                called after the handshake, so a status can no longer refuse the handshake.
            timeout: The limit of the call, and of each step of a generator, in seconds. When it has passed,
                the answer is a 500, and the test fails.
            options: As for `always`.
        """
        self._scripts.script = self._scripts.result = Computed.of(function, timeout, options)
        return self

    def fails(self, times: int, *steps: Any, **options: Unpack[Options]) -> Self:
        """Fail the next runs, streams and plain runs alike, before any reply is used.

        Args:
            times: Number of runs.
            steps: Steps that are valid for both kinds of run; default ``status(503, retry_after=0)``.
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
        """Answer every plain run (``invoke``, ``run``) for which no `returns_once` is queued.

        Args:
            steps: One JSON value, ``error(...)``, ``status(...)`` or ``raw_response(...)``; delays and
                gates may come before it and an ending after it or in its place.
            usage: Token counts (only for ``invoke``, as the next two).
            execution_time: Seconds.
            agent_version: The version in the metadata.
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
        """Answer one plain run; several results are used in order. Arguments as for `returns`."""
        self._scripts.add_result(
            Result.of(
                steps, usage=usage, execution_time=execution_time, agent_version=agent_version, **written
            )
        )
        return self

    @suggest_keywords
    def replay(self, path: str | Path, *, speed: float = 1.0, max_gap: float | None = None) -> Self:
        """Send what was recorded (docs/recordings.md): the same bytes in the same writes, gaps and ending.

        Args:
            path: A recording, which answers every run like `always`. Or a folder: its recordings of this
                agent (of any agent, if it has none of this one) answer one run each, in the order of their
                names. If ``"*"`` is the only agent and has nothing but this, a recording answers a request
                with its method and path, also one that asks for no run.
            speed: By how much faster the gaps are; ``float("inf")`` leaves them out.
            max_gap: The longest gap in seconds; longer ones are shortened to it. None: they are kept.

        Raises:
            OSError: A file cannot be read, or the folder has no recording.
            ValueError: A recording is invalid (the text lists each line), or ``speed`` or ``max_gap`` is.
        """
        check_speed(speed, max_gap)
        found = [read_recording(one) for one in recordings_in(path)]
        mine = [one for one in found if one.agent_id == self._agent_id] or found
        replays = [Replayed.from_recording(one, speed, max_gap) for one in mine]
        if Path(path).is_dir():
            self._scripts.add_replays(replays)
        else:
            self._scripts.script = self._scripts.result = replays[0]
        return self

    @suggest_keywords
    def forwards(self, url: str, *, record: str | Path | None = None, stable_ids: bool = False) -> Self:
        """Pass every run on to a real service, and its answer back, read by read; only on a server.

        Request and answer are those of the service, whatever protocol it speaks. If ``"*"`` is the only agent
        of a server and has nothing but this, requests that ask for no run are passed on, too.

        Args:
            url: The service's base URL: ``http://host`` or ``https://host``, perhaps with a port and a path,
                which precedes the path of the request.
            record: A folder in which each exchange is recorded, without credentials (docs/recordings.md).
            stable_ids: Whether ids become placeholders in recordings.

        Raises:
            ForwardingError: The agent is one of a `MemoryNetwork`, which has no sockets.
            OSError: The folder cannot be made or read.
            ValueError: The URL is invalid.
        """
        if not self._scripts.can_forward:
            raise ForwardingError(
                "a MemoryNetwork forwards nothing, as it has no sockets: use a FakeAgentServer"
            )
        upstream = Upstream.of(url)
        folder = None if record is None else RecordingFolder(record, stable_ids=stable_ids)
        forward = Forward(steps=(), upstream=upstream, folder=folder)
        self._scripts.script = self._scripts.result = forward
        return self


def _unpacked(method: str, steps: tuple[Any, ...]) -> tuple[Any, ...]:
    """Reject a list of steps in place of several arguments, as it would silently become one chunk."""
    if len(steps) == 1 and isinstance(steps[0], list | tuple):
        hint = f"write {method}(*steps) for the steps in it, chunk([...]) for one chunk that is a list"
        raise StepError(1, f" is a list, and the only one: {hint}")
    return steps
