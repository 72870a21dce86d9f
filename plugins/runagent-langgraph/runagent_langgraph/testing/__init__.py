"""The fake agent's scripts in the format of a LangGraph server.

Once this distribution is installed every fake agent speaks it; ``assistant_id`` is the agent's id. Runs are
kept, so they can be joined, resumed and cancelled. Any thread id is accepted.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from runagent_langgraph.testing.format import RunFormat, ai_message
from runagent_testing.dialects import (
    Chunk,
    Dialect,
    Error,
    Format,
    RunRequest,
    Status,
    hookimpl,
    parse_json,
    without_none,
)

if TYPE_CHECKING:
    from runagent_testing.dialects import DialectHost, DialectRun, RegisterDialect, Request, Result

__all__ = ["LangGraphDialect", "runagent_testing_register_dialects"]

_NEW = re.compile(r"(?:/[^?]*?)??(?:/threads/([^/?]+))?/runs/(stream|wait)(?:\?.*)?")
_RUN = re.compile(r"(?:/[^?]*?)?/threads/([^/?]+)/runs/([^/?]+)(?:/(stream|cancel))?(?:\?.*)?")
_THREADS = re.compile(r"(?:/[^?]*?)?/threads(?:/([^/?]+))?(?:\?.*)?")
_STATUS = {"completed": "success", "failed": "error", "cancelled": "interrupted"}
_NO_RUN_TO_CANCEL = "No matching runs to cancel."


class LangGraphDialect(Dialect):
    """Threads and runs, below any prefix.

    Attributes:
        events_per_id: How many events share an id: 1, as in production. The development server gives all
            events of one millisecond the same id.
    """

    name = "langgraph"
    transports = ("langgraph",)
    keeps_runs = True
    events_per_id = 1

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        if request.method == "GET":
            return self._parse_join(request)
        match = _NEW.fullmatch(request.path)
        if match is None or request.method != "POST":
            return None
        body = parse_json(request.body)
        asked = body if isinstance(body, dict) else {}
        return RunRequest(
            agent_id=str(asked.get("assistant_id", "")),
            transport=self.name,
            kind="stream" if match[2] == "stream" else "plain",
            body=body,
            input=_input(asked),
        )

    def _parse_join(self, request: Request) -> RunRequest | None:
        match = _RUN.fullmatch(request.path)
        if match is None or match[3] != "stream":
            return None
        return RunRequest(
            agent_id="",
            transport=self.name,
            attach_to=unquote(match[2]),
            resume_after=request.headers.get("last-event-id"),
        )

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`: threads, the status of a run, and its end."""
        match = _RUN.fullmatch(request.path)
        if match is not None:
            return self._answer_run(request.method, match, host)
        match = _THREADS.fullmatch(request.path)
        match request.method, match and match[1]:
            case "POST", None if match is not None and isinstance(parse_json(request.body), dict):
                return Status(200, body=self._make_thread(parse_json(request.body), host))
            case "GET", str(thread) if thread in host.state:
                return Status(200, body=host.state[thread])
            case "GET", str():
                return Status(404, message="Thread not found")
        return None

    def _make_thread(self, asked: dict[str, Any], host: DialectHost) -> dict[str, Any]:
        thread = asked.get("thread_id") or str(uuid.UUID(int=host.number("thread")))
        metadata = asked.get("metadata") or {}
        made = {"thread_id": thread, "metadata": metadata, "status": "idle", "config": {}, "values": None}
        host.state[thread] = made
        return made

    def _answer_run(self, method: str, match: re.Match[str], host: DialectHost) -> Status | None:
        run = host.run(unquote(match[2]))
        if method == "POST" and match[3] == "cancel":
            stopped = run is not None and run.cancel()
            return Status(202) if stopped else Status(404, body={"detail": _NO_RUN_TO_CANCEL})
        if method != "GET" or match[3] is not None:
            return None
        if run is None:
            return Status(404, body={"detail": "Run not found"})
        status = _STATUS.get(run.status, "running")
        about = {"run_id": run.id, "thread_id": unquote(match[1]), "assistant_id": run.agent_id}
        return Status(200, body={**about, "status": status, "metadata": {}})

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        match = _RUN.fullmatch(run.path) or _NEW.fullmatch(run.path)
        thread = unquote(match[1]) if match is not None and match[1] else str(uuid.UUID(int=0))
        return RunFormat(run, thread, self.events_per_id)

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`: the state of the graph at the end."""
        match = _NEW.fullmatch(run.path)
        thread = match[1] if match is not None else None
        headers = {} if thread is None else {"Content-Location": f"/threads/{thread}/runs/{run.run_id}"}
        if isinstance(step, Error):
            body: dict[str, Any] = {"__error__": without_none(error=step.code, message=step.message)}
        elif isinstance(step.content, dict):
            body = step.content
        else:
            body = {"messages": [ai_message(step.content, run.run_id, usage=result.usage)]}
        return Status(200, body=body, headers=headers)

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """See `Dialect.refusal`."""
        message = status.message or f"The request was refused with status {status.status}."
        return {"detail": message if status.code is None else {"code": status.code, "message": message}}

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_agent`."""
        return Status(422, body={"detail": f"Invalid assistant: {run_request.agent_id!r}."})

    def unknown_run(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_run`."""
        return Status(404, body={"detail": "Run not found"})

    def find_api_key(self, request: Request) -> str | None:
        """See `Dialect.find_api_key`."""
        return request.headers.get("x-api-key")

    def wrong_key(self, request: Request) -> Status:
        """See `Dialect.wrong_key`."""
        return Status(401, body={"detail": "Invalid API key"})


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(LangGraphDialect())


def _input(body: dict[str, Any]) -> dict[str, Any]:
    """Return the input of which the transport made this body: one text of the user is its ``query``."""
    match body.get("command"), body.get("input"):
        case {"resume": dict(answers)}, _:
            return {
                "resume": [{"id": id, "status": "resolved", "payload": each} for id, each in answers.items()]
            }
        case _, {"messages": [{"role": "user", "content": query}], **rest}:
            return {"query": query, **{str(name): value for name, value in rest.items()}}
        case _, dict(given):
            return given
    return {}
