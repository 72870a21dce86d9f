"""The distribution: what is shipped, what it needs, and that nothing observes before it is asked to."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING

import runagent_otel
from runagent_otel import observer

from tests.support.plugin_packages import Distribution, requirements

if TYPE_CHECKING:
    import zipfile


class TestDistribution(Distribution):
    name = "otel"
    requires = frozenset(
        {"opentelemetry-api", "opentelemetry-exporter-prometheus", "opentelemetry-sdk", "runagent"}
    )

    def test_users_install_the_api_of_opentelemetry_and_nothing_else(self, wheel: zipfile.Path) -> None:
        needed = {line.partition(">")[0] for line in requirements(wheel) if "extra ==" not in line}
        assert {"opentelemetry-api", "runagent"} == needed


def test_the_scope_has_the_version_of_the_distribution() -> None:
    assert observer.VERSION == version("runagent-otel")


def test_the_entry_point_is_what_opentelemetry_instrument_looks_for() -> None:
    (entry,) = entry_points(group="opentelemetry_instrumentor", name="runagent")
    assert runagent_otel.RunAgentInstrumentor is entry.load()


def test_nothing_observes_only_because_it_is_installed() -> None:
    observers = {entry.dist.name for entry in entry_points(group="runagent") if entry.dist}
    assert "runagent-otel" not in observers


AT_EXIT = """
import gc
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
import _thread
import runagent_otel
from runagent import RunAgentClient
from runagent_testing import MemoryNetwork, ending

class Printer(SpanExporter):
    def export(self, spans):
        print(*(span.name for span in spans))

instrumentor = runagent_otel.RunAgentInstrumentor()
instrumentor.instrument(skip_dep_check=True)  # as opentelemetry-instrument does, before there is a provider
runagent_otel.instrument()  # as the program does, too
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(SimpleSpanProcessor(Printer()))
trace.set_tracer_provider(provider)
memory = MemoryNetwork()
memory.agent("writer").reply("a").reply("a", ending("stall"))
client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
client.run_generic_stream("x").text()
_thread.start_new_thread = lambda *_: None  # the process ends before the thread has begun
stream = client.run_generic_stream("x")
next(stream)
del stream
print("end")
"""


def test_the_program_may_set_its_provider_later_and_loses_no_dropped_stream_at_its_end() -> None:
    command = [sys.executable, "-W", "error", "-c", AT_EXIT]
    shown = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    run = ["attempt sse", "invoke_agent writer"]
    assert [*run, "end", *run] == shown.splitlines()


def test_the_instrumentor_ends_what_it_has_begun() -> None:
    instrumentor = runagent_otel.RunAgentInstrumentor()
    for _ in range(2):
        instrumentor.instrument()
        instrumentor.instrument()
        instrumentor.uninstrument()
        instrumentor.uninstrument()
    assert runagent_otel.RunAgentInstrumentor._registration is None
