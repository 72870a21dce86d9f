"""A script in words, for ``runagent-fake check``."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from runagent_testing._host.conditions import Conditions
from runagent_testing._script.describe import described
from runagent_testing._script.steps import Chunk, Status, Step
from runagent_testing._standalone.forms import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._recording.format import Entry, Recording
    from runagent_testing._standalone.calls import Call
    from runagent_testing._standalone.script_file import ScriptFile

__all__ = ["summarize", "summarize_recording"]


def summarize(script: ScriptFile) -> Iterator[str]:
    """Describe line by line what each agent sends."""
    agent_id = None
    for call in script.calls:
        if call.agent_id != agent_id:
            agent_id = call.agent_id
            yield agent_id
        yield from (f"  {line}" for line in _lines(call))
    if script.chaos:
        yield f"chaos ({', '.join(f'{name}={value!r}' for name, value in script.chaos.items())})"


def _lines(call: Call) -> Iterator[str]:
    if call.method == "when":
        yield str(Conditions.of(**call.options))
        for follower in call.then:
            yield from (f"  {line}" for line in _lines(follower))
        return
    options = ", ".join(f"{name}={value!r}" for name, value in call.options.items())
    title = f"{call.method} ({options})" if options else call.method
    if call.method == "entrypoints":
        yield f"{title}: {', '.join(call.args)}"
        return
    steps = call.args
    if call.method == "fails":
        title, steps = f"{title}, times: {call.args[0]}", call.args[1:] or (Status(503, retry_after=0),)
    yield title
    for number, step in enumerate(steps, 1):
        step = step if isinstance(step, Step) else Chunk(step)
        yield f"  {number:>3}  {described(step, shown)}"


def summarize_recording(recording: Recording) -> Iterator[str]:
    """Describe what was recorded."""
    known = [recording.agent_id, recording.dialect, recording.transport]
    yield ", ".join([*filter(None, known), f"{recording.method} {recording.path}"])
    status = "no answer" if recording.status is None else f"status {recording.status}"
    yield f"  {status} after {recording.head_gap:g} s"
    parts = [entry for entry in recording.entries if entry.kind != "client"]
    count = f"{len(parts)} {'message' if recording.is_websocket else 'read'}{'s' * (len(parts) != 1)}"
    yield f"  {count} of {sum(len(entry.data) for entry in parts)} bytes{_gaps(parts[1:])}"
    end = "cut off" if recording.end is None else recording.end.outcome or recording.end.kind
    yield f"  ends after {recording.seconds:g} s: {end}"


def _gaps(parts: list[Entry]) -> str:
    gaps = sorted(entry.gap for entry in parts)
    if not gaps:
        return ""
    return f", gaps from {gaps[0]:g} to {gaps[-1]:g} s (median {statistics.median(gaps):g} s)"
