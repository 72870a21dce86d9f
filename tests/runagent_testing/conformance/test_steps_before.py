"""Requests around the one that starts the run, such as a thread made first, fail no requirement."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runagent import Chunk, Completed, ProtocolError, StreamTruncatedError
from runagent.capabilities import Capability
from runagent.transports import HttpRequest, HttpSession, Step, Wants
from runagent.transports._sse import SSESession
from runagent_testing.conformance import TransportConformance, check_transport
from runagent_testing.dialects import Dialect, RunRequest, Status, parse_json
from runagent_testing.dialects._formats import Sse, Text
from tests.support.kit import in_short

RUN = re.compile(r"(?:/[^?]*)?/threads/(?P<thread>thread-\d+)/(?P<kind>sse|text)")
STATUS = re.compile(r"(?:/[^?]*)?/threads/(?P<thread>thread-\d+)/status")


class TextWithStatus(Text):
    separate_end = True


class ThreadDialect(Dialect):
    name = "threads"
    keeps_runs = True
    transports = ("threads-sse", "threads-text")

    def parse_request(self, request):
        match = RUN.fullmatch(request.path)
        if match is None or request.method != "POST":
            return None
        body = parse_json(request.body)
        asked = body if isinstance(body, dict) else {}
        name = str(asked.get("agent", ""))
        return RunRequest(
            agent_id=name,
            transport=f"threads-{match['kind']}",
            body=body,
            input=asked.get("input"),
            run_id=match["thread"],
        )

    def answer(self, request, host):
        if request.method == "POST" and request.path.endswith("/threads"):
            return Status(201, body={"thread_id": f"thread-{host.number('thread')}"})
        if request.method == "GET" and (match := STATUS.fullmatch(request.path)):
            run = host.run(match["thread"])
            return Status(200, body={"status": run.status if run is not None else "unknown"})
        return None

    def stream(self, run):
        return Sse() if run.transport == "threads-sse" else TextWithStatus()


class OnAThread:
    """Makes a thread first; mixed into sessions."""

    call: Any
    kind = "sse"
    thread = ""

    def before(self):
        self.thread = self.call.found.get("thread")
        if self.thread is None:
            headers = self.call.request_headers(accept="application/json")
            answer = yield Step(HttpRequest("POST", self.call.path("/threads", "x"), headers, b"{}"))
            match answer.json():
                case {"thread_id": str(thread)}:
                    self.thread = thread
                    self.call.found.keep("thread", thread)
                case _:
                    raise ProtocolError("the answer names no thread")

    def make_request(self):
        headers = [*self.call.request_headers(accept="*/*"), ("Content-Type", "application/json")]
        asked = {"agent": self.call.agent_id, "input": self.call.input}
        path = self.call.path(f"/threads/{self.thread}/{self.kind}", "x")
        return HttpRequest("POST", path, headers, json.dumps(asked).encode())


class ThreadSession(OnAThread, SSESession):
    """Events with an end marker."""


class StatusSession(OnAThread, HttpSession):
    """Text, after which the thread's status is asked for."""

    kind = "text"
    expects = "text/plain"

    def open_body(self, content_type, charset):
        self.rest = b""
        return content_type == self.expects

    def read_body(self, data):
        whole = self.rest + data
        text = whole.decode(errors="ignore")
        cut = len(text.encode())
        while cut < len(whole) - 3:  # bytes that are not UTF-8
            text = whole.decode(errors="replace")
            cut = len(whole)
        self.rest = whole[cut:]
        return [Chunk(text)] if text else []

    def end_body(self, proven):
        self.follow(self.status_of(proven))
        return []

    def status_of(self, proven):
        headers = self.call.request_headers(accept="application/json")
        path = self.call.path(f"/threads/{self.thread}/status", "x")
        answer = yield Step(HttpRequest("GET", path, headers, b""))
        if answer.json() != {"status": "completed"}:
            raise StreamTruncatedError("the run has not ended")
        return [Completed()]


class Transport:
    name = "threads"
    api_version = 1
    tunnels = False

    def __init__(self, session, *capabilities):
        self.session = session
        self.capabilities = frozenset(capabilities)

    def open(self, call, route, resume):
        return self.session(call, route, None)


CAPABILITIES = (
    *(Capability.HEARTBEATS, Capability.REUSE, Capability.STRUCTURED),
    *(Capability.TOOLS, Capability.REASONING),
)


class TestThreadFirst(TransportConformance):
    requirements = 1
    styles = in_short("sync")

    @pytest.fixture
    def transport(self):
        return Transport(ThreadSession, *CAPABILITIES)

    @pytest.fixture
    def dialects(self):
        return [ThreadDialect()]


class TestStatusAfter(TestThreadFirst):
    @pytest.fixture
    def transport(self):
        return Transport(StatusSession, Capability.REUSE)


class Undeclared(ThreadDialect):
    def stream(self, run):
        return Text()


def test_a_dialect_whose_status_proves_the_end_has_to_say_so():
    """Otherwise nothing requires that the status is read."""
    report = check_transport(
        Transport(StatusSession, Capability.REUSE),
        dialects=[Undeclared()],
        only=["session.truncated-by-framing"],
        requirements=1,
    )
    [result] = report.failed
    assert "set separate_end" in result.reason


class Insists(ThreadSession):
    """Asks for the run once more if it was redirected elsewhere."""

    insisted = False

    def fail(self, error):
        if 300 <= (self.status or 0) < 400 and not self.insisted:
            self.insisted = True
            self._ask()
            self.wants = Wants.RECONNECT
        else:
            super().fail(error)


def test_what_is_sent_after_the_request_of_the_run_is_counted():
    transport = Transport(Insists)
    (failed,) = check_transport(
        transport, dialects=[ThreadDialect()], only=["session.redirect-elsewhere"]
    ).failed
    assert "HTTP status 307 to http://elsewhere.localhost/x: " in failed.reason


class StartsTwice(ThreadSession):
    """Runs the agent again after a cut."""

    again = False

    def receive_eof(self):
        events = super().receive_eof()
        if isinstance(self.error, StreamTruncatedError) and not self.again:
            self.again, self.error = True, None
            self._ask()
            self.wants = Wants.RECONNECT
        return events


def test_runs_are_counted_without_the_requests_around_them():
    transport = Transport(StartsTwice)
    report = check_transport(
        transport,
        dialects=[ThreadDialect()],
        only=["run.not-begun-again"],
        styles=["sync"],
        players=["memory"],
    )
    assert not report.ok
