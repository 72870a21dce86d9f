"""Runs agents, recorded by runagent_otel, and reports the same to opentelemetry-util-genai; prints both.

Run with the interpreter of .venv-interop-otel.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import runagent_otel
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util.genai.handler import TelemetryHandler

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork, done, error

USAGE = {"input_tokens": 7, "output_tokens": 3, "input_tokens_details": {"cached_tokens": 2}}
QUESTION = {"query": "x", "model": "small"}
SCRIPTS = {
    "completed": ("a", "b", "c", done(usage=USAGE)),
    "failed": ("a", error("NO_ROOM", "no room")),
    "refused": (),
}


class Recorder:
    """Providers of one side, and what they have recorded."""

    def __init__(self) -> None:
        self._spans, self._reader = InMemorySpanExporter(), InMemoryMetricReader()
        self.tracers, self.meters = TracerProvider(), MeterProvider([self._reader])
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))

    def recorded(self) -> dict[str, Any]:
        spans = [span for span in self._spans.get_finished_spans() if span.name.startswith("invoke_agent")]
        metrics = [
            metric
            for resource in self._reader.get_metrics_data().resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]
        return {
            "spans": [
                {
                    "name": span.name,
                    "kind": span.kind.name,
                    "status": [span.status.status_code.name, span.status.description],
                    "events": [event.name for event in span.events],
                    "schema": span.instrumentation_scope.schema_url,
                    "attributes": dict(span.attributes),
                }
                for span in spans
            ],
            "metrics": {
                metric.name: {
                    "unit": metric.unit,
                    "points": [
                        {
                            "attributes": dict(point.attributes),
                            "bounds": point.explicit_bounds,
                            "count": point.count,
                            "sum": point.sum if metric.unit == "{token}" else None,
                        }
                        for point in metric.data.data_points
                    ],
                }
                for metric in metrics
            },
        }


def run(memory: MemoryNetwork, agent: str, handler: TelemetryHandler) -> None:
    """Stream from an agent, and report it as an instrumentation would that wraps the stream."""
    invocation = handler.invoke_remote_agent(
        "runagent",
        request_model=QUESTION["model"],
        server_address="memory.localhost",
        server_port=80,
        agent_name=agent,
        conversation_id="evening",
    )
    invocation.agent_id = agent
    invocation.suspend()
    client = RunAgentClient(agent, base_url=memory.url, network=memory.blocking, max_retries=0)
    stream = client.run_generic_stream(QUESTION, session_id="evening")
    try:
        for _ in stream:
            invocation.record_stream_chunk()
    except RunAgentError as failure:
        invocation.fail(failure)
        return
    tokens = stream.report.tokens
    assert tokens is not None
    invocation.input_tokens, invocation.output_tokens = tokens.input, tokens.output
    invocation.cache_read_input_tokens = tokens.cached
    invocation.stop()


def main() -> None:
    ours, oracle = Recorder(), Recorder()
    handler = TelemetryHandler(tracer_provider=oracle.tracers, meter_provider=oracle.meters)
    memory = MemoryNetwork()
    with runagent_otel.instrument(ours.tracers, ours.meters):
        for name, script in SCRIPTS.items():
            if script:
                memory.agent(name).reply(*script)
            run(memory, name, handler)
    json.dump({"ours": ours.recorded(), "oracle": oracle.recorded()}, sys.stdout)


if __name__ == "__main__":
    main()
