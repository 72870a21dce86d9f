"""Script files that let runs meet faults by chance."""

from __future__ import annotations

import pytest

from runagent import RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork
from runagent_testing._standalone.script_file import ScriptFileError, read_script
from runagent_testing._standalone.summary import summarize

CHAOTIC = "agents: {a: {always: [Once, ' upon']}}\nchaos: "


@pytest.mark.parametrize("chaos", ["1", "{rate: 1, seed: 7, only: [sse/fin], without: [fin-in-head]}"])
def test_a_file_can_let_runs_meet_faults(chaos):
    memory = MemoryNetwork()
    script = read_script(f"{CHAOTIC}{chaos}", "s.yaml")
    script.apply(memory)
    for scope in (memory, memory.scope("one")):
        for _ in range(2):
            client = RunAgentClient("a", base_url=scope.url, network=memory.blocking, max_retries=0)
            with client, pytest.raises(RunAgentError):
                client.run_generic_stream("x").text()
            assert scope.requests[-1].fault is not None
            scope.reset()
    memory._replace([script], [read_script("agents: {a: {always: [x]}}", "s.yaml")], ["a"])
    with RunAgentClient("a", base_url=memory.url, network=memory.blocking) as client:
        assert "x" == client.run_generic_stream("x").text()
    assert [line for line in summarize(script) if line.startswith("chaos (rate=1")]


@pytest.mark.parametrize(
    ("chaos", "place", "problem"),
    [
        ("2", "2:8", "a rate from 0 to 1, not 2"),
        ("often", "2:8", "chaos needs a rate"),
        ("{seed: 7}", "2:8", "chaos needs a rate"),
        ("{rate: 0.1, sed: 7}", "2:20", "'sed' is no property of chaos: did you mean 'seed'?"),
        ("{rate: 0.1, only: stall}", "2:26", "a list, each text"),
        ("{rate: 0.1, only: [stal]}", "2:8", "did you mean 'stall'?"),
    ],
)
def test_invalid_chaos_in_a_file_has_its_place(chaos, place, problem):
    with pytest.raises(ScriptFileError) as caught:
        read_script(f"{CHAOTIC}{chaos}", "s.yaml")
    assert str(caught.value).startswith(f"s.yaml:{place}: ")
    assert problem in str(caught.value)
