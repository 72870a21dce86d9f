"""The published server: streams over a WebSocket, and its ``run`` endpoint (docs/wire.md section 2)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_testing._script.steps import Chunk, Error, Status
from runagent_testing.dialects._base import Dialect
from runagent_testing.dialects._formats import stream_format
from runagent_testing.dialects._frames import TEXT, close_frame, frame
from runagent_testing.dialects._jsontext import structured, to_json
from runagent_testing.dialects._messages import RunMessage
from runagent_testing.dialects._request import RunRequest, parse_json

if TYPE_CHECKING:
    from runagent_testing._script.script import Result
    from runagent_testing.dialects._base import DialectRun, Format
    from runagent_testing.dialects._hosting import DialectHost, RequestedAgent
    from runagent_testing.dialects._messages import MessageContext
    from runagent_testing.dialects._request import Request

__all__ = ["Published"]

_PATH = re.compile(r"/api/v1/agents/([^/]+)/(run|run-stream)")
_ARCHITECTURE = re.compile(r"/api/v1/agents/([^/]+)/architecture")
_HEALTH = "/api/v1/health"
_FIELDS = {
    "entrypoint_tag": (str, "string_type", "Input should be a valid string"),
    "input_args": (list, "list_type", "Input should be a valid list"),
    "input_kwargs": (dict, "dict_type", "Input should be a valid dictionary"),
}


class Published(Dialect, shares_plans=True):
    """The first message of a WebSocket asks for the stream."""

    name = "published"
    transports = ("websocket", "run")

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        match = _PATH.fullmatch(request.path.partition("?")[0])
        if match is None:
            return None
        agent_id, action = unquote(match[1]), match[2]
        if (request.method, action) == ("GET", "run-stream"):
            return RunRequest(agent_id=agent_id, transport="websocket", kind="websocket")
        if (request.method, action) == ("POST", "run"):
            body = parse_json(request.body)
            return RunRequest(agent_id=agent_id, transport="run", kind="plain", body=body, input=_input(body))
        return None

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`: the health of the server, and the entry points of an agent."""
        path = request.path.partition("?")[0]
        if request.method == "GET" and path == _HEALTH:
            first = next(iter(host.agents), None)
            health = {"status": "healthy", "agent_id": first, "agent_name": first, "framework": "fake"}
            return Status(200, body=health)
        if request.method == "GET" and (match := _ARCHITECTURE.fullmatch(path)):
            return _architecture(unquote(match[1]), host)
        return None

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        if run_request.kind != "plain":
            return None
        if faults := _request_faults(run_request.body):
            text = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)
            return Status(422, message=text, body={"detail": faults})
        tag = run_request.body["entrypoint_tag"]
        if not agent.has_entrypoint(tag):
            text = f"Entrypoint {tag} not found"
            return Status(404, message=text, body=_envelope(Error("NOT_FOUND", text), run))
        if tag.endswith("_stream"):
            text = f"Entrypoint `{tag}` streams: ask the run-stream endpoint for it."
            return Status(400, message=text, body=_envelope(Error("VALIDATION_ERROR", text), run))
        return None

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_agent`."""
        return (
            Status(403, body=b"") if run_request.kind == "websocket" else super().unknown_agent(run_request)
        )

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return stream_format(run.transport)

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`."""
        return Status(200, body=_envelope(step, run))

    def parse_message(self, message: str | bytes, context: MessageContext) -> RunMessage:
        """See `Dialect.parse_message`."""
        body, fault = _message_fault(message)
        fault = fault or _stream_tag_fault(context.agent, body["entrypoint_tag"])
        return RunMessage(body=body, input=_input(body), fault=fault)

    def reject_message(self, fault: str) -> bytes:
        """See `Dialect.reject_message`."""
        message = to_json({"type": "error", "detail": fault}, compact=True)
        return frame(TEXT, message.encode()) + close_frame(1003)


def _architecture(agent_id: str, host: DialectHost) -> Status:
    agent = host.agent(agent_id)
    if agent is None:
        return Status(404, message=f"there is no agent {agent_id!r}")
    entrypoints = [
        {"file": "agent.py", "module": tag, "tag": tag, "extractor": {}} for tag in agent.entrypoint_tags
    ]
    return Status(200, body={"data": {"entrypoints": entrypoints}})


def _input(body: Any) -> Any:
    return body.get("input_kwargs") if isinstance(body, dict) else None


def _stream_tag_fault(agent: RequestedAgent, tag: str) -> str | None:
    if not agent.has_entrypoint(tag):
        return f"Entrypoint {tag} not found"
    if not tag.endswith("_stream"):
        return f"Entrypoint `{tag}` is not a streaming entrypoint. Ask the run endpoint for it."
    return None


def _envelope(step: Chunk | Error, run: DialectRun) -> dict[str, Any]:
    """Wrap an outcome as the published server's ``run`` does."""
    outcome: dict[str, Any]
    if isinstance(step, Error):
        failure = {"code": step.code, "message": step.message, "details": None, "field": None}
        outcome = {"success": False, "data": None, "message": None, "error": failure}
    else:
        data = structured(step.content)
        outcome = {"success": True, "data": data, "message": "Agent executed successfully", "error": None}
    return outcome | {"timestamp": run.timestamp, "request_id": run.run_id}


def _request_faults(body: Any) -> list[dict[str, Any]]:
    """List the faults in the body of a ``run``, as FastAPI does; empty if it is valid."""
    if body is None:
        return [_fault("json_invalid", ["body", 0], "JSON decode error", {})]
    if not isinstance(body, dict):
        return [_fault("model_attributes_type", ["body"], "Input should be a valid dictionary", body)]
    faults = []
    for name, (kind, fault, text) in _FIELDS.items():
        if name not in body:
            faults.append(_fault("missing", ["body", name], "Field required", body))
        elif not isinstance(body[name], kind):
            faults.append(_fault(fault, ["body", name], text, body[name]))
    return faults


def _fault(kind: str, location: list[str | int], text: str, value: Any) -> dict[str, Any]:
    return {"type": kind, "loc": location, "msg": text, "input": value}


def _message_fault(message: str | bytes) -> tuple[Any, str | None]:
    """Decode a WebSocket's request, and describe its fault as the published server does."""
    try:
        body = json.loads(message)
    except (ValueError, RecursionError) as exc:
        return None, f"Invalid JSON format: {exc}"
    if not isinstance(body, dict):
        return body, "Invalid JSON format: expected an object"
    for name, (kind, _, _) in _FIELDS.items():
        if name not in body:
            return body, f"Missing required field: {name}"
        if not isinstance(body[name], kind):
            return body, f"Invalid field type: {name}"
    return body, None
