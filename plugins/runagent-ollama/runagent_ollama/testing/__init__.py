"""The fake agent's scripts in the format of Ollama.

Once this distribution is installed every fake agent speaks it: ``/api/chat`` and ``/api/generate``, for
streams and plain runs. The request's ``model`` is the agent's id, and ``/api/tags`` lists the agents. Text
chunks become text; any other value becomes its JSON text. ``custom`` writes a line with a field of this name,
and ``done(usage=…)`` writes input and output tokens under Ollama's names. Why the model stopped is in
``done(stop_reason=…)``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runagent_ollama.testing.lines import LinesFormat, answer
from runagent_testing.dialects import (
    Chunk,
    Dialect,
    DialectRun,
    Error,
    Format,
    RunRequest,
    Status,
    hookimpl,
    parse_json,
)

if TYPE_CHECKING:
    from runagent_testing.dialects import DialectHost, RegisterDialect, Request, RequestedAgent, Result

__all__ = ["OllamaDialect", "runagent_testing_register_dialects"]

_PATH = re.compile(r"(?:/[^?]*)?/api/(chat|generate)(?:\?.*)?")
_TAGS = re.compile(r"(?:/[^?]*)?/api/tags(?:\?.*)?")
_QUESTION = {"chat": "messages", "generate": "prompt"}


class OllamaDialect(Dialect):
    """Both endpoints, below any prefix."""

    name = "ollama"
    transports = ("ollama-chat", "ollama-generate")

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`; without ``stream``, an answer is streamed."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return None
        body = parse_json(request.body)
        asked = body if isinstance(body, dict) else {}
        return RunRequest(
            agent_id=str(asked.get("model", "")),
            transport=f"ollama-{match[1]}",
            kind="plain" if asked.get("stream") is False else "stream",
            body=body,
            input=_input(asked, _QUESTION[match[1]]),
        )

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`: the list of the agents as models."""
        if request.method != "GET" or _TAGS.fullmatch(request.path) is None:
            return None
        return Status(
            200, body={"models": [{"name": name, "model": name, "details": {}} for name in host.agents]}
        )

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        name = _QUESTION[run.transport.removeprefix("ollama-")]
        value = run_request.body.get(name)
        if isinstance(value, str if name == "prompt" else list):
            return None
        return Status(400, message=f"missing or invalid field: {name}")

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return LinesFormat(run)

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`."""
        if isinstance(step, Error):
            return super().result(step, result, run)
        return Status(200, body=answer(step.content, result.usage, run))

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """See `Dialect.refusal`."""
        return {"error": status.message or f"the request was refused with status {status.status}"}

    def wrong_key(self, request: Request) -> Status:
        """See `Dialect.wrong_key`."""
        return Status(401, body={"error": "unauthorized"})

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_agent`."""
        return Status(404, message=f"model '{run_request.agent_id}' not found")


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(OllamaDialect())


def _input(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the input of which the transport made this body: one text of the user is its ``query``."""
    given = {key: value for key, value in body.items() if key not in ("model", "stream")}
    match given.get(name):
        case [{"role": "user", "content": str(query), **rest}] if not rest:
            del given[name]
            return {"query": query} | given
        case str(query):
            del given[name]
            return {"query": query} | given
    return given
