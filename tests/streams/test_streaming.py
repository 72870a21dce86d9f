"""The main job: an answer as it comes, over every transport, in every style."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import pytest

from runagent import (
    AsyncRunAgentClient,
    Chunk,
    Completed,
    Custom,
    Reasoning,
    RunAgentClient,
    Started,
    StreamLimitError,
    ToolCall,
)
from tests.support.peer import Peer, answers, ndjson

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style


def test_chunks_come_as_text_and_values(style: Style, transport: str, server: FakeAgentServer) -> None:
    script = ["Once", "", {"n": [1, None, True]}, 3.5, " upon\n\r\n\u2028a", "\N{GRINNING FACE}"]
    server.agent("a").always(*script)

    async def scenario() -> list[Any]:
        client = style.client("a", base_url=server.url, transport=transport)
        return [chunk async for chunk in client.run_generic_stream({"query": "x"})]

    assert style.run(scenario) == script


@pytest.mark.parametrize("count", [10_000])
def test_many_chunks_arrive_whole_and_in_order(
    style: Style, transport: str, server: FakeAgentServer, count: int
) -> None:
    server.agent("a").always(*(f"{i} " for i in range(count)))

    async def scenario() -> str:
        client = style.client("a", base_url=server.url, transport=transport)
        return str(await client.run_generic_stream("x").text())

    assert style.run(scenario) == "".join(f"{i} " for i in range(count))


def test_events_are_typed(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x")

    async def scenario() -> list[type]:
        client = style.client("a", base_url=server.url, transport=transport)
        return [type(e) async for e in client.run_generic_stream("x").events()]

    assert style.run(scenario) == [Started, Chunk, Completed]


def test_type_checkers_know_which_events_there_are(server: FakeAgentServer) -> None:
    server.agent("a").always("x")
    seen = []
    for event in RunAgentClient("a", base_url=server.url).run_generic_stream("q").events():
        match event:
            case Started():
                seen.append("started")
            case Chunk(content=content):
                seen.append(str(content))
            case Reasoning() | ToolCall() | Custom():
                seen.append("no content")
            case Completed():
                seen.append("completed")
            case other:
                assert_never(other)
    assert ["started", "x", "completed"] == seen


def test_runs_one_after_another_share_a_connection(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url)
        for _ in range(1000):
            assert await client.run_generic_stream("x").text() == "xy"

    style.run(scenario)
    assert server.connections == 1


def test_a_very_large_chunk_arrives_whole(style: Style, transport: str, server: FakeAgentServer) -> None:
    chunk = "lorem ipsum" * (1024 * 1024)
    server.agent("a").always(chunk, "end")

    async def scenario() -> list[bool]:
        client = style.client("a", base_url=server.url, transport=transport)
        return [piece in (chunk, "end") async for piece in client.run_generic_stream("x")]

    assert style.run(scenario) == [True, True]


def test_an_emoji_cut_between_two_chunks_is_joined(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("so \ud83d", "\ude00 glad", "", "left alone \ud83d")

    async def scenario() -> str:
        client = style.client("a", base_url=server.url, transport=transport)
        return str(await client.run_generic_stream("x").text())

    assert style.run(scenario) == "so \N{GRINNING FACE} gladleft alone \N{REPLACEMENT CHARACTER}"


def test_plain_runs_give_the_result_and_its_metadata(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").returns(
        {"answer": 42}, usage={"total_tokens": 7}, execution_time=1.5, agent_version="2"
    )

    async def scenario() -> Any:
        client = style.client("a", base_url=server.url)
        return await client.run_generic_with_metadata({"query": "x"})

    result = style.run(scenario)
    assert result.result == {"answer": 42}
    assert (result.tokens_used, result.execution_time, result.agent_version) == (7, 1.5, "2")
    assert isinstance(result.request_id, str)


def test_plain_runs_work_in_both_protocols(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").returns([1, "two", None])

    async def scenario() -> Any:
        return await style.client("a", base_url=server.url, transport=transport).run_generic("x")

    assert style.run(scenario) == [1, "two", None]


def test_a_published_server_takes_positional_and_keyword_input(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x").returns("y")
    host, port = server.url.removeprefix("http://").split(":")

    async def scenario() -> tuple[list[str], str]:
        client = style.client("a", local=True, host=host, port=int(port), entrypoint_tag="words_stream")
        chunks = [chunk async for chunk in client.run_stream(1, "two", three=3)]
        plain = style.client("a", local=True, host=host, port=int(port), entrypoint_tag="words")
        return chunks, await plain.run(4, five=5)

    assert style.run(scenario) == (["x"], "y")
    stream, plain = (request.body for request in server.requests)
    assert (stream["entrypoint_tag"], stream["input_args"], stream["input_kwargs"]) == (
        "words_stream",
        [1, "two"],
        {"three": 3},
    )
    assert (plain["entrypoint_tag"], plain["input_args"], plain["input_kwargs"]) == (
        "words",
        [4],
        {"five": 5},
    )


def test_the_report_describes_the_run(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y")

    async def scenario() -> Any:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert [chunk async for chunk in stream] == ["x", "y"]
        return stream.report

    report = style.run(scenario)
    assert (report.transport, report.chunks, report.retries) == (transport, 2, 0)
    assert report.status == (101 if transport == "websocket" else 200)
    assert report.bytes_received > 0
    assert 0 <= report.connect_seconds <= report.first_chunk_seconds <= report.total_seconds


def test_a_stream_shows_its_state(transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", "y")
    stream = RunAgentClient("a", base_url=server.url, transport=transport).run_generic_stream("q")
    assert "<Stream not begun>" == repr(stream)
    stream.text()
    assert f"<Stream completed over {transport}, 2 chunks>" == repr(stream)
    assert "<AsyncStream not begun>" == repr(AsyncRunAgentClient("a").run_generic_stream("q"))


def test_text_is_collected_up_to_a_limit(style: Style, server: FakeAgentServer) -> None:
    server.agent("a").always("x" * 10, {"a": 1}, "y")

    async def scenario() -> tuple[str, str]:
        async with style.client("a", base_url=server.url) as client:
            whole = await client.run_generic_stream("q").text(max_bytes=18)
            with pytest.raises(StreamLimitError) as caught:
                await client.run_generic_stream("q").text(max_bytes=17)
        return whole, caught.value.partial_text or ""

    assert style.run(scenario) == ('xxxxxxxxxx{"a":1}y', 'xxxxxxxxxx{"a":1}')


def test_text_takes_what_json_cannot_express(style: Style) -> None:
    odd = b'{"type":"chunk","content":[1e999,"\\ud83d"]}\n'
    with Peer(answers(ndjson({"type": "chunk", "content": "x"}, odd, {"type": "done"}))) as peer:

        async def scenario() -> str:
            client = style.client("a", base_url=peer.url, transport="chunked")
            return str(await client.run_generic_stream("x").text())

        assert style.run(scenario) == 'x[Infinity,"\\ud83d"]'
