"""How the metadata of plugins is read: once, and with no import that is not needed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from runagent._plugins import installed as module_under_test
from runagent._plugins.installed import OBSERVERS, TRANSPORTS, Installed
from tests.support.distributions import install

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


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


def test_the_backport_of_importlib_metadata_gives_no_reason_to_import_more(tmp_path: Path) -> None:
    """OpenTelemetry, among many, imports it; its finder, an object, looks where Python's does."""
    code = (
        "import sys; from runagent._plugins.installed import Installed;"
        "members = {'find_spec': lambda *_: None, 'find_distributions': lambda *_: []};"
        "sys.meta_path.append(type('MetadataPathFinder', (), members)());"
        f"print(Installed({{}}, [{str(tmp_path)!r}]).all_of('runagent'), 'importlib.metadata' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[] False" == ran.stdout.strip()


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
