"""Script files made of recordings: what a client of their protocol has understood, or the raw bytes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import yaml

from runagent import (
    Chunk,
    Completed,
    Custom,
    NetworkError,
    Reasoning,
    RunAgentError,
    RunTimeoutError,
    Started,
    StreamTruncatedError,
    ToolCall,
)
from runagent_testing._memory.network import MemoryNetwork
from runagent_testing._recording.format import COMPLETE, CUT, encoded_bytes
from runagent_testing._recording.replayed import Replayed
from runagent_testing._script.steps import Delay, Ending, Head, Raw
from runagent_testing._standalone.script_file import read_script
from runagent_testing._standalone.understood import Heard, Reader, is_plain_run, readers_of
from runagent_testing.dialects._frames import BINARY, TEXT, frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from runagent_testing._recording.format import Recording
    from runagent_testing._script.steps import Step

__all__ = ["script_text"]

_FOREVER = 1e9  # seconds: a recording may be silent for as long as a client has waited
_SOON = 0.0005  # seconds: gaps are recorded in milliseconds
_REFUSED = 400  # the first status of a refusal
_SHORT = 110  # characters of a line


def script_text(recordings: Sequence[Recording]) -> str:
    """Write a script file whose agents answer what was recorded, in the order of the recordings."""
    agents: dict[str, dict[str, Any]] = {}
    several = {one.agent_id for one in recordings if _count(recordings, one.agent_id) > 1}
    for recording in recordings:
        agent = agents.setdefault(recording.agent_id or "recorded", {})
        is_plain = is_plain_run(recording)
        steps = _steps(recording, is_plain=is_plain)
        if recording.agent_id in several:
            agent.setdefault("returns_once" if is_plain else "replies", []).append(steps)
        else:
            agent["returns" if is_plain else "always"] = steps
    return yaml.dump({"agents": agents}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_SHORT)


def _count(recordings: Sequence[Recording], agent_id: str) -> int:
    return sum(one.agent_id == agent_id for one in recordings)


def _steps(recording: Recording, *, is_plain: bool) -> list[Any]:
    """Return the steps of a script file: those that a client has understood, if they give it the same."""
    script = Replayed.from_recording(recording)
    for reader in readers_of(recording, is_plain=is_plain):
        if (heard := reader.read(script)) is None:
            continue
        # Some protocols derive custom events from others, which a script then has twice.
        plainer = replace(heard, events=[row for row in heard.events if not isinstance(row[1], Custom)])
        for variant in (heard, plainer):
            steps = list(_written(variant, recording, is_plain=is_plain))
            if _gives_the_same(reader, steps, heard):
                return steps
    return list(_raw(script, is_plain=is_plain))


def _gives_the_same(reader: Reader, steps: list[Any], heard: Heard) -> bool:
    """Whether the steps of a script file make the client understand the same."""
    memory = MemoryNetwork()
    key = "returns" if reader.is_plain else "always"
    try:
        text = yaml.dump({"agents": {reader.agent_id: {key: steps}}}, Dumper=_Dumper)
        read_script(text, "").apply(memory)
        again = reader.run(memory)
    except ValueError:
        return False
    return again is not None and _essence(again) == _essence(heard)


def _essence(heard: Heard) -> tuple[list[Any], Any]:
    """Return what two runs of equal scripts have in common: no ids of runs, no times of the agent."""
    events = [event for _, event in heard.events if not isinstance(event, Started | Completed)]
    ends = [
        (event.stop_reason, event.interrupts, event.message)
        for _, event in heard.events
        if isinstance(event, Completed)
    ]
    error = None if heard.error is None else (type(heard.error), heard.error.code, heard.error.message)
    return [*events, *ends], error


def _written(heard: Heard, recording: Recording, *, is_plain: bool) -> Iterator[Any]:
    """Yield the steps of what was understood."""
    for seconds, event in heard.events:
        yield from _pause(seconds)
        if not isinstance(event, Started):
            yield from [{"chunk": event}] if is_plain else _of_event(event)
    if heard.error is not None:
        yield from _pause(heard.seconds)
        yield from _of_error(heard.error, recording)


def _of_error(error: RunAgentError, recording: Recording) -> Iterator[Any]:
    if isinstance(error, StreamTruncatedError | RunTimeoutError | NetworkError):
        ending = list(_ending(Replayed.from_recording(recording).steps[-1:]))
        yield from ending or [{"ending": "no-done"}]
    elif recording.status is not None and recording.status >= _REFUSED:
        yield {"status": recording.status, "code": error.code, "message": error.message}
    else:
        yield {"error": error.code, "message": error.message}


def _of_event(event: Any) -> Iterator[Any]:
    match event:
        case Chunk(content=str(text), id=None):
            yield text
        case Chunk(content=content, id=event_id):
            yield _filled(chunk=content, id=event_id)
        case Reasoning(text=text, id=thought):
            yield _filled(reasoning=text, id=thought)
        case ToolCall(id=call, name=name, arguments=arguments):
            yield _filled(tool_call=name, arguments=arguments, id=call)
        case Custom(name=name, value=value):
            yield {"custom": name, "value": value}
        case Completed():
            facts = _filled(
                done=event.message,
                usage=event.usage,
                stop_reason=event.stop_reason,
                interrupts=event.interrupts or None,
                execution_time=event.execution_time,
            )
            if facts:
                yield {"done": None, **facts}


def _filled(**facts: Any) -> dict[str, Any]:
    return {name: fact for name, fact in facts.items() if fact is not None or name == "chunk"}


def _pause(seconds: float) -> Iterator[Any]:
    if seconds > _SOON:
        yield {"delay": round(seconds, 3)}


def _ending(steps: Iterable[Step]) -> Iterator[Any]:
    for step in steps:
        if isinstance(step, Ending):
            yield {"ending": step.kind} | (
                {"code": step.code, "reason": step.reason} if step.kind == "close" else {}
            )


def _raw(script: Replayed, *, is_plain: bool) -> Iterator[Any]:
    """Yield the recorded bytes as steps."""
    recording = script.recording
    if is_plain:
        yield from _raw_result(script)
        return
    kinds = iter([entry.kind for entry in recording.entries if entry.kind != "client"])
    for step in script.steps:
        match step:
            case Delay(seconds=seconds):
                yield from _pause(seconds)
            case Head(status=status, headers=headers):
                kept = {} if recording.has_messages else {"status": status, "headers": dict(headers)}
                yield {"head": kept.get("status"), "headers": kept.get("headers", {}), "start": False}
            case Raw(data=data):
                yield _bytes("raw", _framed(next(kinds), data))
            case Ending():
                yield from _ending([step])
    kind = CUT if recording.end is None else recording.end.kind
    if kind == COMPLETE and not recording.has_messages:
        yield {"ending": "no-done"}


def _raw_result(script: Replayed) -> Iterator[Any]:
    """Yield a whole answer: its body as it was, once it was complete."""
    recording = script.recording
    yield from _pause(recording.seconds)
    body = b"".join(entry.data for entry in recording.entries)
    text = encoded_bytes(body)
    if recording.status is None or not isinstance(text, str):
        yield {"ending": "cut"}
        return
    yield {"status": recording.status, "body": text, "headers": dict(recording.headers)}


def _framed(kind: str, data: bytes) -> bytes:
    return data if kind == "write" else frame(TEXT if kind == "text" else BINARY, data)


def _bytes(step: str, data: bytes) -> dict[str, str]:
    text = encoded_bytes(data)
    return {step: text} if isinstance(text, str) else {step: text["base64"], "encoding": "base64"}


class _Dumper(yaml.SafeDumper):
    """Writes every text that is not a word in quotes, as YAML 1.2 takes others for numbers than 1.1."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if text.isidentifier() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
