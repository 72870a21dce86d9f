"""The distribution, by the tests that every plugin's has to pass."""

from __future__ import annotations

import subprocess
import sys

from tests.support.plugin_packages import Distribution


class TestPackage(Distribution):
    name = "ray"
    requires = frozenset({"ray[data]", "runagent"})

    def test_it_is_imported_without_an_engine(self) -> None:
        engine = {"numpy", "pandas", "pyarrow", "ray"}
        code = f"import sys, runagent_ray; assert not {engine!r} & sys.modules.keys()"
        subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
