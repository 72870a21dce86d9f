"""A place where distributions are installed, and programs run with them in separate processes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MARK", "RUN", "Computer"]

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
