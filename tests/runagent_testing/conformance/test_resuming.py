"""Transports that resume by ids or by a snapshot meet the kit's requirements for resuming."""

from __future__ import annotations

import json

import pytest

from runagent.capabilities import Capability
from runagent_testing.conformance import check_transport
from runagent_testing.dialects import Dialect, Format, RunRequest
from tests.support.resumable import TaskTransport, ThreadTransport

RESUMING = ("run.resume", "run.not-begun-again", "declared.resume")


def event(message, event_id=None):
    return (f"id: {event_id}\n" if event_id else "").encode() + f"data: {json.dumps(message)}\n\n".encode()


class ThreadFormat(Format):
    content_type = "text/event-stream"

    def __init__(self, run):
        self.seen = int(run.resume_after.partition("-")[2]) if run.resume_after else 0
        self.count = 0

    def start(self, run):
        return b""

    def chunk(self, step, index, id):
        self.count += 1
        return b"" if self.count <= self.seen else event({"text": step.content}, f"9-{self.count}")

    def error(self, step):
        return event({"error": step.message})

    def done(self, step, run, total_chunks):
        return event({"end": True})


class ThreadDialect(Dialect):
    name = "threads"
    transports = ("thread",)

    def parse_request(self, request):
        _, kind, agent_id, *_ = request.path.split("/")
        if kind != "threads":
            return None
        seen = request.headers.get("last-event-id")
        return RunRequest(agent_id=agent_id, transport="thread", resume_after=seen)

    def stream(self, run):
        return ThreadFormat(run)


class TaskFormat(Format):
    content_type = "text/event-stream"

    def task(self, run, steps):
        parts = [{"text": step.content} for step in steps]
        return event({"task": {"id": run.run_id, "artifacts": [{"id": "a", "parts": parts}]}})

    def start(self, run):
        return self.task(run, [])

    def snapshot(self, run):
        return self.task(run, run.sent)

    def chunk(self, step, index, id):
        return event({"artifact": {"id": "a", "parts": [{"text": step.content}]}})

    def error(self, step):
        return event({"error": step.message})

    def done(self, step, run, total_chunks):
        return event({"state": "completed"})


class TaskDialect(Dialect):
    name = "tasks"
    transports = ("task",)
    keeps_runs = True

    def parse_request(self, request):
        if request.method == "POST":
            return RunRequest(agent_id="kit", transport="task")
        run_id = request.path.removeprefix("/tasks/").removesuffix(":subscribe")
        return RunRequest(agent_id="", transport="task", attach_to=run_id, snapshot=True)

    def stream(self, run):
        return TaskFormat()


@pytest.mark.parametrize(
    ("transport", "dialect"),
    [(ThreadTransport(), ThreadDialect()), (TaskTransport(), TaskDialect())],
    ids=["by id", "by snapshot"],
)
def test_the_kit_takes_each_proof(transport, dialect):
    report = check_transport(transport, dialects=[dialect], only=RESUMING)
    statuses = {result.requirement.id: result.status for result in report.results}
    assert {
        "run.resume": "passed",
        "run.not-begun-again": "not applicable",
        "declared.resume": "passed",
    } == statuses, str(report)
    reasons = {result.reason for result in report.results if result.status == "not applicable"}
    (name,) = {Capability.RESUME_BY_ID, Capability.RESUME_BY_SNAPSHOT} & transport.capabilities
    assert {f"'{name}' is declared"} == reasons


def test_the_reason_names_every_capability_that_would_do():
    report = check_transport("websocket", only=["run.resume"], styles=["sync"], players=["memory"])
    names = "'resume', 'resume_by_id', 'resume_by_snapshot'"
    assert [f"none of {names} is declared"] == [result.reason for result in report.results]


def test_the_kit_finds_a_transport_that_begins_again():
    class Forgetful(ThreadTransport):
        name = "thread"
        capabilities = ThreadTransport.capabilities - {Capability.RESUME_BY_ID} | {
            Capability.RESUME_BY_SNAPSHOT
        }

    report = check_transport(Forgetful(), dialects=[ThreadDialect()], only=RESUMING, styles=["sync"])
    assert {"failed"} == {r.status for r in report.results if r.requirement.id == "run.resume"}, str(report)
