"""Streams of other people's servers, recorded and replayed: bytes, reads, gaps, and no credential."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING, Any

import httptools
import pytest

from runagent import RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork, delay
from runagent_testing._recording.reading import read_recording
from tests.interop.litellm import LiteLLM
from tests.interop.peers import met
from tests.interop.programs import Port, needs_environment
from tests.interop.protocols.conftest import pydantic_ai  # noqa: F401 - a fixture
from tests.runagent_testing.raw_client import connected, post

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runagent_testing import Exchange
    from runagent_testing._recording.format import Recording

pytestmark = pytest.mark.interop

MEDIAN = 0.002  # seconds that half of all gaps may be off
WHOLE = 0.02  # share of the whole time that a replay may be off
TRIES = 5


class Case:
    """A request to a server, as raw bytes, and as the transport asks it."""

    def __init__(self, url: str, path: str, body: Any, agent: str, transport: str, base: str = "") -> None:
        self.url = url
        self.path = path
        self.body = body
        self.agent = agent
        self.transport = transport
        self.base = base

    def request(self, **fields: str) -> bytes:
        """The request, as bytes."""
        usual = {"connection": "close", "accept": "text/event-stream", "content-type": "application/json"}
        return post(self.path, self.body, **usual, **fields)

    def ask(self, url: str, **fields: str) -> bytes:
        """Ask on a raw socket: the body, with its framing."""
        with connected(url) as client:
            client.send(self.request(**fields))
            assert client.until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            return client.rest()[0]


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeAgentServer]:
    """What LiteLLM passes on."""
    with FakeAgentServer() as server:
        yield server


@pytest.fixture(scope="module")
def litellm(upstream: FakeAgentServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiteLLM]:
    with Port() as port, LiteLLM(tmp_path_factory.mktemp("litellm"), upstream.url, port) as running:
        yield running


def agui(pydantic_ai: str) -> Case:  # noqa: F811 - what the fixture gives
    body: dict[str, Any] = {
        "threadId": "t",
        "runId": "r",
        "state": {},
        "messages": [],
        "tools": [],
        "context": [],
    }
    body |= {"forwardedProps": {}, "messages": [{"id": "m", "role": "user", "content": "hi"}]}
    return Case(pydantic_ai, "/agui/paced", body, "paced", "agui", "/agui/paced")


def chat(litellm: LiteLLM) -> Case:
    body = {"model": "relayed", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    return Case(litellm.url, "/v1/chat/completions", body, "relayed", "openai")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("agui", marks=[needs_environment("agui"), met("agui", "pydantic-ai-slim", "server")]),
        pytest.param("chat", marks=[needs_environment("litellm"), met("openai", "litellm", "server")]),
    ],
)
def case(request: pytest.FixtureRequest) -> Case:
    """A stream with pauses, of a server that nobody here wrote."""
    if request.param == "agui":
        return agui(request.getfixturevalue("pydantic_ai"))
    return chat(request.getfixturevalue("litellm"))


@pytest.fixture
def key(case: Case, request: pytest.FixtureRequest) -> Iterator[str]:
    """The key that the server takes; LiteLLM's passes on a text that repeats it."""
    if case.agent == "paced":
        yield "sk-none-4f9a8b7c6d5e"
        return
    upstream, litellm = request.getfixturevalue("upstream"), request.getfixturevalue("litellm")
    words = [step for n in range(25) for step in (delay((0.02, 0.06, 0.035)[n % 3]), f"word {n}, ")]
    upstream.agent("relayed").always(*words, f"your key was {litellm.key}")
    yield litellm.key
    upstream.clear()  # it keeps connections open


def recorded(url: str, case: Case, folder: Path, **fields: str) -> tuple[Recording, bytes]:
    """Ask through a proxy that records: the recording, and what the client got."""
    with FakeAgentServer() as proxy:
        proxy.agent("*").forwards(url, record=folder)
        data = case.ask(proxy.url, **fields)
        proxy.check()
    (path,) = folder.iterdir()
    return read_recording(path), data


def body_of(data: bytes) -> bytes:
    """Undo HTTP's chunks."""
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        body, data = body + data[: int(size, 16)], data[int(size, 16) + 2 :]
    return body


def test_a_recorded_stream_is_replayed_with_its_bytes_reads_and_gaps(
    case: Case, key: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    first, data = recorded(case.url, case, tmp_path / "first", authorization=f"Bearer {key}")
    body = b"".join(entry.data for entry in first.entries)
    assert len(first.entries) > 5
    assert body == body_of(data).replace(key.encode(), b"*" * len(key))
    assert key.encode() not in next((tmp_path / "first").iterdir()).read_bytes()
    with FakeAgentServer() as server:
        server.agent(case.agent).replay(next((tmp_path / "first").iterdir()))
        # A busy machine reads late: it gets another try.
        tries = [Replay(first, server.url, case) for _ in range(TRIES)]
        best = min(tries, key=lambda replay: replay.median)
        request.node.user_properties.append(("replayed", str(best)))
        for exchange in server.requests:
            assert [entry.data for entry in first.entries] == writes_of(exchange)
        server.check()
    assert best.median <= MEDIAN, best
    assert best.share <= WHOLE, best


def writes_of(exchange: Exchange) -> list[bytes]:
    """Return the pieces of the body that the fake agent has written."""
    writes = [sent.data for sent in exchange.sent]
    _, _, writes[0] = writes[0].partition(b"\r\n\r\n")
    return [data for write in writes if (data := body_of(write))]


class Replay:
    """One replay of a recording, as a raw client sees it.

    Attributes:
        reads: Their number.
        median: The middle of the differences of all gaps, in seconds: each between the moments at which the
            client had all bytes of one recorded read and of the next one.
        share: The difference of the whole times, as a share.
    """

    def __init__(self, first: Recording, url: str, case: Case) -> None:
        self._body = bytearray()
        parser = httptools.HttpResponseParser(self)
        moments: list[tuple[float, int]] = []
        with connected(url) as client:
            began = time.perf_counter()
            client.send(case.request())
            while data := client.socket.recv(1 << 20):
                parser.feed_data(data)
                moments.append((time.perf_counter() - began, len(self._body)))
        assert bytes(self._body) == b"".join(entry.data for entry in first.entries)
        ends = itertools.accumulate(len(entry.data) for entry in first.entries)
        times = [next(moment for moment, size in moments if size >= end) for end in ends]
        found = [later - earlier for earlier, later in itertools.pairwise(times)]
        gaps = [entry.gap for entry in first.entries[1:]]
        self.median = statistics.median(abs(a - b) for a, b in zip(found, gaps, strict=True))
        self.share = abs(moments[-1][0] - first.seconds) / first.seconds
        self.reads = len(moments)

    def on_body(self, data: bytes) -> None:
        """Called by the parser."""
        self._body += data

    def __repr__(self) -> str:
        return f"{self.reads} reads, median error of gaps {self.median * 1000:.2f} ms, whole {self.share:.2%}"


def test_a_recorded_stream_takes_milliseconds_on_virtual_time(case: Case, key: str, tmp_path: Path) -> None:
    found, _ = recorded(case.url, case, tmp_path, authorization=f"Bearer {key}")
    memory = MemoryNetwork()
    memory.agent(case.agent).replay(tmp_path)
    url = f"{memory.url}{case.base}"
    with RunAgentClient(
        case.agent, base_url=url, network=memory.blocking, transport=case.transport
    ) as client:
        began = time.perf_counter()
        text = client.run_generic_stream("hi").text()
        took = time.perf_counter() - began
    assert text.startswith("word 0, word 1, ")
    assert memory.blocking.now() == pytest.approx(found.seconds, abs=0.1)
    assert took < 0.5
    memory.check()
