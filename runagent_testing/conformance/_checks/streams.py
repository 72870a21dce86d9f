"""What is required of whole runs that complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import AgentError, AuthenticationError, RunAgentError
from runagent_testing._script.steps import delay, error, heartbeat
from runagent_testing._script.writes import at, every, inside, rechunked
from runagent_testing.conformance._checks.common import (
    TEXTS,
    answer_steps,
    demand,
    expect_contents,
    only_where,
)
from runagent_testing.conformance._harness.logs import logged
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import API_KEY

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.stage import Shown, Stage

_WRONG_KEY = "kit-key-9f3e-of-another-service"

VALUES: tuple[Any, ...] = (
    {"page": 1, "of": [2.5, None, True]},
    ["a", {"b": "ü🦊"}],
    3,
    -0.5,
    False,
    None,
    {},
    "text",
)


def expect_good(stage: Stage, shown: Shown, expected: Any, what: str) -> None:
    """Compare a run's chunks with the expected ones, and demand that it completed."""
    demand(shown.error is None, f"{what}: {shown.summarize()}")
    expect_contents(stage.subject, shown.contents, expected, what)
    demand(shown.completed, f"{what}: the stream ended without Completed")


@required(
    "run.order",
    "A run delivers every chunk exactly as the agent sent it, in order, and then Completed.",
    'docs/streaming.md, "Chunks and values"',
)
async def check_order(stage: Stage) -> None:
    """A text is only right in its order, with each piece as it was sent.

    To mend it: return events in the order of their bytes; join, split and sort nothing.
    """
    stage.agent.always(*TEXTS)
    expect_good(stage, await stage.run(), TEXTS, "five chunks")
    many = [f"{place} " for place in range(1000)]
    stage.agent.always(*many)
    expect_good(stage, await stage.run(), many, "a thousand chunks in one write")


_WRITES: dict[str, Any] = {
    "one write per event": "per-step",
    "byte by byte": every(1),
    "inside characters": inside("characters"),
    "inside the framing": inside("crlf", "chunk-header", "frame-header"),
    "at some places": at(1, 5, 17, 60, 100, 200),
    "at random, seed 1": rechunked(1),
    "at random, seed 2": rechunked(2),
    "at random, seed 3": rechunked(3),
}


@required(
    "run.any-writes",
    "A run delivers the same events, however the agent divides its answer into writes.",
    'docs/transport-api.md, "Session contract"',
)
async def check_writes(stage: Stage) -> None:
    """How an agent writes, and how the network delivers it, is chance.

    To mend it: feed all bytes to a decoder that keeps the incomplete rest.
    """
    steps = answer_steps(stage.subject)
    for name, writes in _WRITES.items():
        stage.agent.always(*steps, writes=writes)
        expect_good(stage, await stage.run(), TEXTS, f"written {name}")


@required(
    "run.structured",
    "Chunks that are JSON values arrive as JSON values, not as text.",
    'docs/transport-api.md, "Capabilities"',
    capability="structured",
)
async def check_structured(stage: Stage) -> None:
    """A chunk that is an object must not arrive as its text, which cannot be distinguished from a text.

    To mend it: put the decoded value into `Chunk`, or do not declare 'structured'.
    """
    stage.agent.always(*VALUES)
    shown = await stage.run()
    expect_good(stage, shown, VALUES, "JSON values")
    kinds = [type(content).__name__ for content in shown.contents]
    expected = [type(value).__name__ for value in VALUES]
    demand(kinds == expected, f"expected values of the types {expected}, got {kinds}")


@required(
    "run.heartbeats",
    "A heartbeat delivers no event, and restarts the idle limit.",
    'docs/transport-api.md, "Capabilities"',
    capability="heartbeats",
    players=("memory",),
)
async def check_heartbeats(stage: Stage) -> None:
    """A sign of life keeps a slow run alive, and is nothing that a reader should see.

    To mend it: return no event for it; a library calls `emit()` without arguments.
    """
    from runagent import Timeouts

    demand(stage.subject.traits.heartbeats, "heartbeats are declared, but the dialect has none to prove it")
    beats = [step for _ in range(10) for step in (delay(6), heartbeat())]
    stage.agent.always("a", *beats, "b")
    shown = await stage.run(timeout=Timeouts(connect=10, first_event=10, idle=10))
    expect_good(stage, shown, ["a", "b"], "ten heartbeats, 6 s apart, with idle=10")


@required(
    "run.invoke",
    "A plain run returns the agent's result, or raises its error as an AgentError.",
    'docs/transport-api.md, "Capabilities"',
    capability="invoke",
)
async def check_invoke(stage: Stage) -> None:
    """A plain run has one result, or one error.

    To mend it: return one `RunResult` for a call of mode "invoke"; fail with an AgentError for the
    agent's failure.
    """
    results: list[Any] = ["Once"] + (
        [{"answer": [42, None]}] if "structured" in stage.subject.capabilities else []
    )
    async with stage.client() as client:
        for result in results:
            stage.agent.returns(result)
            got = await client.run_generic("x")
            demand(got == result, f"expected the result {result!r}, got {got!r}")
        stage.agent.returns(error("CAPACITY_ERROR", "no room"))
        try:
            got = await client.run_generic("x")
        except RunAgentError as exc:
            right = isinstance(exc, AgentError) and "no room" in str(exc)
            demand(right, f"the agent's error: expected an AgentError with its message, got {exc!r}")
        else:
            demand(False, f"the agent's error: expected an AgentError, got the result {got!r}")


@required(
    "run.reuse",
    "The connection of a finished run serves the next run.",
    'docs/transport-api.md, "Capabilities"',
    capability="reuse",
)
async def check_reuse(stage: Stage) -> None:
    """A new connection costs a round trip or three, and a TLS handshake.

    To mend it: leave `keeps_connection` and `reusable` to the base class, and finish exactly at the end
    marker.
    """
    stage.agent.always("a", "b")
    async with stage.client() as client:
        expect_good(stage, await stage.show(client.run_generic_stream("x")), ["a", "b"], "run 0")
        first = stage.host.connections  # more than one if a run has steps
        for number in range(1, 4):
            expect_good(stage, await stage.show(client.run_generic_stream("x")), ["a", "b"], f"run {number}")
        connections = stage.host.connections
        needed = first + 3 * (first - 1)
        demand(connections <= needed, f"four runs, one after another, took {connections} connections")


@required(
    "run.lets-go",
    "A connection that no other run can use is closed when its run ends, not when the client is closed.",
    'docs/transports.md, "Connections"',
    capability="reuse",
    undeclared=True,
)
async def check_lets_go(stage: Stage) -> None:
    """A connection that serves nobody any more holds a socket here and there.

    To mend it: return False from `keeps_connection`, and close the protocol in `close`.
    """
    websocket = stage.subject.traits.writes_frames
    only_where(websocket, "over HTTP the agent does not see what happens to its connection")
    stage.agent.always("a", "b")
    async with stage.client() as client:
        for number in range(2):
            expect_good(stage, await stage.show(client.run_generic_stream("x")), ["a", "b"], f"run {number}")
            demand(bool(stage.host.requests), "the agent got no request")
            gone = await stage.has_left(stage.host.requests[-1])
            demand(gone, f"after run {number} the client's connection is still open")


@required(
    "run.key",
    "The service receives the API key where it expects it; a wrong key is an AuthenticationError; no error,"
    " report or log shows a key.",
    'docs/errors.md, "What errors do not show"',
    guarded=True,
)
async def check_key(stage: Stage) -> None:
    """A service without the key refuses the run; the error has to name the key as the reason, not show it.

    To mend it: send the key where the service reads it, and map its refusal to AuthenticationError.
    """
    stage.agent.always("a")
    with logged() as log:
        good = await stage.run()
        wrong = await stage.run(api_key=_WRONG_KEY)
    expect_good(stage, good, ["a"], "with the key")
    right = isinstance(wrong.error, AuthenticationError) and not wrong.contents
    demand(right, f"with another key: expected an AuthenticationError, got {wrong.summarize()}")
    for what, text in {
        "error": f"{wrong.error} {wrong.error!r}",
        "report": f"{good.report} {good.report!r} {wrong.report!r}",
        "log": "\n".join(log),
    }.items():
        demand(API_KEY not in text and _WRONG_KEY not in text, f"the key is in the {what}")
