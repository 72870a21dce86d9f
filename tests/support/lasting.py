"""A service whose runs outlive their streams, and its transport as a third party would write it."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

from runagent import Chunk, Completed, Started, StreamTruncatedError
from runagent.transports import (
    CancelSession,
    Capability,
    ChunkCount,
    HttpRequest,
    HttpSession,
    NDJSONDecoder,
    encode_json,
)
from tests.support.peer import Peer, http, http_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent.transports import AgentCall, Event, ResumePoint, Route
    from tests.support.peer import PeerConnection
    from tests.support.styles import Style

PATIENCE = 10.0
TEXTS = ("a", "b", "c", "d")
HEAD = b"HTTP/1.1 200 x\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"


class LastingSession(HttpSession):
    """Begins a run, or reads on in one, from the next of its numbered chunks."""

    expects = "application/x-ndjson"

    def make_request(self) -> HttpRequest:
        headers = self.call.request_headers(accept=self.expects)
        if self.call.attach_to is None:
            return HttpRequest("POST", "/runs", headers, encode_json(self.call.input))
        start = self.resume.next_index if self.resume else 0
        return HttpRequest("GET", f"/runs/{self.call.attach_to.quoted('run')}?from={start}", headers)

    def open_body(self, content_type: str, charset: str) -> bool:
        self.lines = NDJSONDecoder(max_line_bytes=self.call.limits.max_event_bytes)
        self.count = ChunkCount(self.resume)
        return content_type == self.expects

    def read_body(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        for line in self.lines.feed(data):
            match line:
                case {"run": str(run)}:
                    self.handle_ids = {"run": run}
                    events.append(Started(invocation_id=run))
                case {"n": int(n), "text": str(text)}:
                    if (fault := self.count.take(n)) is not None:
                        self.fail(fault)
                        break
                    self.resume_point = self.count.resume_point()
                    events.append(Chunk(text, n))
                case {}:
                    events.append(Completed())
                    self.finish()
        return events

    def end_body(self, proven: bool) -> list[Event]:
        raise StreamTruncatedError("the run goes on without us")


class StopSession(CancelSession):
    """Asks the service to stop a run."""

    def make_request(self) -> HttpRequest:
        assert self.call.attach_to is not None
        headers = self.call.request_headers(accept="*/*")
        return HttpRequest("POST", f"/runs/{self.call.attach_to.quoted('run')}/cancel", headers)


class Lasting:
    """The transport."""

    name = "lasting"
    api_version = 1
    tunnels = False

    def __init__(self, *left_out: Capability) -> None:
        self.capabilities = frozenset({Capability.RESUME, Capability.ATTACH, Capability.CANCEL}) - {*left_out}

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
        return LastingSession(call, route, resume)

    def open_cancel(self, call: AgentCall, route: Route) -> HttpSession:
        return StopSession(call, route, None)


class Service:
    """The service: one run, which goes on until its last chunk, or until somebody cancels it.

    Args:
        chunks: The texts of the run.
        burst: Send them in one piece.
        pause: The number of chunks behind which the run waits for ``resume`` or a cancellation.
        cut: The number of chunks behind which the first stream breaks.
        stop: What a cancellation is answered; None for no answer.

    Attributes:
        resume: Lets the run go on.
        cancelled: The run was cancelled.
        paused: The run waits.
        known: The service knows the run.
        cut_again: The number of chunks behind which the next stream breaks.
        failing: What the next requests to read on are answered instead.
        failed: One of them was.
    """

    def __init__(
        self,
        *chunks: str,
        burst: bool = False,
        pause: int | None = None,
        cut: int | None = None,
        stop: bytes | None = b"HTTP/1.1 204 x\r\n\r\n",
    ) -> None:
        self.chunks = chunks
        self.burst = burst
        self.pause = pause
        self.cut = cut
        self.stop = stop
        self.known = True
        self.failing: list[bytes] = []
        self.cut_again: int | None = None
        self.resume = threading.Event()
        self.paused = threading.Event()
        self.failed = threading.Event()
        self.cancelled = threading.Event()
        self.asked_to_stop = threading.Event()

    def __call__(self, connection: PeerConnection) -> None:
        """Serve a connection."""
        while (request := connection.read_request()) is not None:
            if request.target.endswith("/cancel"):
                self.asked_to_stop.set()
                if self.stop is None:
                    connection.wait_gone()
                    return
                self.cancelled.set()
                self.resume.set()
                connection.send(self.stop)
            elif request.target.endswith("/state"):
                connection.send(http(200, {"state": "running"}))
            elif self.failing and request.line.startswith("GET"):
                self.failed.set()
                connection.send(failure := self.failing.pop())
                if not failure:
                    return
            elif request.line.startswith("GET") and not self.known:
                connection.send(http(404, {"error": "no such run"}))
            else:
                start = int(request.target.partition("from=")[2] or 0)
                if not self._stream(connection, start, first=request.line.startswith("POST")):
                    return

    def _stream(self, connection: PeerConnection, start: int, *, first: bool) -> bool:
        lines = [encode_json({"run": "r/1"}) + b"\n"]
        lines += [encode_json({"n": n, "text": text}) + b"\n" for n, text in enumerate(self.chunks)][start:]
        lines.append(b"{}\n")
        connection.send(HEAD)
        if self.burst:
            lines = [b"".join(lines)]
        cut, self.cut_again = self.cut if first else self.cut_again, None
        for at, line in enumerate(lines):
            if cut is not None and at > cut:
                return False
            if self.pause is not None and at + start > self.pause and not self.resume.is_set():
                self.paused.set()
                self.resume.wait(PATIENCE)
            if self.cancelled.is_set():
                return False
            connection.send(http_chunk(line))
        connection.send(b"0\r\n\r\n")
        return True


@contextlib.contextmanager
def serving(service: Service) -> Iterator[Peer]:
    """Serve it; at the end the run goes on, so that no connection waits."""
    with Peer(service) as peer:
        try:
            yield peer
        finally:
            service.resume.set()


def client_of(style: Style, peer: Peer, **options: Any) -> Any:
    """A client of this service that waits for nothing."""
    options = {"transport": Lasting(), "retry_delay": 0.0} | options
    return style.client("a", base_url=peer.url, **options)


def cancels(peer: Peer) -> list[str]:
    """The first lines of the requests that asked to stop a run."""
    return [request.line for request in peer.requests if request.target.endswith("/cancel")]


async def begun(client: Any) -> Any:
    """Return a stream of which the first chunk was read."""
    stream = client.run_generic_stream("x")
    assert "a" == await anext(stream)
    return stream


def wait_for_lines(caplog: Any) -> list[Any]:
    """Return the lines of runs in the log, once there is one: it follows the end of the report."""
    end = time.monotonic() + 10
    while True:
        lines = [
            line for line in caplog.records if line.name == "runagent.run" and line.levelno >= logging.INFO
        ]
        if lines or time.monotonic() > end:
            return lines
        time.sleep(0.01)


def wait_for_end(report: Any) -> None:
    """Wait until a thread that reads ahead has noticed that the stream was closed."""
    end = time.monotonic() + 10
    while report.outcome == "running" and time.monotonic() < end:
        time.sleep(0.01)
