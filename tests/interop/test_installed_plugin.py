"""A plugin as a stranger has it: a wheel in a separate environment, and a name in the shell."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import done
from tests.docs.pages import ROOT
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from runagent_testing import FakeAgentServer

pytestmark = pytest.mark.interop

PROGRAM = """
import sys
from runagent import AsyncRunAgentClient, RunAgentClient

style, tree = sys.argv[1:]
assert not [path for path in sys.path if path.startswith(tree)], sys.path

async def main():
    stream = AsyncRunAgentClient("storyteller").run_generic_stream("Tell me a story")
    print([chunk async for chunk in stream], stream.report.transport)

if style == "sync":
    stream = RunAgentClient("storyteller").run_generic_stream("Tell me a story")
    print(list(stream), stream.report.transport)
else:
    runner = __import__(style)
    runner.run(main()) if style == "asyncio" else runner.run(main)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment with our wheels in it."""
    folder = tmp_path_factory.mktemp("stranger")
    plugin = ROOT / "plugins" / "runagent-openai"
    wheels = [build_wheel(project, folder / project.name) for project in (ROOT, plugin)]
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=100)
    interpreter = folder / "venv" / "bin" / "python"
    install: list[str | Path] = [interpreter, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    wanted: list[str | Path] = ["--constraint", ROOT / "constraints.txt", f"{wheels[0]}[trio]", wheels[1]]
    subprocess.run([*install, *wanted], check=True, timeout=300)
    return interpreter


@pytest.fixture
def shell(agents: FakeAgentServer, tmp_path: Path) -> dict[str, Any]:
    """How a program is started: nothing chooses the transport but a variable."""
    variables = {
        "HOME": str(tmp_path),
        "RUNAGENT_TRANSPORT": "openai",
        "RUNAGENT_API_URL": f"{agents.url}/v1",
    }
    return {"cwd": tmp_path, "env": variables, "capture_output": True, "text": True, "timeout": 60}


@pytest.mark.parametrize("style", ["sync", "asyncio", "trio"])
def test_a_variable_chooses_it(
    style: str, python: Path, agents: FakeAgentServer, shell: dict[str, Any]
) -> None:
    agents.agent("storyteller").always("Once", " upon", done(usage={"total_tokens": 3}))
    ran = subprocess.run([python, "-c", PROGRAM, style, ROOT], check=False, **shell)
    assert (0, "['Once', ' upon'] openai\n", "") == (ran.returncode, ran.stdout, ran.stderr)
    assert ["openai"] == [asked.dialect for asked in agents.requests]


def test_the_command_lists_it_and_takes_it(
    python: Path, agents: FakeAgentServer, shell: dict[str, Any]
) -> None:
    agents.agent("storyteller").always("Once", " upon")
    command = python.with_name("runagent")
    listed = subprocess.run([command, "transports"], check=True, **shell).stdout
    assert ["openai", "runagent-openai", "0.1.0"] in [line.split()[:3] for line in listed.splitlines()]
    ran = subprocess.run([command, "stream", "storyteller", "Tell me a story"], check=True, **shell)
    assert "Once upon" == ran.stdout
