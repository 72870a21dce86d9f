"""The timeline of a run with the five limits: both sides of it, on virtual time."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from runagent import RunAgentClient, StreamError
from runagent_testing import MemoryNetwork, RecordingNetwork, delay, ending, heartbeat
from runagent_testing._timeline.picture import as_svg
from runagent_testing._timeline.reading import read_timelines

__all__ = ["timeline"]

LIMITS = {"connect": 5.0, "first_event": 2.0, "idle": 2.0, "progress": 3.0, "total": 10.0}
STEPS = (
    *(delay(0.4), "Once", delay(0.3), " upon", delay(0.2), " a"),
    *(delay(1.5), heartbeat(), delay(1.8), " time", delay(0.4), " there", ending("reset")),
)


def timeline() -> str:
    """Draw a run that is reset, after a silence in which there is a heartbeat."""
    memory = MemoryNetwork()
    memory.agent("writer").always(*STEPS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = RecordingNetwork(folder / "client", network=memory.blocking)
        client = RunAgentClient("writer", base_url=memory.url, network=network, max_retries=0, resume=False)
        with contextlib.suppress(StreamError):
            client.run_generic_stream("Tell me a story").text()
        memory.journal.save(folder / "agent.json")
        (recording,) = (folder / "client").iterdir()
        return as_svg(read_timelines([str(recording), str(folder / "agent.json")]), LIMITS)
