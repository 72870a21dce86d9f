"""The fake agent's scripts in the format of the Gemini API.

Once this distribution is installed every fake agent speaks it; the model in the path is the agent's id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_gemini.testing.format import ContentFormat, whole_answer
from runagent_testing.dialects import Chunk, Dialect, Error, Format, RunRequest, Status, hookimpl, parse_json

if TYPE_CHECKING:
    from runagent_testing.dialects import (
        DialectHost,
        DialectRun,
        RegisterDialect,
        Request,
        RequestedAgent,
        Result,
    )

__all__ = ["GeminiDialect", "runagent_testing_register_dialects"]

_RUN = re.compile(r"(?:/[^?]*?)?/models/([^/?]+):(generateContent|streamGenerateContent)(?:\?(.*))?")
_MODELS = re.compile(r"(?:/[^?]*?)?/v1[^/?]*/models(?:/([^/?:]+))?(?:\?.*)?")
# By status: what the service calls it.
_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiDialect(Dialect):
    """``streamGenerateContent?alt=sse`` and ``generateContent``, below any prefix."""

    name = "gemini"
    transports = ("gemini",)

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        match = _RUN.fullmatch(request.path)
        if match is None or request.method != "POST":
            return None
        body = parse_json(request.body)
        return RunRequest(
            agent_id=unquote(match[1]),
            transport=self.name,
            kind="plain" if match[2] == "generateContent" else "stream",
            body=body,
            input=_input(body if isinstance(body, dict) else {}),
        )

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`: the list of the agents as models, and one of them."""
        match = _MODELS.fullmatch(request.path)
        if match is None or request.method != "GET" or "x-goog-api-key" not in request.headers:
            return None  # without this key it may be a request in another protocol
        if match[1] is None:
            return Status(200, body={"models": [_model(name) for name in host.agents]})
        name = unquote(match[1])
        return _unknown(name) if host.agent(name) is None else Status(200, body=_model(name))

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        body = run_request.body
        if not isinstance(body, dict) or not isinstance(body.get("contents"), list):
            return Status(400, message="contents are not specified")
        if run_request.kind == "stream" and "alt=sse" not in run.path.partition("?")[2].split("&"):
            return Status(400, message="this fake agent streams server-sent events only: add ?alt=sse")
        return None

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return ContentFormat(run)

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`."""
        if isinstance(step, Error):
            return super().result(step, result, run)
        return Status(200, body=whole_answer(step.content, result.usage, run))

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """See `Dialect.refusal`."""
        return _refused(status)

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_agent`."""
        return _unknown(run_request.agent_id)

    def find_api_key(self, request: Request) -> str | None:
        """See `Dialect.find_api_key`."""
        return request.headers.get("x-goog-api-key")

    def wrong_key(self, request: Request) -> Status:
        """See `Dialect.wrong_key`: the service rejects an unknown key with status 400."""
        message = "API key not valid. Please pass a valid API key."
        body = _refused(Status(400, message=message))
        body["error"]["details"] = [
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        ]
        return Status(400, body=body)


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(GeminiDialect())


def _refused(status: Status) -> dict[str, Any]:
    message = status.message or f"The request was refused with status {status.status}."
    name = status.code or _STATUS.get(status.status, "UNKNOWN")
    error: dict[str, Any] = {"code": status.status, "message": message, "status": name}
    if status.retry_after is not None:
        wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{status.retry_after}s"}
        error["details"] = [wait]
    return {"error": error}


def _model(name: str) -> dict[str, Any]:
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": ["generateContent"]}


def _unknown(name: str) -> Status:
    return Status(404, body=_refused(Status(404, message=f"models/{name} is not found")))


def _input(body: dict[str, Any]) -> dict[str, Any]:
    """Return the input of which the transport made this body: one text of the user is its ``query``."""
    given = dict(body)
    match given.get("contents"):
        case [{"role": "user", "parts": [{"text": str(query)}]}]:
            del given["contents"]
            return {"query": query} | given
    return given
