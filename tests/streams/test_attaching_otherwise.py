"""Handles of transports that resume by an ordered id or by a snapshot."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ProtocolError
from runagent.transports import Capability, HttpRequest
from tests.support.peer import Peer, http_chunk
from tests.support.resumable import TaskSession, TaskTransport, ThreadSession, ThreadTransport

if TYPE_CHECKING:
    from runagent.transports import AgentCall, HttpSession, ResumePoint, Route
    from tests.support.peer import PeerConnection, Request
    from tests.support.styles import Style

Named = tuple[str | None, dict[str, Any]]  # an id and a message
TEXTS = [f"{at} " for at in range(5)]
HEAD = b"HTTP/1.1 200 x\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class LastingThread(ThreadSession):
    def make_request(self) -> HttpRequest:
        self.handle_ids = {"thread": "t"}
        if self.call.attach_to is not None and self.resume is None:
            return self.request("GET", "/threads/{agent_id}/stream")
        return super().make_request()


class LastingThreads(ThreadTransport):
    capabilities = ThreadTransport.capabilities | {Capability.ATTACH}

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
        return LastingThread(call, route, resume)


class LastingTask(TaskSession):
    def make_request(self) -> HttpRequest:
        if self.call.attach_to is not None:
            self.call.found.keep("task", self.call.attach_to["task"])
            if self.resume is None:
                super().make_request()
                return self.request("GET", f"/tasks/{self.call.attach_to.quoted('task')}:subscribe")
        return super().make_request()

    def take(self, message: Any, event_id: str | None, events: Any) -> Any:
        fault = super().take(message, event_id, events)
        self.handle_ids = {"task": self.call.found.get("task")}
        return fault


class LastingTasks(TaskTransport):
    capabilities = TaskTransport.capabilities | {Capability.ATTACH}

    def open(self, call: AgentCall, route: Route, resume: ResumePoint | None) -> HttpSession:
        return LastingTask(call, route, resume)


class Service:
    """Sends the events of a run as its first reader asks for them, and those behind a place at once.

    Attributes:
        more: Released once for each event that the first stream may have.
        silent: How many events come before the first text.
    """

    silent = 0

    def __init__(self) -> None:
        self.more = threading.Semaphore(0)

    def __call__(self, connection: PeerConnection) -> None:
        """Serve a connection."""
        while (request := connection.read_request()) is not None:
            first = request.line.startswith("POST")
            if not self.send(connection, *self.events(request), paced=first):
                return

    def events(self, request: Request) -> list[Named]:
        raise NotImplementedError

    def send(self, connection: PeerConnection, *events: Named, paced: bool) -> bool:
        """Send an answer; return False if its reader asks for no more of it."""
        connection.send(HEAD)
        for event_id, message in events:
            if paced and not self.more.acquire(timeout=10):
                return False
            named = f"id: {event_id}\n" if event_id else ""
            connection.send(http_chunk(f"{named}data: {json.dumps(message)}\n\n".encode()))
        connection.send(b"0\r\n\r\n")
        return True


class Threads(Service):
    def events(self, request: Request) -> list[Named]:
        start = int(request.headers.get("last-event-id", "0-0").split("-")[1])
        events = [(f"7-{at + 1}", {"text": text}) for at, text in enumerate(TEXTS)]
        return [*events[start:], (None, {"end": True})]


class Tasks(Service):
    silent = 1

    def events(self, request: Request) -> list[Named]:
        if request.line.startswith("POST"):
            artifacts: list[Any] = []
            added = [{"artifact": {"id": "a", "parts": [{"text": text}]}} for text in TEXTS]
        else:
            artifacts, added = [{"id": "a", "parts": [{"text": "".join(TEXTS)}]}], []
        messages: list[dict[str, Any]] = [
            {"task": {"id": "t", "artifacts": artifacts}},
            *added,
            {"state": "completed"},
        ]
        return [(None, message) for message in messages]


class ChangedThreads(Threads):
    def events(self, request: Request) -> list[Named]:
        earlier = ("6-9", {"text": "earlier"})
        return super().events(request) if request.line.startswith("POST") else [earlier]


class ChangedTasks(Tasks):
    def events(self, request: Request) -> list[Named]:
        other = {"task": {"id": "t", "artifacts": [{"id": "a", "parts": [{"text": "other"}]}]}}
        return super().events(request) if request.line.startswith("POST") else [(None, other)]


async def read(stream: Any, service: Service, count: int) -> tuple[str, str]:
    """Read so many chunks; return the text and the handle, and let the service end the stream."""
    text = ""
    for _ in range(service.silent):
        service.more.release()
    for _ in range(count):
        service.more.release()
        text += await anext(stream)
    handle: str = stream.handle
    await stream.aclose()
    service.more.release(10)
    return text, handle


@pytest.mark.parametrize("count", range(1, len(TEXTS)))
@pytest.mark.parametrize(("transport", "kind"), [(LastingThreads(), Threads), (LastingTasks(), Tasks)])
def test_another_client_reads_the_rest(style: Style, transport: Any, kind: type[Service], count: int) -> None:
    async def scenario(url: str, service: Service) -> tuple[str, str]:
        async with style.client("a", base_url=url, transport=transport) as client:
            first, handle = await read(client.run_generic_stream("x"), service, count)
        async with style.client("a", base_url=url, transport=transport) as client:
            return first, await client.attach(handle).text()

    service = kind()
    with Peer(service) as peer:
        first, rest = style.run(lambda: scenario(peer.url, service))
    assert "".join(TEXTS) == first + rest
    assert ["POST", "GET"] == [request.line.split(" ")[0] for request in peer.requests]


@pytest.mark.parametrize(
    ("transport", "kind"), [(LastingThreads(), ChangedThreads), (LastingTasks(), ChangedTasks)]
)
def test_the_place_has_to_be_proven(style: Style, transport: Any, kind: type[Service]) -> None:
    async def scenario(url: str, service: Service) -> None:
        async with style.client("a", base_url=url, transport=transport) as client:
            _, handle = await read(client.run_generic_stream("x"), service, 2)
            with pytest.raises(ProtocolError):
                await client.attach(handle).text()

    service = kind()
    with Peer(service) as peer:
        style.run(lambda: scenario(peer.url, service))
