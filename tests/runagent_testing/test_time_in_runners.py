"""Virtual time in the runners of asynchronous tests, by the recipes of docs/testing.md."""

from __future__ import annotations

from tests.docs.pages import DOCS
from tests.runagent_testing.project import PLUGIN

PAGE = DOCS["testing"]

TEST = """
import pytest
from runagent import AsyncRunAgentClient
from runagent_testing import delay

async def ask():
    async with AsyncRunAgentClient("writer") as client:
        return await client.run_generic_stream("hello", timeout=1000).text()

def prepare(memory):
    memory.agent("writer").always("Once", delay(600), " upon")

def demand(memory, text):
    assert "Once upon" == text
    assert 600.0 == memory.requests[-1].ended_at
"""
ASYNC_TEST = """
{mark}
async def test_it(installed_memory_network{fixtures}):
    prepare(installed_memory_network)
    demand(installed_memory_network, await ask())

{mark}
async def test_again(installed_memory_network{fixtures}):
    prepare(installed_memory_network)
    demand(installed_memory_network, await ask())
"""


def recipe(beginning):
    """Return the block of the page that contains this line."""
    return next(example.text for example in PAGE.examples() if beginning in example.text)


def run(project, source, *plugins, conftest=""):
    project.makeconftest(conftest)
    project.makepyfile(TEST + source)
    options = [option for plugin in (PLUGIN, *plugins) for option in ("-p", plugin)]
    return project.runpytest_subprocess(*options, timeout=60)


def test_anyio_on_both_backends(project):
    conftest = recipe("def anyio_backend")
    source = ASYNC_TEST.format(mark="@pytest.mark.anyio", fixtures="")
    result = run(project, source, "anyio", conftest=conftest)
    result.assert_outcomes(passed=4)


def test_pytest_trio(project):
    source = ASYNC_TEST.format(mark="@pytest.mark.trio", fixtures=", autojump_clock")
    run(project, source, "pytest_trio.plugin").assert_outcomes(passed=2)


def test_unittest(project):
    source = """
import unittest
from runagent import RunAgentClient
from runagent_testing import MemoryNetwork

class Common:
    def setUp(self):
        self.memory = MemoryNetwork()
        self.enterContext(self.memory.install())
        prepare(self.memory)

    def test_sync(self):
        with RunAgentClient("writer") as client:
            demand(self.memory, client.run_generic_stream("hello", timeout=1000).text())

    def test_async(self):
        demand(self.memory, self.memory.run_asyncio(ask()))
        demand(self.memory, self.memory.run_trio(ask))

class TestPlain(Common, unittest.TestCase):
    pass

class TestIsolated(Common, unittest.IsolatedAsyncioTestCase):
    pass
"""
    run(project, source).assert_outcomes(passed=4)


def test_threads_one_after_another_and_a_loop_with_real_time(project):
    source = """
import asyncio
import threading
from runagent import RunAgentClient

def test_threads(installed_memory_network):
    prepare(installed_memory_network)
    texts = []

    def work():
        with RunAgentClient("writer") as client:
            texts.append(client.run_generic_stream("hello", timeout=1000).text())

    for _ in range(3):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join(20)
    assert ["Once upon"] * 3 == texts

def test_real_time(installed_memory_network):
    installed_memory_network.agent("writer").always("Once", delay(0.01), " upon")
    asyncio.run(ask())
"""
    result = run(project, source)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*RealTimeWarning: the memory network waits in real time*"])
