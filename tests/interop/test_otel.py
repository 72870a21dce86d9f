"""Spans and metrics are those of `opentelemetry-util-genai`, and `opentelemetry-instrument` starts them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT
from tests.interop.programs import environment, needs_environment
from tests.support.process import printed_by
from tests.support.wheels import build_wheel

pytestmark = needs_environment("otel")

PLUGIN = ROOT / "plugins/runagent-otel"
# Beyond what the oracle records of an agent; for it, the last two belong to requests to a model.
OWN_PREFIX = "runagent."
OWN = {"gen_ai.request.stream", "gen_ai.response.time_to_first_chunk"}


def run(command: list[object], path: list[Path], **env: str) -> str:
    """Run a program of the environment and return what it prints."""
    given = {"PYTHONPATH": ":".join(map(str, path)), "HOME": "/nonexistent", "PATH": "/usr/bin:/bin", **env}
    return printed_by(command, cwd=ROOT, env=given)


@pytest.fixture(scope="module")
def seen() -> Any:
    """What both sides have recorded of the same runs."""
    program = Path(__file__).with_name("agents") / "telemetry.py"
    return json.loads(run([environment("otel"), program], [ROOT, PLUGIN]))


def test_spans_have_what_those_of_the_oracle_have(seen: Any) -> None:
    ours, oracle = seen["ours"]["spans"], seen["oracle"]["spans"]
    assert ["invoke_agent completed", "invoke_agent failed", "invoke_agent refused"] == [
        span["name"] for span in oracle
    ]
    for span in ours:
        own = {name for name in span["attributes"] if name.startswith(OWN_PREFIX) or name in OWN}
        assert "runagent.outcome" in own
        for name in own:
            del span["attributes"][name]
    assert oracle == ours


def test_metrics_are_those_of_the_oracle(seen: Any) -> None:
    ours, oracle = seen["ours"]["metrics"], seen["oracle"]["metrics"]
    assert 4 == len(oracle)
    assert oracle.keys() == ours.keys()
    for name, metric in oracle.items():
        assert metric["unit"] == ours[name]["unit"]
        assert sorted(metric["points"], key=repr) == sorted(ours[name]["points"], key=repr)


PROGRAM = """
from runagent import RunAgentClient
from runagent_testing import MemoryNetwork
memory = MemoryNetwork()
memory.agent("writer").always("a")
client = RunAgentClient("writer", base_url=memory.url, network=memory.blocking)
assert client.run_generic_stream("x").text() == "a"
print("traceparent" in memory.requests[-1].headers)
"""


@pytest.mark.parametrize("disabled", ["", "runagent"])
def test_opentelemetry_instrument_traces_a_program_as_it_is(tmp_path: Path, disabled: str) -> None:
    with zipfile.ZipFile(build_wheel(PLUGIN, tmp_path)) as wheel:
        wheel.extractall(tmp_path)  # with the entry point
    (tmp_path / "program.py").write_text(PROGRAM)
    python = environment("otel")
    shown = run(
        [python.with_name("opentelemetry-instrument"), python, tmp_path / "program.py"],
        [tmp_path, ROOT],
        OTEL_TRACES_EXPORTER="console",
        OTEL_METRICS_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled,
    )
    first, _, spans = shown.partition("\n")
    assert str(not disabled) == first
    assert (not disabled) == ('"name": "invoke_agent writer"' in spans)
