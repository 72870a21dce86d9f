"""``runagent-fake new-transport``: a package that passes its own tests as soon as it is written."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import venv
from pathlib import Path

import httpx2
import pytest

from runagent_testing import FakeAgentServer
from runagent_testing._standalone.cli import GOOD, INVALID, main
from runagent_testing._starter import StarterError, write_starter
from tests.docs.pages import DOCS

ROOT = Path(__file__).resolve().parents[3]
TEST = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib")
TUTORIAL = DOCS["plugins"]
DECLARED = re.compile(r'^weather = "(runagent\.capabilities:.+)"$', re.MULTILINE)
PIP = ("-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-q")


def run(*command, cwd, **environ):
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    return done.stdout


def test_a_starter_package_passes_its_tests(tmp_path):
    folder = write_starter("acme-lines", tmp_path)
    assert " passed" in installed_tests(folder, tmp_path)


def installed_tests(folder, tmp_path):
    """Install a package apart from this environment, run its tests and return their output."""
    site = tmp_path / "site"
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    run(sys.executable, *PIP, *offline, "--target", str(site), str(folder), cwd=tmp_path)
    output = run(sys.executable, *TEST, cwd=folder, PYTHONPATH=str(site))
    assert "failed" not in output
    return output


def test_the_tutorial_makes_a_package_that_passes_its_tests(tmp_path):
    folder = write_starter("weather", tmp_path)
    blocks = [example.text for example in TUTORIAL.examples() if example.output is None]
    sides = {True: "testing.py", False: "transport.py"}
    for of_the_dialect, name in sides.items():
        parts = [text for text in blocks if ("Dialect" in text) is of_the_dialect]
        (folder / "runagent_weather" / name).write_text("\n\n".join(parts), encoding="utf-8")
    project, tests = folder / "pyproject.toml", folder / "tests" / "test_conformance.py"
    declared, shown = (DECLARED.findall(text)[0] for text in (project.read_text("utf-8"), TUTORIAL.text))
    replace_in(project, declared, shown)
    replace_in(tests, "WeatherDialect", "ResumingDialect")
    replace_in(tests, "    @pytest.fixture\n    def samples", "    def other_samples")
    assert " passed" in installed_tests(folder, tmp_path)


def replace_in(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.skipif("RUNAGENT_KIT_CLEAN" not in os.environ, reason="fetches packages: make kit")
def test_it_does_so_in_a_clean_environment(tmp_path):
    dist, environment = tmp_path / "dist", tmp_path / "venv"
    build = (sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(dist))
    run(*build, str(ROOT), cwd=tmp_path)
    (wheel,) = dist.glob("runagent-*.whl")
    venv.create(environment, with_pip=True)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    constraints = ("--constraint", str(ROOT / "constraints.txt"))
    run(python, *PIP, *constraints, f"{wheel}[testing,trio]", "hatchling", cwd=tmp_path)
    run(python, "-m", "runagent_testing", "new-transport", "acme", cwd=tmp_path)
    folder = tmp_path / "runagent-acme"
    run(python, *PIP, *constraints, "--no-build-isolation", f"{folder}[dev]", cwd=tmp_path)
    output = run(python, *TEST, cwd=folder)
    assert " passed" in output
    assert "failed" not in output
    listed = run(environment / python.parent.name / "runagent", "transports", cwd=tmp_path)
    assert "acme" in listed


def test_what_is_written(tmp_path, capsys):
    assert GOOD == main(["new-transport", "acme", "--directory", str(tmp_path)])
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {
        "runagent-acme/.gitignore",
        "runagent-acme/README.md",
        "runagent-acme/pyproject.toml",
        "runagent-acme/runagent_acme/__init__.py",
        "runagent-acme/runagent_acme/py.typed",
        "runagent-acme/runagent_acme/testing.py",
        "runagent-acme/runagent_acme/transport.py",
        "runagent-acme/tests/test_conformance.py",
        "runagent-acme/tests/test_installed.py",
    }
    output = capsys.readouterr()
    assert sorted(output.out.splitlines()) == sorted(str(tmp_path / name) for name in written)
    assert f"python -m pip install -e '{tmp_path / 'runagent-acme'}[dev]'" in output.err


def test_what_is_written_is_clean(tmp_path):
    folder = write_starter("acme", tmp_path)
    ruff = ("-m", "ruff")
    style = ("--config", str(ROOT / "pyproject.toml"))
    run(
        sys.executable,
        *ruff,
        "check",
        *style,
        "--config",
        "lint.extend-ignore = ['ANN']",
        "--no-cache",
        ".",
        cwd=folder,
    )
    run(sys.executable, *ruff, "format", "--check", *style, "--no-cache", ".", cwd=folder)
    run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, "runagent_acme", cwd=folder)


@pytest.mark.parametrize("name", ["", "Acme", "acme_lines", "-acme", "acme--lines", "1st", "a/b", "ácme"])
def test_an_invalid_name(tmp_path, name):
    with pytest.raises(
        StarterError, match="is no name: it has lower-case letters, digits and single hyphens"
    ):
        write_starter(name, tmp_path)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["sse", "auto", "websocket"])
def test_a_name_that_is_taken(tmp_path, name):
    with pytest.raises(StarterError, match=f"the name '{name}' is taken"):
        write_starter(name, tmp_path)


def test_a_name_that_an_installed_plugin_has(tmp_path):
    with pytest.raises(StarterError, match=r"the name 'openai' is taken: runagent-openai .* is installed"):
        write_starter("openai", tmp_path)
    assert [] == list(tmp_path.iterdir())


def test_the_dialect_refuses_a_body_that_is_not_a_json_object(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(write_starter("acme-refusing", tmp_path))
    dialect = importlib.import_module("runagent_acme_refusing.testing").AcmeRefusingDialect()
    with FakeAgentServer(dialects=[dialect]) as server:
        server.agent("writer").always("x")
        for body in (b"{not json", b"[]", b""):
            answer = httpx2.post(f"{server.url}/acme-refusing/writer", content=body)
            assert (400, True) == (answer.status_code, "the body is not a JSON object" in answer.text)
        refused = "the body is not a JSON object"
        assert [refused] * 3 == [exchange.refused for exchange in server.requests]


def test_a_folder_that_exists_is_left_alone(tmp_path, capsys):
    (tmp_path / "runagent-acme").mkdir()
    assert INVALID == main(["new-transport", "acme", "--directory", str(tmp_path)])
    expected = f"runagent-fake: error: {tmp_path / 'runagent-acme'} exists already\n"
    assert expected == capsys.readouterr().err
    assert [] == list((tmp_path / "runagent-acme").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert INVALID == main(["new-transport", "acme", "--directory", str(tmp_path / "file")])
    assert f"cannot write into {tmp_path / 'file'}: " in capsys.readouterr().err
