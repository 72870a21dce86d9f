"""Plugins as a stranger has them: wheels in a separate environment, and a name in the shell."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import done
from tests.docs.pages import ROOT
from tests.support.wheels import build_wheel

if TYPE_CHECKING:
    from pathlib import Path

    from runagent_testing import FakeAgentServer

pytestmark = pytest.mark.interop


def brings_a_transport(project: Path) -> bool:
    about = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    return "runagent.transports" in about["project"].get("entry-points", {})


PLUGINS = sorted(
    project.name.removeprefix("runagent-")
    for project in (ROOT / "plugins").glob("runagent-*")
    if brings_a_transport(project)
)
# Where the fake agent has a plugin's protocol, unless it is below the root.
PATHS = {
    "a2a": "/a2a/storyteller",
    "agui": "/agui/storyteller",
    "openai": "/v1",
    "vercel": "/vercel/storyteller",
}

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
    projects = [ROOT, *(ROOT / "plugins" / f"runagent-{name}" for name in PLUGINS)]
    wheels = [build_wheel(project, folder / project.name) for project in projects]
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=100)
    interpreter = folder / "venv" / "bin" / "python"
    install: list[str | Path] = [interpreter, "-m", "pip", "--disable-pip-version-check", "install", "-qq"]
    wanted: list[str | Path] = ["--constraint", ROOT / "constraints.txt", f"{wheels[0]}[trio]", *wheels[1:]]
    subprocess.run([*install, *wanted], check=True, timeout=300)
    return interpreter


@pytest.fixture(params=PLUGINS)
def plugin(request: pytest.FixtureRequest) -> str:
    """Each plugin, by the name of its transport."""
    name: str = request.param
    return name


@pytest.fixture
def shell(plugin: str, agents: FakeAgentServer, tmp_path: Path) -> dict[str, Any]:
    """How a program is started: nothing chooses the transport but a variable."""
    variables = {
        "HOME": str(tmp_path),
        "RUNAGENT_TRANSPORT": plugin,
        "RUNAGENT_API_URL": f"{agents.url}{PATHS.get(plugin, '')}",
    }
    return {"cwd": tmp_path, "env": variables, "capture_output": True, "text": True, "timeout": 60}


@pytest.mark.parametrize("style", ["sync", "asyncio", "trio"])
def test_a_variable_chooses_it(
    style: str, plugin: str, python: Path, agents: FakeAgentServer, shell: dict[str, Any]
) -> None:
    agents.agent("storyteller").always("Once", " upon", done(usage={"total_tokens": 3}))
    ran = subprocess.run([python, "-c", PROGRAM, style, ROOT], check=False, **shell)
    assert (0, f"['Once', ' upon'] {plugin}\n", "") == (ran.returncode, ran.stdout, ran.stderr)
    assert [plugin] == [asked.dialect for asked in agents.requests]


def test_the_command_lists_it_and_takes_it(
    plugin: str, python: Path, agents: FakeAgentServer, shell: dict[str, Any]
) -> None:
    agents.agent("storyteller").always("Once", " upon")
    command = python.with_name("runagent")
    listed = subprocess.run([command, "transports"], check=True, **shell).stdout
    assert [plugin, f"runagent-{plugin}", "0.1.0"] in [line.split()[:3] for line in listed.splitlines()]
    ran = subprocess.run([command, "stream", "storyteller", "Tell me a story"], check=True, **shell)
    assert "Once upon" == ran.stdout
