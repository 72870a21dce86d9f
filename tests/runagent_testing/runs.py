"""A dialect that keeps its runs, and helpers that ask for them: runs that outlive their first answer."""

from __future__ import annotations

import json
import re

from runagent_testing import custom, reasoning
from runagent_testing.dialects import Chunk, Dialect, Error, Format, RunRequest, Status, parse_json
from tests.runagent_testing.players import body_of, client_of
from tests.runagent_testing.raw_client import post


class Numbered(Format):
    """A line for each event, with an id of the protocol's own form; two for each chunk."""

    content_type = "text/x-lines"

    def __init__(self, run):
        self.headers = {"Content-Location": f"/runs/{run.run_id}"}
        self._last = 0
        self._seen = int(run.resume_after.removeprefix("e")) if run.resume_after else 0

    def _line(self, text):
        self._last += 1
        return b"" if self._last <= self._seen else f"e{self._last} {text}\n".encode()

    def start(self, run):
        return self._line("start")

    def snapshot(self, run):
        shown = [step.content if isinstance(step, Chunk) else type(step).__name__ for step in run.sent]
        begun_by = "" if run.begun_by == {"name": "r1"} else f" by {run.begun_by}"
        return f"so far {json.dumps(shown)}{begun_by}\n".encode()

    def chunk(self, step, index, id):
        return self._line(f"open {index}") + self._line(step.content)

    def reasoning(self, step):
        return self._line(f"({step.text})")

    def custom(self, step):
        return self._line(f"<{step.name}>")

    def error(self, step):
        return self._line(f"error {step.message}")

    def done(self, step, run, total_chunks):
        return self._line(f"done {total_chunks}")

    def cancelled(self, run):
        return self._line("cancelled")


class RunsDialect(Dialect):
    """``POST /runs/agent`` begins a run; ``/runs/id`` reads, cancels or describes it."""

    name = "runs"
    transports = ("runs",)
    keeps_runs = True

    def parse_request(self, request):
        path, _, query = request.path.partition("?")
        match = re.fullmatch(r"/(agents|runs)/([^/]+)", path)
        if match is None or (request.method, match[1]) not in (("POST", "agents"), ("GET", "runs")):
            return None
        after = request.headers.get("last-event-id")
        if match[1] == "agents":
            body = parse_json(request.body)
            name = body.get("name")
            return RunRequest(agent_id=match[2], transport="runs", body=body, resume_after=after, run_id=name)
        return RunRequest(
            agent_id="",
            transport="runs",
            attach_to=match[2],
            resume_after=after,
            snapshot=query == "snapshot",
            resume_from=int(query.removeprefix("from=")) if query.startswith("from=") else None,
        )

    def answer(self, request, host):
        if request.method == "POST" and request.path == "/runs":
            body = parse_json(request.body)
            ask = RunRequest(agent_id=body["agent"], transport="runs", body=body, input=body.get("input"))
            return Status(202, body={"run": host.begin_run(ask).id})
        match = re.fullmatch(r"/runs/([^/]+)/(status|cancel)", request.path)
        if match is None:
            return None
        run = host.run(match[1])
        if run is None:
            return Status(404, message="unknown")
        if match[2] == "cancel":
            return Status(200, body={"cancelled": run.cancel()})
        said = [step.content for step in run.sent if isinstance(step, Chunk)]
        why = [step.message for step in run.sent if isinstance(step, Error)]
        return Status(200, body={"of": run.agent_id, "status": run.status, "said": said, "why": why})

    def stream(self, run):
        return Numbered(run)


def get(path, **headers):
    fields = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n".encode()


BEGIN = post("/agents/a", {"name": "r1"})


def lines(data):
    """The lines of a chunked body, whole or not."""
    return re.findall(rb"^((?:e\d+ |so far ).*)\n", data, re.MULTILINE)


def read(host, request):
    with client_of(host) as client:
        client.send(request)
        return [line.decode() for line in lines(client.until(b"0\r\n\r\n"))]


def asked(host, request):
    with client_of(host) as client:
        client.send(request)
        code, body = body_of(client)
        return code, json.loads(body)


def state(host):
    return asked(host, get("/runs/r1/status"))[1]


WHOLE = ["e1 start", "e2 open 0", "e3 a", "e4 (hm)", "e5 open 1", "e6 b", "e7 <x>", "e8 done 2"]
STEPS = ["a", reasoning("hm"), "b", custom("x", 1)]
