"""The fake agent's scripts in AG-UI 1.0.

Once this distribution is installed, every fake agent answers ``POST /agui/AGENT``. Text chunks become one
text message until another step comes; any other value becomes its JSON text. ``custom("state", …)`` and
``custom("tool_result", …)`` write a state snapshot and the result of a tool, ``custom("STEP_STARTED", {…})``
an event of that type, and any other name a CUSTOM event. ``done`` carries usage, interrupts, metadata and, as
message, the result of the run; ``done(stop_reason="cancelled")`` ends it as cancelled.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from runagent_agui.testing.requests import agent_input, faults_in
from runagent_agui.testing.writing import AGUIFormat
from runagent_testing.dialects import Dialect, RunRequest, Status, hookimpl, parse_json

if TYPE_CHECKING:
    from runagent_testing.dialects import DialectRun, Format, RegisterDialect, Request, RequestedAgent

__all__ = ["AGUIDialect", "runagent_testing_register_dialects"]

_PATH = re.compile(r"/agui/([^/?]+)(?:\?.*)?")


class AGUIDialect(Dialect):
    """AG-UI over server-sent events, with a path for each agent."""

    name = "agui"
    transports = ("agui",)

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return None
        body = parse_json(request.body)
        return RunRequest(
            agent_id=unquote(match[1]),
            transport="agui",
            body=body,
            input=agent_input(body) if isinstance(body, dict) else {},
        )

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`: as pydantic does, with a bare list of what is wrong."""
        faults = faults_in(run_request.body)
        return Status(422, body=faults) if faults else None

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return AGUIFormat(run)


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(AGUIDialect())
