"""The fake agent's scripts in the format of Chat Completions and Responses.

Once this distribution is installed every fake agent speaks them; the request's ``model`` is the agent's id.
``/v1/models`` lists the agents.
Text chunks become text, and a refusal is ``{"type": "refusal", "refusal": …}``. Tool calls are written by
``tool_call``, or as a chunk in the form of either endpoint; any other value becomes its JSON text. ``custom``
writes an event of Responses. Why the model stopped is in ``done(stop_reason=…)``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_openai.testing.chat import ChatFormat, completion
from runagent_openai.testing.responses import ResponsesFormat, response
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
    from collections.abc import Mapping

    from runagent_testing.dialects import (
        DialectHost,
        RateLimit,
        RegisterDialect,
        Request,
        RequestedAgent,
        Result,
    )

__all__ = ["OpenAIDialect", "runagent_testing_register_dialects"]

_PATH = re.compile(r"(?:/[^?]*)?/(chat/completions|responses)(?:\?.*)?")
_MODELS = re.compile(r"(?:/[^?]*?)?/models(?:/([^?]+))?(?:\?.*)?")
_CREATED = 1700000000
_CHAT, _RESPONSES = "openai-chat", "openai-responses"
# By status: the type, and the code if the script names none.
_FAULTS = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    404: ("invalid_request_error", "model_not_found"),
    429: ("requests", "rate_limit_exceeded"),
}


class OpenAIDialect(Dialect):
    """Chat Completions and Responses, below any prefix."""

    name = "openai"
    transports = (_CHAT, _RESPONSES)

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        match = _PATH.fullmatch(request.path)
        if match is None or request.method != "POST":
            return None
        body = parse_json(request.body)
        asked = body if isinstance(body, dict) else {}
        chat = match[1] == "chat/completions"
        return RunRequest(
            agent_id=str(asked.get("model", "")),
            transport=_CHAT if chat else _RESPONSES,
            kind="stream" if asked.get("stream") is True else "plain",
            body=body,
            input=_input(asked, "messages" if chat else "input"),
        )

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`: the list of the agents as models, and one of them."""
        match = _MODELS.fullmatch(request.path)
        if match is None or request.method != "GET" or "anthropic-version" in request.headers:
            return None  # another protocol has the same path
        if match[1] is None:
            return Status(200, body={"object": "list", "data": [_model(name) for name in host.agents]})
        name = unquote(match[1])
        return _unknown(name) if host.agent(name) is None else Status(200, body=_model(name))

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        name = "messages" if run.transport == _CHAT else "input"
        if run_request.body.get(name) is not None:
            return None
        return Status(400, message=f"Missing required parameter: '{name}'.")

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return ChatFormat() if run.transport == _CHAT else ResponsesFormat()

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`."""
        if isinstance(step, Error):
            return super().result(step, result, run)
        make = completion if run.transport == _CHAT else response
        return Status(200, body=make(step.content, result.usage, run), headers={"x-request-id": run.run_id})

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """See `Dialect.refusal`."""
        kind, code = _FAULTS.get(status.status, ("server_error", None))
        message = status.message or f"The request was refused with status {status.status}."
        return {"error": {"message": message, "type": kind, "param": None, "code": status.code or code}}

    def limit_headers(self, limit: RateLimit, run: DialectRun) -> Mapping[str, str]:
        """See `Dialect.limit_headers`."""
        return {
            "x-ratelimit-limit-requests": str(limit.runs),
            "x-ratelimit-remaining-requests": str(limit.remaining),
            "x-ratelimit-reset-requests": _duration(limit.reset),
        }

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_agent`."""
        return _unknown(run_request.agent_id)


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(OpenAIDialect())


def _duration(seconds: float) -> str:
    """Write a time in the form of this protocol: ``6m0s``, ``1.5s``, ``20ms``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    minutes, rest = divmod(round(seconds, 3), 60)
    hours, minutes = divmod(int(minutes), 60)
    before = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{before}{round(rest, 3):g}s"


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "fake-agent"}


def _unknown(name: str) -> Status:
    return Status(404, message=f"The model '{name}' does not exist.")


def _input(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the input of which the transport made this body: one text of the user is its ``query``."""
    given = {key: value for key, value in body.items() if key not in ("model", "stream", "stream_options")}
    match given.get(name):
        case [{"role": "user", "content": query}] | (str() as query):
            del given[name]
            return {"query": query} | given
    return given
