"""Script files made of recordings: what a client of their protocol has understood, or the raw bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import yaml

from runagent import (
    Chunk,
    Completed,
    Custom,
    NetworkError,
    Reasoning,
    RunAgentClient,
    RunAgentError,
    RunTimeoutError,
    Started,
    StreamTruncatedError,
    ToolCall,
)
from runagent_testing._memory.network import MemoryNetwork
from runagent_testing._recording.format import COMPLETE, CUT, encoded_bytes
from runagent_testing._recording.heading import recognised
from runagent_testing._recording.replayed import Replayed
from runagent_testing._script.steps import Delay, Ending, Head, Raw
from runagent_testing._standalone.script_file import read_script
from runagent_testing.dialects._frames import BINARY, TEXT, frame
from runagent_testing.dialects._request import Request

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
        is_plain = _is_plain(recording)
        steps = _steps(recording, is_plain=is_plain)
        if recording.agent_id in several:
            agent.setdefault("returns_once" if is_plain else "replies", []).append(steps)
        else:
            agent["returns" if is_plain else "always"] = steps
    return yaml.dump({"agents": agents}, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_SHORT)


def _count(recordings: Sequence[Recording], agent_id: str) -> int:
    return sum(one.agent_id == agent_id for one in recordings)


def _is_plain(recording: Recording) -> bool:
    """Whether the request asked for one whole answer."""
    request = Request(
        recording.method, recording.path, dict(recording.request_headers), 1, recording.request_body
    )
    run_request = recognised(request)[1]
    return run_request is not None and run_request.kind == "plain"


def _steps(recording: Recording, *, is_plain: bool) -> list[Any]:
    """Return the steps of a script file: those that a client has understood, if they give it the same."""
    script = Replayed.from_recording(recording)
    for reader in _readers(recording, is_plain=is_plain):
        if (heard := reader.read(script)) is None:
            continue
        # Some protocols derive custom events from others, which a script then has twice.
        plainer = replace(heard, events=[row for row in heard.events if not isinstance(row[1], Custom)])
        for variant in (heard, plainer):
            steps = list(_written(variant, recording, is_plain=is_plain))
            if reader.gives_the_same(steps, heard):
                return steps
    return list(_raw(script, is_plain=is_plain))


@dataclass(frozen=True, slots=True)
class _Heard:
    """What a client has understood.

    Attributes:
        events: The events, and the seconds between each and the one before; of a plain run, the value.
        error: The error of the run.
        seconds: The time from the last event to the end.
    """

    events: list[tuple[float, Any]]
    error: RunAgentError | None
    seconds: float


@dataclass(frozen=True, slots=True)
class _Reader:
    """A client of a transport."""

    agent_id: str
    transport: str
    options: dict[str, Any]
    path: str
    is_plain: bool

    def read(self, script: Replayed) -> _Heard | None:
        """Read a replay; None if the client cannot ask for it."""
        memory = MemoryNetwork()
        agent = memory.agent(self.agent_id)
        agent._scripts.script = agent._scripts.result = script
        return self._run(memory)

    def gives_the_same(self, steps: list[Any], heard: _Heard) -> bool:
        """Whether the steps of a script file make the client understand the same."""
        memory = MemoryNetwork()
        key = "returns" if self.is_plain else "always"
        try:
            text = yaml.dump({"agents": {self.agent_id: {key: steps}}}, Dumper=_Dumper)
            read_script(text, "").apply(memory)
            again = self._run(memory)
        except ValueError:
            return False
        return again is not None and _essence(again) == _essence(heard)

    def _run(self, memory: MemoryNetwork) -> _Heard | None:
        network = memory.blocking
        events: list[tuple[float, Any]] = []
        before = network.now()
        error: RunAgentError | None = None
        try:
            with RunAgentClient(
                self.agent_id,
                base_url=f"{memory.url}{self.path}",
                network=network,
                transport=self.transport,
                transport_options=self.options,
                max_retries=0,
                resume=False,
                timeout=_FOREVER,
            ) as client:
                for event in (
                    [client.run_generic("x")] if self.is_plain else client.run_generic_stream("x").events()
                ):
                    events.append((network.now() - before, event))
                    before = network.now()
        except RunAgentError as exc:
            error = exc
        if not memory.requests or memory.unmatched or any(one.failure for one in memory.requests):
            return None
        return _Heard(events, error, network.now() - before)


def _readers(recording: Recording, *, is_plain: bool) -> Iterator[_Reader]:
    """Yield the clients that may understand a recording, by the usual names of transports and paths."""
    name, dialect = recording.transport, recording.dialect
    family, _, api = name.partition("-")
    transports: list[tuple[str, dict[str, Any]]] = [(name, {}), (dialect, {}), ("sse", {}), ("websocket", {})]
    if api:
        transports.insert(0, (family, {f"{family}_api": api}))
    agent_id = recording.agent_id or "recorded"
    for transport, options in transports:
        for path in ("", f"/{dialect}/{agent_id}"):
            yield _Reader(agent_id, transport, options, path, is_plain)


def _essence(heard: _Heard) -> tuple[list[Any], Any]:
    """Return what two runs of equal scripts have in common: no ids of runs, no times of the agent."""
    events = [event for _, event in heard.events if not isinstance(event, Started | Completed)]
    ends = [
        (event.stop_reason, event.interrupts, event.message)
        for _, event in heard.events
        if isinstance(event, Completed)
    ]
    error = None if heard.error is None else (type(heard.error), heard.error.code, heard.error.message)
    return [*events, *ends], error


def _written(heard: _Heard, recording: Recording, *, is_plain: bool) -> Iterator[Any]:
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
