"""An error in a background thread or task reaches the one who waits for it, also before its first line."""

from __future__ import annotations

import _thread
import ast
import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from runagent import Chunk, Completed, ConfigurationError, PluginError, RunAgentClient, StreamError
from runagent_testing import FakeAgentServer
from runagent_testing.conformance._watchdog import Watchdog
from tests.docs.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.styles import Style

SOON = 5.0  # seconds; all limits of the tests are far longer

# Targets that need no `try`, and what reports their errors instead.
HEARD = {
    (
        "plugins/runagent-otel/runagent_otel/deferred.py",
        "run_deferred",
    ): "the error of each action is logged, and the next one runs",
    ("plugins/runagent-ray/runagent_ray/batch.py", "work"): "its task belongs to a group, which is awaited",
    ("runagent/_cli/console.py", "_draw"): "nobody waits for it; what it raises is printed",
    ("runagent/_net/aio_dial.py", "connected_socket"): "its task is awaited by the one who connects",
    ("runagent_testing/_server/functions.py", "_work"): "the call that waits has a limit",
    ("runagent_testing/_server/functions.py", "_aclose"): "its task is looked at when it is done",
    ("runagent_testing/_server/functions.py", "coroutine"): "its task is looked at when it is done",
    (
        "runagent_testing/_server/functions.py",
        "work",
    ): "sets a future, which has refused before it runs if it is cancelled",
    ("runagent_testing/_memory/computing.py", "work"): "its task is asked for its result",
    ("runagent_testing/_memory/computing.py", "_awaited"): "its task is asked for its result",
    ("runagent_testing/_server/handler.py", "listen"): "its task is asked for its result",
    ("runagent_testing/_server/handler.py", "work"): "its task is awaited",
    ("runagent_testing/_standalone/output.py", "_work"): "nobody waits for it; what it raises is printed",
    ("runagent_testing/conformance/_checks/leaving.py", "reader"): "its task is awaited",
}


# Who hears of it, by reading


def targets(tree: ast.AST) -> Iterator[str]:
    """Give the name of everything that is run in a thread, or in a separate task."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        if called == "Thread":
            found = [keyword.value for keyword in node.keywords if keyword.arg == "target"]
        elif called in ("start_new_thread", "create_task", "ensure_future"):
            found = node.args[:1]
        else:
            continue
        for target in found:
            inner = target.func if isinstance(target, ast.Call) else target
            yield ast.unparse(inner).rpartition(".")[2]


def begins_with_try(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether whatever a function raises is caught, from its first line on."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return isinstance(body[0], ast.Try) and any(
        handler.type is None or ast.unparse(handler.type) in ("BaseException", "Exception")
        for handler in body[0].handlers
    )


def unheard(source: str) -> list[str]:
    tree = ast.parse(source)
    functions: dict[str, list[ast.FunctionDef | ast.AsyncFunctionDef]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            functions.setdefault(node.name, []).append(node)
    aliases = {
        ast.unparse(node.targets[0]): ast.unparse(node.value.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and ast.unparse(node.value.func).endswith("partial")
    }
    names = {aliases.get(name, name) for name in targets(tree)}
    return sorted(
        name for name in names if not functions.get(name) or not all(map(begins_with_try, functions[name]))
    )


def sources() -> Iterator[Path]:
    plugins = sorted((ROOT / "plugins").glob("*/runagent_*"))
    for package in (ROOT / "runagent", ROOT / "runagent_testing", *plugins):
        found = sorted(package.rglob("*.py"))
        yield from (path for path in found if "_broken" not in path.parts)  # which are so on purpose


def test_no_target_of_a_thread_or_task_can_fail_unheard() -> None:
    found = {
        (path.relative_to(ROOT).as_posix(), name)
        for path in sources()
        for name in unheard(path.read_text(encoding="utf-8"))
    }
    assert set() == found - HEARD.keys()
    assert set() == HEARD.keys() - found  # no excuse outlives its reason


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    x()\nThread(target=f)", ["f"]),
        (
            "def f():\n    x()\n    try:\n        g()\n    except Exception:\n        h()\nThread(target=f)",
            ["f"],
        ),
        ("def f():\n    try:\n        g()\n    except OSError:\n        h()\nThread(target=f)", ["f"]),
        ("async def f():\n    await g()\nloop.create_task(f(1), name='x')", ["f"]),
        ("async def f():\n    await g()\nt = partial(f, 1)\nThread(target=t)", ["f"]),
        ("_thread.start_new_thread(elsewhere, ())", ["elsewhere"]),
        (
            "def f():\n    '''Do.'''\n    try:\n        g()\n    except:\n        h()\nThread(target=f)",
            [],
        ),
    ],
)
def test_what_the_reading_finds(source: str, found: list[str]) -> None:
    assert found == unheard(source)


# Who hears of it, by trying


class Library:
    """An `AsyncTransport`."""

    name = "library"
    api_version = 1
    capabilities: frozenset[Any] = frozenset()

    def __init__(self, *runs_on: str) -> None:
        self.runs_on = frozenset(runs_on)

    async def run(self, call: Any, address: Any, resume: Any, emit: Any) -> None:
        await emit(Chunk("x"), Completed())


class Broken:
    """In the place of what background work begins with."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise RuntimeError("broken before it began")


async def fails_soon(client: Any, kind: type[BaseException]) -> BaseException:
    begin = time.monotonic()
    with pytest.raises(kind) as caught:
        await client.run_generic_stream("q").text()
    assert time.monotonic() - begin < SOON
    return caught.value


@pytest.mark.parametrize(
    "broken",
    [
        "runagent._net.tasks._run_loop",
        "runagent._bridge.session.Wakeup",
        "runagent._bridge.session.new_scope",
    ],
)
def test_a_library_whose_thread_or_task_fails_before_it_begins(
    broken: str, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "asyncio" if style.name == "trio" else "trio"
    runs_on = (other,) if broken.endswith("_run_loop") else ("asyncio", "trio")
    if style.name != "sync" and broken.endswith("Wakeup"):
        pytest.skip("the reader has one, too")

    async def scenario() -> None:
        client = style.client("a", base_url="http://127.0.0.1:1", transport=Library(*runs_on), timeout=60)
        monkeypatch.setattr(broken, Broken)
        error = await fails_soon(client, PluginError)
        assert "broken before it began" in str(error)

    style.run(scenario)


@pytest.mark.parametrize("raised", [SystemExit(3), KeyboardInterrupt("by itself")], ids=repr)
def test_what_ends_a_librarys_thread_reaches_the_reader_as_itself(
    raised: BaseException, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = "asyncio" if style.name == "trio" else "trio"

    async def run(*_: Any) -> None:
        raise raised

    async def scenario() -> None:
        library = Library(other)
        monkeypatch.setattr(library, "run", run)
        client = style.client("a", base_url="http://127.0.0.1:1", transport=library, timeout=60)
        error = await fails_soon(client, type(raised))
        assert raised.args == error.args

    style.run(scenario)


def test_reading_ahead_that_fails_before_it_begins(
    style: Style, transport: str, server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    if style.name == "sync":
        monkeypatch.setattr("runagent._run.pump.Pump.next_batch", Broken)
    else:
        monkeypatch.setattr("runagent._run.readahead.new_scope", Broken)

    async def scenario() -> None:
        client = style.client(
            "a",
            base_url=server.url,
            transport=transport,
            timeout=60,
            transport_options={"read_ahead_bytes": 1000},
        )
        error = await fails_soon(client, RuntimeError)
        assert "broken before it began" in str(error)

    style.run(scenario)


def test_a_cancelled_task_that_reads_ahead_is_no_good_end(server: FakeAgentServer) -> None:
    import asyncio

    from runagent import AsyncRunAgentClient
    from runagent_testing import ending

    server.agent("a").always("x", ending("stall"))

    async def scenario() -> None:
        options = {"read_ahead_bytes": 1000}
        client = AsyncRunAgentClient("a", base_url=server.url, transport_options=options)
        stream = client.run_generic_stream("q")
        assert "x" == await anext(stream)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        with pytest.raises(StreamError, match="was cancelled from outside"):
            await anext(stream)

    asyncio.run(scenario())


@pytest.mark.parametrize("raised", [MemoryError("no room"), UnicodeError("label too long")], ids=repr)
def test_a_look_up_that_fails_by_more_than_an_os_error(
    raised: Exception, style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr("runagent._net.resolve.socket.getaddrinfo", fail)

    async def scenario() -> None:
        client = style.client("a", base_url="http://agents.example", timeout=60)
        assert raised.args == (await fails_soon(client, type(raised))).args

    style.run(scenario)


@pytest.mark.parametrize(
    "broken", ["runagent_testing._server.server.RealTimeLoop", "runagent_testing._server.server.Listener"]
)
def test_a_fake_agent_server_whose_thread_fails(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = time.monotonic()
    monkeypatch.setattr(broken, Broken)
    with pytest.raises(RuntimeError, match="broken before it began"):
        FakeAgentServer().start()
    assert time.monotonic() - begin < SOON


def test_a_watchdog_that_cannot_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runagent_testing.conformance._watchdog.time.process_time", Broken)
    with pytest.raises(RuntimeError, match="broken before it began"):
        Watchdog().perform(lambda: None, "x")


def test_where_threads_are_greenlets_a_library_has_one_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """gevent keeps what it has replaced; `tests/interop/test_gevent.py` tries the real one."""
    started = []

    def start(work: Any, arguments: tuple[()]) -> int:
        started.append(work)
        return _thread.start_new_thread(work, arguments)

    monkey = SimpleNamespace(
        is_module_patched=lambda name: name == "threading",
        get_original=lambda module, name: {("_thread", "start_new_thread"): start}[module, name],
    )
    monkeypatch.setitem(sys.modules, "gevent.monkey", monkey)
    client = RunAgentClient("a", base_url="http://127.0.0.1:1", transport=Library("asyncio"), timeout=60)
    assert "x" == client.run_generic_stream("q").text()
    assert 1 == len(started)


def test_a_library_of_trio_is_refused_where_gevent_has_patched_select(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "gevent.monkey", SimpleNamespace(is_module_patched=lambda _: True))
    client = RunAgentClient("a", base_url="http://127.0.0.1:1", transport=Library("trio"), timeout=60)
    with pytest.raises(ConfigurationError, match="'library' needs trio, which does not run where gevent"):
        client.run_generic_stream("q").text()


def test_a_library_is_refused_where_threads_are_greenlets_of_one_thread(
    style: Style, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.run)
    other = "asyncio" if style.name == "trio" else "trio"

    async def scenario() -> None:
        client = style.client("a", base_url="http://127.0.0.1:1", transport=Library(other), timeout=60)
        error = await fails_soon(client, ConfigurationError)
        assert "threads are greenlets here; leave threads unpatched" in str(error)

    style.run(scenario)
