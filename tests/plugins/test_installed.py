"""Five transport plugins in one place, in a separate process each time: what is imported, and what is not.

Each of their modules records its import in a file, so that even an import that fails is seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runagent._plugins import installed as module_under_test
from runagent._plugins.installed import OBSERVERS, TRANSPORTS, Installed, search_path
from tests.support.distributions import install, transport_module

if TYPE_CHECKING:
    from pathlib import Path

    from runagent_testing import FakeAgentServer

MARK = "import os; open(os.environ['MARKS'], 'a').write(__name__ + chr(10))\n"
RUN = "from runagent import RunAgentClient; print(RunAgentClient('a').run_generic_stream('x').text())"


class Computer:
    """A place where distributions are installed, and programs are run.

    Attributes:
        site: The folder of the installed distributions.
        home: The working directory of the programs.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.site, self.home, self.marks = folder / "site", folder / "home", folder / "marks"
        self.home.mkdir()
        self.path = [self.site]
        self.environ = {"MARKS": str(self.marks), "RUNAGENT_API_URL": url, "HOME": str(folder)}

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments."""
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("RUNAGENT_")}
        path = os.pathsep.join(map(str, self.path))
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.home,
            env=inherited | self.environ | {"PYTHONPATH": path} | environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def imported(self) -> list[str]:
        """The modules of plugins that have been imported, in order."""
        return self.marks.read_text().split() if self.marks.exists() else []


@pytest.fixture
def computer(tmp_path: Path, server: FakeAgentServer) -> Computer:
    """Has five transport plugins: one broken, two clashing, one slow, and one installed twice."""
    server.agent("a").always("hello")
    computer = Computer(tmp_path, server.url)
    site, again = computer.site, tmp_path / "again"
    good = MARK + transport_module("good")
    install(site, "runagent-good", good, transports=("good",), declares="v1.invoke.heartbeats")
    install(site, "runagent-broken", MARK + "import no_such_module", transports=("broken",))
    for name in ("runagent-one", "runagent-two"):
        install(site, name, MARK + transport_module("morse"), transports=("morse",))
    install(
        site,
        "runagent-slow",
        MARK + "import time; time.sleep(0.3)\n" + transport_module("slow"),
        transports=("slow",),
    )
    install(again, "runagent-good", good, transports=("good",), version="1.3", editable_from=site)
    computer.path.append(again)
    return computer


# What must not be imported


def test_nothing_imports_a_plugin_that_was_not_asked_for(computer: Computer) -> None:
    everything = (
        ("-c", "import runagent, runagent.transports; runagent.RunAgentClient"),
        ("-m", "runagent", "--help"),
        ("-m", "runagent", "transports"),
        ("-m", "runagent", "stream", "a", "x"),
        ("-c", RUN),
    )
    for arguments in everything:
        ran = computer.run(*arguments)
        assert (0, "") == (ran.returncode, ran.stderr)
    assert "hello" == ran.stdout.strip()
    assert [] == computer.imported


def test_the_list_is_complete_without_an_import(computer: Computer) -> None:
    listed = json.loads(computer.run("-m", "runagent", "transports", "--json").stdout)
    rows = {row["name"]: row for row in listed if row["distribution"] != "runagent-openai"}
    assert len(listed) - len(rows) <= 1
    assert {
        "broken": "ready",  # nobody knows yet
        "chunked": "built-in",
        "good": "ready",
        "runagent-one:morse": "clash",
        "runagent-two:morse": "clash",
        "slow": "ready",
        "sse": "built-in",
        "websocket": "built-in",
    } == {name: row["status"] for name, row in rows.items()}
    assert {
        "name": "good",
        "distribution": "runagent-good",
        "version": "1.2",  # of the copy that an import finds
        "api_version": 1,
        "status": "ready",
        "capabilities": ["heartbeats", "invoke"],
    } == rows["good"]
    assert (None, None) == (rows["slow"]["api_version"], rows["slow"]["capabilities"])
    assert [] == computer.imported


# What is imported, once it is asked for


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        ("good", ["runagent_good"]),
        ("runagent-two:morse", ["runagent_two"]),
        ("slow", ["runagent_slow"]),
    ],
)
def test_what_is_asked_for_is_imported_alone(computer: Computer, name: str, modules: list[str]) -> None:
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT=name)
    assert ("hello", modules) == (ran.stdout.strip(), computer.imported), ran.stderr


def test_two_of_one_name_are_an_error_that_names_both(computer: Computer) -> None:
    ran = computer.run("-m", "runagent", "stream", "a", "x", "--transport", "morse")
    assert 2 == ran.returncode
    assert "choose 'runagent-one:morse' or 'runagent-two:morse'" in ran.stderr
    assert [] == computer.imported


def test_a_broken_one_is_reported_and_disturbs_no_other(computer: Computer) -> None:
    ran = computer.run("-m", "runagent", "stream", "a", "x", "--transport", "broken")
    assert 2 == ran.returncode
    assert "'broken' of runagent-broken 1.2 cannot be loaded: ModuleNotFoundError" in ran.stderr
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="good")
    assert "hello" == ran.stdout.strip()


def test_a_broken_one_is_imported_once(computer: Computer) -> None:
    code = (
        "from runagent import RunAgentClient, PluginError\n"
        "for _ in range(3):\n"
        "    try: RunAgentClient('a').run_generic_stream('x').text()\n"
        "    except PluginError as error: print(error.plugin, type(error.__cause__).__name__)\n"
    )
    ran = computer.run("-c", code, RUNAGENT_TRANSPORT="broken")
    assert ["runagent-broken:broken ModuleNotFoundError"] * 3 == ran.stdout.splitlines()
    assert ["runagent_broken"] == computer.imported


@pytest.mark.parametrize(
    ("switch", "name"), [("all", "good"), ("x,runagent_two:morse", "runagent-two:morse")]
)
def test_what_is_switched_off_is_listed_and_not_imported(computer: Computer, switch: str, name: str) -> None:
    ran = computer.run(
        "-m", "runagent", "stream", "a", "x", RUNAGENT_TRANSPORT=name, RUNAGENT_DISABLE_PLUGINS=switch
    )
    assert (2, True) == (ran.returncode, "RUNAGENT_DISABLE_PLUGINS switches it off" in ran.stderr)
    assert [] == computer.imported


def test_switching_one_off_ends_a_clash(computer: Computer) -> None:
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="morse", RUNAGENT_DISABLE_PLUGINS="runagent-one")
    assert ("hello", ["runagent_two"]) == (ran.stdout.strip(), computer.imported)


def test_threads_import_once(computer: Computer) -> None:
    code = (
        "import threading; from runagent._plugins.registry import default_registry as registry\n"
        "asked = [threading.Thread(target=registry().get, args=('slow',)) for _ in range(8)]\n"
        "for thread in asked: thread.start()\n"
        "for thread in asked: thread.join()\n"
    )
    assert "" == computer.run("-c", code).stderr
    assert ["runagent_slow"] == computer.imported


# Versions and declarations


def test_a_version_that_is_not_known_is_refused_before_an_import(computer: Computer) -> None:
    install(computer.site, "runagent-future", MARK, transports=("future",), declares="v99.telepathy")
    ran = computer.run("-m", "runagent", "stream", "a", "x", "--transport", "future")
    assert 2 == ran.returncode
    assert "version 99 of the transport API" in ran.stderr
    assert "upgrade runagent" in ran.stderr
    assert 1 == ran.stderr.count("\n")
    assert [] == computer.imported


def test_a_false_declaration_is_logged_and_an_error_if_strict(computer: Computer) -> None:
    source = MARK + transport_module("boaster")
    install(computer.site, "runagent-boaster", source, transports=("boaster",), declares="v1.invoke")
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="boaster")
    assert "hello" == ran.stdout.strip()
    assert "runagent.capabilities:v1.heartbeats.invoke.resume.reuse.structured" in ran.stderr
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="boaster", RUNAGENT_STRICT_PLUGINS="1")
    assert "PluginError" in ran.stderr


# The working directory


def test_what_lies_in_the_working_directory_is_not_installed(computer: Computer) -> None:
    install(computer.home, "runagent-here", MARK + transport_module("here"), transports=("here",))
    for arguments in (("-m", "runagent", "stream", "a", "x"), ("-c", RUN)):
        ran = computer.run(*arguments, RUNAGENT_TRANSPORT="here")
        assert "unknown transport 'here'" in ran.stderr
    assert [] == computer.imported


def test_what_is_on_the_path_for_another_reason_is_installed(computer: Computer) -> None:
    install(computer.home, "runagent-here", MARK + transport_module("here"), transports=("here",))
    computer.path.append(computer.home)
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="here")
    assert "hello" == ran.stdout.strip(), ran.stderr


def test_old_metadata_in_the_working_directory_is_not_installed_either(computer: Computer) -> None:
    info = computer.home / "runagent_old.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: runagent-old\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[runagent.transports]\nold = runagent_old\n")
    assert "unknown transport 'old'" in computer.run("-c", RUN, RUNAGENT_TRANSPORT="old").stderr


def test_a_module_in_the_working_directory_does_not_take_a_plugins_place(computer: Computer) -> None:
    (computer.home / "runagent_good.py").write_text(MARK + transport_module("good"))
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="good")
    assert "would be imported from the working directory" in ran.stderr
    assert [] == computer.imported
    ran = computer.run("-P", "-c", RUN, RUNAGENT_TRANSPORT="good")
    assert "hello" == ran.stdout.strip(), ran.stderr


def test_plugins_are_developed_in_their_folders(computer: Computer) -> None:
    source = MARK + transport_module("mine")
    install(computer.site, "runagent-mine", source, transports=("mine",), editable_from=computer.home)
    ran = computer.run("-c", RUN, RUNAGENT_TRANSPORT="mine")
    assert ("hello", ["runagent_mine"]) == (ran.stdout.strip(), computer.imported), ran.stderr


# Observers from packages


OBSERVER = (
    MARK
    + """
from runagent import hookimpl

class Watched:
    def finished(self, report):
        print(report.outcome, report.agent_id)

@hookimpl
def runagent_observe_call(call):
    return Watched()
"""
)


def test_observers_are_loaded_at_the_first_call(computer: Computer) -> None:
    install(computer.site, "runagent-watch", OBSERVER, observers=("watch",))
    for arguments in (("-c", "import runagent; runagent.RunAgentClient('a')"), ("-m", "runagent", "--help")):
        computer.run(*arguments)
    assert [] == computer.imported
    ran = computer.run("-c", f"{RUN}; {RUN}")
    assert ["completed a", "hello"] * 2 == ran.stdout.split("\n")[:-1]
    assert ["runagent_watch"] == computer.imported


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import no_such_module", "ModuleNotFoundError"),
        ("", "implements no runagent_observe_call"),
    ],
)
def test_an_observer_that_does_not_work_is_logged_or_an_error_where_strict(
    computer: Computer, source: str, complaint: str
) -> None:
    install(computer.site, "runagent-watch", source, observers=("watch",))
    ran = computer.run("-c", f"{RUN}; {RUN}")
    assert ["hello"] * 2 == ran.stdout.split()
    assert 1 == ran.stderr.count("calls go on without it")
    assert complaint in ran.stderr
    ran = computer.run("-c", RUN, RUNAGENT_STRICT_PLUGINS="1")
    assert (1, "") == (ran.returncode, ran.stdout)
    assert "PluginError" in ran.stderr


def test_an_observer_that_exits_ends_the_program(computer: Computer) -> None:
    install(computer.site, "runagent-watch", "raise SystemExit(3)", observers=("watch",))
    assert (3, "") == ((ran := computer.run("-c", RUN)).returncode, ran.stdout)


def test_an_observer_can_be_switched_off(computer: Computer) -> None:
    install(computer.site, "runagent-watch", OBSERVER, observers=("watch",))
    assert "hello" == computer.run("-c", RUN, RUNAGENT_DISABLE_PLUGINS="watch").stdout.strip()
    assert [] == computer.imported


# How the metadata is read


def test_the_metadata_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "runagent-x", "", transports=("x",), observers=("y",))
    scans: list[Any] = []
    scan = module_under_test._scan

    def counting(path: list[str], places: Any) -> Any:
        scans.append(path)
        return scan(path, places)

    monkeypatch.setattr(module_under_test, "_scan", counting)
    plugins = Installed({}, [str(tmp_path)])
    for _ in range(3):
        assert ["x"] == [plugin.name for plugin in plugins.all_of(TRANSPORTS)]
        assert ["y"] == [plugin.name for plugin in plugins.enabled(OBSERVERS)]
    assert [[str(tmp_path)]] == scans


def test_where_nothing_is_installed_nothing_more_is_imported(tmp_path: Path) -> None:
    other = tmp_path / "other-1.0.dist-info"
    other.mkdir()
    (other / "entry_points.txt").write_text("[console_scripts]\nother = other:main\n")
    code = (
        "import sys; from runagent._plugins.installed import Installed;"
        f"print(Installed({{}}, [{str(tmp_path)!r}, '/nowhere']).all_of('runagent'),"
        " 'importlib.metadata' in sys.modules, 'email' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[] False False" == ran.stdout.strip()


def test_a_transport_alone_gives_no_reason_to_look_for_observers(tmp_path: Path) -> None:
    install(tmp_path, "runagent-x", "", transports=("x",))
    code = (
        "import sys; from runagent._plugins.installed import Installed;"
        f"plugins = Installed({{}}, [{str(tmp_path)!r}]);"
        "print(plugins.enabled('runagent'), 'importlib.metadata' in sys.modules,"
        " [plugin.name for plugin in plugins.enabled('runagent.transports')])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[] False ['x']" == ran.stdout.strip()


def test_switching_all_off_spares_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_under_test, "_scan", None)
    assert [] == Installed({"RUNAGENT_DISABLE_PLUGINS": " all "}).enabled(OBSERVERS)


def test_the_working_directory_is_left_out_of_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for first in ("", ".", str(tmp_path)):
        monkeypatch.setattr(sys, "path", [first, "/elsewhere"])
        assert ["/elsewhere"] == search_path()
    monkeypatch.setattr(sys, "path", ["/elsewhere", str(tmp_path)])
    assert ["/elsewhere", str(tmp_path)] == search_path()


# A real wheel and a real editable installation


PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "runagent-real"
version = "{version}"
[project.entry-points."runagent.transports"]
real = "runagent_real"
[project.entry-points."runagent.capabilities"]
real = "runagent.capabilities:v1.invoke.resume.heartbeats.structured.reuse"
[tool.hatch.build.targets.wheel]
only-include = ["runagent_real.py"]
"""


def build_and_install(folder: Path, version: str, kind: str, site: Path) -> None:
    """Build a wheel or an editable wheel with its backend, and let pip install it."""
    folder.mkdir(exist_ok=True)
    (folder / "pyproject.toml").write_text(PROJECT.format(version=version))
    (folder / "runagent_real.py").write_text(MARK + transport_module("real"))
    build = f"import hatchling.build as b; print(b.build_{kind}({str(folder)!r}))"
    ran = subprocess.run(
        [sys.executable, "-c", build], cwd=folder, capture_output=True, text=True, check=True
    )
    wheel = folder / ran.stdout.split()[-1]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(site), str(wheel)], check=True, stdin=subprocess.DEVNULL)


def test_a_real_wheel_and_a_real_editable_installation_count_once(
    tmp_path: Path, server: FakeAgentServer
) -> None:
    server.agent("a").always("hello")
    computer = Computer(tmp_path, server.url)
    editable = tmp_path / "editable"
    build_and_install(tmp_path / "project", "2.0", "editable", editable)
    build_and_install(tmp_path / "project", "1.0", "wheel", computer.site)
    code = (
        f"import site, sys; site.addsitedir({str(editable)!r}); sys.path.append({str(computer.site)!r});"
        "from runagent._cli import main; main(sys.argv[1:])"
    )
    computer.path = []
    listed = json.loads(computer.run("-c", code, "transports", "--json").stdout)
    (row,) = (row for row in listed if row["distribution"] == "runagent-real")
    assert ("ready", "2.0", 1, 5) == (
        row["status"],
        row["version"],
        row["api_version"],
        len(row["capabilities"]),
    )
    assert [] == computer.imported
    ran = computer.run("-c", code, "stream", "a", "x", "--transport", "real")
    assert ("hello", ["runagent_real"]) == (ran.stdout.strip(), computer.imported), ran.stderr
