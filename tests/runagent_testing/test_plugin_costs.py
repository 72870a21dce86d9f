"""How the plugin comes into a test run, and what it costs there."""

from __future__ import annotations

import tomllib

import pytest

from tests.benchmarks.plugin_costs import imported_at_the_start, seconds_at_the_start, seconds_of_tests
from tests.runagent_testing.project import PLUGIN, ROOT

ENTRY_POINT = "runagent_testing"


def test_the_plugin_imports_nothing_when_pytest_starts():
    assert [ENTRY_POINT, PLUGIN] == imported_at_the_start()


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


def test_the_plugin_costs_less_than_five_milliseconds_at_the_start(tmp_path):
    assert 0.005 > seconds_at_the_start(tmp_path)


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


def test_a_test_costs_less_than_two_milliseconds_more_than_with_an_empty_fixture(tmp_path):
    best = seconds_of_tests(tmp_path)
    assert 0.002 > best["test_fake_agent"] - best["test_empty"]
    # What a test does with it counts as well, and the connections that it leaves.
    assert 0.006 > best["test_asked"] - best["test_empty"]
