"""What the pages promise about Ctrl-C, as programs that somebody interrupts while an agent is silent."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from runagent_testing import delay, ending, head, status
from tests.docs.pages import DOCS
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing import FakeAgentServer

PATIENCE = 20.0  # seconds
TRIES = 4
ASYNCIO = """
import asyncio
from runagent import AsyncRunAgentClient

client = AsyncRunAgentClient(agent_id="your-agent-id")

async def main():
    stream = client.run_generic_stream("q")
    try:
        async for piece in stream.texts():
            print(piece, flush=True)
    except asyncio.CancelledError:
        print("cancelled", stream.report.outcome)
        raise

try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("struck")
"""
TRIO = """
import trio
from runagent import AsyncRunAgentClient

client = AsyncRunAgentClient(agent_id="your-agent-id")

async def main():
    try:
        async for piece in client.run_generic_stream("q").texts():
            print(piece, flush=True)
    except KeyboardInterrupt:
        print("struck")

trio.run(main)
"""
NURSERY = """
import trio
from runagent import AsyncRunAgentClient

client = AsyncRunAgentClient(agent_id="your-agent-id")

async def ask():
    async for piece in client.run_generic_stream("q").texts():
        print(piece, flush=True)

async def main():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)

try:
    trio.run(main)
except* KeyboardInterrupt:
    print("struck")
"""


class Ended(NamedTuple):
    """How a program ended: what it printed, its exit code."""

    out: str
    err: str
    code: int


def interrupt(program: str, *, shows: str = "", once: Callable[[], object] = bool) -> Ended:
    """Run a program, and press Ctrl-C.

    Args:
        program: Its source.
        shows: What it prints before.
        once: Waits for the moment.
    """
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with killed_at_end(subprocess.Popen([sys.executable, "-c", program], **pipes)) as process:
        assert process.stdout is not None
        shown = process.stdout.read(len(shows))
        once()
        for _ in range(TRIES):
            process.send_signal(signal.SIGINT)
            # One that comes just before the system call that waits interrupts nothing.
            with contextlib.suppress(subprocess.TimeoutExpired):
                out, err = process.communicate(timeout=PATIENCE / TRIES)
                return Ended(shown + out, err, process.returncode)
    raise AssertionError("the program did not end")


@pytest.fixture(autouse=True)
def service(server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the programs find the server."""
    monkeypatch.setenv("RUNAGENT_API_URL", server.url)


def program(name: str) -> str:
    return DOCS["streaming"].block(f"# {name}.py\n")


def test_a_script_keeps_what_came_and_frees_the_agent(server: FakeAgentServer) -> None:
    server.agent("your-agent-id").always("Once", ending("stall"))
    assert ("Once\nstopped after 4 characters\n", "", 0) == interrupt(program("ask"), shows="Once")
    assert server.requests[0].wait_disconnected(PATIENCE)


@pytest.mark.parametrize(
    "steps", [(delay(60),), (head(), ending("stall")), (status(503, retry_after=30),)], ids=str
)
def test_a_script_is_struck_while_it_waits(server: FakeAgentServer, steps: Any) -> None:
    agent = server.agent("your-agent-id").always(*steps)
    assert ("\nstopped after 0 characters\n", "", 0) == interrupt(program("ask"), once=agent.wait_request)
    assert 1 == len(server.requests)


def test_readers_in_threads_end_with_their_client(server: FakeAgentServer) -> None:
    agent = server.agent("your-agent-id").always(head(), ending("stall"))

    def both_are_asked() -> None:
        agent.wait_request(2)

    ended = interrupt(program("ask_in_threads"), once=both_are_asked)
    assert ("", "KeyboardInterrupt", -signal.SIGINT) == (ended.out, ended.err.splitlines()[-1], ended.code)
    assert all(exchange.wait_disconnected(PATIENCE) for exchange in server.requests)


def test_readers_in_threads_answer(server: FakeAgentServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.agent("your-agent-id").always("Once")
    exec(compile(program("ask_in_threads"), "page", "exec", dont_inherit=True), {})
    assert "Once\nOnce\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    ("source", "shown"),
    [(ASYNCIO, "cancelled running\nstruck\n"), (TRIO, "struck\n"), (NURSERY, "struck\n")],
    ids=["asyncio", "trio", "trio in a nursery"],
)
def test_an_event_loop_frees_the_agent(server: FakeAgentServer, source: str, shown: str) -> None:
    server.agent("your-agent-id").always("Once", ending("stall"))
    assert (f"Once\n{shown}", "", 0) == interrupt(source, shows="Once\n")
    assert server.requests[0].wait_disconnected(PATIENCE)
