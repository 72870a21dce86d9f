"""The documented API: SSE, NDJSON, plain text, and ``invoke`` (docs/wire.md sections 1 and 3)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote

from runagent_testing._script.steps import Chunk, Error, Status
from runagent_testing.dialects._base import Dialect
from runagent_testing.dialects._formats import stream_format
from runagent_testing.dialects._jsontext import without_none
from runagent_testing.dialects._request import RunRequest, parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing._script.script import Result
    from runagent_testing.dialects._base import DialectRun, Format
    from runagent_testing.dialects._hosting import RequestedAgent
    from runagent_testing.dialects._request import Request

__all__ = ["Documented"]

_PATH = re.compile(r"/v1/agents/([^/]+)/(stream|invoke)")
_ACCEPTED = {
    "text/event-stream": "sse",
    "application/x-ndjson": "chunked",
    "text/plain": "text",
    "*/*": "sse",
}


class Documented(Dialect, shares_plans=True):
    """``Accept`` chooses the transport; a browser's EventSource may GET a stream, its input in the query."""

    name = "documented"
    transports = ("sse", "chunked", "text", "invoke")

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        path, _, query = request.path.partition("?")
        match = _PATH.fullmatch(path)
        if match is None:
            return None
        agent_id, action = unquote(match[1]), match[2]
        if request.method == "POST":
            body = parse_json(request.body)
        elif request.method == "GET" and action == "stream":
            body = dict(parse_qsl(query, keep_blank_values=True))
        else:
            return None
        if action == "invoke":
            return RunRequest(agent_id=agent_id, transport="invoke", kind="plain", body=body, input=body)
        return RunRequest(
            agent_id=agent_id, transport=_accepted(request.headers) or "sse", body=body, input=body
        )

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        if not isinstance(run_request.body, dict):
            return Status(400, code="INVALID_FIELD_TYPE", message="the body is not a JSON object")
        if run_request.kind == "stream" and _accepted(run.headers) is None:
            return Status(406, message=f"this agent streams {', '.join(list(_ACCEPTED)[:3])}")
        return None

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return stream_format(run.transport)

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`."""
        if isinstance(step, Error):
            return super().result(step, result, run)
        about = without_none(execution_time=result.execution_time, agent_version=result.agent_version)
        metadata = about | {"request_id": run.run_id}
        return Status(
            200, body={"result": step.content} | without_none(usage=result.usage) | {"metadata": metadata}
        )


def _accepted(headers: Mapping[str, str]) -> str | None:
    accept = headers.get("accept", "*/*").lower()
    media_types = {item.partition(";")[0].strip() for item in accept.split(",")}
    return next((transport for name, transport in _ACCEPTED.items() if name in media_types), None)
