"""The metrics of runs: the same as the spans show, in the buckets of the conventions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from runagent_otel.observer import Telemetry

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork, chunk, delay, done, error
from tests.support.telemetry import recorded

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import HistogramDataPoint

SECONDS = tuple(0.01 * 2**n for n in range(14))
DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
PER_CHUNK = "gen_ai.client.operation.time_per_output_chunk"
TOKENS = "gen_ai.client.token.usage"
COMMON = {
    "gen_ai.operation.name": "invoke_agent",
    "gen_ai.provider.name": "runagent",
    "server.address": "memory.localhost",
    "server.port": 80,
}


def ask(memory: MemoryNetwork, question: Any = "x") -> None:
    client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking, max_retries=0)
    with contextlib.suppress(RunAgentError):
        client.run_generic_stream(question).text()


def only(points: list[HistogramDataPoint]) -> HistogramDataPoint:
    (point,) = points
    return point


def test_a_run_is_measured_once_and_each_later_chunk_by_its_gap() -> None:
    memory = MemoryNetwork()
    usage = {"input_tokens": 7, "output_tokens": 3}
    memory.agent("writer").reply(delay(0.5), "a", delay(0.3), "b", delay(3), "c", done(usage=usage))
    with recorded() as telemetry:
        ask(memory, {"query": "x", "model": "small"})
        metrics = telemetry.metrics()
    assert {DURATION, FIRST_CHUNK, PER_CHUNK, TOKENS} == metrics.keys()
    common = COMMON | {"gen_ai.request.model": "small"}
    for name, count, total in ((DURATION, 1, 3.8), (FIRST_CHUNK, 1, 0.5), (PER_CHUNK, 2, 3.3)):
        point = only(metrics[name])
        assert (count, common) == (point.count, dict(point.attributes or {}))
        assert total == pytest.approx(point.sum)
        assert SECONDS == pytest.approx(tuple(point.explicit_bounds))
    gaps = only(metrics[PER_CHUNK])
    assert (0.3, 3) == pytest.approx((gaps.min, gaps.max))
    tokens = {str((p.attributes or {})["gen_ai.token.type"]): (p.count, p.sum) for p in metrics[TOKENS]}
    assert {"input": (1, 7), "output": (1, 3)} == tokens
    assert tuple(4**n for n in range(14)) == tuple(metrics[TOKENS][0].explicit_bounds)


def test_chunks_of_one_read_have_no_time_between_them() -> None:
    memory = MemoryNetwork()
    memory.agent("writer").reply("a", "b", delay(1), "c", "d")
    with recorded() as telemetry:
        ask(memory)
        gaps = only(telemetry.metrics()[PER_CHUNK])
    assert (3, 1.0) == pytest.approx((gaps.count, gaps.sum))


def test_the_error_is_an_attribute_of_the_duration() -> None:
    memory = MemoryNetwork()
    memory.agent("writer").reply(chunk("a"), error("NO_ROOM", "no room"))
    with recorded() as telemetry:
        ask(memory)
        metrics = telemetry.metrics()
    failed = COMMON | {"error.type": "runagent.StreamError"}
    assert failed == dict(only(metrics[DURATION]).attributes or {})
    assert COMMON == dict(only(metrics[FIRST_CHUNK]).attributes or {})


def test_an_exemplar_leads_from_a_duration_to_its_run() -> None:
    memory = MemoryNetwork()
    memory.agent("writer").reply("a")
    with recorded() as telemetry:
        ask(memory)
        (exemplar,) = only(telemetry.metrics()[DURATION]).exemplars
    (run,) = telemetry.runs
    assert run.context is not None
    assert (run.context.trace_id, run.context.span_id) == (exemplar.trace_id, exemplar.span_id)


def test_reads_are_watched_only_for_a_metric_that_arrives_somewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    watched: list[bool] = []
    observe = Telemetry.observe_call

    def watch(telemetry: Any, call: Any) -> Any:
        observed = observe(telemetry, call)
        watched.append(hasattr(observed, "received"))
        return observed

    monkeypatch.setattr(Telemetry, "observe_call", watch)
    memory = MemoryNetwork()
    memory.agent("writer").always("a", "b")
    with recorded():
        ask(memory)
    with recorded(chunk_metric=False) as telemetry:
        ask(memory)
        assert PER_CHUNK not in telemetry.metrics()
    with recorded(meter_provider=None):  # the API alone
        ask(memory)
    assert [True, False, False] == watched
