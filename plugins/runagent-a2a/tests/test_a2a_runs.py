"""Runs over each binding, in every style: contents, turns, ends, resuming, attaching, cancelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentError, ProtocolError, StreamError, StreamTruncatedError, answer
from runagent_testing import FakeAgentServer, chunk, custom, done, ending, error, gate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

    ClientOf = Callable[..., Any]

DATA = {"page": 1, "of": [2.5, None, True]}


def test_text_and_data_are_chunks(style: Style, a2a_client: ClientOf, server: FakeAgentServer) -> None:
    async def scenario() -> tuple[list[Any], Any]:
        async with a2a_client(server) as client:
            stream = client.run_generic_stream({"query": "hi", "city": "Oslo"})
            return [content async for content in stream], stream.report

    server.agent("writer").always("Once", DATA, [1], " upon \ud83d", "\ude00")
    contents, report = style.run(scenario)
    assert ["Once", DATA, [1], " upon ", "😀"] == contents
    assert ("completed", {"query": "hi", "city": "Oslo"}) == (report.outcome, server.requests[0].input)


def test_three_turns_of_one_conversation(style: Style, a2a_client: ClientOf, server: FakeAgentServer) -> None:
    async def scenario() -> None:
        async with a2a_client(server) as client:
            first = client.run_generic_stream("What is the weather?")
            assert "" == await first.text()
            [waits] = first.completed.interrupts
            context = first.started.session_id
            assert ("Which city?", waits["id"]) == (first.completed.message, first.started.invocation_id)
            second = client.run_generic_stream({"resume": [answer(waits, "Oslo")]}, session_id=context)
            assert "Rain in Oslo" == await second.text()
            assert ([], waits["id"]) == (second.completed.interrupts, second.started.invocation_id)
            third = client.run_generic_stream("Thanks", session_id=context)
            assert "Welcome" == await third.text()
            assert waits["id"] != third.started.invocation_id
            assert [context] * 3 == [stream.started.session_id for stream in (first, second, third)]

    agent = server.agent("writer")
    agent.reply(done("Which city?", interrupts=[{"choices": ["Oslo"]}])).reply("Rain in Oslo").reply(
        "Welcome"
    )
    style.run(scenario)
    first, second, third = (asked.input for asked in server.requests)
    assert {"query": "What is the weather?"} == first
    assert {"query": "Oslo", "session_id": first_context(server), "task_id": second["task_id"]} == second
    assert {"query": "Thanks", "session_id": first_context(server)} == third


def first_context(server: FakeAgentServer) -> Any:
    return server.requests[1].input["session_id"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (error("CAPACITY", "no room left"), ("no room left", "FAILED")),
        (error(None, None), ("the task has failed", "FAILED")),
        (error("REJECTED", "not my job"), ("not my job", "REJECTED")),
        (error("CANCELLED", None), ("the task was canceled", "CANCELLED")),
    ],
)
def test_a_task_that_fails_is_a_stream_error(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer, failure: Any, expected: tuple[str, str]
) -> None:
    async def scenario() -> None:
        async with a2a_client(server) as client:
            with pytest.raises(StreamError) as caught:
                await client.run_generic_stream("hi").text()
            found = caught.value
            assert ("Once", *expected) == (found.partial_text, found.message, found.code)
            assert isinstance(found.details, dict)
            with pytest.raises(AgentError) as refused:
                await client.run_generic("hi")
            assert expected == (refused.value.message, refused.value.code)

    server.agent("writer").reply("Once", failure).returns(failure)
    style.run(scenario)


def test_an_error_of_the_protocol_in_the_stream(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer, spoken: dict[str, Any]
) -> None:
    async def scenario() -> StreamError:
        async with a2a_client(server) as client:
            with pytest.raises(StreamError) as caught:
                await client.run_generic_stream("hi").text()
            return caught.value

    server.agent("writer").reply("Once", error("-32603", "kettle"))
    found = style.run(scenario)
    code = "INTERNAL_ERROR" if "a2a_binding" in spoken else "-32603"
    assert ("Once", "kettle", code) == (found.partial_text, found.message, found.code)


def test_an_end_without_a_final_state_is_a_broken_stream(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer
) -> None:
    async def scenario() -> None:
        async with a2a_client(server, resume=False) as client:
            with pytest.raises(StreamTruncatedError, match="without a state in which its task is over"):
                await client.run_generic_stream("hi").text()

    server.agent("writer").reply("Once", ending("no-done"))
    style.run(scenario)


@pytest.mark.parametrize("value", ["Once upon", DATA])
def test_a_plain_run(style: Style, a2a_client: ClientOf, server: FakeAgentServer, value: Any) -> None:
    async def scenario() -> Any:
        async with a2a_client(server) as client:
            return await client.run_generic_with_metadata("hi")

    server.agent("writer").returns(value)
    result = style.run(scenario)
    assert (value, {"taskId", "contextId", "state"}) == (result.result, result.metadata.keys())


def test_a_broken_stream_goes_on_behind_what_the_task_has(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer
) -> None:
    async def scenario() -> tuple[str, Any]:
        async with a2a_client(server) as client:
            stream = client.run_generic_stream("hi")
            return await stream.text(), stream.report

    story = [
        chunk("Once", event="story"),
        chunk("Un", event="title"),
        custom("step", 1),
        chunk({"page": 1}, event="story"),
    ]
    rest = [
        chunk(" upon \ud83d", event="story"),
        chunk("titled", event="title"),
        chunk("\ude00", event="story"),
    ]
    server.agent("writer").reply(*story, ending("cut")).reply(*story, *rest)
    text, report = style.run(scenario)
    assert ('OnceUn{"page":1} upon titled😀', 2) == (text, len(report.attempts))


def test_another_answer_is_never_continued(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer
) -> None:
    async def scenario() -> None:
        async with a2a_client(server) as client:
            with pytest.raises(ProtocolError, match="does not begin part"):
                await client.run_generic_stream("hi").text()

    server.agent("writer").reply("Once", " upon", ending("cut")).reply("Twice", " upon")
    style.run(scenario)


def test_another_client_reads_on_and_cancels(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer
) -> None:
    async def scenario() -> None:
        async with a2a_client(server) as first, a2a_client(server) as second:
            stream = first.run_generic_stream("hi")
            assert "Once" == await anext(stream)
            handle = stream.handle
            await stream.aclose()
            middle.open()
            rest = second.attach(handle)
            assert " upon" == await anext(rest)
            assert stream.started == rest.started
            assert await second.attach(handle).cancel()
            with pytest.raises(StreamError) as caught:
                await anext(rest)
            assert "CANCELLED" == caught.value.code
            assert not await second.attach(handle).cancel()

    middle = gate("middle")
    server.agent("writer").reply("Once", middle, " upon", gate("never opened"), " a time")
    style.run(scenario)


@pytest.mark.parametrize("end", [done(), error("REJECTED", "not my job")])
def test_a_task_that_is_over_is_asked_for_as_a_whole(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer, end: Any
) -> None:
    async def scenario() -> Any:
        async with a2a_client(server) as client:
            stream, other = client.run_generic_stream("hi"), client.run_generic_stream("hi")
            assert "Once" == await anext(stream)
            handle = stream.handle
            middle.open()
            try:
                await other.text()  # the same script, to its end
                await stream.text()
            except StreamError:
                await stream.aclose()
            attached = client.attach(handle)
            try:
                return await attached.text(), attached.completed.stop_reason
            except StreamError as failed:
                return failed.partial_text, failed.code

    middle = gate("middle")
    server.agent("writer").always("Once", middle, " upon", end)
    text, how = style.run(scenario)
    assert " upon" == text
    assert how in ("TASK_STATE_COMPLETED", "completed", "REJECTED")


def test_a_task_that_the_service_has_forgotten_is_gone(
    style: Style, a2a_client: ClientOf, server: FakeAgentServer
) -> None:
    async def scenario() -> None:
        async with a2a_client(server) as client:
            stream = client.run_generic_stream("hi")
            await anext(stream)
            handle = stream.handle
            await stream.aclose()
            server.clear()
            server.agent("writer")
            with pytest.raises(StreamError) as caught:
                await client.attach(handle).text()
            assert "GONE" == caught.value.code
            assert not await client.attach(handle).cancel()

    server.agent("writer").reply("Once", gate("never opened"))
    style.run(scenario)
