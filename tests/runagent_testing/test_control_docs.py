"""The commands of docs/control.md have the output that the page shows."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from runagent_testing import FakeAgentServer
from runagent_testing._control.routes import ROUTES
from runagent_testing._standalone.script_file import read_script
from tests.docs.pages import DOCS, code_in
from tests.support.process import killed_at_end

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DOCS["control"]
ADDRESS = "http://127.0.0.1:8450"


def commands():
    """Yield each command of the page, and what it shows."""
    for block in re.findall(r"```console\n(.*?)```", PAGE.text, re.DOTALL):
        for command in block.split("$ ")[1:]:
            line, _, output = command.partition("\n")
            yield line, output


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_have_the_output_of_the_page(tmp_path: Path) -> None:
    with FakeAgentServer(control=True) as server:
        read_script(PAGE.block("agents:\n"), "page.yaml").apply(server)
        running: list[subprocess.Popen[bytes]] = []
        with contextlib.ExitStack() as background:
            for command, output in commands():
                line = command.replace(ADDRESS, server.url)
                if line.endswith(" &"):
                    started = subprocess.Popen(shlex.split(line[:-2]), cwd=tmp_path)
                    running.append(background.enter_context(killed_at_end(started)))
                else:
                    ran = subprocess.run(
                        ["sh", "-c", line],
                        capture_output=True,
                        text=True,
                        timeout=20,
                        cwd=tmp_path,
                        check=True,
                    )
                    assert (command, output.strip()) == (command, ran.stdout.strip())
            assert [0] == [process.wait(20) for process in running]
        assert " upon a time" in (tmp_path / "answer.txt").read_text()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_on_the_page(route) -> None:
    assert f"{route.method} {route.path}" in {span for row in PAGE.rows() for span in code_in(row[0])}
