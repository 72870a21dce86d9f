"""A test that fails shows its line and no frame of this package, whatever its mistake."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import runagent_testing
from runagent import Timeouts
from runagent_testing import (
    Agent,
    DeadlockError,
    FakeAgentServer,
    MemoryNetwork,
    StepError,
    delay,
    done,
    ending,
    error,
    every,
    gate,
    head,
    inside,
    load_script,
    log_normal,
    raw,
    raw_response,
    status,
    tokens_per_second,
    tool_call,
    uniform,
)
from runagent_testing._memory import blocking
from runagent_testing.conformance import check_transport
from runagent_testing.faults import for_transport
from tests.runagent_testing.virtual import STYLES, Virtual

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = Path(runagent_testing.__file__).parent


def begun() -> MemoryNetwork:
    memory = MemoryNetwork()
    memory.agent("a").reply("x")
    return memory


MISTAKES: dict[str, Callable[[], Any]] = {
    "always nothing": lambda: Agent("a").always(object()),
    "reply a list": lambda: Agent("a").reply(["a", "b"]),
    "reply a step too late": lambda: Agent("a").reply("x", status(503)),
    "reply another property": lambda: Agent("a").reply("x", framin="length"),  # type: ignore[call-arg]
    "reply another value": lambda: Agent("a").reply("x", framing="long"),  # type: ignore[arg-type]
    "fails": lambda: Agent("a").fails(-1),
    "returns": lambda: Agent("a").returns(object()),
    "responds": lambda: Agent("a").responds(5),  # type: ignore[arg-type]
    "responds for ever": lambda: Agent("a").responds(repr, timeout=-1),
    "entrypoints": lambda: Agent("a").entrypoints(""),
    "url": lambda: Agent("a").url,
    "requests": lambda: Agent("a").requests,
    "wait_request": lambda: begun().wait_request(timeout=0),
    "check": lambda: begun().check(),
    "agent": lambda: begun().agent(""),
    "delay": lambda: delay(-1),
    "done": lambda: Agent("a").reply(done(usage=5)),  # type: ignore[arg-type]
    "ending": lambda: ending("nothing"),  # type: ignore[arg-type]
    "error": lambda: Agent("a").reply(error(5)),  # type: ignore[arg-type]
    "head": lambda: head(status=99),
    "raw": lambda: raw("text"),  # type: ignore[arg-type]
    "raw_response": lambda: raw_response("text"),  # type: ignore[arg-type]
    "status": lambda: status(42),
    "tool_call": lambda: tool_call("a", object()),
    "every": lambda: every(0),
    "inside": lambda: inside(0, "x"),  # type: ignore[arg-type]
    "log_normal": lambda: log_normal(median=-1, sigma=1),
    "uniform": lambda: uniform(2, 1),
    "tokens_per_second": lambda: tokens_per_second(0),
    "a port": lambda: FakeAgentServer(port=99_999),
    "a dialect": lambda: FakeAgentServer(dialects=[object()]),  # type: ignore[list-item]
    "a server that has not started": lambda: FakeAgentServer().url,
    "a taken address": lambda: FakeAgentServer(host="192.0.2.1").start(),
    "a file that is missing": lambda: load_script("/nowhere/agents.yaml"),
    "a style": lambda: check_transport("sse", styles=["threads"]),
    "a transport": lambda: check_transport(object()),  # type: ignore[arg-type]
    "faults": lambda: list(for_transport("carrier-pigeon")),
}


def shown_frames(caught: pytest.ExceptionInfo[BaseException]) -> list[str]:
    """List the frames of the package that pytest shows."""
    kept = [(Path(each.path), each.lineno) for each in caught.traceback.filter(caught)]
    return [f"{path.name}:{line}" for path, line in kept if PACKAGE in path.parents]


@pytest.mark.parametrize("name", MISTAKES)
def test_the_frames_of_a_mistake_are_those_of_the_test(name: str) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - of many classes
        MISTAKES[name]()
    assert [] == shown_frames(caught)
    kind = type(caught.value)
    assert kind.__module__ in ("builtins", "runagent", "runagent_testing")


def test_an_invalid_step_is_a_public_error() -> None:
    with pytest.raises(StepError, match="step 2 is neither") as caught:
        Agent("a").reply("x", object())
    assert (2, "runagent_testing") == (caught.value.number, StepError.__module__)


@pytest.mark.parametrize("style", STYLES)
def test_a_deadlock_shows_the_line_that_waits(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking, "_PATIENCE", 0.01)
    virtual = Virtual(style)
    virtual.memory.agent("a").always("x", gate("shut"))
    forever = Timeouts(connect=None, first_event=None, idle=None)

    async def scenario() -> None:
        stream = virtual.client(timeout=forever).run_generic_stream("x")
        assert "x" == await anext(stream)
        with pytest.raises(DeadlockError) as caught:
            await anext(stream)
        frames.append(shown_frames(caught))

    frames: list[list[str]] = []
    virtual.run(scenario)
    assert [[]] == frames


def test_a_fixture_shows_the_line_that_calls_it(fake_agent_server_factory: Any) -> None:
    with pytest.raises(ValueError, match="port=") as caught:
        fake_agent_server_factory(port=99_999)
    assert [] == shown_frames(caught)


def test_the_frames_of_a_bug_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runagent_testing._script.script.checked_steps", None)
    with pytest.raises(TypeError, match="not callable") as caught:
        Agent("a").reply("x")
    assert len(shown_frames(caught)) >= 2
