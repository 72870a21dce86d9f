"""The fake agent's scripts as A2A: JSON-RPC 1.0, HTTP+JSON 1.0 and JSON-RPC 0.3, all at ``/a2a/AGENT``.

Once this distribution is installed every fake agent speaks them, behind any prefix. The card is below the
URL. Text chunks become text parts of the artifact ``answer``, any other value a data part; ``chunk(…,
event="NAME")`` writes to another artifact. ``done(interrupts=[…])`` leaves a task that waits for input, and
``error("REJECTED")`` one that was rejected. ``custom`` writes a file, a status, or the metadata of a status.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_a2a.testing.card import card
from runagent_a2a.testing.formats import A2AFormat
from runagent_a2a.testing.tasks import Task, input_of, message_in
from runagent_a2a.testing.wires import WIRES, Asked, Fault, parse
from runagent_testing.dialects import Dialect, Done, Error, RunRequest, Status, hookimpl

if TYPE_CHECKING:
    from runagent_testing.dialects import (
        Chunk,
        DialectHost,
        DialectRun,
        Format,
        HostedRun,
        RegisterDialect,
        Request,
        RequestedAgent,
        Result,
    )

__all__ = ["A2ADialect", "runagent_testing_register_dialects"]

_TASK_NOT_FOUND = Fault(-32001, 404, "NOT_FOUND", "TASK_NOT_FOUND", "Task not found")
_NOT_CANCELABLE = Fault(-32002, 400, "FAILED_PRECONDITION", "TASK_NOT_CANCELABLE", "Task cannot be canceled")
_ENDED = Fault(-32004, 400, "FAILED_PRECONDITION", "UNSUPPORTED_OPERATION", "Task is in terminal state")
_VERSION = Fault(-32009, 400, "FAILED_PRECONDITION", "VERSION_NOT_SUPPORTED", "A2A version is not supported")
_INVALID = Fault(-32602, 400, "INVALID_ARGUMENT", "INVALID_PARAMS", "Validation failed")
_UNKNOWN = Fault(-32601, 404, "NOT_FOUND", "METHOD_NOT_FOUND", "Method not found")
_STATUS_NAMES = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


class A2ADialect(Dialect):
    """Three bindings at one URL, below any prefix."""

    name = "a2a"
    transports = tuple(WIRES)
    keeps_runs = True

    def parse_request(self, request: Request) -> RunRequest | None:
        """See `Dialect.parse_request`."""
        asked = parse(request)
        if asked is None or asked.operation not in ("stream", "send", "subscribe"):
            return None
        base = {"agent_id": asked.agent_id, "transport": asked.wire.transport, "body": asked.body}
        if asked.operation == "subscribe":
            return RunRequest(**base, attach_to=asked.task, snapshot=True)
        message = message_in(asked.body)
        return RunRequest(
            **base,
            kind="stream" if asked.operation == "stream" else "plain",
            input=input_of(message),
            run_id=message.get("taskId"),
        )

    def answer(self, request: Request, host: DialectHost) -> Status | None:
        """See `Dialect.answer`: the card, a task, the end of one."""
        asked = parse(request)
        if asked is None or asked.operation in ("stream", "send", "subscribe"):
            return None
        if asked.operation is None:
            if host.agent(asked.agent_id) is None:
                return self._unknown_agent(asked.agent_id)
            return Status(200, body=card(asked.agent_id, f"{host.url}{asked.base}"))
        return self._answer_task(asked, request, host)

    def _answer_task(self, asked: Asked, request: Request, host: DialectHost) -> Status:
        fault: Fault | None = None
        run = host.run(asked.task)
        if asked.operation == "unknown":
            fault = _UNKNOWN
        elif not asked.wire.speaks(request.headers):
            fault = _VERSION
        elif run is None:
            fault = _TASK_NOT_FOUND
        elif asked.operation == "cancel" and not (run.cancel() or _waits(run)):
            fault = _NOT_CANCELABLE
        if fault is not None or run is None:
            return asked.wire.fault(asked.body, fault or _UNKNOWN)
        return asked.wire.answer(asked.body, Task(asked.wire.words, run.id, run.body).of_run(run))

    def check_state(self, run_request: RunRequest, host: DialectHost) -> Status | None:
        """See `Dialect.check_state`: nothing goes on in a task that is over."""
        wire = WIRES[run_request.transport]
        task = run_request.attach_to or run_request.run_id
        if task is None:
            return None
        run = host.run(task)
        if run is None:
            return wire.fault(run_request.body, _TASK_NOT_FOUND)
        is_over = run.status != "running" and not _waits(run)
        return wire.fault(run_request.body, _ENDED) if is_over else None

    def check(self, run_request: RunRequest, run: DialectRun, agent: RequestedAgent) -> Status | None:
        """See `Dialect.check`."""
        wire = WIRES[run_request.transport]
        if not wire.speaks(run.headers):
            return wire.fault(run_request.body, _VERSION)
        message = message_in(run_request.body)
        whole = all(message.get(name) for name in ("messageId", "role", "parts"))
        if run_request.attach_to is None and not whole:
            return wire.fault(run_request.body, _INVALID)
        return None

    def stream(self, run: DialectRun) -> Format:
        """See `Dialect.stream`."""
        return A2AFormat(WIRES[run.transport], run)

    def result(self, step: Chunk | Error, result: Result, run: DialectRun) -> Status:
        """See `Dialect.result`."""
        wire = WIRES[run.transport]
        task = Task(wire.words, run.run_id, run.body)
        failed = isinstance(step, Error)
        status = task.ending(step if isinstance(step, Error) else None)
        whole = task.whole(status, [] if failed else task.artifacts([step]))
        return wire.answer(run.body, wire.words.sent("task", whole))

    def refusal(self, status: Status, run: DialectRun) -> Any:
        """See `Dialect.refusal`."""
        name = _STATUS_NAMES.get(status.status, "INTERNAL")
        message = status.message or f"the request was refused with status {status.status}"
        fault = Fault(-32603, status.status, name, status.code or name, message)
        wire = WIRES.get(run.transport, WIRES["a2a-http-json"])  # of a card's request there is no binding
        return wire.error(run.body, fault)

    def unknown_agent(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_agent`: nothing is at this URL."""
        return self._unknown_agent(run_request.agent_id)

    def unknown_run(self, run_request: RunRequest) -> Status:
        """See `Dialect.unknown_run`."""
        return WIRES[run_request.transport].fault(run_request.body, _TASK_NOT_FOUND)

    def _unknown_agent(self, agent_id: str) -> Status:
        message = f"there is no agent {agent_id!r}"
        return Status(
            404, message=message, body={"error": {"code": 404, "status": "NOT_FOUND", "message": message}}
        )


@hookimpl
def runagent_testing_register_dialects(register: RegisterDialect) -> None:
    """Offer the dialect."""
    register(A2ADialect())


def _waits(run: HostedRun) -> bool:
    """Whether a run waits for the caller's next message."""
    last = run.sent[-1] if run.sent else None
    return isinstance(last, Done) and bool(last.interrupts) and run.status == "completed"
