"""Completion in bash, zsh and fish, as each of them does it; a shell that is not installed is skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.cli.command import Terminal, error_of, out_of

if TYPE_CHECKING:
    from pathlib import Path

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
source "$0"
read -ra COMP_WORDS <<< "$1"
[[ $1 == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_runagent
printf '%s\\n' "${COMPREPLY[@]}"
"""
_FISH = 'source $argv[1]; complete -C "$argv[2]"'
_ZSHRC = """\
autoload -Uz compinit
compinit -u -D
source "$SCRIPT"
PS1='ready> '
"""


@pytest.fixture
def script(request: pytest.FixtureRequest, capfd, tmp_path: Path) -> Path:
    """The script of a shell, made by the command."""
    path = tmp_path / "script"
    path.write_text(out_of(capfd, "completion", request.param), encoding="utf-8")
    return path


def needs(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


def offered(command: list[str], typed: str, home: Path) -> set[str]:
    """Return what a shell offers for a line; fish adds descriptions behind a tab."""
    environment = {**os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home), "XDG_DATA_HOME": str(home)}
    ran = subprocess.run([*command, typed], env=environment, capture_output=True, text=True, check=True)
    assert ran.stderr == ""
    return {line.split("\t")[0] for line in ran.stdout.splitlines() if line}


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("runagent inv", {"invoke"}),
        ("runagent stream an-agent --max-re", {"--max-retries", "--max-resumes"}),
        ("runagent stream --transport w", {"websocket"}),
        ("runagent stream --header ", set()),
        ("runagent invoke an-agent --event", set()),
        ("runagent transports --js", {"--json"}),
        ("runagent completion z", {"zsh"}),
    ],
)
@pytest.mark.parametrize("script", ["bash", "fish"], indirect=True)
def test_a_shell_offers_what_the_command_takes(
    script: Path, typed: str, expected: set[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shell = request.node.callspec.params["script"]
    program, *arguments = {"bash": ["bash", "-c", _BASH], "fish": ["fish", "-N", "-c", _FISH]}[shell]
    command = [needs(program), *arguments, str(script)]
    assert expected == offered(command, typed, tmp_path)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("runagent inv", "oke"),
        ("runagent stream an-agent --max-ret", "ries"),
        ("runagent stream --transport webs", "ocket"),
        ("runagent completion z", "sh"),
    ],
)
@pytest.mark.parametrize("script", ["zsh"], indirect=True)
def test_zsh_completes_what_the_command_takes(
    script: Path, typed: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    zsh = needs("zsh")
    (tmp_path / ".zshrc").write_text(_ZSHRC, encoding="utf-8")
    for name, value in (("ZDOTDIR", tmp_path), ("SCRIPT", script), ("TERM", "dumb")):
        monkeypatch.setenv(name, str(value))
    with Terminal("-i", "+m", program=[zsh], start_new_session=True) as terminal:
        terminal.read_until("ready> ")
        terminal.write(f"{typed}\t")
        terminal.read_until(f"{typed}{expected}")


@pytest.mark.parametrize("shell", SHELLS)
def test_the_help_shows_how_each_shell_takes_its_script(capfd, shell: str) -> None:
    assert f"runagent completion {shell}" in out_of(capfd, "completion", "--help")


def test_an_unknown_shell_is_wrong_usage(capfd) -> None:
    code, message = error_of(capfd, "completion", "bsh")
    assert 2 == code
    assert "invalid choice: 'bsh'; did you mean bash?" in message
