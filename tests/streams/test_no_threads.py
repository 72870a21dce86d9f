"""A machine without free threads, or an interpreter that is ending: a documented error, never a wait."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from trio._core import _thread_cache

from runagent import AsyncRunAgentClient, ConfigurationError, NetworkError, RunAgentClient
from tests.support.styles import Style

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent._address.route import Address
    from runagent.capabilities import Capability
    from runagent.transports import AgentCall, Emit, ResumePoint

ROOT = Path(__file__).resolve().parents[2]
_REFUSED = "can't start new thread"
_GUARDS = ("needs_thread(", "suppress(RuntimeError)")


class Library:
    """An `AsyncTransport` that never gets to run."""

    name = "library"
    api_version = 1
    capabilities: frozenset[Capability] = frozenset()
    runs_on = frozenset({"asyncio"})

    async def run(self, call: AgentCall, address: Address, resume: ResumePoint | None, emit: Emit) -> None:
        raise AssertionError


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(_REFUSED)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    # trio keeps a thread for ten seconds: one of an earlier test would serve this one.
    monkeypatch.setattr(_thread_cache, "THREAD_CACHE", _thread_cache.ThreadCache())


@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_a_name_cannot_be_resolved(style: Style) -> None:
    async def scenario() -> NetworkError:
        client = style.client("a", base_url="http://agents.invalid", max_retries=0)
        with pytest.raises(NetworkError, match="no thread can be started to resolve a host name") as caught:
            await client.run_generic_stream("x").text()
        return caught.value

    error = style.run(scenario)
    assert "NO_THREAD" == error.code
    assert _REFUSED in error.message


@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_nothing_is_read_ahead() -> None:
    options = {"read_ahead_bytes": 1000}
    client = RunAgentClient("a", base_url="http://127.0.0.1:9", max_retries=0, transport_options=options)
    stream = client.run_generic_stream("x")
    for _ in range(2):  # the second time, too: nobody waits for a missing thread
        with pytest.raises(NetworkError, match="no thread can be started to read ahead"):
            next(stream)


@pytest.mark.parametrize("style_name", ["sync", "trio"])
@pytest.mark.usefixtures("no_threads")
def test_without_a_thread_a_library_cannot_run(style_name: str) -> None:
    style = Style(style_name)

    async def scenario() -> None:
        client = style.client("a", base_url="http://127.0.0.1:9", transport=Library(), max_retries=0)
        with pytest.raises(NetworkError, match="no thread can be started to run the transport"):
            await client.run_generic_stream("x").text()

    style.run(scenario)


def test_a_name_is_not_resolved_while_the_interpreter_ends() -> None:
    code = """
import atexit, threading
from runagent import NetworkError, RunAgentClient

def late():
    threading._shutdown()
    try:
        RunAgentClient("a", base_url="http://agents.invalid", max_retries=0).run_generic_stream("x").text()
    except NetworkError as error:
        print(error.code)

atexit.register(late)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "" == result.stderr
    assert result.stdout.strip() in (
        "NO_THREAD",
        "DNS",
        "DNS_TEMPORARY",
    )  # before 3.12 there still are threads


def _without_a_task(awaitable: Any) -> BaseException:
    """Advance a coroutine in a callback of a loop, which is no task."""
    errors: list[BaseException] = []

    def advance() -> None:
        try:
            awaitable.send(None)
        except BaseException as exc:  # noqa: BLE001  # what the test looks at
            errors.append(exc)
        finally:
            awaitable.close()
            loop.stop()

    loop = asyncio.new_event_loop()
    loop.call_soon(advance)
    try:
        loop.run_forever()
    finally:
        loop.close()
    (error,) = errors
    return error


@pytest.mark.parametrize("options", [{}, {"transport_options": {"read_ahead_bytes": 1000}}])
def test_without_a_task_there_is_an_error_of_one_line(options: dict[str, Any]) -> None:
    client = AsyncRunAgentClient("a", base_url="http://127.0.0.1:9", **options)
    for awaitable in (client.run_generic_stream("x").text(), client.run_generic("x")):
        error = _without_a_task(awaitable)
        assert isinstance(error, ConfigurationError)
        assert "in a task of asyncio or trio, and none is running here" in str(error)
        assert error.__suppress_context__


def unguarded_starts(source: str) -> Iterator[str]:
    """Give every place at which a thread is started, and nobody expects that there may be none."""
    tree = ast.parse(source)
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.With) and any(g in ast.unparse(i) for i in node.items for g in _GUARDS)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and id(node) not in guarded and not node.args:
            called = ast.unparse(node.func)
            if called.endswith(".start") and "thread" in called.lower():
                yield f"{node.lineno}: {ast.unparse(node)}"


def test_every_start_of_a_thread_may_fail() -> None:
    found = {
        path.relative_to(ROOT).as_posix(): starts
        for path in sorted((ROOT / "runagent").rglob("*.py"))
        if (starts := list(unguarded_starts(path.read_text(encoding="utf-8"))))
    }
    assert {} == found


def test_an_unguarded_start_is_seen() -> None:
    assert ["1: self._thread.start()"] == list(unguarded_starts("self._thread.start()"))
    assert ["1: Thread(target=f).start()"] == list(unguarded_starts("Thread(target=f).start()"))
    assert [] == list(unguarded_starts("with needs_thread('x'):\n    thread.start()"))
