"""What is reported to an observer of a call, when and how often."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, RateLimitError, RunAgentError, RunResult, Started
from runagent_testing import FakeAgentServer, done, gate, status
from tests.observers.watcher import Recorder, read_to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable

    import runagent
    from tests.support.styles import Style


def test_a_call_is_reported_from_its_beginning_to_its_end(
    style: Style, transport: str, server: FakeAgentServer, observe: Callable[[object], runagent.Registration]
) -> None:
    recorder = Recorder()
    observe(recorder)
    server.agent("a").reply(status(429, retry_after=0)).always("x", "y", done(usage={"total_tokens": 3}))

    async def scenario() -> Any:
        client = style.client("a", base_url=server.url, transport=transport, retry_delay=0)
        stream = client.run_generic_stream("q")
        await stream.text()
        return stream.report

    report = style.run(scenario)
    (heard,) = recorder.runs.values()
    names = [name for name, _ in heard]
    assert ["prepare", "attempt", "attempt_ended", "attempt", "first_event"] == names[:5]
    assert ["completed", "attempt_ended", "finished"] == [name for name in names[5:] if name != "received"]
    facts: dict[str, Any] = dict(heard)
    (call,) = facts["prepare"]
    assert (report.run_id, None) == (call.run_id, call.api_key)
    ended = [given[0] for name, given in heard if name == "attempt_ended"]
    assert report.attempts == ended
    assert [RateLimitError, type(None)] == [type(attempt.error) for attempt in ended]
    reads = [given for name, given in heard if name == "received"]
    events = [event for given, _ in reads for event in given]
    assert [Started, Chunk, Chunk, Completed] == [type(event) for event in events]
    assert (events[-1],) == facts["completed"]
    times = [*facts["first_event"], *(seconds for _, seconds in reads)]
    assert times == sorted(times)
    assert (report,) == facts["finished"]
    assert list(recorder.runs) == [report.run_id]


@pytest.mark.parametrize("options", [{}, {"read_ahead_bytes": 1000}])
def test_a_call_is_observed_in_the_context_of_its_reader(
    style: Style,
    server: FakeAgentServer,
    observe: Callable[[object], runagent.Registration],
    options: dict[str, int],
) -> None:
    place: ContextVar[str] = ContextVar("place", default="nowhere")
    found: list[str] = []

    class Observer:
        def observe_call(self, call: object) -> None:
            found.append(place.get())

    observe(Observer())
    server.agent("a").always("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport_options=options)
        token = place.set("reader")
        try:
            await read_to_the_end(client, style)
        finally:
            place.reset(token)
            await client.aclose()

    style.run(scenario)
    assert ["reader"] == found


def test_events_are_reported_once_a_read_and_not_for_each_chunk(
    server: FakeAgentServer, observe: Callable[[object], runagent.Registration]
) -> None:
    from runagent import RunAgentClient

    recorder = Recorder()
    observe(recorder)
    server.agent("a").always(*"abcdefgh" * 50, writes="merged")
    assert 400 == len(RunAgentClient("a", base_url=server.url).run_generic_stream("x").text())
    (heard,) = recorder.runs.values()
    assert sum(name == "received" for name, _ in heard) < 100


def test_each_read_of_a_slow_stream_is_reported(
    style: Style, server: FakeAgentServer, observe: Callable[[object], runagent.Registration]
) -> None:
    recorder = Recorder()
    observe(recorder)
    gates = [gate(f"gate {number}") for number in range(5)]
    steps = [step for number, opened in enumerate(gates) for step in (opened, f"{number}")]
    server.agent("a").always(*steps)

    async def scenario() -> None:
        stream = style.client("a", base_url=server.url).run_generic_stream("q")
        for opened in gates:
            opened.open()
            await anext(stream)
        await stream.text()
        assert stream.report.gaps + 1 == sum(name == "received" for name, _ in heard())

    def heard() -> list[tuple[str, Any]]:
        return next(iter(recorder.runs.values()))

    style.run(scenario)
    assert 5 <= sum(name == "received" for name, _ in heard())


def test_a_plain_run_is_reported(
    style: Style, server: FakeAgentServer, observe: Callable[[object], runagent.Registration]
) -> None:
    recorder = Recorder()
    observe(recorder)
    server.agent("a").returns("x", usage={"total_tokens": 3})

    async def scenario() -> None:
        await style.client("a", base_url=server.url).run_generic("q")

    style.run(scenario)
    (heard,) = recorder.runs.values()
    facts: dict[str, Any] = dict(heard)
    (result,) = facts["completed"]
    assert (RunResult, "x", 3) == (type(result), result.result, facts["finished"][0].tokens.total)


def test_an_attempt_gets_header_fields_of_its_own(
    style: Style, server: FakeAgentServer, observe: Callable[[object], runagent.Registration]
) -> None:
    class Tracer:
        def __init__(self) -> None:
            self.spans = 0

        def observe_call(self, call: Any) -> Any:
            return self

        def attempt(self, attempt: Any) -> dict[str, str]:
            self.spans += 1
            return {"traceparent": f"00-{self.spans}"} if self.spans < 3 else {}

    observe(Tracer())
    server.agent("a").reply(status(503)).reply(status(503)).always("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, retry_delay=0, headers={"Traceparent": "own"})
        await read_to_the_end(client, style)

    style.run(scenario)
    assert ["00-1", "00-2", "own"] == [request.headers["traceparent"] for request in server.requests]


def test_two_observers_of_two_calls_are_four_objects(
    server: FakeAgentServer, observe: Callable[[object], runagent.Registration]
) -> None:
    from runagent import RunAgentClient

    first, second = Recorder(), Recorder()
    observe(first)
    observe(second)
    server.agent("a").always("x")
    streams = [RunAgentClient("a", base_url=server.url).run_generic_stream("x") for _ in range(2)]
    for stream in streams:
        next(stream)
    for stream in streams:
        stream.text()
    ids = [stream.report.run_id for stream in streams]
    assert ids == list(first.runs) == list(second.runs)
    for recorder in (first, second):
        for run_id, heard in recorder.runs.items():
            assert run_id == heard[-1][1][0].run_id
            assert 1 == sum(name == "finished" for name, _ in heard)


def test_an_error_is_part_of_the_report(
    style: Style, server: FakeAgentServer, observe: Callable[[object], runagent.Registration]
) -> None:
    recorder = Recorder()
    observe(recorder)
    server.agent("a").always(status(401))

    async def scenario() -> Any:
        with pytest.raises(RunAgentError) as caught:
            await read_to_the_end(style.client("a", base_url=server.url), style)
        return caught.value

    error = style.run(scenario)
    (heard,) = recorder.runs.values()
    (report,) = heard[-1][1]
    assert (401, error.message) == (report.error.status, report.error.message)
    assert ["prepare", "attempt", "attempt_ended", "finished"] == [name for name, _ in heard]
