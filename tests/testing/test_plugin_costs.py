"""How the plugin comes into a test run, and what it costs there."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib

import pytest

from tests.testing.project import PLUGIN, ROOT

ENTRY_POINT = "runagent_testing"
IMPORTED = f"""
import json, sys
import pytest
before = set(sys.modules)
import {PLUGIN}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_plugin_imports_nothing_when_pytest_starts():
    shown = subprocess.run(
        [sys.executable, "-c", IMPORTED], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert [ENTRY_POINT, PLUGIN] == json.loads(shown)


LOADED = """
import sys
def test_it():
    loaded = {name.partition(".")[0] for name in sys.modules}
    assert not loaded & {"runagent", "aiohttp", "httptools", "msgspec", "websockets", "trio"}
    assert {"runagent_testing", "runagent_testing.pytest_plugin"} == {
        name for name in sys.modules if name.startswith("runagent")
    }
"""


def test_a_run_that_does_not_use_the_fixtures_imports_nothing(project):
    project.makepyfile(LOADED)
    project.runpytest_subprocess("-p", PLUGIN).assert_outcomes(passed=1)


STARTED = """
import sys, time
from _pytest.config import get_config
sys.path.insert(0, {here!r})
best = {{}}
for _ in range(7):
    for name in ("empty_plugin", {plugin!r}):
        for loaded in [module for module in sys.modules if module.startswith(("empty", "runagent"))]:
            del sys.modules[loaded]
        manager = get_config().pluginmanager
        began = time.perf_counter()
        manager.import_plugin(name)
        best[name] = min(best.get(name, 1.0), time.perf_counter() - began)
print(best[{plugin!r}] - best["empty_plugin"])
"""


def test_the_plugin_costs_less_than_five_milliseconds_at_the_start(tmp_path):
    (tmp_path / "empty_plugin.py").write_text("")
    source = STARTED.format(here=str(tmp_path), plugin=PLUGIN)
    shown = subprocess.run(
        [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert 0.005 > float(shown)


def entry_points():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]


@pytest.fixture
def installed(project, monkeypatch):
    """The project with a distribution that has our entry point, as the wheel will have it."""
    (name, module), *_ = entry_points().items()
    folder = project.mkdir("installed") / "thing-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1\n")
    (folder / "entry_points.txt").write_text(f"[pytest11]\n{name} = {module}\n")
    (folder / "RECORD").write_text("thing-1.dist-info/METADATA,,\n")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{folder.parent}")
    return project


def test_the_entry_point_names_the_plugin():
    assert {ENTRY_POINT: PLUGIN} == entry_points()


@pytest.mark.parametrize(
    ("arguments", "conftest", "autoload"),
    [
        ([], "", True),
        (["-p", PLUGIN], "", True),
        ([], f"pytest_plugins = [{PLUGIN!r}]", True),
        (["-p", ENTRY_POINT], "", False),
        (["-p", ENTRY_POINT, "-p", PLUGIN], "", False),
    ],
)
def test_it_is_registered_once_however_it_is_named(installed, monkeypatch, arguments, conftest, autoload):
    if autoload:
        monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    installed.makeconftest(conftest)
    installed.makepyfile("def test_it(fake_agent, pytestconfig):\n    pass")
    result = installed.runpytest_subprocess(*arguments)
    result.assert_outcomes(passed=1)


def test_it_can_be_switched_off(installed, monkeypatch):
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    installed.makepyfile("def test_it(fake_agent):\n    pass")
    result = installed.runpytest_subprocess("-p", f"no:{ENTRY_POINT}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'fake_agent' not found*"])


COSTS = """
import socket
import pytest

@pytest.fixture
def empty():
    yield

def pytest_generate_tests(metafunc):
    metafunc.parametrize("number", range(60))

def test_empty(empty, number):
    pass

def test_fake_agent(fake_agent, number):
    fake_agent.always("x")

def test_asked(fake_agent, number):
    fake_agent.always("x")
    with socket.create_connection(tuple(address(fake_agent.url))) as client:
        client.sendall(
            b"POST /v1/agents/fake-agent/stream HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 2\\r\\n\\r\\n{}"
        )
        received = b""
        while b"0\\r\\n\\r\\n" not in received:
            received += client.recv(65536)

def address(url):
    host, _, port = url.partition("//")[2].partition(":")
    return host, int(port)
"""
TIMING = """
import json, time
import pytest

spent = {}

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    began = time.perf_counter()
    result = yield
    spent.setdefault(item.originalname, []).append(time.perf_counter() - began)
    return result

def pytest_sessionfinish(session):
    # The best of many: whatever else the machine does only adds to it.
    with open("best.json", "w") as file:
        json.dump({name: min(times[1:]) for name, times in spent.items()}, file)
"""


def test_a_test_costs_less_than_two_milliseconds_more_than_with_an_empty_fixture(project):
    project.makeconftest(TIMING)
    project.makepyfile(COSTS)
    project.runpytest_subprocess("-p", PLUGIN, "-q").assert_outcomes(passed=180)
    best = json.loads((project.path / "best.json").read_text())
    assert 0.002 > best["test_fake_agent"] - best["test_empty"]
    # What a test does with it counts as well, and the connections that it leaves.
    assert 0.006 > best["test_asked"] - best["test_empty"]
