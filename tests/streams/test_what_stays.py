"""What a stream keeps after any way of reading: the first and last event, tool calls, header fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import Completed, Started, StreamLimitError, StreamResult, ToolCall
from runagent._run import notes
from runagent._run.notes import RunNotes
from runagent_testing import FakeAgentServer, done, head

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.styles import Style


async def iterate(stream: Any) -> None:
    async for _ in stream:
        pass


async def iterate_texts(stream: Any) -> None:
    async for _ in stream.texts():
        pass


async def collect(stream: Any) -> None:
    await stream.text()


async def wait_and_iterate(stream: Any) -> None:
    await stream.accepted()
    while await stream.wait(5) and stream.report.outcome == "running":
        try:
            await anext(stream)
        except StopAsyncIteration:
            return


@pytest.mark.parametrize("read", [iterate, iterate_texts, collect, wait_and_iterate])
def test_the_first_and_the_last_event_stay(
    style: Style, transport: str, read: Callable[[Any], Awaitable[None]], server: FakeAgentServer
) -> None:
    usage = {"total_tokens": 3}
    server.agent("a").always(head(headers={"X-Version": "7"}), "x", "y", done(usage=usage))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        assert (None, None, [], {}) == (stream.started, stream.completed, stream.tool_calls, stream.headers)
        await read(stream)
        assert isinstance(stream.started, Started)
        assert isinstance(stream.completed, Completed)
        assert usage == stream.completed.usage == stream.report.usage
        assert "7" == stream.headers["x-version"]

    style.run(scenario)


def test_a_result_has_all_of_a_stream(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", {"y": 1}, done(usage={"total_tokens": 3}))

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        result = await stream.result()
        assert isinstance(result, StreamResult)
        assert ('x{"y":1}', [], {"total_tokens": 3}) == (
            result.text,
            result.tool_calls,
            result.completed and result.completed.usage,
        )
        assert result.report is stream.report

    style.run(scenario)


def test_texts_are_text(style: Style, transport: str, server: FakeAgentServer) -> None:
    server.agent("a").always("x", 1, None, ["z"])

    async def scenario() -> list[str]:
        stream = style.client("a", base_url=server.url, transport=transport).run_generic_stream("q")
        return [text async for text in stream.texts()]

    assert ["x", "1", "null", '["z"]'] == style.run(scenario)


def test_tool_calls_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notes, "MAX_TOOL_CALL_BYTES", 100)
    kept = RunNotes()
    kept.take([ToolCall("1", "f", "{}")])
    assert [ToolCall("1", "f", "{}")] == kept.tool_calls
    kept.take([ToolCall("2", "f", "x" * 200)])
    with pytest.raises(StreamLimitError) as limit:
        _ = kept.tool_calls
    assert ("max_tool_call_bytes", 100) == (limit.value.limit_name, limit.value.limit)


def test_closing_names_the_method_of_the_style(style: Style, server: FakeAgentServer) -> None:
    async def scenario() -> None:
        stream = style.client("a", base_url=server.url).run_generic_stream("q")
        stream = getattr(stream, "stream", stream)
        other, own = ("aclose", "close") if style.name == "sync" else ("close", "aclose")
        with pytest.raises(AttributeError, match=rf"has {own}\(\)"):
            getattr(stream, other)

    style.run(scenario)
