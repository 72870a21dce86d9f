"""A protocol like LangGraph's, as transport and dialect: a thread first, resuming by id, the status last.

Its streams have no end marker: the transport asks for the run's status after each.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from runagent import AgentError, Chunk, Completed, ProtocolError, StreamError
from runagent.transports import (
    CancelSession,
    Capability,
    HttpRequest,
    HttpSession,
    NDJSONDecoder,
    ResumePoint,
    Step,
    encode_json,
)
from runagent_testing import custom, done, ending, error, gate, status
from runagent_testing.dialects import Dialect, Error, Format, RunRequest, Status, parse_json
from tests.runagent_testing.players import PLAYERS, player
from tests.runagent_testing.virtual import STYLES
from tests.support.styles import Style

KEY = "key-that-nobody-guesses"
NETWORKS = {"sync": "blocking", "asyncio": "aio", "trio": "trio"}


class GraphLines(Format):
    """A JSON object for each event, with ids that count from 1."""

    content_type = "application/x-ndjson"

    def __init__(self, run):
        self.headers = {"Content-Location": f"/runs/{run.run_id}"}
        self.last = 0
        self.seen = int(run.resume_after or 0)

    def _line(self, **event):
        self.last += 1
        return b"" if self.last <= self.seen else json.dumps({"id": self.last, **event}).encode() + b"\n"

    def start(self, run):
        return self._line(event="metadata")

    def chunk(self, step, index, id):
        return self._line(event="messages", text=step.content)

    def custom(self, step):
        return self._line(event=step.name)

    def error(self, step):
        return b""

    def done(self, step, run, total_chunks):
        return b""


class GraphDialect(Dialect):
    name = "graph"
    transports = ("graph",)
    keeps_runs = True

    def parse_request(self, request):
        if match := re.fullmatch(r"/threads/[^/]+/runs/([^/]+)/stream", request.path):
            after = request.headers.get("last-event-id")
            return RunRequest(agent_id="", transport="graph", attach_to=match[1], resume_after=after)
        if request.method == "POST" and re.fullmatch(r"/threads/[^/]+/runs", request.path):
            body = parse_json(request.body)
            return RunRequest(agent_id=body["assistant"], transport="graph", body=body, input=body["input"])
        return None

    def check_state(self, run_request, host):
        run = run_request.attach_to and host.run(run_request.attach_to)
        return Status(410, message="the run is over") if run and run.status == "cancelled" else None

    def answer(self, request, host):
        if (request.method, request.path) == ("POST", "/threads"):
            return Status(200, body={"thread_id": f"t{host.number('thread')}"})
        match = re.fullmatch(r"/threads/[^/]+/runs/([^/]+?)(/cancel)?", request.path)
        if match is None or (run := host.run(match[1])) is None:
            return None
        if match[2]:
            return Status(200, body={}) if run.cancel() else Status(409, message=f"the run is {run.status}")
        last = run.sent[-1] if run.sent else None
        why = last.message if isinstance(last, Error) else None
        return Status(200, body={"status": run.status, "error": why})

    def stream(self, run):
        return GraphLines(run)


class GraphSession(HttpSession):
    expects = "application/x-ndjson"

    def before(self):
        self.last = int(self.resume.last_event_id) if self.resume else 0
        self.run: Any = self.call.attach_to
        self.thread = self.call.found.get("thread")
        if self.thread is None and self.run is None:
            answer = yield Step(HttpRequest("POST", "/threads", self._fields()))
            self.thread = answer.json()["thread_id"]
            self.call.found.keep("thread", self.thread)

    def _fields(self, accept="application/json"):
        return self.call.request_headers(accept=accept)

    def make_request(self):
        headers = self._fields(self.expects)
        if self.run is None:
            body = {"assistant": self.call.agent_id, "input": self.call.input}
            return HttpRequest("POST", f"/threads/{self.thread}/runs", headers, encode_json(body))
        if self.resume is not None:
            headers.append(("Last-Event-ID", self.resume.last_event_id))
        return HttpRequest("GET", f"{path_of(self.run)}/stream", headers)

    def open_body(self, content_type, charset):
        self.lines = NDJSONDecoder(max_line_bytes=self.call.limits.max_event_bytes)
        if self.run is None:
            self.run = {"thread": self.thread, "run": self.headers["content-location"].rpartition("/")[2]}
        self.handle_ids = self.run
        return content_type == self.expects

    def read_body(self, data):
        events = []
        for event in self.lines.feed(data):
            if event["id"] <= self.last:
                raise ProtocolError(f"event {event['id']} came after event {self.last}")
            self.last = event["id"]
            if "text" in event:
                events.append(Chunk(event["text"], id=str(self.last)))
                self.resume_point = ResumePoint(last_event_id=str(self.last), proof="id")
        return events

    def end_body(self, proven):
        self.follow(self.ask())
        return []

    def ask(self):
        answer = yield Step(HttpRequest("GET", path_of(self.run), self._fields()))
        state = answer.json()
        if state["status"] != "completed":
            raise StreamError(state["error"] or state["status"], code=state["status"].upper())
        return [Completed()]


def path_of(ids):
    return f"/threads/{ids['thread']}/runs/{ids['run']}"


class GraphCancel(CancelSession):
    def make_request(self):
        headers = self.call.request_headers(accept="application/json")
        return HttpRequest("POST", f"{path_of(self.call.attach_to)}/cancel", headers)


class GraphTransport:
    name = "graph"
    api_version = 1
    capabilities = frozenset(
        {Capability.RESUME_BY_ID, Capability.REUSE, Capability.ATTACH, Capability.CANCEL}
    )
    tunnels = False

    def open(self, call, route, resume):
        return GraphSession(call, route, resume)

    def open_cancel(self, call, route):
        return GraphCancel(call, route, None)


@pytest.fixture(params=PLAYERS)
def kind(request):
    return request.param


@pytest.fixture(params=STYLES)
def style_name(request):
    return request.param


def run_in(host, kind, name, scenario, **options):
    """Run a scenario with a client of the transport, in a style."""
    memory = kind == "memory"
    if memory:
        options["network"] = getattr(host, NETWORKS[name])
    style = Style(name)

    async def with_client():
        client = style.client("a", base_url=host.url, transport=GraphTransport(), **options)
        async with client:
            return await scenario(client)

    if not memory or name == "sync":
        return style.run(with_client)
    return host.run_asyncio(with_client()) if name == "asyncio" else host.run_trio(with_client)


def text_of(host, kind, name, **options):
    async def scenario(client):
        return await client.run_generic_stream("hello").text()

    return run_in(host, kind, name, scenario, **options)


def paths(exchanges):
    return [f"{exchange.method} {re.sub('[0-9a-f-]{36}', 'ID', exchange.path)}" for exchange in exchanges]


@pytest.fixture
def host(kind):
    with player(kind, dialects=[GraphDialect()]) as host:
        yield host


def test_a_thread_a_run_and_its_status(host, kind, style_name):
    host.agent("a").reply("Once", custom("updates", 1), " upon", done())
    assert "Once upon" == text_of(host, kind, style_name)
    assert ["POST /threads/t1/runs"] == paths(host.requests)
    assert ["POST /threads", "GET /threads/t1/runs/ID"] == paths(host.other_requests)
    assert {"query": "hello"} == host.requests[0].input
    assert 1 == host.connections
    host.check()


@pytest.mark.parametrize("broken", ["cut", "reset"])
def test_a_broken_stream_attaches_to_the_run_on_the_same_thread(host, kind, style_name, broken):
    host.agent("a").reply("Once", custom("updates", 1), ending(broken))
    host.agent("a").reply("Once", custom("updates", 1), " upon", " a time")
    assert "Once upon a time" == text_of(host, kind, style_name, max_retry_wait=0.01)
    assert ["POST /threads/t1/runs", "GET /threads/t1/runs/ID/stream"] == paths(host.requests)
    assert ["POST /threads", "GET /threads/t1/runs/ID"] == paths(host.other_requests)
    host.check()


@pytest.mark.parametrize(
    ("script", "message"),
    [(["Once", error("E", "no room")], "no room"), (["Once", ending("no-done")], "running")],
)
def test_a_run_that_failed_or_is_not_over_is_no_good_end(host, kind, style_name, script, message):
    host.agent("a").always(*script)
    with pytest.raises(StreamError, match=message):
        text_of(host, kind, style_name, max_retries=0)


def test_a_step_that_fails_is_repeated_and_makes_one_thread(host, kind, style_name):
    host.on_request("POST /threads", status(503, retry_after=0))
    host.agent("a").reply("Once")
    assert "Once" == text_of(host, kind, style_name, max_retry_wait=0.01)
    assert ["POST /threads/t1/runs"] == paths(host.requests)


def test_a_wrong_key_is_refused_at_the_first_step(kind, style_name):
    with player(kind, dialects=[GraphDialect()], api_key=KEY) as host:
        host.agent("a").reply("Once")
        with pytest.raises(AgentError, match="key"):
            text_of(host, kind, style_name, api_key="wrong")
        assert ([], ["POST /threads"]) == (host.requests, paths(host.other_requests))
        assert "Once" == text_of(host, kind, style_name, api_key=KEY)


def test_another_client_reads_on_in_the_run(host, kind, style_name):
    door = gate("door")
    host.agent("a").reply("Once", custom("updates", 1), door, " upon", " a time")

    async def begin(client):
        async with client.run_generic_stream("hello") as stream:
            assert "Once" == await anext(aiter(stream))
            return stream.handle

    handle = run_in(host, kind, style_name, begin)
    door.open()

    async def go_on(client):
        return await client.attach(handle).text()

    assert " upon a time" == run_in(host, kind, style_name, go_on)
    assert ["POST /threads/t1/runs", "GET /threads/t1/runs/ID/stream"] == paths(host.requests)
    host.check()
    host.clear()
    host.agent("a")
    with pytest.raises(StreamError) as caught:
        run_in(host, kind, style_name, go_on)
    assert "GONE" == caught.value.code


def test_a_run_is_stopped_by_its_reader(host, kind, style_name):
    host.agent("a").reply("Once", gate("never"), " upon")

    async def scenario(client):
        stream = client.run_generic_stream("hello")
        assert "Once" == await anext(aiter(stream))
        handle = stream.handle
        stopped = await stream.cancel()
        assert not await client.attach(handle).cancel()
        with pytest.raises(StreamError) as caught:
            await client.attach(handle).text()
        return stopped, caught.value.code

    assert (True, "GONE") == run_in(host, kind, style_name, scenario)
    assert "cancelled" == host.requests[0].outcome
    host.check()


def test_a_run_that_is_stopped_elsewhere_ends_for_its_reader(host, kind, style_name):
    host.agent("a").reply("Once", gate("never"), " upon")

    async def scenario(client):
        stream = client.run_generic_stream("hello")
        assert "Once" == await anext(aiter(stream))
        assert await client.attach(stream.handle).cancel()
        return await stream.text()

    with pytest.raises(StreamError, match="cancelled"):
        run_in(host, kind, style_name, scenario, max_retries=0)
    host.check()
