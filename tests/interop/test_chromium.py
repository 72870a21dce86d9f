"""A real browser's page, of another origin, reads the fake agent: EventSource, fetch and WebSocket."""

from __future__ import annotations

import json
import queue
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from runagent_testing import FakeAgentServer, ending, gate, heartbeat, raw, status
from tests.interop.browser import BROWSERS, browser_on
from tests.interop.programs import Port, Program, needs
from tests.support.peer import Peer, PeerConnection, http

if TYPE_CHECKING:
    from collections.abc import Iterator


PATIENCE = 20.0
CHUNKS = ("Once", " upon ä time \N{GRINNING FACE}", {"page": [1, None]}, "", "line\n\r\u2028", 0.5)
# `report` sends a value to the test; whatever the page fails with is reported as well.
PAGE = """<!doctype html><meta charset="utf-8"><script type="module">
const agent = "%s";
const report = (value) => fetch("/report", { method: "POST", body: JSON.stringify(value) });
const failed = (why) => report({ failed: String(why) });
addEventListener("error", (event) => failed(event.message));
addEventListener("unhandledrejection", (event) => failed(event.reason));
%s
</script>"""

pytestmark = [pytest.mark.interop, needs(*BROWSERS)]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A browser without a window."""
    with Port() as port, browser_on(port, tmp_path_factory.mktemp("browser")) as running:
        yield running


class Page:
    """A page of a separate origin, opened in the browser.

    Attributes:
        reports: What its script has reported.
    """

    def __init__(self, browser: Program, agent_url: str, script: str) -> None:
        self._page = http(200, PAGE % (agent_url, script), content_type="text/html; charset=utf-8")
        self._browser = browser
        self.reports: queue.Queue[Any] = queue.Queue()
        self._peer = Peer(self._serve)

    def __enter__(self) -> Page:
        self._peer.__enter__()
        self._tab = self._request(f"new?{quote(self._peer.url, safe='')}", "PUT")
        return self

    def __exit__(self, *details: Any) -> None:
        tab = self._tab.partition(b'"id": "')[2].partition(b'"')[0].decode()
        self._request(f"close/{tab}", "GET")
        self._peer.__exit__(None, None, None)

    def report(self) -> Any:
        """Wait for the page's next report."""
        return self.reports.get(timeout=PATIENCE)

    def _request(self, what: str, method: str) -> bytes:
        request = urllib.request.Request(f"{self._browser.url}/json/{what}", method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as answer:
            body: bytes = answer.read()
        return body

    def _serve(self, connection: PeerConnection) -> None:
        while request := connection.read_request():
            if request.target == "/report":
                self.reports.put(request.json)
            connection.send(http(204) if request.target == "/report" else self._page)


EVENT_SOURCE = """
const seen = [];
const source = new EventSource(`${agent}/v1/agents/a/stream?query=hello`);
const note = (event) => seen.push([event.type, event.data ?? null, event.lastEventId ?? null]);
for (const name of ["open", "start", "chunk", "error"]) source.addEventListener(name, note);
source.addEventListener("chunk", (event) => event.data.includes("tell me") && report("seen"));
source.addEventListener("error", () => source.readyState === EventSource.CLOSED && report(seen));
source.addEventListener("done", (event) => { note(event); source.close(); report(seen); });
"""


def contents(events: Any) -> list[Any]:
    return [json.loads(data)["content"] for name, data, _ in events if name == "chunk"]


def test_an_event_source_reads_a_stream(browser: Program, server: FakeAgentServer) -> None:
    server.agent("a").always(*CHUNKS[:2], heartbeat(), *CHUNKS[2:], ids=True)
    with Page(browser, server.url, EVENT_SOURCE) as page:
        seen = page.report()
    assert list(CHUNKS) == contents(seen)
    assert ["open", "start", *["chunk"] * 6, "done"] == [name for name, _, _ in seen]
    assert [str(number) for number in range(6)] == [id for name, _, id in seen if name == "chunk"]
    assert {"query": "hello"} == server.requests[0].input
    assert server.requests[0].headers["origin"].startswith("http://127.0.0.1:")
    assert server.requests[0].headers["origin"] != server.url


def test_an_event_source_gets_a_chunk_before_the_agent_goes_on(
    browser: Program, server: FakeAgentServer
) -> None:
    door = gate("door")
    server.agent("a").always("tell me", door, " more")
    with Page(browser, server.url, EVENT_SOURCE) as page:
        assert "seen" == page.report()
        door.open()
        assert ["tell me", " more"] == contents(page.report())


@pytest.mark.parametrize("how", ["cut", "no-done", "reset"])
def test_an_event_source_that_was_cut_off_comes_back_for_the_rest(
    browser: Program, server: FakeAgentServer, how: Any
) -> None:
    agent = server.agent("a")
    agent.reply(raw(b"retry: 10\n\n"), *CHUNKS[:3], ending(how), ids=True)
    agent.always(*CHUNKS, ids=True)
    with Page(browser, server.url, EVENT_SOURCE) as page:
        seen = page.report()
    assert "error" in [name for name, _, _ in seen]
    # What had not been read when the reset came is asked for again; nothing is missing or comes twice.
    assert list(CHUNKS) == contents(seen)
    asked = server.requests[1].headers.get("last-event-id")
    assert asked == "2" or how == "reset"


def test_an_event_source_that_is_refused_gives_up(browser: Program, server: FakeAgentServer) -> None:
    server.agent("a").always(status(429, retry_after=1))
    with Page(browser, server.url, EVENT_SOURCE) as page:
        assert ["error"] == [name for name, _, _ in page.report()]
    assert 1 == len(server.requests)


FETCH = """
const answer = await fetch(`${agent}/v1/agents/a/stream`, {
  method: "POST",
  headers: {
    "Authorization": "Bearer secret", "Content-Type": "application/json", "Accept": "application/x-ndjson"
  },
  body: JSON.stringify({ query: "hello" }),
});
let [text, seen] = ["", false];
for await (const piece of answer.body.pipeThrough(new TextDecoderStream())) {
  text += piece;
  if (text.includes("tell me") && !seen) seen = report("seen");
}
report(text.split("\\n").filter(Boolean).map((line) => JSON.parse(line)));
"""


def test_fetch_reads_lines_with_a_key_after_a_preflight(browser: Program) -> None:
    door = gate("door")
    with FakeAgentServer(api_key="secret") as server:
        server.agent("a").always("tell me", door, *CHUNKS)
        with Page(browser, server.url, FETCH) as page:
            assert "seen" == page.report()
            door.open()
            messages = page.report()
    assert ["tell me", *CHUNKS] == [line["content"] for line in messages if line["type"] == "chunk"]
    assert "done" == messages[-1]["type"]


WEBSOCKET = """
const socket = new WebSocket(`${agent.replace("http", "ws")}/api/v1/agents/a/run-stream`);
const seen = [];
const request = { entrypoint_tag: "generic_stream", input_args: [], input_kwargs: {} };
socket.onopen = () => socket.send(JSON.stringify(request));
socket.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message.type === "data") seen.push(JSON.parse(JSON.parse(message.content).payload));
  if (message.status === "stream_completed") socket.close();
};
socket.onclose = (event) => report([seen, event.code, event.wasClean]);
"""


@pytest.mark.parametrize(
    ("end", "code", "clean"), [("clean", 1000, True), ("no-close-frame", 1006, False), ("close", 1012, True)]
)
def test_a_websocket_of_a_page(
    browser: Program, server: FakeAgentServer, end: Any, code: int, clean: bool
) -> None:
    how = {"clean": (), "no-close-frame": (ending(end),), "close": (ending(end, code=1012),)}
    server.agent("a").always(*CHUNKS, *how[end])
    with Page(browser, server.url, WEBSOCKET) as page:
        assert [list(CHUNKS), code, clean] == page.report()
