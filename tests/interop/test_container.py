"""The fake agent as a container: built from docs/Containerfile, healthy, asked, and ended by SIGTERM."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from runagent import RunAgentClient
from tests.interop.programs import find
from tests.project.layers import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60.0  # seconds


def docker(*arguments: str, timeout: float = PATIENCE) -> str:
    command = ["docker", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=timeout).stdout.strip()


def missing() -> str:
    if find("docker") is None:
        return "docker is not installed"
    with contextlib.suppress(subprocess.SubprocessError):
        docker("info", "--format", "{{.ServerVersion}}", timeout=20)
        return ""
    return "docker has no daemon here"


pytestmark = [pytest.mark.interop]


@pytest.fixture(scope="module")
def image() -> str:
    if why := missing():
        pytest.skip(why)
    file = "docs/Containerfile"
    docker("build", "--quiet", "--file", file, "--tag", "runagent-fake:test", str(ROOT), timeout=600)
    return "runagent-fake:test"


@pytest.fixture
def container(image: str, tmp_path: Path) -> Iterator[str]:
    script = tmp_path / "script.yaml"
    script.write_text("agents: {a: {always: [word]}}", encoding="utf-8")
    name = f"runagent-fake-{uuid.uuid4()}"
    mount = f"{script}:/scripts/script.yaml:ro"
    places = ["--publish", "127.0.0.1::8450", "--volume", mount]
    variables = ["--env", "RUNAGENT_FAKE_SCRIPTS=/scripts/script.yaml"]
    docker("run", "--detach", "--name", name, *places, *variables, "--health-interval", "0.5s", image)
    try:
        yield name
    finally:
        docker("rm", "--force", name)


def test_it_becomes_healthy_answers_and_ends_with_0(container: str) -> None:
    end = time.monotonic() + PATIENCE
    while docker("inspect", "--format", "{{.State.Health.Status}}", container) != "healthy":
        assert time.monotonic() < end, docker("logs", container)
        time.sleep(0.2)
    place = docker("port", container, "8450/tcp").splitlines()[0]
    with RunAgentClient("a", base_url=f"http://{place}") as client:
        assert "word" == client.run_generic_stream("q").text()
    assert "10001" == docker("exec", container, "id", "-u")
    docker("stop", container)
    assert "0" == docker("inspect", "--format", "{{.State.ExitCode}}", container)
