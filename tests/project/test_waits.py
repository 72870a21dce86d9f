"""No wait for somebody else's code is without a limit: every wait of the packages, found by its form."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("runagent", "runagent_testing", "plugins")
# Methods that wait, and the place of their limit among the arguments.
LIMITS = {
    "join": 0,
    "wait": 0,
    "result": 0,
    "exception": 0,
    "get": 1,
    "put": 2,
    "acquire": 1,
    "wait_for": 1,
    "communicate": 1,
    "select": 0,
    "gather": None,
    "sleep_forever": None,
    "shutdown_default_executor": 0,
    "run_coroutine_threadsafe": None,
}
FUNCTIONS = {"asyncio.wait": None, "futures.wait": 1, "subprocess.run": None, "subprocess.check_output": None}
BOUNDS = {"timeout", "timeout_at", "move_on_after", "move_on_at", "fail_after", "fail_at"}


class Finder(ast.NodeVisitor):
    """Collects the waits of a module that have no limit, as ``Class.function: source``."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._names: list[str] = []
        self._bounded = 0

    def _in(self, node: ast.AST, name: str) -> None:
        self._names.append(name)
        bounded, self._bounded = self._bounded, 0
        self.generic_visit(node)
        self._bounded = bounded
        self._names.pop()

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._in(node, node.name)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._in(node, node.name)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._in(node, node.name)

    def visit_With(self, node: ast.With) -> None:
        self._visit_with(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        self._visit_with(node)

    def _visit_with(self, node: ast.With | ast.AsyncWith) -> None:
        bounds = any(_is_bound(item.context_expr) for item in node.items)
        self._bounded += bounds
        self.generic_visit(node)
        self._bounded -= bounds

    def visit_Await(self, node: ast.Await) -> None:
        if isinstance(node.value, ast.Name | ast.Attribute):  # a future or a task
            self._note(node)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if _waits(node):
            self._note(node)
        self.generic_visit(node)

    def _note(self, node: ast.AST) -> None:
        if not self._bounded:
            self.found.append(f"{'.'.join(self._names)}: {ast.unparse(node)}")


def _is_bound(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node.func).rpartition(".")[2] in BOUNDS and not _is_none(node)


def _is_none(node: ast.Call) -> bool:
    return not node.args or (isinstance(node.args[0], ast.Constant) and node.args[0].value is None)


def _name(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else "?"


def _waits(node: ast.Call) -> bool:
    """Whether a call waits without a limit."""
    name = _name(node.func)
    limit = next((word.value for word in node.keywords if word.arg == "timeout"), None)
    short = ".".join(name.split(".")[-2:])
    if short in FUNCTIONS:
        place = FUNCTIONS[short]
    elif isinstance(node.func, ast.Attribute) and node.func.attr in LIMITS:
        place = LIMITS[node.func.attr]
        if isinstance(node.func.value, ast.Constant):  # ", ".join(...)
            return False
        if node.func.attr in ("get", "put", "acquire") and (node.args or node.keywords) and limit is None:
            return _blocks(node)
        if node.func.attr == "run_coroutine_threadsafe":
            return False  # its result waits
    else:
        return False
    if limit is None and place is not None and len(node.args) > place:
        limit = node.args[place]
    return limit is None or (isinstance(limit, ast.Constant) and limit.value is None)


def _blocks(node: ast.Call) -> bool:
    """Whether get(True), put(item, True) or acquire(blocking=True) is written out."""
    assert isinstance(node.func, ast.Attribute)
    given = [*node.args, *(word.value for word in node.keywords)]
    return any(isinstance(one, ast.Constant) and one.value is True for one in given) and len(node.args) < 2


def waits(text: str) -> list[str]:
    finder = Finder()
    finder.visit(ast.parse(text))
    return finder.found


def modules() -> Iterator[Path]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not {"tests", "build"} & set(path.relative_to(ROOT).parts):
                yield path


OURS = "a thread, task or signal of this package, which always comes"
CANCELLED = "tasks that were cancelled just before, or are ended by their own limit"
READER = "the reader's side: backpressure has no limit, and closing wakes it"
LIMITED = "its caller has set a limit"
DONE = "it is done"
WATCHED = "a check of the kit, which the watchdog ends"
IDLE = "waits for work, which nobody waits for; closing ends it"

ALLOWED = {
    "AioMemoryConnection.receive: await self._waiter": "the deadline is a timer of the loop",
    "ComingKey._take: await self._coming": "its reader cancels it at the deadline of connect",
    "AsyncPump.next_batch: await reading": "it has the deadline of the read",
    "AsyncReadAhead._read_on: cast('Wakeup', self._changed).wait()": READER,
    "Wakeup.wait: self._event.wait()": LIMITED,
    "FakeAgentServer._serve: self._stop.wait()": IDLE,
    "Listener.drop: asyncio.gather(*opening, return_exceptions=True)": CANCELLED,
    "Output._work: self._lines.get()": IDLE,
    "ReadAhead._read_all: self._room.wait()": READER,
    "SyncStream.result: self.stream.result(**options)": "a stream, and no future",
    "SocketConnection.receive: await reader": "the watchdog of deadlines wakes it",
    "ThreadWakeup.__init__: self._lock.acquire()": "a new lock, which nobody else has",
    "TransportConnection.receive: await reader": "the watchdog of deadlines wakes it",
    "TransportConnection.send: await writer": "the watchdog of deadlines wakes it",
    "TrioClock._work: trio.sleep_forever()": "its scope has the deadline",
    "TrioMemory.connect: self._run.get()": "a variable, and no queue",
    "Watchdog._watch: trio.sleep_forever()": "its scope has the deadline",
    "_CannotBeCancelled.run: await run": "broken on purpose",
    "_WebSocketReader.unless_left: asyncio.gather(*tasks, return_exceptions=True)": CANCELLED,
    "_WebSocketReader.unless_left: asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)": (
        "the client's leaving ends it; functions have timeout=, and the server's end cancels it"
    ),
    "_WebSocketReader.unless_left: await working": DONE,
    "_WebSocketReader.unless_left: tasks[0].result()": DONE,
    "_finish: await rest": "the thread that waits for it has a limit",
    "_JumpingSelector.select: super().select(None)": "only a thread or a socket can wake the loop",
    "_Source._limited: future.result()": DONE,
    "handed_to: reader.exception()": DONE,
    "handed_to: reader.result()": DONE,
    "_Source._waited: outcome[0].result()": DONE,
    "_Spinner.stop: self._thread.join()": OURS,
    "_Watch.end: self._thread.join()": OURS,
    "_Worker._emit: self._room.wait()": READER,
    "_Worker._work: self._calls.get()": IDLE,
    "_aclose: asyncio.wait([before])": "nobody waits for it: what does not end is named and left behind",
    "_at_once: asyncio.gather(*(function() for function in functions))": WATCHED,
    "_await_key: await given": LIMITED,
    "_awaited: await awaitable": LIMITED,
    "_cancel_once_begun: await task": WATCHED,
    "_cancel_once_begun: begun.wait()": WATCHED,
    "_cancel_once_begun: reading.wait()": WATCHED,
    "_end: asyncio.Event().wait()": "a stall: the client's leaving or the server's end cancels it",
    "_end: asyncio.gather(*unfinished, return_exceptions=True)": CANCELLED,
    "_end: attempt.exception()": DONE,
    "_let_go: task.exception()": DONE,
    "_end: attempt.result()": DONE,
    "_pass: opened.wait()": "a gate: the client's leaving or the server's end cancels it",
    "_race: attempt.result()": DONE,
    "dial_first: race.result()": DONE,
    "forward: relay.ended.wait()": "the service's end, the client's leaving or the server's end ends it",
}


def test_every_wait_has_a_limit_or_a_reason():
    found = {
        f"{path.relative_to(ROOT)}: {one}": one
        for path in modules()
        for one in waits(path.read_text(encoding="utf-8"))
    }
    assert [] == [place for place, one in found.items() if one not in ALLOWED]
    assert set() == ALLOWED.keys() - set(found.values())  # what is gone leaves the list
    assert all(ALLOWED.values())


@pytest.mark.parametrize(
    "text",
    [
        "thread.join()",
        "thread.join(None)",
        "thread.join(timeout=None)",
        "event.wait()",
        "condition.wait_for(ready)",
        "condition.wait_for(ready, None)",
        "future.result()",
        "future.exception()",
        "run_coroutine_threadsafe(work, loop).result()",
        "queue.get()",
        "queue.get(True)",
        "queue.get(block=True)",
        "queue.get(timeout=None)",
        "lock.acquire()",
        "lock.acquire(blocking=True)",
        "process.communicate()",
        "process.wait()",
        "subprocess.run(command)",
        "futures.wait(those)",
        "async def f(): await event.wait()",
        "async def f(): await asyncio.wait(tasks)",
        "async def f(): await asyncio.wait_for(work, None)",
        "async def f(): await asyncio.gather(*work)",
        "async def f(): await task",
        "async def f(): await self.waiter",
        "async def f():\n  async with asyncio.timeout(None): await event.wait()",
        "async def f():\n  async with lock: await event.wait()",
        "async def f():\n  async with asyncio.timeout(1):\n    async def g(): await event.wait()",
    ],
)
def test_a_wait_without_a_limit_is_found(text):
    assert 1 == len(waits(text))


@pytest.mark.parametrize(
    "text",
    [
        "thread.join(5)",
        "thread.join(timeout=left)",
        "', '.join(words)",
        "event.wait(left)",
        "condition.wait_for(ready, 5)",
        "future.result(5)",
        "mapping.get(key)",
        "mapping.get(key, None)",
        "queue.get(timeout=5)",
        "queue.get(False)",
        "lock.acquire(blocking=False)",
        "lock.acquire(timeout=5)",
        "process.communicate(timeout=5)",
        "subprocess.run(command, timeout=5)",
        "async def f(): await asyncio.wait(tasks, timeout=5)",
        "async def f(): await asyncio.wait_for(work, 5)",
        "async def f():\n  async with asyncio.timeout(5): await event.wait()",
        "async def f():\n  with trio.move_on_after(5): await event.wait()",
    ],
)
def test_a_wait_with_a_limit_is_not_found(text):
    assert [] == waits(text)
