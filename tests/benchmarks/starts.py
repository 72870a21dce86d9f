"""What a process costs from its start: an import, and a client made and used once up to its first chunk."""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.ours import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.benchmarks.contenders import Origin

__all__ = ["first_chunks", "imports", "own_first_chunks", "start", "take_turns"]

_OBSERVER = """
from runagent import hookimpl
calls = []
class Watched:
    def finished(self, report):
        calls.append(report)
@hookimpl
def runagent_observe_call(call):
    calls.append(call)
    return Watched()
"""
_BARE = "import json, logging, socket"

_RUNAGENT = """
import os
from runagent import RunAgentClient
client = RunAgentClient("{wire}-burst-9", base_url="{http}", transport="{transport}")
for text in client.run_generic_stream({{"query": "hello"}}):
    os._exit(text != "wörd 0 ")
"""
_HTTPX2 = """
import json, os
import httpx2
with httpx2.Client() as client, client.sse("{http}/sse-burst-9", method="POST", json={{}}) as source:
    for event in source:
        if event.event == "chunk":
            os._exit(json.loads(event.data)["content"] != "wörd 0 ")
"""
_HTTPX2_WEBSOCKET = """
import json, os
import httpx2
with httpx2.Client() as client, client.websocket("{ws}/plain-burst-9") as socket:
    socket.send_text("{{}}")
    while (message := json.loads(socket.receive_text()))["type"] != "data":
        pass
    os._exit(message["content"] != "wörd 0 ")
"""
_OPENAI = """
import os
import openai
client = openai.OpenAI(api_key="k", base_url="{http}/openai-burst-9")
for chunk in client.chat.completions.create(model="m", messages=[], stream=True):
    os._exit(chunk.choices[0].delta.content != "wörd 0 ")
"""


def start(code: str, environment: Mapping[str, str] | None = None) -> float:
    """Run a program in a separate process and return its CPU seconds, user and system."""
    # Compiled code is kept, as an installer keeps it: nobody pays for compiling at every start.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    child = os.posix_spawn(sys.executable, [sys.executable, "-c", code], kept | dict(environment or {}))
    _, status, usage = os.wait4(child, 0)
    if status:
        raise RuntimeError(f"a measured program failed with status {status}:\n{code}")
    return usage.ru_utime + usage.ru_stime


def take_turns(programs: Mapping[str, tuple[str, Mapping[str, str]]], rounds: int) -> dict[str, list[float]]:
    """Return the CPU milliseconds of each program in each round; every other round goes backwards."""
    times: dict[str, list[float]] = {name: [] for name in programs}
    order = list(programs.items())
    for code, environment in programs.values():
        start(code, environment)
    for _ in range(rounds):
        for name, (code, environment) in order:
            times[name].append(start(code, environment) * 1000)
        order.reverse()
    return times


def _medians(programs: Mapping[str, tuple[str, Mapping[str, str]]], rounds: int) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in take_turns(programs, rounds).items()}


def imports(rounds: int) -> dict[str, float]:
    """Measure ``import runagent`` compared with a process that imports what any network program does."""
    return _medians({"json, logging, socket": (_BARE, {}), "runagent": ("import runagent", {})}, rounds)


@contextlib.contextmanager
def _observer() -> Iterator[str]:
    """Install a plugin that observes every run; give the folder that makes it visible."""
    with tempfile.TemporaryDirectory() as folder:
        about = Path(folder, "bench_observer-1.0.dist-info")
        about.mkdir()
        Path(folder, "bench_observer.py").write_text(_OBSERVER, encoding="ascii")
        Path(about, "METADATA").write_text("Name: bench-observer\nVersion: 1.0\n", encoding="ascii")
        Path(about, "entry_points.txt").write_text("[runagent]\nbench = bench_observer\n", encoding="ascii")
        yield folder


def own_first_chunks(origin: Origin) -> dict[str, str]:
    """Return a program for each transport: it makes a client, and uses it up to the first chunk."""
    wires = {"sse": "sse", "chunked": "ndjson", "websocket": "plain"}
    return {
        f"{NAME} {transport}": _RUNAGENT.format(http=origin.http, wire=wire, transport=transport)
        for transport, wire in wires.items()
    }


def first_chunks(origin: Origin, rounds: int, *, peers: bool) -> dict[str, float]:
    """Measure a client made and used once, with each transport, compared with the peers.

    Args:
        origin: The server.
        rounds: How often.
        peers: Whether the peers run as well.
    """
    ours = own_first_chunks(origin)
    programs: dict[str, tuple[str, Mapping[str, str]]] = {name: (code, {}) for name, code in ours.items()}
    if peers:
        programs["httpx2 sse"] = (_HTTPX2.format(http=origin.http), {})
        programs["httpx2 websocket"] = (_HTTPX2_WEBSOCKET.format(ws=origin.ws), {})
        programs["openai"] = (_OPENAI.format(http=origin.http), {})
    with _observer() as folder:
        programs[f"{NAME} sse, observed by a plugin"] = (ours[f"{NAME} sse"], {"PYTHONPATH": folder})
        return _medians(programs, rounds)
