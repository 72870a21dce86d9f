"""What fails or is suppressed in the SDK disturbs no run; dropped streams and forks are recorded once."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import context
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from runagent_otel import deferred, instrument

from runagent import ConfigurationError, RunAgentClient
from runagent_testing import MemoryNetwork, ending
from tests.support.forks import forks
from tests.support.telemetry import Telemetry, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    with recorded() as telemetry:
        yield telemetry


@pytest.fixture
def memory() -> MemoryNetwork:
    memory = MemoryNetwork()
    memory.agent("writer").always("a", "b")
    memory.agent("hangs").always("a", ending("stall"))
    return memory


def client_of(memory: MemoryNetwork, agent: str) -> RunAgentClient:
    return RunAgentClient(agent, base_url=memory.url, network=memory.blocking)


@pytest.fixture
def client(memory: MemoryNetwork) -> RunAgentClient:
    return client_of(memory, "writer")


def hanging(memory: MemoryNetwork) -> Any:
    """Return a stream that has begun and does not end."""
    stream = client_of(memory, "hangs").run_generic_stream("x")
    assert "a" == next(stream)
    return stream


def wait_for_runs(telemetry: Telemetry, count: int) -> list[ReadableSpan]:
    deadline = time.monotonic() + 10
    while len(telemetry.runs) < count:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return telemetry.runs


class Failing(SpanProcessor, SpanExporter):
    """Raises in one method.

    Args:
        method: The method that raises.
        prefix: Of which spans.
    """

    def __init__(self, method: str, prefix: str = "") -> None:
        self._method, self._prefix = method, prefix

    def _check(self, method: str, name: str) -> None:
        if method == self._method and name.startswith(self._prefix):
            raise ZeroDivisionError

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        self._check("on_start", span.name)

    def on_end(self, span: ReadableSpan) -> None:
        self._check("on_end", span.name)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            self._check("export", span.name)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


@pytest.mark.parametrize("prefix", ["attempt", "invoke_agent"])
@pytest.mark.parametrize("method", ["on_start", "on_end", "export"])
def test_what_raises_in_the_sdk_disturbs_no_run(
    client: RunAgentClient, telemetry: Telemetry, method: str, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing = Failing(method, prefix)
    telemetry.tracers.add_span_processor(SimpleSpanProcessor(failing) if method == "export" else failing)
    assert "ab" == client.run_generic_stream("x").text()
    assert "ab" == client.run_generic_stream("x").text()
    assert "ZeroDivisionError" in caplog.text
    begun = 0 if (method, prefix) == ("on_start", "invoke_agent") else 2
    assert begun == len(telemetry.runs)  # whatever has begun, also ends


def test_an_instrument_that_raises_disturbs_no_run(
    client: RunAgentClient, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("runagent_otel.instruments.Instruments.record", fail)
    assert "ab" == client.run_generic_stream("x").text()
    assert 1 == len(telemetry.runs)


def test_a_context_that_suppresses_instrumentation_has_no_spans(
    client: RunAgentClient, telemetry: Telemetry
) -> None:
    token = context.attach(context.set_value("suppress_instrumentation", True))
    try:
        assert "ab" == client.run_generic_stream("x").text()
    finally:
        context.detach(token)
    assert () == telemetry.spans
    assert {} == telemetry.metrics()


def test_a_dropped_stream_waits_for_no_lock_of_the_sdk(memory: MemoryNetwork, telemetry: Telemetry) -> None:
    lock = threading.Lock()
    late = []

    class Locking(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            if lock.acquire(timeout=5):
                lock.release()
            else:
                late.append(span.name)

    telemetry.tracers.add_span_processor(Locking())
    stream = hanging(memory)
    with lock:  # as if garbage were collected while the SDK holds it
        del stream
        gc.collect()
    (run,) = wait_for_runs(telemetry, 1)
    assert [] == late
    (attempt,) = telemetry.attempts_of(run)
    attributes = run.attributes or {}
    assert "closed" == attributes["runagent.outcome"]
    assert run.end_time == attempt.end_time


def test_a_run_that_no_thread_could_end_is_ended_by_the_next_call(
    memory: MemoryNetwork, client: RunAgentClient, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    monkeypatch.setattr("_thread.start_new_thread", refuse)
    stream = hanging(memory)
    del stream
    gc.collect()
    assert [] == telemetry.runs
    assert "ab" == client.run_generic_stream("x").text()
    assert ["hangs", "writer"] == [(run.attributes or {})["gen_ai.agent.name"] for run in telemetry.runs]


def test_a_deferred_action_that_raises_is_logged_and_holds_no_other_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    both_wait, done = threading.Event(), threading.Event()

    def fail() -> None:
        both_wait.wait(10)
        raise ZeroDivisionError

    deferred.defer(fail)
    deferred.defer(done.set)
    both_wait.set()
    assert done.wait(10)
    assert "ZeroDivisionError" in caplog.text


@forks
def test_a_fork_records_a_stream_in_the_process_that_reads_it(
    memory: MemoryNetwork, telemetry: Telemetry
) -> None:
    stream = hanging(memory)
    child = os.fork()
    if child == 0:
        del stream
        gc.collect()
        deferred.run_deferred()
        os._exit(len(telemetry.spans))
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    stream.close()
    assert 1 == len(telemetry.runs)


@pytest.mark.parametrize("argument", ["tracer_provider", "meter_provider"])
def test_what_is_no_provider_is_refused_before_any_call(argument: str) -> None:
    wrong: dict[str, Any] = {argument: "jaeger"}
    with pytest.raises(ConfigurationError, match=f"^{argument}: expected a provider of OpenTelemetry, found"):
        instrument(**wrong)


@forks
def test_a_fork_leaves_a_dropped_stream_to_its_parent(
    memory: MemoryNetwork, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("_thread.start_new_thread", lambda *_: None)
    stream = hanging(memory)
    del stream
    gc.collect()
    child = os.fork()
    if child == 0:
        deferred.run_deferred()
        os._exit(len(telemetry.spans))
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    deferred.run_deferred()
    assert 1 == len(telemetry.runs)


@forks
def test_a_child_starts_a_thread_although_its_parent_had_actions_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[object] = []
    monkeypatch.setattr("_thread.start_new_thread", lambda *given: started.append(given))
    deferred.defer(lambda: None)
    child = os.fork()
    if child == 0:
        started.clear()
        deferred.defer(lambda: None)
        os._exit(len(started))
    assert 1 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    deferred.run_deferred()
