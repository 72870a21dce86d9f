"""The cells of docs/notebooks.md in a real kernel, in which a loop is running, and what an interrupt does."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING, Self

import pytest

from runagent_testing import FakeAgentServer, ending, gate
from tests.docs.pages import DOCS, ROOT
from tests.interop.programs import PATIENCE, environment, needs_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.interop, needs_environment("notebook")]

CELLS = re.findall(r"^```(?:py|python)\n(.*?)^```$", DOCS["notebooks"].text, re.DOTALL | re.MULTILINE)
STORY = ("Once", " upon", " a", " time")
# Runs a cell for each line of its input; interrupts it as soon as it has printed something, if asked to.
_KERNEL = f"""
import json, sys
from jupyter_client.manager import start_new_kernel

def show(kind, content):
    if kind == "stream":
        return content["text"]
    if kind == "error":
        return content["ename"]
    data = content["data"]
    return data.get("text/markdown", data["text/plain"])

manager, client = start_new_kernel()
try:
    for line in sys.stdin:
        source, interrupt = json.loads(line)
        number, shown = client.execute(source), []
        while True:
            message = client.get_iopub_msg(timeout={PATIENCE})
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != number or kind in ("execute_input", "clear_output"):
                continue
            if kind == "status" and content["execution_state"] == "idle":
                break
            if kind != "status":
                shown.append(show(kind, content))
            if kind == "stream" and interrupt:
                manager.interrupt_kernel()
                interrupt = False
        print(json.dumps(shown), flush=True)
finally:
    client.stop_channels()
    manager.shutdown_kernel(now=True)
"""


class Notebook:
    """A kernel, and the program that sends it cells."""

    def __init__(self, folder: Path, url: str) -> None:
        names = ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR")
        variables = dict.fromkeys(names, str(folder)) | {"PYTHONPATH": str(ROOT), "RUNAGENT_API_URL": url}
        self._program = subprocess.Popen(
            [str(environment("notebook")), "-c", _KERNEL],
            env=variables,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_details: object) -> None:
        assert self._program.stdin is not None
        self._program.stdin.close()
        try:
            self._program.wait(PATIENCE)
        finally:
            self._program.kill()
            self._program.wait()
            assert self._program.stdout is not None
            self._program.stdout.close()

    def run(self, source: str, *, interrupt: bool = False) -> list[str]:
        """Run a cell, and return what it shows."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(f"{json.dumps([source, interrupt])}\n")
        self._program.stdin.flush()
        shown: list[str] = json.loads(self._program.stdout.readline())
        return shown


@pytest.fixture
def notebook(tmp_path: Path, server: FakeAgentServer) -> Iterator[Notebook]:
    with Notebook(tmp_path, server.url) as notebook:
        yield notebook


def test_every_cell_of_the_page_shows_the_answer(notebook: Notebook, server: FakeAgentServer) -> None:
    server.agent("your-agent-id").always(*STORY)
    shown = ["".join(notebook.run(cell)) for cell in CELLS]
    story = "".join(STORY)
    several = repr([story] * 3)
    markdown = ["".join(STORY[:count]) for count in range(1, 5)]
    assert [story, story, several, repr(story), "".join(markdown), "Once\n"] == shown


# ipykernel notices an interrupt of a cell that waits when its loop next has something to do.
TICKING = """
import asyncio

async def tick():
    while True:
        await asyncio.sleep(0.05)

ticking = asyncio.create_task(tick())
"""


def read(client: str, loop: str) -> str:
    """Return a cell that reads a stream with a name."""
    stream = f"stream = {client}('your-agent-id').run_generic_stream('hello')"
    return f"from runagent import {client}\n{stream}\n{loop} chunk in stream:\n    print(chunk)"


def test_interrupting_a_synchronous_read_frees_the_agent(notebook: Notebook, server: FakeAgentServer) -> None:
    server.agent("your-agent-id").always("Once", ending("stall"))
    assert ["Once\n", "KeyboardInterrupt"] == notebook.run(read("RunAgentClient", "for"), interrupt=True)
    assert server.requests[0].wait_disconnected(PATIENCE)
    assert ["RuntimeError"] == notebook.run("list(stream)")


def test_an_interrupted_asynchronous_stream_goes_on_in_the_next_cell(
    notebook: Notebook, server: FakeAgentServer
) -> None:
    middle = gate("middle")
    server.agent("your-agent-id").always("Once", middle, " upon")
    notebook.run(TICKING)
    reading = read("AsyncRunAgentClient", "async for")
    assert ["Once\n", "CancelledError"] == notebook.run(reading, interrupt=True)
    middle.open()
    assert [repr([" upon"])] == notebook.run("[chunk async for chunk in stream]")
    assert 1 == len(server.requests)


def test_a_loop_is_running_in_a_cell(notebook: Notebook) -> None:
    assert ["RuntimeError"] == notebook.run("import asyncio\nasyncio.run(asyncio.sleep(0))")
