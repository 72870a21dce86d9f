"""The guide "Streaming responses": the headings and patterns of the user page, and what its programs do."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
import trio
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

from runagent import AsyncRunAgentClient, RunAgentClient
from runagent_testing import FakeAgentServer, MemoryNetwork, ending, error
from tests.docs.pages import DOCS, anchor
from tests.typing.examples import PATTERNS

if TYPE_CHECKING:
    from collections.abc import Callable

GUIDE = DOCS["streaming-responses"]
STORY = ("Once", " upon", " a", " time")
# Those of the user page, in its order, with the function that it has below each of them.
PINNED = {
    "Streaming responses": "",
    "Overview": "",
    "Basic Streaming": "",
    "Synchronous Streaming": "",
    "Asynchronous Streaming": "stream_response",
    "Stream Processing": "",
    "Collecting Chunks": "get_complete_response",
    "Processing Stream Data": "process_stream",
    "Advanced Streaming Patterns": "",
    "Stream with Timeout": "stream_with_timeout",
    "Buffered Streaming": "buffered_stream",
    "Stream with Progress": "stream_with_progress",
    "Web Integration": "",
    "Flask SSE Example": "stream",
    "WebSocket Streaming": "handle_websocket",
    "Error Handling in Streams": "safe_stream",
    "Stream Transformation": "",
    "Format Conversion": "stream_as_json",
    "Markdown Processing": "stream_markdown",
    "Performance Considerations": "",
    "Don't Block the Stream": "process_stream",
    "Handle Backpressure": "controlled_stream",
    "See Also": "",
}


def test_the_headings_are_those_of_the_user_page() -> None:
    assert list(PINNED) == GUIDE.headings()


def test_each_pattern_is_under_its_heading() -> None:
    for heading, function in PINNED.items():
        assert not function or f"def {function}(" in GUIDE.section(anchor(heading)), heading


def test_every_function_of_the_user_page_is_a_pattern_of_the_guide() -> None:
    functions = set(re.findall(r"^\s*(?:async )?def (\w+)", PATTERNS.text, re.MULTILINE))
    inner = {"generate", "process_code_block", "process_chunk"}  # called by the others
    assert functions - inner - set(PINNED.values()) == {
        "of_a_known_client",  # of the checks of types alone
        "of_a_known_async_client",
    }


@pytest.fixture
def pattern(server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Run the first program below a heading, and return its names."""
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)

    def run(heading: str) -> dict[str, Any]:
        server.agent("your-agent-id").always(*STORY)
        text = GUIDE.section(anchor(heading))
        example = next(each for each in GUIDE.examples() if each.text in text)
        names = {"__name__": "guide"}
        exec(
            compile("\n" * (example.line - 1) + example.text, str(GUIDE.path), "exec", dont_inherit=True),
            names,
        )
        server.clear()
        return names

    return run


@pytest.fixture
def memory() -> MemoryNetwork:
    return MemoryNetwork()


@pytest.fixture
def client(memory: MemoryNetwork) -> RunAgentClient:
    return RunAgentClient("a", base_url=memory.url, network=memory.blocking)


def test_the_asynchronous_program_runs_on_trio(
    pattern: Any, server: FakeAgentServer, capsys: pytest.CaptureFixture[str]
) -> None:
    stream_response = pattern("Asynchronous Streaming")["stream_response"]
    server.agent("your-agent-id").always(*STORY)
    capsys.readouterr()
    trio.run(stream_response)
    assert "Once upon a time\n" == capsys.readouterr().out


SPLITS = [[2], [1, 3], [4, 5, 6], list(range(1, 40))]


def split(text: str, places: list[int]) -> list[str]:
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


@pytest.mark.parametrize("places", SPLITS)
def test_words_are_counted_wherever_chunks_end(pattern: Any, memory: Any, client: Any, places: Any) -> None:
    process_stream = pattern("Processing Stream Data")["process_stream"]
    memory.agent("a").always(*split(text := " It was  the best\nof times, it was the worst", places))
    *_, last = process_stream(client, "x")
    assert len(text.split()) == last["words_so_far"]


@pytest.mark.parametrize("places", SPLITS)
def test_markdown_is_the_same_wherever_chunks_end(
    pattern: Any, memory: Any, client: Any, places: Any
) -> None:
    stream_markdown = pattern("Markdown Processing")["stream_markdown"]
    memory.agent("a").always(*split("One\n```py\nrun()\n```\n\n```sh\nls\nls\n```\nTwo\n```js", places))
    assert ["One", "[1 lines of py]", "", "[2 lines of sh]", "Two", "```js"] == [
        *stream_markdown(client, "x")
    ]


def test_a_timeout_ends_the_wait_for_a_silent_agent(pattern: Any, memory: Any, client: Any) -> None:
    stream_with_timeout = pattern("Stream with Timeout")["stream_with_timeout"]
    memory.agent("a").always("Once", ending("stall"))
    began = memory.blocking.now()
    assert ["Once", "\n[Response truncated due to timeout: total]"] == [*stream_with_timeout(client, "x", 5)]
    assert 5 == pytest.approx(memory.blocking.now() - began)


def test_a_paced_stream_has_no_limit_of_silence(pattern: Any, memory: Any, client: Any) -> None:
    controlled_stream = pattern("Handle Backpressure")["controlled_stream"]
    memory.agent("a").always(*STORY)
    assert [*STORY] == [*controlled_stream(client, "x", per_second=10_000)]


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ([], {"type": "done"}),
        ([error("NO_ROOM", "no room left")], {"type": "error", "code": "NO_ROOM"}),
        ([ending("cut")], {"type": "error", "code": None}),
    ],
    ids=["good", "error", "cut"],
)
def test_a_websocket_has_the_end_of_every_answer(
    pattern: Any, server: FakeAgentServer, steps: list[Any], end: object
) -> None:
    handle = pattern("WebSocket Streaming")["handle_websocket"]
    server.agent("your-agent-id").reply("Once", *steps, indexed=False).reply("again")

    async def scenario() -> list[Any]:
        async with serve(handle, "127.0.0.1", 0) as relay, connect(address(relay), proxy=None) as browser:
            for _ in range(2):
                await browser.send('{"query": "x"}')
            return [json.loads(await browser.recv()) for _ in range(4)]

    again = [{"type": "chunk", "content": "again"}, {"type": "done"}]
    assert [{"type": "chunk", "content": "Once"}, end, *again] == asyncio.run(scenario())


def test_a_browser_that_leaves_a_silent_agent_frees_it(pattern: Any, server: FakeAgentServer) -> None:
    handle = pattern("WebSocket Streaming")["handle_websocket"]
    server.agent("your-agent-id").reply("Once", ending("stall"))

    async def scenario() -> bool:
        async with serve(handle, "127.0.0.1", 0) as relay:
            async with connect(address(relay), proxy=None) as browser:
                await browser.send('{"query": "x"}')
                await browser.recv()
            return await asyncio.to_thread(server.requests[0].wait_disconnected, 5)

    assert asyncio.run(scenario())


def address(relay: Any) -> str:
    return f"ws://127.0.0.1:{relay.sockets[0].getsockname()[1]}"


def test_slow_work_slows_the_stream_down(pattern: Any, memory: MemoryNetwork) -> None:
    names = pattern("Don't Block the Stream")
    done: list[int] = []

    async def process_chunk(chunk: str) -> None:
        await asyncio.sleep(1)
        done.append(int(chunk))

    names["process_chunk"] = process_chunk
    memory.agent("a").always(*map(str, range(300)))

    async def scenario() -> float:
        began = memory.aio.now()
        client = AsyncRunAgentClient("a", base_url=memory.url, network=memory.aio)
        await names["process_stream"](client, "x", workers=3)
        return memory.aio.now() - began

    assert 100 == pytest.approx(memory.run_asyncio(scenario()))
    assert [*range(300)] == sorted(done)
