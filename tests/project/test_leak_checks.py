"""The leak checks of the root conftest: what they let pass and what they catch."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

LEAKY = """
import asyncio
import socket
import threading

kept = []

class Cycle:
    def __init__(self, content):
        self.content = content
        self.me = self

def start(name=None):
    thread = threading.Thread(target=threading.Event().wait, name=name, daemon=True)
    thread.start()

async def never_awaited():
    pass

def test_thread():
    start()

def test_server_in_a_separate_thread():
    start("fake-agent 1")

def test_open_socket():
    kept.append(socket.create_server(("127.0.0.1", 0)))

def test_dropped_socket():
    Cycle(socket.create_server(("127.0.0.1", 0)))

def test_event_loop():
    kept.append(asyncio.new_event_loop())

def test_dropped_file():
    Cycle(open(__file__))

def test_dropped_coroutine():
    Cycle(never_awaited())

def test_failed_with_a_thread():
    start()
    assert False

def test_innocent():
    pass
"""

CLEAN = """
import asyncio
import socket
import threading

import pytest
import trio

@pytest.fixture(scope="module")
def server():
    gone = threading.Event()
    thread = threading.Thread(target=gone.wait, name="fake-agent 1")
    thread.start()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener
    gone.set()
    thread.join()

@pytest.fixture
def connection(server):
    with socket.create_connection(server.getsockname()) as client:
        accepted, _ = server.accept()
        with accepted:
            yield client

def test_nothing():
    pass

def test_wider_fixture(server):
    pass

def test_own_fixture(connection):
    connection.sendall(b"x")

def test_helper_of_a_wider_server(server):
    threading.Thread(target=threading.Event().wait, name="fake-agent 1 helper", daemon=True).start()

def test_thread_that_ends_a_little_later():
    threading.Timer(0.1, lambda: None).start()

def test_socket_closed_a_little_later():
    threading.Timer(0.1, socket.create_server(("127.0.0.1", 0)).close).start()

def test_asyncio_with_its_executor():
    asyncio.run(asyncio.wait_for(asyncio.to_thread(str), 1))

def test_idle_worker_of_trio():
    trio.run(trio.to_thread.run_sync, str)
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """An empty project with this project's conftest and pytest settings."""
    pytester.makeconftest((ROOT / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyprojecttoml((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return pytester


def run(project: pytest.Pytester, source: str, *, patience: float) -> pytest.RunResult:
    # In a separate process: a leak would otherwise be one of the test that provokes it.
    project.makepyfile(test_it=source)
    return project.runpytest_subprocess("test_it.py", "-rA", "-o", f"leak_patience={patience}")


def named(result: pytest.RunResult, outcome: str) -> set[str]:
    """The tests that the summary lists under `outcome`."""
    lines = [line.split() for line in result.outlines if line.startswith(f"{outcome} test_it.py::")]
    return {words[1].partition("::")[2] for words in lines}


def names_of_tests(source: str) -> set[str]:
    return {line[4:].partition("(")[0] for line in source.splitlines() if line.startswith("def test_")}


def test_a_test_that_leaks_fails_with_what_it_leaked(project: pytest.Pytester) -> None:
    result = run(project, LEAKY, patience=0.1)
    assert names_of_tests(LEAKY) - {"test_innocent"} == named(result, "ERROR")
    assert "test_innocent" in named(result, "PASSED")
    assert pytest.ExitCode.TESTS_FAILED == result.ret
    result.stdout.fnmatch_lines_random(
        [
            "*<Thread(fake-agent 1, started daemon *)> in wait (*threading.py:*",
            "*socket *: *('127.0.0.1', *) -> (none)",
            "*ResourceWarning: unclosed file*",
            "*coroutine 'never_awaited' was never awaited*",
        ]
    )


def test_a_test_that_cleans_up_passes(project: pytest.Pytester) -> None:
    result = run(project, CLEAN, patience=5)
    assert set() == named(result, "ERROR") | named(result, "FAILED")
    assert names_of_tests(CLEAN) == named(result, "PASSED")
