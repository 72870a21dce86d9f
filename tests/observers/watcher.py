"""Observers that record what is reported to them, and a call for them to watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import CallObserver

if TYPE_CHECKING:
    from runagent import RunReport
    from runagent.transports import AgentCall
    from tests.support.styles import Style


class Watcher:
    """Records its calls: what began, and how it ended."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, Any]] = []
        self.calls: list[AgentCall] = []

    @property
    def outcomes(self) -> list[str]:
        return [word for word, _ in self.noted]

    def observe_call(self, call: AgentCall) -> _Watched:
        self.calls.append(call)
        self.noted.append(("started", None))
        return _Watched(self)


class _Watched:
    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher

    def finished(self, report: RunReport) -> None:
        self.watcher.noted.append((report.outcome, report))


class Recorder:
    """Records every hook of every call, by the id of its run."""

    def __init__(self) -> None:
        self.runs: dict[str, list[tuple[str, tuple[Any, ...]]]] = {}

    def observe_call(self, call: AgentCall) -> _Recorded:
        return _Recorded(self.runs.setdefault(call.run_id, []))


class _Recorded(CallObserver):
    def __init__(self, heard: list[tuple[str, tuple[Any, ...]]]) -> None:
        self._heard = heard

    def prepare(self, *facts: Any) -> None:
        self._heard.append(("prepare", facts))

    def attempt(self, *facts: Any) -> None:
        self._heard.append(("attempt", facts))

    def attempt_ended(self, *facts: Any) -> None:
        self._heard.append(("attempt_ended", facts))

    def first_event(self, *facts: Any) -> None:
        self._heard.append(("first_event", facts))

    def received(self, *facts: Any) -> None:
        self._heard.append(("received", facts))

    def completed(self, *facts: Any) -> None:
        self._heard.append(("completed", facts))

    def finished(self, *facts: Any) -> None:
        self._heard.append(("finished", facts))


async def read_to_the_end(client: Any, style: Style) -> None:
    async for _ in client.run_generic_stream("x"):
        pass
