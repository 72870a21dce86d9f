"""The dialect of the protocol of `cards`, as its transport's author would bring it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runagent_testing.dialects import Chunk as ChunkStep
from runagent_testing.dialects import Dialect, Format, RunRequest, Status, parse_json, to_json, without_none
from tests.plugins.protocols.cards import (
    BINDING,
    CANCELED,
    CARD_PATH,
    COMPLETED,
    FAILED,
    INPUT_REQUIRED,
    INVALID_PARAMS,
    TASK_NOT_CANCELABLE,
    TASK_NOT_FOUND,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from runagent_testing.dialects import Custom as CustomStep
    from runagent_testing.dialects import DialectHost, DialectRun, Done, Error, Request

__all__ = ["CardDialect"]


class CardFormat(Format):
    """Writes the stream of a task: an artifact for each ``event`` name of the chunks, mostly one."""

    content_type = "text/event-stream"
    heartbeat = b": \n\n"

    def __init__(self, run: DialectRun) -> None:
        self.task = run.run_id
        self.id = run.body["id"]

    def start(self, run: DialectRun) -> bytes:
        return self.result(task=self.whole_task("SUBMITTED", []))

    def snapshot(self, run: DialectRun) -> bytes:
        steps = [step for step in run.sent or () if isinstance(step, ChunkStep)]
        names = list(dict.fromkeys(map(artifact_name, steps)))
        artifacts = [
            artifact(name, *(s.content for s in steps if artifact_name(s) == name)) for name in names
        ]
        return self.result(task=self.whole_task("WORKING", artifacts))

    def chunk(self, step: ChunkStep, index: int | None, id: str | None) -> bytes:
        update = {
            "taskId": self.task,
            "artifact": artifact(artifact_name(step), step.content),
            "append": True,
        }
        return self.result(artifactUpdate=update)

    def custom(self, step: CustomStep) -> bytes:
        return self.status("WORKING", metadata={step.name: step.value})

    def error(self, step: Error) -> bytes:
        metadata = without_none(code=step.code, retryAfter=step.retry_after)
        return self.status(FAILED, [{"text": step.message or "failed"}], metadata)

    def done(self, step: Done, run: DialectRun, total_chunks: int) -> bytes:
        parts: list[Any] = [{"text": step.message}] if step.message is not None else []
        parts += [{"data": interrupt} for interrupt in step.interrupts or ()]
        facts = without_none(usage=step.usage, stopReason=step.stop_reason, metadata=step.metadata)
        return self.status(INPUT_REQUIRED if step.interrupts else COMPLETED, parts, facts)

    def cancelled(self, run: DialectRun) -> bytes:
        return self.status(CANCELED)

    def status(self, state: str, parts: Iterable[Any] = (), metadata: Any = None) -> bytes:
        status = {"state": state, "message": {"role": "agent", "parts": list(parts)}}
        return self.result(statusUpdate={"taskId": self.task, "status": status, "metadata": metadata or {}})

    def result(self, **result: Any) -> bytes:
        return f"data: {to_json({'jsonrpc': '2.0', 'id': self.id, 'result': result})}\n\n".encode()

    def whole_task(self, state: str, artifacts: list[Any]) -> dict[str, Any]:
        return {"id": self.task, "status": {"state": state}, "artifacts": artifacts}


class CardDialect(Dialect):
    """Serves the card at every prefix, and JSON-RPC below it.

    Attributes:
        at: The address in the card, without the path; "" for that of the host.
        path: Where JSON-RPC is spoken; a service that has moved has another one.
    """

    name = "cards"
    transports = ("cards",)
    keeps_runs = True

    def __init__(self, at: str = "") -> None:
        self.at = at
        self.path = "/a2a"

    def parse_request(self, request: Request) -> RunRequest | None:
        if (body := self.rpc(request)) is None:
            return None
        params = body["params"]
        run = RunRequest(agent_id=params["tenant"], transport="cards", body=body)
        match body["method"]:
            case "message/stream":
                return replace(run, input=params["message"]["parts"][0]["data"])
            case "tasks/resubscribe":
                return replace(run, attach_to=params["id"], snapshot=True)
        return None

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        prefix, found, _ = request.path.partition(CARD_PATH)
        if request.method == "GET" and found:
            url = f"{self.at or host.url}{prefix}{self.path}"
            interfaces = [
                {"url": f"{url}/grpc", "binding": "GRPC"},
                {"url": url, "binding": BINDING, "version": "1.0"},
            ]
            return Status(200, body={"interfaces": interfaces})
        if (body := self.rpc(request)) is None:
            return None
        run = host.run(body["params"]["id"])
        if run is None:
            return rpc_error(body, TASK_NOT_FOUND, "no such task")
        if not run.cancel():
            return rpc_error(body, TASK_NOT_CANCELABLE, "the task is over")
        task = {"id": run.id, "status": {"state": CANCELED}, "artifacts": []}
        return Status(200, body={"jsonrpc": "2.0", "id": body["id"], "result": {"task": task}})

    def stream(self, run: DialectRun) -> CardFormat:
        return CardFormat(run)

    def unknown_agent(self, run_request: RunRequest) -> Status:
        return rpc_error(run_request.body, INVALID_PARAMS, f"no tenant {run_request.agent_id!r}")

    def unknown_run(self, run_request: RunRequest) -> Status:
        return rpc_error(run_request.body, TASK_NOT_FOUND, "no such task")

    def rpc(self, request: Request) -> Any:
        if request.method != "POST" or not request.path.endswith(self.path):
            return None
        return parse_json(request.body or b"")


def artifact_name(step: ChunkStep) -> str:
    return step.event if isinstance(step.event, str) else "answer"


def artifact(name: str, *contents: Any) -> dict[str, Any]:
    parts = [{"text": content} if isinstance(content, str) else {"data": content} for content in contents]
    return {"artifactId": name, "parts": parts}


def rpc_error(body: Any, code: int, message: str) -> Status:
    error = {"code": code, "message": message, "data": {"reason": "refused"}}
    return Status(200, body={"jsonrpc": "2.0", "id": body["id"], "error": error})
