"""Streams are read to their end and measured, on virtual time."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from runagent_locust import StreamedRun, StreamFailure
from runagent_locust.measures import Measures, Names
from runagent_locust.reading import Reader

from runagent import (
    AgentServerError,
    NetworkError,
    RunAgentClient,
    RunTimeoutError,
    StreamError,
    StreamTimeoutError,
)
from runagent_testing import MemoryNetwork, chunk, custom, delay, ending, error, head, reasoning, status

TRANSPORTS = ("sse", "chunked", "websocket")
by_transport = pytest.mark.parametrize("transport", TRANSPORTS)


class Killed(BaseException):
    """As gevent's exception, which ends a greenlet."""


class StopUser(Exception):
    """As Locust's exception, which ends a user."""


@dataclasses.dataclass
class Bench:
    """A reader of an agent's streams, and what it has counted."""

    memory: MemoryNetwork = dataclasses.field(default_factory=MemoryNetwork)
    names: Names = dataclasses.field(default_factory=Names)
    fired: list[tuple[Any, ...]] = dataclasses.field(default_factory=list)
    raised: BaseException | None = None  # by what counts requests

    def fire(
        self, kind: str, name: str, seconds: float, size: int = 0, failure: StreamFailure | None = None
    ) -> None:
        self.fired.append((kind, name, round(seconds, 3), size > 0, failure and failure.label))
        if self.raised is not None:
            raise self.raised

    def run(self, *steps: Any, transport: str = "sse", check: Any = None, **options: Any) -> StreamedRun:
        self.memory.agent("writer").reply(*steps)
        client = RunAgentClient(
            "writer",
            base_url=self.memory.url,
            network=self.memory.blocking,
            transport=transport,
            **{"max_retries": 0, "max_resumes": 0} | options,
        )
        reader = Reader(lambda: self.names, self.fire, self.memory.blocking.now, (StopUser,))
        return reader.read(client.run_generic_stream("Tell me a story"), "story", check)

    @property
    def story(self) -> Measures:
        return self.names["story"]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def milliseconds(counts: dict[int, int]) -> dict[int, int]:
    return {round(lowest / 10_000) * 10: count for lowest, count in counts.items()}


def ends(measures: Measures) -> tuple[int, int, int, int]:
    return measures.started, measures.completed, measures.failed, measures.closed


@by_transport
def test_a_good_stream_has_its_first_chunk_gaps_and_rate(bench: Bench, transport: str) -> None:
    steps = (delay(0.1), "Once", delay(0.2), " upon", delay(0.2), " a", delay(0.5), " time")
    run = bench.run(*steps, transport=transport)
    assert ("Once upon a time", None) == (run.text, run.error)
    assert (1, 1, 0, 0) == ends(bench.story)
    assert {200: 2, 500: 1} == milliseconds(bench.story.gap.counts)
    assert 100_000 == pytest.approx(bench.story.first.total, abs=1000)
    assert 1_000_000 == pytest.approx(bench.story.stream.total, abs=1000)
    assert 3 / 0.9 * 1000 == pytest.approx(bench.story.rate.total, abs=10)
    assert [("FIRST", "story", 0.1, False, None), ("STREAM", "story", 1.0, True, None)] == bench.fired


def test_gaps_are_between_reads_that_brought_something(bench: Bench) -> None:
    bench.run(head(), delay(5), reasoning("hm"), delay(0.2), custom("status", {}), delay(0.2), "a", delay(7))
    assert {200: 2} == milliseconds(bench.story.gap.counts)
    assert 5_400_000 == pytest.approx(bench.story.first.total, abs=1000)
    assert 1 == bench.story.chunks


def test_chunks_of_one_read_have_no_gap_and_one_read_has_no_rate(bench: Bench) -> None:
    bench.run("a", "b", "c")
    assert (3, 0, 0) == (bench.story.chunks, bench.story.gap.count, bench.story.rate.count)


def test_structured_chunks_are_json_in_the_text(bench: Bench) -> None:
    assert 'a{"b":1}' == bench.run("a", chunk({"b": 1})).text


def test_a_refusal_counts_by_its_class_and_status(bench: Bench) -> None:
    run = bench.run(status(503))
    assert isinstance(run.error, AgentServerError)
    assert (1, 0, 1, 0) == ends(bench.story)
    assert {"AgentServerError 503": 1} == bench.story.errors
    assert [("STREAM", "story", 0.0, True, "AgentServerError 503")] == bench.fired
    assert (0, 0) == (bench.story.first.count, bench.story.stream.count)


@by_transport
@pytest.mark.parametrize(
    ("last", "label"), [(ending("cut"), "StreamTruncatedError"), (error("no more"), "StreamError")]
)
def test_a_failure_in_mid_stream_keeps_what_came(bench: Bench, transport: str, last: Any, label: str) -> None:
    run = bench.run("a", delay(0.1), "b", last, transport=transport)
    assert ("ab", {label: 1}) == (run.text, bench.story.errors)
    assert ["FIRST", "STREAM"] == [kind for kind, *_ in bench.fired]
    assert 1 == bench.story.gap.count


def test_equal_failures_count_as_one_error() -> None:
    failures = [StreamFailure(AgentServerError(text, status=500)) for text in ("run 1", "run 2")]
    assert {"AgentServerError 500"} == set(map(repr, failures))
    assert ["run 1", "run 2"] == [str(failure.error) for failure in failures]


@pytest.mark.parametrize(
    ("failure", "label"),
    [
        (NetworkError("x", code="REFUSED"), "NetworkError REFUSED"),
        (NetworkError("x"), "NetworkError"),
        (RunTimeoutError("x", phase="first_event"), "RunTimeoutError first_event"),
        (StreamTimeoutError("x", phase="idle"), "StreamTimeoutError idle"),
        (StreamError("x", code="order 4711 is unknown"), "StreamError"),
    ],
)
def test_a_label_distinguishes_failures_but_has_no_code_of_the_agent(failure: Any, label: str) -> None:
    assert label == StreamFailure(failure).label


def test_retries_are_counted(bench: Bench) -> None:
    bench.memory.agent("writer").reply(status(503))
    bench.run("a", max_retries=2)
    assert (1, (1, 1, 0, 0)) == (bench.story.retries, ends(bench.story))


@pytest.mark.parametrize("raised", [Killed(), StopUser(), KeyboardInterrupt()])
def test_what_ends_the_user_closes_the_stream_and_is_counted(bench: Bench, raised: BaseException) -> None:
    bench.raised = raised
    with pytest.raises(type(raised)):
        bench.run("a", ending("stall"))
    assert (1, 0, 0, 1) == ends(bench.story)
    assert ["FIRST"] == [kind for kind, *_ in bench.fired]
    (exchange,) = bench.memory.requests
    assert "client disconnected" == exchange.outcome


def test_a_check_that_raises_makes_a_good_run_a_failed_one(bench: Bench) -> None:
    def check(run: StreamedRun) -> None:
        assert "b" in run.text

    run = bench.run("a", check=check)
    assert ("a", (1, 0, 1, 0)) == (run.text, ends(bench.story))
    assert ({"AssertionError": 1}, "completed") == (bench.story.errors, run.stream.report.outcome)
    assert bench.run("ab", check=check).error is None
    assert (2, 1, 1, 0) == ends(bench.story)


def test_a_check_may_stop_the_user(bench: Bench) -> None:
    def check(run: StreamedRun) -> None:
        raise StopUser

    with pytest.raises(StopUser):
        bench.run("a", check=check)
    assert (1, 0, 0, 1) == ends(bench.story)


def test_a_check_sees_no_failed_run(bench: Bench) -> None:
    seen: list[StreamedRun] = []
    bench.run(status(500), check=seen.append)
    bench.run("a", check=seen.append)
    assert ["a"] == [run.text for run in seen]


def test_what_is_handed_over_in_mid_stream_is_counted_where_it_goes_on() -> None:
    parts = [Names(), Names()]
    bench = Bench()
    reader_names = iter([parts[0]] * 2 + [parts[1]] * 99)  # started and first chunk, then the rest
    bench.memory.agent("writer").reply("a", delay(0.1), "b")
    client = RunAgentClient("writer", base_url=bench.memory.url, network=bench.memory.blocking)
    reader = Reader(lambda: next(reader_names), bench.fire, bench.memory.blocking.now)
    reader.read(client.run_generic_stream("hello"), "story")
    whole = Names()
    for part in parts:
        whole.add(part)
    assert (1, 0, 0, 0) == ends(parts[0]["story"])
    assert (0, 1, 0, 0) == ends(parts[1]["story"])
    assert ((1, 1, 0, 0), 2, 1) == (ends(whole["story"]), whole["story"].chunks, whole["story"].gap.count)
