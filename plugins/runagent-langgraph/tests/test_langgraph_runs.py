"""Runs over the transport, as the registry finds it, in every style, against the dialect."""

from __future__ import annotations

from typing import Any

import pytest
from runagent_langgraph.testing import LangGraphDialect

from runagent import (
    AgentServerError,
    Chunk,
    Completed,
    Custom,
    Reasoning,
    Started,
    StreamError,
    StreamTruncatedError,
    ToolCall,
    answer,
)
from runagent_testing import (
    FakeAgentServer,
    custom,
    delay,
    done,
    ending,
    error,
    gate,
    heartbeat,
    reasoning,
    status,
    tool_call,
)
from tests.support.styles import Style

USAGE = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6, "output_token_details": {"reasoning": 1}}
THREAD = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(autouse=True)
def chosen_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_TRANSPORT", "langgraph")


def client(style: Style, server: FakeAgentServer, **options: Any) -> Any:
    return style.client("chat", **{"base_url": server.url, "retry_delay": 0.001, **options})


def paths(server: FakeAgentServer) -> list[str]:
    """Return what was asked for besides runs."""
    return [f"{exchange.method} {exchange.path}" for exchange in server.other_requests]


def test_a_conversation_with_a_tool(style: Style, server: FakeAgentServer) -> None:
    result: Any = {"type": "tool", "content": "rain", "tool_call_id": "c1"}
    steps = [reasoning("Hm."), "Let me see. ", tool_call("weather", {"city": "Oslo"}, id="c1")]
    server.agent("chat").reply(*steps, custom("tool_result", result), heartbeat(), "Rain", done(usage=USAGE))
    server.agent("chat").reply("Yes", custom("state", {"turns": 2}))

    async def scenario() -> tuple[list[Any], list[Any], Any]:
        user = client(style, server)
        stream = user.run_generic_stream("umbrella?")
        first = [event async for event in stream.events()]
        again = user.run_generic_stream("sure?", session_id=stream.started.session_id)
        return first, [event async for event in again.events()], stream.report.tokens

    first, second, tokens = style.run(scenario)
    run, later = first[0].invocation_id, second[0].invocation_id
    content = [event for event in first[1:-1] if not isinstance(event, Custom) or event.name != "updates"]
    assert Started(session_id=THREAD, invocation_id=run) == first[0]
    assert ["Let me see. ", "Rain"] == [event.content for event in content if isinstance(event, Chunk)]
    assert [Reasoning("Hm.", f"{run[:8]}-0")] == [event for event in content if isinstance(event, Reasoning)]
    assert ToolCall("c1", "weather", '{"city": "Oslo"}', 0) in content
    assert Custom("tool_result", result) in content
    assert (USAGE, 6, 1) == (first[-1].usage, tokens.total, tokens.reasoning)
    assert THREAD == second[0].session_id
    assert Custom("state", {"turns": 2}) in second
    assert [f"/threads/{THREAD}/runs/stream"] * 2 == [exchange.path for exchange in server.requests]
    statuses = [f"GET /threads/{THREAD}/runs/{each}" for each in (run, later)]
    assert ["POST /threads", *statuses] == paths(server)


def test_an_interrupt_is_answered_by_the_next_run(style: Style, server: FakeAgentServer) -> None:
    server.agent("chat").reply("May I? ", done(interrupts=[{"value": {"question": "May I?"}}])).reply(
        "Thanks"
    )

    async def scenario() -> tuple[Any, str]:
        user = client(style, server)
        stream = user.run_generic_stream("do it")
        *_, end = [event async for event in stream.events()]
        reply = answer(end.interrupts[0], {"approved": True})
        more = user.run_generic_stream({"resume": [reply]}, session_id=stream.started.session_id)
        return end, await more.text()

    end, text = style.run(scenario)
    assert isinstance(end, Completed)
    ((id, question),) = ((interrupt["id"], interrupt["value"]) for interrupt in end.interrupts)
    assert ({"question": "May I?"}, "Thanks") == (question, text)
    assert {"resume": {id: {"approved": True}}} == server.requests[-1].body["command"]
    assert "input" not in server.requests[-1].body


def test_a_failed_graph(style: Style, server: FakeAgentServer) -> None:
    server.agent("chat").reply("Once", error("ValueError", "the node is broken"))

    async def scenario() -> StreamError:
        with pytest.raises(StreamError, match="the node is broken") as caught:
            await client(style, server).run_generic_stream("hi").text()
        return caught.value

    failed = style.run(scenario)
    assert ("ValueError", "Once") == (failed.code, failed.partial_text)


@pytest.mark.parametrize("kind", ["cut", "reset", "no-done"])
def test_a_broken_stream_goes_on_in_its_run(style: Style, server: FakeAgentServer, kind: Any) -> None:
    agent = server.agent("chat").reply("Once", " upon", ending(kind))
    agent.reply("Once", " upon", " a time")

    async def scenario() -> tuple[str, int]:
        stream = client(style, server, resume=True).run_generic_stream("hi")
        return await stream.text(), len(stream.report.attempts)

    assert ("Once upon a time", 2) == style.run(scenario)
    again = server.requests[1]
    assert ("GET", True) == (again.method, again.path.startswith(f"/threads/{THREAD}/runs/"))
    assert 1 == paths(server).count("POST /threads")


def test_another_client_attaches_and_cancels(style: Style, server: FakeAgentServer) -> None:
    middle = gate("middle")
    server.agent("chat").reply("Once", middle, " upon", gate("never opened"), " a time")

    async def scenario() -> tuple[list[str], bool, StreamError]:
        async with client(style, server) as user, client(style, server) as elsewhere:
            stream = user.run_generic_stream("hi")
            assert await stream.__anext__() == "Once"
            attached = elsewhere.attach(stream.handle)
            middle.open()
            rest = await attached.__anext__()
            stopped = await attached.cancel()
            with pytest.raises(StreamError) as caught:
                await stream.text()
            return [rest], stopped, caught.value

    rest, stopped, failed = style.run(scenario)
    assert ([" upon"], True, "CANCELLED") == (rest, stopped, failed.code)
    assert "POST" == server.other_requests[1].method
    assert 1 == paths(server).count("POST /threads")


def test_a_run_that_is_gone(style: Style, server: FakeAgentServer) -> None:
    server.agent("chat").reply("Once", gate("never opened"))

    async def scenario() -> StreamError:
        async with client(style, server).run_generic_stream("hi") as stream:
            await stream.__anext__()
            handle = stream.handle
        server.clear()
        with pytest.raises(StreamError) as caught:
            await client(style, server).attach(handle).text()
        return caught.value

    assert "GONE" == style.run(scenario).code


def test_a_thread_is_made_once_for_all_attempts(style: Style, server: FakeAgentServer) -> None:
    server.agent("chat").reply(status(503)).reply(status(429, retry_after=0)).reply("Once")

    async def scenario() -> str:
        text: str = await client(style, server).run_generic_stream("hi").text()
        return text

    assert "Once" == style.run(scenario)
    assert 1 == paths(server).count("POST /threads")


def test_an_outage_of_the_status_is_an_error(style: Style, server: FakeAgentServer) -> None:
    server.agent("chat").reply("Once")
    server.on_request("GET /threads/*/runs/*", status(500, message="no database"), times=9)

    async def scenario() -> BaseException:
        with pytest.raises(StreamError) as caught:
            await client(style, server, max_retries=1).run_generic_stream("hi").text()
        return caught.value

    assert isinstance(style.run(scenario).__cause__, AgentServerError)


STATUSES = [
    ({"status": "error"}, StreamError, "ERROR"),
    ({"status": "timeout"}, StreamError, "TIMEOUT"),
    ({"status": "interrupted"}, StreamError, "CANCELLED"),
    ({"status": "running"}, StreamTruncatedError, None),
    ({"status": "pending"}, StreamTruncatedError, None),
]


@pytest.mark.parametrize(("body", "kind", "code"), STATUSES)
def test_the_status_decides_how_a_run_has_ended(
    server: FakeAgentServer, body: dict[str, str], kind: type[StreamError], code: str | None
) -> None:
    style = Style("sync")
    server.agent("chat").reply("Once")
    server.on_request("GET /threads/*/runs/*", status(200, body=body), times=9)

    async def scenario() -> StreamError:
        with pytest.raises(kind) as caught:
            await client(style, server, resume=False).run_generic_stream("hi").text()
        return caught.value

    failed = style.run(scenario)
    assert ("Once", kind) == (failed.partial_text, type(failed))
    assert code is None or code == failed.code


def test_a_run_that_was_deleted(server: FakeAgentServer) -> None:
    style = Style("sync")
    server.agent("chat").reply("Once")
    server.on_request("GET /threads/*/runs/*", status(404, body={"detail": "Not Found"}))

    async def scenario() -> None:
        with pytest.raises(StreamError, match="deleted while it was read"):
            await client(style, server).run_generic_stream("hi").text()

    style.run(scenario)


def test_runs_share_a_connection(style: Style, server: FakeAgentServer) -> None:
    server.agent("chat").always("Once", delay(0.001))

    async def scenario() -> None:
        user = client(style, server)
        for _ in range(3):
            assert await user.run_generic_stream("hi").text() == "Once"

    style.run(scenario)
    assert server.connections == 1


class SharedIds(LangGraphDialect):
    """Gives two events each the same id, as the development server does within a millisecond."""

    events_per_id = 2


def test_equal_events_of_one_id_are_read_again_to_be_sure() -> None:
    style, middle = Style("sync"), gate("middle")
    with FakeAgentServer(dialects=[SharedIds()]) as server:
        server.agent("chat").reply("x", middle, "ha", "ha", "y", "y")

        async def scenario() -> tuple[str, str, int]:
            async with client(style, server) as user, client(style, server) as elsewhere:
                stream = user.run_generic_stream("hi")
                first = await stream.__anext__()
                attached = elsewhere.attach(stream.handle)
                middle.open()
                rest = await stream.text()
                return first + rest, await attached.text(), len(attached.report.attempts)

        text, again, attempts = style.run(scenario)
    assert ("xhahayy", "hahayy", 2) == (text, again, attempts)
    assert 2 == sum(exchange.path.endswith("/stream") for exchange in server.requests[1:])
