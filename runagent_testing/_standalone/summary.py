"""A script in words, for ``runagent-fake check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._script.describe import described
from runagent_testing._script.steps import Chunk, Status, Step
from runagent_testing._standalone.forms import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._standalone.script_file import ScriptFile

__all__ = ["summarize"]


def summarize(script: ScriptFile) -> Iterator[str]:
    """Describe line by line what each agent sends."""
    agent_id = None
    for call in script.calls:
        if call.agent_id != agent_id:
            agent_id = call.agent_id
            yield agent_id
        options = ", ".join(f"{name}={value!r}" for name, value in call.options.items())
        title = f"{call.method} ({options})" if options else call.method
        if call.method == "entrypoints":
            yield f"  {title}: {', '.join(call.args)}"
            continue
        steps = call.args
        if call.method == "fails":
            title, steps = f"{title}, times: {call.args[0]}", call.args[1:] or (Status(503, retry_after=0),)
        yield f"  {title}"
        for number, step in enumerate(steps, 1):
            step = step if isinstance(step, Step) else Chunk(step)
            yield f"    {number:>3}  {described(step, shown)}"
