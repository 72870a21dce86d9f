"""The pages of docs/cookbook about tests: their code and commands, with the official client of each.

The code needs packages that the project's environment does not have, so it runs here alone: in the client's
environment, which comes first, followed by the project's, for pytest, the fake agent and the plugin.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.docs.pages import CLIENT_TESTS, Page
from tests.interop.programs import (
    NODE_PACKAGES,
    Port,
    Program,
    environment,
    find,
    needs_environment,
    needs_node_packages,
)

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

pytestmark = pytest.mark.interop

SITE_PACKAGES = sysconfig.get_path("purelib")
PROGRAMS = Path(sys.executable).parent
TESTS = (
    f"import site, sys; site.addsitedir({SITE_PACKAGES!r}); import pytest; "
    "sys.exit(pytest.main(['-q', '-W', 'error', '-p', 'no:cacheprovider', 'test_weather.py']))"
)
# Where a page's client is, unless in the environment of the page's name; "" is the project's.
ENVIRONMENTS = {"openai": "", "ag-ui": "node", "vercel": "node"}


def client_of(page: Page) -> str:
    return page.path.stem.removeprefix("test-")


def environment_of(page: Page) -> str:
    return ENVIRONMENTS.get(client_of(page), client_of(page))


def interpreter(page: Page) -> str:
    name = environment_of(page)
    return str(environment(name)) if name else sys.executable


def pages(*, on_node: bool) -> list[ParameterSet]:
    found = []
    for page in CLIENT_TESTS:
        name = environment_of(page)
        if (name == "node") == on_node:
            needs = needs_node_packages() if on_node else needs_environment(name) if name else ()
            found.append(pytest.param(page, id=client_of(page), marks=needs))
    return found


def blocks(page: Page, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.text, re.DOTALL | re.MULTILINE)


def write(page: Page, folder: Path, language: str, code_name: str, tests_name: str) -> None:
    """Write the files that a page describes: its first block is the code, the others are its tests."""
    code, *tests = blocks(page, language)
    (script,) = blocks(page, "yaml")
    for name, text in ((code_name, code), (tests_name, "\n\n".join(tests)), ("weather.yaml", script)):
        assert f"`{name}`" in page.prose
        (folder / name).write_text(text, encoding="utf-8")


def run(command: list[str], folder: Path, **variables: str) -> str:
    """Run a command in a folder, and return what it prints."""
    ran = subprocess.run(
        command,
        cwd=folder,
        env={"PATH": f"{PROGRAMS}{os.pathsep}{os.defpath}", "PYTHONUTF8": "1", **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def shown_run(page: Page, url: str) -> tuple[dict[str, str], str]:
    """Return the variables of the command that a page shows last, and what the page shows as its output."""
    command, output = blocks(page, "console")[-1].split("\n$ ")[-1].split("\n", 1)
    *variables, _, _ = command.split()
    return dict(v.replace("http://127.0.0.1:8450", url).split("=", 1) for v in variables), output


@pytest.mark.parametrize("page", pages(on_node=False))
def test_the_tests_of_a_page_pass(page: Page, tmp_path: Path) -> None:
    write(page, tmp_path, "python", "weather.py", "test_weather.py")
    shown = run([interpreter(page), "-c", TESTS], tmp_path)
    assert re.search(r"^[1-9]\d* passed in", shown, re.MULTILINE)  # and nothing was skipped


@pytest.mark.parametrize("page", pages(on_node=False))
def test_the_program_of_a_page_shows_what_the_script_has(page: Page, tmp_path: Path) -> None:
    write(page, tmp_path, "python", "weather.py", "test_weather.py")
    with Port() as port:
        serve = [PROGRAMS / "runagent-fake", "serve", "weather.yaml", "--port", port.number]
        with Program(serve, port, tmp_path / "log") as program:
            variables, output = shown_run(page, program.url)
            shown = run([interpreter(page), "weather.py"], tmp_path, **variables)
    assert output.rstrip("\n") == shown.rstrip("\n")


@pytest.mark.parametrize("page", pages(on_node=True))
def test_the_tests_of_a_page_pass_on_node(page: Page, tmp_path: Path) -> None:
    write(page, tmp_path, "js", "weather.mjs", "weather.test.mjs")
    (tmp_path / "node_modules").symlink_to(NODE_PACKAGES / "node_modules")
    shown = run([str(find("node")), "--test", "--test-reporter=tap"], tmp_path)
    assert re.search(r"^# pass [1-9]", shown, re.MULTILINE)
    assert "# fail 0\n# cancelled 0\n# skipped 0\n# todo 0\n" in shown
