"""The recipes of the README of runagent-ray as jobs, each run on a separate Ray of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.docs.pages import ROOT, Page
from tests.interop.programs import environment, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ROWS", "Jobs", "run_program"]

AGENTS = Path(__file__).with_name("agents")
PLUGIN = ROOT / "plugins/runagent-ray"
PATIENCE = 240.0  # seconds; Ray takes 5 to start if the machine does nothing else
ROWS = 1000


def command(program: str, *arguments: object) -> list[str]:
    return [str(environment("ray")), str(AGENTS / program), *map(str, arguments)]


def run_program(program: str, *arguments: object) -> Any:
    """Run a program, and return what it prints, which is JSON or nothing."""
    ran = subprocess.run(
        command(program, *arguments),
        env={"PYTHONPATH": f"{ROOT}:{PLUGIN}", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (0, "") == (ran.returncode, ran.stderr)
    return json.loads(ran.stdout) if ran.stdout else None


class Jobs:
    """A folder with questions, and scripts that ask them.

    ``ask.py`` is the README's job that can be killed. ``failed.py`` finds the rows with errors as it shows,
    and writes them into the folder ``again``.

    Args:
        folder: An empty folder.
        scratch: A folder for the files and sockets of Ray, with a short path: one of a Unix socket may have
            107 bytes, of which Ray takes 70.
    """

    def __init__(self, folder: Path, scratch: str) -> None:
        self.folder, self.scratch = folder, scratch
        examples = (example.text for example in Page(PLUGIN / "README.md").examples())
        ask, failed = (text for text in examples if "ray.data" in text)
        (folder / "ask.py").write_text(ask, encoding="utf-8")
        (folder / "failed.py").write_text(f"import ray\n{failed}\nagain.write_parquet('again')\n", "utf-8")
        (folder / "job-1/questions").mkdir(parents=True)
        run_program("ray_rows.py", "write", folder / "job-1/questions/rows.parquet", ROWS)
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{PLUGIN}",
            "HOME": str(folder),
            "RAY_TMPDIR": scratch,
            "RUNAGENT_API_KEY": "right",
        }

    def start(self, script: str, url: str) -> subprocess.Popen[bytes]:
        """Start a script in a separate session; its log is the file ``log``."""
        with (self.folder / "log").open("wb") as log:
            return subprocess.Popen(
                command("ray_job.py", script),
                cwd=self.folder,
                env=self.environment | {"RUNAGENT_API_URL": url},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def run(self, script: str, url: str) -> tuple[int, str]:
        """Run a script to its end, and return its exit status and its log."""
        process = self.start(script, url)
        try:
            status = process.wait(PATIENCE)
        finally:
            self.kill(process)
        return status, self.log

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a job with all processes of its Ray, as the end of the machine would."""
        wait_until(lambda: not kill_session(process.pid), "the processes of Ray end", 60)
        process.wait(PATIENCE)

    def wait_blocks(self, process: subprocess.Popen[bytes], count: int) -> None:
        """Wait until a running job has written so many blocks."""
        seen = (lambda: len(self.checkpoints()) >= count, lambda: process.poll() is not None)
        wait_until(lambda: any(condition() for condition in seen), f"{count} blocks are written", PATIENCE)
        assert process.poll() is None, self.log

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def checkpoints(self) -> list[Path]:
        """Return the files with the ids of blocks that were written."""
        files = (self.folder / "job-1/asked").rglob("*.parquet")
        return [path for path in files if not path.name.endswith(".pending.parquet")]

    def written(self, folder: str) -> list[Path]:
        """Return the files of rows that a job has written."""
        return list((self.folder / folder).glob("*.parquet"))

    def rows(self, files: Iterable[Path]) -> list[dict[str, Any]]:
        """Read files, and return their rows by their ids."""
        rows: list[dict[str, Any]] = run_program("ray_rows.py", "read", *files)
        return rows


def kill_session(leader: int) -> int:
    """Kill the processes of a session, whatever groups they are in, and return how many there were."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session, *_ = path.read_text().rpartition(")")[2].split()
            if int(session) == leader and state != "Z":
                os.kill(int(path.parent.name), signal.SIGKILL)
                found += 1
        except OSError:  # it has ended
            continue
    return found
