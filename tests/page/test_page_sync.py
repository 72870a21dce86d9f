"""The documentation page on streaming, pattern by pattern: plain Python."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentNotFoundError, RunAgentClient, StreamError, StreamTruncatedError
from runagent_testing import Agent, FakeAgentServer, delay, ending, error, gate

if TYPE_CHECKING:
    from collections.abc import Iterator

STORY = ("Once", " upon", " a time", "", "\nthe end \N{ROCKET}")


@pytest.fixture
def client(agent: Agent) -> Iterator[RunAgentClient]:
    """The page's client: nothing but the agent's id. It is closed because pytest holds on to it."""
    with RunAgentClient(agent_id="your-agent-id") as client:
        yield client


def test_basic_streaming(agent: Agent, server: FakeAgentServer, capsys: pytest.CaptureFixture[str]) -> None:
    agent.always(*STORY)
    client = RunAgentClient(agent_id="your-agent-id")

    for chunk in client.run_generic_stream({"query": "Tell me a long story about space exploration"}):
        print(chunk, end="", flush=True)  # noqa: T201 - as on the page

    assert "".join(STORY) == capsys.readouterr().out
    assert [{"query": "Tell me a long story about space exploration"}] == [x.input for x in server.requests]


def test_a_chunk_arrives_before_the_next_one_is_made(agent: Agent, client: RunAgentClient) -> None:
    gates = [gate("first"), gate("second")]
    agent.always("a", gates[0], "b", gates[1], "c")
    seen = []

    for chunk in client.run_generic_stream({"query": "x"}):
        seen.append(chunk)
        if len(seen) <= len(gates):
            gates[len(seen) - 1].open()

    assert ["a", "b", "c"] == seen


def get_complete_response(client: RunAgentClient, query: str) -> str:
    chunks = []
    for chunk in client.run_generic_stream({"query": query}):
        chunks.append(chunk)
        print(chunk, end="", flush=True)  # noqa: T201 - as on the page
    return "".join(chunks)


def test_collecting(agent: Agent, client: RunAgentClient, capsys: pytest.CaptureFixture[str]) -> None:
    agent.always(*STORY)

    full_response = get_complete_response(client, "Your question here")

    assert ("".join(STORY), "".join(STORY)) == (full_response, capsys.readouterr().out)


def process_stream(client: RunAgentClient, query: str) -> Iterator[dict[str, Any]]:
    word_count = 0
    for chunk in client.run_generic_stream({"query": query}):
        words = chunk.split()
        word_count += len(words)
        yield {"chunk": chunk, "words_so_far": word_count}


def test_processing(agent: Agent, client: RunAgentClient) -> None:
    agent.always("one two", " three", "")

    assert [
        {"chunk": "one two", "words_so_far": 2},
        {"chunk": " three", "words_so_far": 3},
        {"chunk": "", "words_so_far": 3},
    ] == list(process_stream(client, "x"))


def stream_with_timeout(client: RunAgentClient, query: str, timeout: float = 30) -> Iterator[str]:
    start_time = time.time()
    for chunk in client.run_generic_stream({"query": query}):
        if time.time() - start_time > timeout:
            yield "\n[Response truncated due to timeout]"
            break
        yield chunk


def test_timeout_by_wall_clock(agent: Agent, client: RunAgentClient, server: FakeAgentServer) -> None:
    tick = (delay(0.01), "tick ")
    agent.always(*tick * 500, ending("stall"))
    start = time.monotonic()

    *ticks, last = stream_with_timeout(client, "x", timeout=0.1)

    assert time.monotonic() - start > 0.1
    assert "\n[Response truncated due to timeout]" == last
    assert {"tick "} >= set(ticks)
    assert server.requests[0].wait_disconnected(5)


def test_timeout_that_is_not_reached(agent: Agent, client: RunAgentClient) -> None:
    agent.always(*STORY)
    assert list(STORY) == list(stream_with_timeout(client, "x"))


def buffered_stream(client: RunAgentClient, query: str, buffer_size: int = 10) -> Iterator[str]:
    buffer: list[str] = []
    for chunk in client.run_generic_stream({"query": query}):
        buffer.append(chunk)
        if len(buffer) >= buffer_size:
            yield "".join(buffer)
            buffer = []
    if buffer:
        yield "".join(buffer)


def test_buffering(agent: Agent, client: RunAgentClient) -> None:
    agent.always(*"abcdefghijklmnopqrstuvw")
    assert ["abcdefghij", "klmnopqrst", "uvw"] == list(buffered_stream(client, "x"))
    assert ["abcdefghijklmnopqrstuvw"] == list(buffered_stream(client, "x", buffer_size=100))


def stream_with_progress(client: RunAgentClient, query: str) -> Iterator[dict[str, Any]]:
    chunks_received = 0
    for chunk in client.run_generic_stream({"query": query}):
        chunks_received += 1  # noqa: SIM113 - as on the page
        yield {"chunk": chunk, "chunks_received": chunks_received, "timestamp": time.time()}


def test_progress(agent: Agent, client: RunAgentClient) -> None:
    first = gate("first")
    agent.always("a", first, "b")
    progress = []

    for step in stream_with_progress(client, "x"):
        progress.append(step)
        first.open()

    assert [("a", 1), ("b", 2)] == [(step["chunk"], step["chunks_received"]) for step in progress]
    assert progress[0]["timestamp"] <= progress[1]["timestamp"]


def safe_stream(client: RunAgentClient, query: str) -> Iterator[str]:
    try:
        for chunk in client.run_generic_stream({"query": query}):  # noqa: UP028 - as on the page
            yield chunk
    except StreamError as e:
        yield f"\n[Stream error: {e}]"
    except Exception as e:  # noqa: BLE001 - as on the page
        yield f"\n[Unexpected error: {e}]"


def test_an_error_of_the_agent_is_a_stream_error(agent: Agent, client: RunAgentClient) -> None:
    agent.always("half", error("CAPACITY_ERROR", "no room left"))
    assert ["half", "\n[Stream error: no room left]"] == list(safe_stream(client, "x"))


@pytest.mark.parametrize("kind", ["cut", "reset", "no-done"])
def test_an_end_without_a_message_is_a_stream_error(agent: Agent, kind: Any) -> None:
    agent.always("half", ending(kind))
    client = RunAgentClient(agent_id="your-agent-id", max_retries=0)

    half, told = safe_stream(client, "x")

    assert ("half", "\n[Stream error: ") == (half, told[: len("\n[Stream error: ")])
    with pytest.raises(StreamTruncatedError) as caught:
        client.run_generic_stream({"query": "x"}).text()
    assert ("half", 1) == (caught.value.partial_text, caught.value.chunks_received)


@pytest.mark.parametrize("transport", ["sse", "chunked"], indirect=False)
def test_a_refusal_is_not_a_stream_error(agent: Agent, transport: str) -> None:
    client = RunAgentClient(agent_id="somebody-else")

    (told,) = safe_stream(client, "x")

    assert told.startswith("\n[Unexpected error: ")
    with pytest.raises(AgentNotFoundError):
        next(client.run_generic_stream({"query": "x"}))


def stream_as_json(client: RunAgentClient, query: str) -> Iterator[str]:
    """Convert a stream to JSON lines."""
    for i, chunk in enumerate(client.run_generic_stream({"query": query})):
        yield json.dumps({"index": i, "content": chunk, "timestamp": time.time()}) + "\n"


def test_format_conversion(agent: Agent, client: RunAgentClient) -> None:
    agent.always("a\n", {"n": [1, None]}, "\N{ROCKET}")

    lines = list(stream_as_json(client, "x"))

    assert ["\n"] * 3 == [line[-1] for line in lines]
    decoded = [json.loads(line) for line in lines]
    assert [(0, "a\n"), (1, {"n": [1, None]}), (2, "\N{ROCKET}")] == [
        (d["index"], d["content"]) for d in decoded
    ]


def stream_markdown(client: RunAgentClient, query: str) -> Iterator[str]:
    """Pass prose on as it comes and hold code back until it can be processed."""
    buffer = ""
    for chunk in client.run_generic_stream({"query": query}):
        buffer += chunk
        if "```" in buffer:
            yield process_code_block(buffer)
            buffer = ""
        else:
            yield chunk


def process_code_block(text: str) -> str:
    return f"<code>{text}</code>"


def test_markdown(agent: Agent, client: RunAgentClient) -> None:
    # The second fence is cut in two: only what has been kept of it makes it whole.
    agent.always("Try ", "```py\nrun()", "\n``", "` and", " see")

    assert [
        "Try ",
        "<code>Try ```py\nrun()</code>",
        "\n``",
        "<code>\n``` and</code>",
        " see",
    ] == list(stream_markdown(client, "x"))


def controlled_stream(client: RunAgentClient, query: str, max_buffer: int = 1000) -> Iterator[str]:
    buffer_size = 0
    for chunk in client.run_generic_stream({"query": query}):
        buffer_size += len(chunk)
        if buffer_size > max_buffer:
            time.sleep(0.1)
            buffer_size = 0
        yield chunk


def test_a_slow_consumer_gets_everything(agent: Agent, client: RunAgentClient) -> None:
    chunks = [f"{i} ".ljust(100) for i in range(25)]
    agent.always(*chunks)
    assert chunks == list(controlled_stream(client, "x"))


def test_a_slow_consumer_slows_the_agent_down(
    agent: Agent, client: RunAgentClient, server: FakeAgentServer
) -> None:
    chunks = [chr(ord("a") + i % 26) * 512 * 1024 for i in range(48)]
    agent.always(*chunks)
    stream = client.run_generic_stream({"query": "x"})

    assert chunks[0] == next(stream)
    # 24 MiB are more than the kernel takes on both sides: the agent has to wait for the reader.
    assert not server.requests[0].wait_done(0.2)
    assert chunks[1:] == list(stream)
    assert server.requests[0].wait_done(5)
