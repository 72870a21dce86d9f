"""Protocols that the fake agent does not know: a dialect brings one to both players."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import Any

import httpx2
import pytest
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from runagent_testing import FakeAgentServer, MemoryNetwork, dialects, done, ending, error, heartbeat, status
from runagent_testing.dialects import TEXT, Dialect, Format, Request, RunMessage, RunRequest, frame, hookimpl
from runagent_testing.dialects import _installed as installed
from runagent_testing.dialects._documented import Documented
from tests.support.descriptors import no_descriptor

LINES = [Subprotocol("lines")]


class Lines(Format):
    """One letter and a JSON value a line."""

    content_type = "text/x-lines"
    heartbeat = b"h\n"

    def start(self, run):
        return b"s\n"

    def chunk(self, step, index, id):
        return f"c{json.dumps(step.content)}\n".encode()

    def error(self, step):
        return f"e{json.dumps(step.message)}\n".encode()

    def done(self, step, run, total_chunks):
        return f"d{total_chunks}\n".encode()


class LineDialect(Dialect):
    name = "lines"
    transports = ("lines", "line")

    def parse_request(self, request):
        kind, _, agent_id = request.path.strip("/").partition("/")
        if request.method != "POST" or kind not in self.transports:
            return None
        body = json.loads(request.body)
        return RunRequest(
            agent_id=agent_id,
            transport=kind,
            kind="stream" if kind == "lines" else "plain",
            body=body,
            input=body["ask"],
            resume_from=body.get("from"),
        )

    def stream(self, run):
        return Lines()

    def check(self, run_request, run, agent):
        return None if run_request.input else status(422, message="no question")

    def refusal(self, status, run):
        return {"oh": status.message}


class FramedLines(Lines):
    writes_frames = True

    def start(self, run):
        return frame(TEXT, super().start(run))

    def chunk(self, step, index, id):
        return frame(TEXT, super().chunk(step, index, id))

    def done(self, step, run, total_chunks):
        return frame(TEXT, super().done(step, run, total_chunks))


class SocketDialect(Dialect):
    name = "socket-lines"
    transports = ("socket-lines",)

    def parse_request(self, request):
        if not request.path.startswith("/socket/"):
            return None
        return RunRequest(
            agent_id=request.path.removeprefix("/socket/"),
            transport="socket-lines",
            kind="websocket",
            subprotocol="lines",
        )

    def stream(self, run):
        return FramedLines()

    def parse_message(self, message, context):
        fault = None if message else "ask something"
        return RunMessage(body=message, input={"ask": message}, fault=fault)


@pytest.fixture
def server():
    with FakeAgentServer(dialects=[LineDialect(), SocketDialect()]) as server:
        yield server


def post(server, path, **body):
    return httpx2.post(f"{server.url}{path}", json=body)


def test_the_same_script_speaks_it(server):
    server.agent("a").always("Once", heartbeat(), {"page": 1}, done())
    answer = post(server, "/lines/a", ask="x")
    assert ("text/x-lines", 's\nc"Once"\nh\nc{"page": 1}\nd2\n') == (
        answer.headers["content-type"],
        answer.text,
    )
    (exchange,) = server.requests
    assert ("lines", "lines", "x", {"ask": "x"}) == (
        exchange.dialect,
        exchange.transport,
        exchange.input,
        exchange.body,
    )


def test_errors_of_the_dialect_for_what_goes_wrong(server):
    server.agent("a").reply("Once", error("E", "broken")).always(status(503, message="full"))
    assert 's\nc"Once"\ne"broken"\n' == post(server, "/lines/a", ask="x").text
    asked = [("/lines/a", "x"), ("/lines/b", "x"), ("/lines/a", "")]
    refusals = [post(server, path, ask=ask) for path, ask in asked]
    assert [
        (503, {"oh": "full"}),
        (404, {"oh": "there is no agent 'b'"}),
        (422, {"oh": "no question"}),
    ] == [(answer.status_code, answer.json()) for answer in refusals]


def test_plain_answers(server):
    server.agent("a").returns_once(42).returns(error("E", "broken"))
    assert {"result": 42} == post(server, "/line/a", ask="x").json()
    failed = post(server, "/line/a", ask="x")
    assert (500, {"oh": "broken"}) == (failed.status_code, failed.json())


def test_what_it_understands_as_a_place_to_go_on_from_is_honoured(server):
    server.agent("a").always("Once", " upon", " a time")
    assert 's\nc" a time"\nd1\n' == post(server, "/lines/a", ask="x", **{"from": 2}).text


def test_endings_and_the_built_in_dialects_come_with_it(server):
    server.agent("a").always("Once", ending("cut"))
    with pytest.raises(httpx2.RemoteProtocolError):
        post(server, "/lines/a", ask="x")
    with pytest.raises(httpx2.RemoteProtocolError):
        post(server, "/v1/agents/a/stream", query="x")
    assert ["lines", "documented"] == [exchange.dialect for exchange in server.requests]


def test_a_separate_websocket(server):
    server.agent("a").always("Once")
    with connect(server.url.replace("http", "ws") + "/socket/a", subprotocols=LINES) as socket:
        socket.send("x")
        assert ["s\n", 'c"Once"\n', "d1\n"] == [socket.recv() for _ in range(3)]
        assert "lines" == socket.subprotocol
    with connect(server.url.replace("http", "ws") + "/socket/a", subprotocols=LINES) as socket:
        socket.send("")
        assert '{"error":"ask something"}' == socket.recv()


def request(path):
    return Request("POST", path, {}, 1, b'{"ask": "x"}')


class Plugin:
    @hookimpl
    def runagent_testing_register_dialects(self, register):
        register(LineDialect())


class Stranger:
    @hookimpl
    def runagent_testing_register_dialects(self, register):
        register(LineDialect)


INSTALLED = {"broken": None, "lines": Plugin(), "none": json, "strange": Stranger()}


def _load(entry):
    plugin = INSTALLED[entry.name]
    if plugin is None:
        raise ImportError(entry.value)
    return plugin


@pytest.fixture
def entry_points(monkeypatch):
    entries = [EntryPoint(name, f"{name}_module", installed.GROUP) for name in INSTALLED]
    editable = EntryPoint("lines", "lines_module", installed.GROUP)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [*entries, editable])
    monkeypatch.setattr(EntryPoint, "load", _load)
    installed._loaded.cache_clear()
    yield
    installed._loaded.cache_clear()


def test_an_installed_one_is_found_where_nothing_else_answers(entry_points, caplog):
    memory = MemoryNetwork()
    memory.agent("a").always("Once")
    answer: Any = memory._endpoints.answer(request("/lines/a"))
    assert ("lines", b"Once" in answer.plan.data) == (answer.exchange.dialect, True)
    assert "documented" == memory._endpoints.answer(request("/nowhere")).exchange.dialect


def test_installed_ones_that_do_not_work_are_logged_and_left_out(entry_points, caplog):
    assert ["lines"] == [dialect.name for dialect in installed.installed_dialects()]
    assert [
        f"the dialect {name} ({name}_module) cannot be used: {kind.__name__}"
        for name, kind in [("broken", ImportError), ("none", TypeError), ("strange", TypeError)]
    ] == [": ".join(record.getMessage().split(": ")[:2]) for record in caplog.records]


@pytest.mark.parametrize("fault", [OSError(24, "Too many open files"), MemoryError()])
def test_a_passing_fault_is_not_remembered(fault, entry_points, monkeypatch):
    def fails(entry):
        raise fault

    with monkeypatch.context() as short:
        short.setattr(EntryPoint, "load", fails)
        assert () == installed.installed_dialects()
    assert ["lines"] == [dialect.name for dialect in installed.installed_dialects()]


def test_dialects_are_looked_for_again_once_there_are_descriptors(entry_points):
    with no_descriptor():
        assert () == installed.installed_dialects()
    assert ["lines"] == [dialect.name for dialect in installed.installed_dialects()]


class Nameless(Dialect):
    pass


@pytest.mark.parametrize(
    ("given", "complaint"),
    [(LineDialect, "is not a Dialect: pass an object"), (Nameless(), "Nameless has no name: give it one")],
)
def test_what_is_no_dialect_is_refused_at_once(given, complaint):
    for host in (FakeAgentServer, MemoryNetwork):
        with pytest.raises(TypeError, match=complaint):
            host(dialects=[given])


# The face for authors


@pytest.mark.parametrize("name", dialects.__all__)
def test_every_exported_name_exists(name):
    assert name in dir(dialects)
    assert getattr(dialects, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Dialekt'"):
        _ = dialects.Dialekt  # type: ignore[attr-defined]


def test_an_author_imports_the_hook_from_it_and_a_fake_agent_does_without():
    code = """
import sys
from runagent_testing import dialects
for name in ("Dialect", "hookimpl"):
    getattr(dialects, name)
    print("pluggy" in sys.modules)
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ["False", "True"] == shown.stdout.split()


def test_a_dialect_that_builds_on_a_built_in_one_shares_no_plans():
    class Other(Documented):
        """May depend on anything of a run."""

    assert (True, False) == (Documented.shares_plans, Other.shares_plans)
