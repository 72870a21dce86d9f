"""A story in words, for ``runagent-fake check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent_testing.standalone.forms import shown
from runagent_testing.steps import (
    Chunk,
    Delay,
    Done,
    Ending,
    Error,
    Gate,
    Head,
    Heartbeat,
    Raw,
    RawAnswer,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.standalone.story import StoryFile

__all__ = ["told"]


def told(story: StoryFile) -> Iterator[str]:
    """Say line by line what each agent says."""
    agent_id = None
    for call in story.calls:
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
            yield f"    {number:>3}  {_said(step)}"


def _said(step: Any) -> str:
    """Say what one step does."""
    match step:
        case Chunk(content=content):
            return f"chunk {shown(content)}{_given(step, 'index', 'id', 'event')}"
        case Delay(seconds=seconds):
            return f"wait {seconds:g} s"
        case Heartbeat():
            return "heartbeat"
        case Gate(name=name):
            return f"wait at gate {name!r}"
        case Error(code=code, message=message):
            return f"error {code}: {message}{_given(step, 'retry_after')}"
        case Done():
            return f"done{_given(step, 'message', 'usage', 'execution_time', 'metadata')}"
        case Raw(data=data):
            return f"raw {data!r}"
        case RawAnswer(data=data):
            return f"raw answer {data!r}"
        case Head():
            return f"head{_given(step, 'status', 'headers')}"
        case Status(status=status):
            return f"status {status}{_given(step, 'retry_after', 'code', 'message', 'body', 'headers')}"
        case Ending(kind=kind):
            return f"end: {kind}{_given(step, 'seconds', 'code', 'reason')}"
        case _:
            return f"chunk {shown(step)}"


_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "seconds": (0.0,),
    "code": (None, 1000),
    "reason": ("",),
    "headers": ({},),
}


def _given(step: Any, *names: str) -> str:
    """Show the attributes that somebody has set."""
    values = {name: getattr(step, name) for name in names}
    return "".join(
        f", {name} {shown(value)}"
        for name, value in values.items()
        if value is not ... and value not in _DEFAULTS.get(name, (None,))
    )
