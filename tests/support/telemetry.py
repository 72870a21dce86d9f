"""Spans and metrics of one test, kept in memory, with `runagent_otel` in between."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from runagent_otel import instrument

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry.sdk.trace import ReadableSpan

__all__ = ["Telemetry", "id_of", "recorded", "traceparent"]


class Telemetry:
    """Providers whose spans and metrics can be read."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        """The spans that have ended."""
        return self.exporter.get_finished_spans()

    @property
    def runs(self) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name.startswith("invoke_agent ")]

    def attempts_of(self, run: ReadableSpan) -> list[ReadableSpan]:
        """The children of a span, in order of their beginning."""
        return sorted(self.children_of(run), key=lambda span: span.start_time or 0)

    def children_of(self, parent: ReadableSpan) -> list[ReadableSpan]:
        return [span for span in self.spans if span.parent and span.parent.span_id == id_of(parent)]

    def metrics(self) -> dict[str, list[HistogramDataPoint]]:
        """The points of each histogram."""
        data = self.reader.get_metrics_data()
        return {
            metric.name: [point for point in metric.data.data_points if isinstance(point, HistogramDataPoint)]
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return int(span.context.span_id)


def traceparent(span: ReadableSpan) -> str:
    """Return the value of the header field that carries the context of a span, without its flags."""
    assert span.context is not None
    return f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}"


@contextlib.contextmanager
def recorded(**options: Any) -> Iterator[Telemetry]:
    """Have the calls of the process recorded until the end of ``with``."""
    telemetry = Telemetry()
    options = {"tracer_provider": telemetry.tracers, "meter_provider": telemetry.meters} | options
    with instrument(**options):
        yield telemetry
    telemetry.tracers.shutdown()
    telemetry.meters.shutdown()
