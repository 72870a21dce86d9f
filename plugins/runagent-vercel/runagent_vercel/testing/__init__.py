"""The fake agent's scripts in the UI message stream of the AI SDK, version 1.

Once this distribution is installed, every fake agent answers ``POST /vercel/AGENT``, for ``useChat`` and
anything else that reads such streams. Text chunks become one text part until another step comes; any other
value becomes its JSON text. ``custom("weather", …)`` writes a ``data-weather`` part,
``custom("tool_result", …)`` the output of a tool, and ``custom("source-url", {…})`` a chunk of that type.
``done`` carries the finish reason, metadata, and requests for approval as interrupts;
``done(stop_reason="cancelled")`` aborts the run.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_testing.dialects import Dialect, RunRequest, Status, hookimpl, parse_json
from runagent_vercel.testing.writing import VercelFormat

if TYPE_CHECKING:
    from runagent_testing.dialects import DialectRun, Format, RegisterDialect, Request, RequestedAgent

__all__ = ["VercelDialect", "runagent_testing_register_dialects"]

_PATH = re.compile(r"/vercel/([^/?]+)(?:\?.*)?")


class VercelDialect(Dialect):
    """The UI message stream, with a path for each agent."""

    name = "vercel"
    transports = ("vercel",)

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return None
        body = parse_json(request.body)
        return RunRequest(
            agent_id=unquote(match[1]),
            transport="vercel",
            body=body,
            input=_input(body) if isinstance(body, dict) else {},
        )

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        body = run_request.body
        messages = body.get("messages") if isinstance(body, dict) else None
        if isinstance(messages, list) and all(map(_is_message, messages)):
            return None
        return Status(400, message="messages: a list of UI messages, each with a role and parts")

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return VercelFormat(run)


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(VercelDialect())


def _is_message(message: Any) -> bool:
    return isinstance(message, dict) and "role" in message and isinstance(message.get("parts"), list)


def _input(body: dict[str, Any]) -> dict[str, Any]:
    """Return the input of which the transport made this body: one text of the user is its ``query``."""
    given = {name: value for name, value in body.items() if name not in ("id", "trigger", "messageId")}
    match given.get("messages"):
        case [{"id": message_id, "role": "user", "parts": [{"type": "text", "text": query}]}]:
            del given["messages"]
            given["query"] = query
        case [{"id": message_id, **_others}, *_]:
            pass
        case _:
            message_id = ""
    if body.get("id") != str(message_id).rpartition("-")[0]:  # the transport makes both of the run's id
        given["session_id"] = body.get("id")
    return given
