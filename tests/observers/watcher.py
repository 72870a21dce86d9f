"""An observer that records its calls, and a call for it to watch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import hookimpl

if TYPE_CHECKING:
    from runagent import RunReport
    from runagent.transports import AgentCall
    from tests.support.styles import Style


class Watcher:
    """Records its calls."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, Any]] = []
        self.calls: list[AgentCall] = []

    @property
    def outcomes(self) -> list[str]:
        return [word for word, _ in self.noted]

    @hookimpl
    def runagent_call_started(self, call: AgentCall) -> None:
        self.calls.append(call)
        self.noted.append(("started", None))

    @hookimpl
    def runagent_call_finished(self, call: AgentCall, report: RunReport) -> None:
        assert self.calls[-1] is call
        self.noted.append((report.outcome, report))


async def read_to_the_end(client: Any, style: Style) -> None:
    async for _ in client.run_generic_stream("x"):
        pass
