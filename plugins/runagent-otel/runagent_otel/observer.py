"""The observer: each call gets an object, which makes the spans and records the metrics of that run."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from opentelemetry import context as otel_context
from opentelemetry import metrics, propagate, trace
from opentelemetry.trace import SpanKind

from runagent import Chunk
from runagent_otel import names
from runagent_otel.attributes import known, of_attempt, of_call, of_last_event, of_report, set_error
from runagent_otel.deferred import defer, run_deferred
from runagent_otel.instruments import Instruments

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from opentelemetry.context import Context
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from runagent import AgentCall, Attempt, Completed, RunReport, RunResult, StreamEvent

__all__ = ["VERSION", "Telemetry"]

VERSION = "0.1.0"
_SCOPE = "runagent_otel"
_SUPPRESS = "suppress_instrumentation"  # the key of contexts without tracing, such as an exporter's
_API = "opentelemetry.metrics"  # the package of providers that record nothing

Observed = TypeVar("Observed", bound="ObservedRun")
P = ParamSpec("P")
R = TypeVar("R")


class Telemetry:
    """Observes calls; safe for threads, as it has no state that changes.

    Args:
        tracer_provider: As for `runagent_otel.instrument`, and the others, too.
        meter_provider: Makes the metrics.
        provider_name: The value of ``gen_ai.provider.name``.
        chunk_metric: Whether the times of chunks are recorded.
    """

    def __init__(
        self,
        tracer_provider: TracerProvider | None,
        meter_provider: MeterProvider | None,
        provider_name: str | None,
        chunk_metric: bool,
    ) -> None:
        self.tracer = trace.get_tracer(_SCOPE, VERSION, tracer_provider, names.SCHEMA_URL)
        meter = metrics.get_meter(_SCOPE, VERSION, meter_provider, names.SCHEMA_URL)
        self.instruments = Instruments(meter)
        self.provider_name = provider_name
        self._tracer_provider = tracer_provider  # held as long as runs are observed for it
        self._meter_provider = meter_provider
        self._chunk_metric = chunk_metric

    def observe_call(self, call: AgentCall) -> ObservedRun | None:
        """Return what observes a call; None if its context suppresses instrumentation."""
        run_deferred()
        parent = otel_context.get_current()
        if otel_context.get_value(_SUPPRESS, parent):
            return None
        kind = TimedRun if self._times_chunks() else ObservedRun
        return kind(self, call, parent)

    def _times_chunks(self) -> bool:
        """Whether the times of chunks arrive anywhere: with the API alone they do not, and are not taken."""
        if not self._chunk_metric:
            return False
        provider = self._meter_provider or metrics.get_meter_provider()
        return not type(provider).__module__.startswith(_API)


def _ends_spans_if_it_fails(
    method: Callable[Concatenate[Observed, P], R],
) -> Callable[Concatenate[Observed, P], R]:
    """Have a method that raises end the spans: its observer is asked nothing more about the run."""

    @functools.wraps(method)
    def guarded(run: Observed, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(run, *args, **kwargs)
        except Exception:
            run.end_spans()
            raise

    return guarded


class ObservedRun:
    """The spans and metrics of one run.

    No context is attached: the reader's code between two chunks would else run in it, and spans that it makes
    would become children of the run's.

    Args:
        telemetry: The observer that made it.
        call: The call.
        parent: The context of the reader when it began the run.
    """

    def __init__(self, telemetry: Telemetry, call: AgentCall, parent: Context) -> None:
        self._telemetry = telemetry
        self._parent = self._context = parent
        self._began = time.time_ns()
        self._run: Span | None = None
        self._attempt: Span | None = None
        self._attempts = 0
        self._last: Completed | RunResult | None = None
        origin = call.base.origin
        self._server: dict[str, str | int] = {names.SERVER_ADDRESS: origin.unix_path or origin.host}
        if origin.unix_path is None:
            self._server[names.SERVER_PORT] = origin.port
        self._about = of_call(call)
        self._metric_attributes: dict[str, str | int] = {}

    @_ends_spans_if_it_fails
    def attempt(self, attempt: Attempt) -> Mapping[str, str]:
        """Begin the span of an attempt, and return the header fields that carry its context."""
        if self._run is None:
            self._begin(attempt.transport)
        attributes = {names.TRANSPORT: attempt.transport, **self._server}
        if self._attempts:
            attributes[names.RESEND_COUNT] = self._attempts
        self._attempts += 1
        self._attempt = self._telemetry.tracer.start_span(
            f"attempt {attempt.transport}", self._context, SpanKind.CLIENT, attributes
        )
        fields: dict[str, str] = {}
        propagate.inject(fields, trace.set_span_in_context(self._attempt, self._parent))
        return fields

    def _begin(self, transport: str) -> Span:
        """Begin the span of the run with what samplers may want to know; its time is when the run began."""
        provider = self._telemetry.provider_name or names.provider_of(transport)
        common = {names.OPERATION_NAME: names.INVOKE_AGENT, names.PROVIDER_NAME: provider, **self._server}
        if model := self._about.get(names.REQUEST_MODEL):
            common[names.REQUEST_MODEL] = str(model)
        self._metric_attributes = common
        name = f"{names.INVOKE_AGENT} {self._about[names.AGENT_NAME]}"
        attributes = {**common, **self._about, names.TRANSPORT: transport}
        self._run = self._telemetry.tracer.start_span(
            name, self._parent, SpanKind.CLIENT, attributes, start_time=self._began
        )
        self._context = trace.set_span_in_context(self._run, self._parent)
        return self._run

    @_ends_spans_if_it_fails
    def attempt_ended(self, attempt: Attempt) -> None:
        """End the span of an attempt; that of a dropped stream ends with its run, see `finished`."""
        if attempt.seconds is not None:
            self._end_attempt(attempt, time.time_ns())

    def _end_attempt(self, attempt: Attempt, now: int) -> None:
        span, self._attempt = self._attempt, None
        if span is None:
            return
        try:
            if span.is_recording():
                span.set_attributes(known(of_attempt(attempt)))
                set_error(span, attempt.error)
        finally:
            span.end(now)

    def completed(self, event: Completed | RunResult) -> None:
        """Keep the last event until the run has ended."""
        self._last = event

    def finished(self, report: RunReport) -> None:
        """End the span of the run, and record its metrics."""
        now = time.time_ns()
        if report.total_seconds is None:  # its stream was dropped: this is a finalizer, perhaps
            defer(lambda: self._finish(report, now))
        else:
            self._finish(report, now)

    def _finish(self, report: RunReport, now: int) -> None:
        span = self._run or self._begin(report.transport)
        try:
            if self._attempt is not None:
                self._end_attempt(report.attempts[-1], now)
            seconds = report.total_seconds
            if seconds is None:
                seconds = max(0, now - self._began) / 1e9
            if span.is_recording():
                span.set_attributes(known(of_report(report)))
                span.set_attributes(known(of_last_event(self._last)))
                if report.outcome == "failed":
                    set_error(span, report.error)
            self._telemetry.instruments.record(report, seconds, self._metric_attributes, self._context)
        finally:
            span.end(now)

    def end_spans(self) -> None:
        """End the spans that are open, whatever they have got so far."""
        for span in (self._attempt, self._run):
            if span is not None:
                with contextlib.suppress(Exception):
                    span.end()


class TimedRun(ObservedRun):
    """The same with the time of each chunk, for which every read that brings events is reported."""

    _last_chunk: float | None = None

    @_ends_spans_if_it_fails
    def received(self, events: Sequence[StreamEvent | RunResult], seconds: float) -> None:
        """Record the time from chunk to chunk; those that came in one read came at the same time."""
        count = sum(type(event) is Chunk for event in events)
        if not count:
            return
        last, self._last_chunk = self._last_chunk, seconds
        record = self._telemetry.instruments.time_per_output_chunk.record
        if last is not None:
            record(seconds - last, self._metric_attributes, self._context)
        for _ in range(count - 1):
            record(0.0, self._metric_attributes, self._context)
