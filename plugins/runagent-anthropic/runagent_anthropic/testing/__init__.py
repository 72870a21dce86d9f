"""The fake agent's scripts in the format of the Messages API.

Once this distribution is installed every fake agent speaks it, for streams and plain runs; the request's
``model`` is the agent's id, and ``/v1/models`` lists the agents for clients that send ``anthropic-version``.
Text chunks become text; any other value becomes its JSON text. ``custom`` writes a content block of this
type. Why the model stopped is in ``done(stop_reason=…)``, and what belongs to that (``stop_sequence``,
``stop_details``) in its ``metadata``.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_anthropic.requests import MAX_TOKENS
from runagent_anthropic.testing.messages import MessagesFormat, message
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

__all__ = ["AnthropicDialect", "runagent_testing_register_dialects"]

_PATH = re.compile(r"(?:/[^?]*)?/messages(?:\?.*)?")
_MODELS = re.compile(r"(?:/[^?]*?)?/models(?:/([^?]+))?(?:\?.*)?")
_VERSION = "anthropic-version"
_NAME = "anthropic"
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class AnthropicDialect(Dialect):
    """The Messages API, below any prefix."""

    name = _NAME
    transports = (_NAME,)

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        if request.method != "POST" or _PATH.fullmatch(request.path) is None:
            return None
        body = parse_json(request.body)
        asked = body if isinstance(body, dict) else {}
        return RunRequest(
            agent_id=str(asked.get("model", "")),
            transport=_NAME,
            kind="stream" if asked.get("stream") is True else "plain",
            body=body,
            input=_input(asked),
        )

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`: the list of the agents as models, and one of them."""
        match = _MODELS.fullmatch(request.path)
        if match is None or request.method != "GET" or _VERSION not in request.headers:
            return None  # other protocols have the same path
        if match[1] is None:
            names = list(host.agents)
            ends = {"first_id": names[0] if names else None, "last_id": names[-1] if names else None}
            return Status(200, body={"data": [_model(name) for name in names], "has_more": False, **ends})
        name = unquote(match[1])
        return _unknown(name) if host.agent(name) is None else Status(200, body=_model(name))

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        for name, kind in (("max_tokens", int), ("messages", list)):
            value = run_request.body.get(name)
            if value is None:
                return Status(400, message=f"{name}: Field required")
            if not isinstance(value, kind):
                return Status(400, message=f"{name}: Input should be a valid {kind.__name__}")
        return None

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return MessagesFormat(run)

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`."""
        if isinstance(step, Error):
            return super().result(step, result, run)
        return Status(
            200, body=message(step.content, result.usage, run), headers={"request-id": f"req_{run.run_id}"}
        )

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """See `Dialect.refusal`."""
        kind = status.code or _TYPES.get(status.status, "api_error")
        text = status.message or f"The request was refused with status {status.status}."
        return {"type": "error", "error": {"type": kind, "message": text}, "request_id": f"req_{run.run_id}"}

    def find_api_key(self, request: Request) -> str | None:
        """See `Dialect.find_api_key`: clients of all versions send it in one of two fields."""
        return request.headers.get("x-api-key") or super().find_api_key(request)

    def wrong_key(self, request: Request) -> Status:
        """See `Dialect.wrong_key`."""
        return Status(401, message="invalid x-api-key")

    def limit_headers(self, limit: RateLimit, run: DialectRun) -> Mapping[str, str]:
        """See `Dialect.limit_headers`; the reset is a time of RFC 3339."""
        reset = datetime.fromisoformat(run.timestamp) + timedelta(seconds=limit.whole_seconds)
        return {
            "anthropic-ratelimit-requests-limit": str(limit.runs),
            "anthropic-ratelimit-requests-remaining": str(limit.remaining),
            "anthropic-ratelimit-requests-reset": reset.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_agent`."""
        return _unknown(run_request.agent_id)


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(AnthropicDialect())


def _model(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
    }


def _unknown(name: str) -> Status:
    return Status(404, message=f"model: {name}")


def _input(body: dict[str, Any]) -> dict[str, Any]:
    """Return the input of which the transport made this body: one text of the user is its ``query``."""
    given = {key: value for key, value in body.items() if key not in ("model", "stream")}
    if given.get("max_tokens") == MAX_TOKENS:
        del given["max_tokens"]  # which the transport has added
    match given.get("messages"):
        case [{"role": "user", "content": query, **rest}] if not rest:
            del given["messages"]
            return {"query": query} | given
    return given
