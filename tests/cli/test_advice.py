"""What an error of the command advises: options and variables, never arguments of Python."""

from __future__ import annotations

import ast
import inspect
import re
from typing import TYPE_CHECKING

import pytest

from runagent import ConfigurationError, RunAgentClient, StreamError
from runagent._cli import main
from runagent._cli.advice import describe
from runagent._cli.arguments import build_parser
from runagent._cli.exit_codes import AGENT_FAILED, NETWORK_FAILED
from runagent_testing import ending, gate, status
from tests.cli.command import ROOT, error_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ARGUMENTS = "|".join(set(inspect.signature(RunAgentClient.__init__).parameters) - {"self"})


@pytest.mark.parametrize(
    ("arguments", "script", "advice"),
    [
        (
            ["--idle-timeout", "0.1"],
            ["x", ending("stall")],
            "(raise --timeout or --idle-timeout if the agent",
        ),
        (["--timeout", "0.1"], [gate("never"), status(503)], "(raise --timeout or --first-event-timeout if"),
        (["--total-timeout", "0.1"], ["x", ending("stall")], "(raise --total-timeout if the agent"),
        ([], [status(401)], "(check the API key (RUNAGENT_API_KEY))"),
        ([], [ending("cut")], "(--retry-unsafe tries it again all the same)"),
        ([], [status(200, body="<html>")], "(check --base-url and the transport)"),
    ],
)
@pytest.mark.usefixtures("settings")
def test_a_failed_run_advises_options(capfd, server, monkeypatch, arguments, script, advice) -> None:
    monkeypatch.setenv("RUNAGENT_MAX_RETRIES", "1")
    monkeypatch.setenv("RUNAGENT_RETRY_DELAY", "0")
    server.agent("a").always(*script)
    assert main(["stream", "a", "hi", "--no-resume", *arguments]) in (AGENT_FAILED, NETWORK_FAILED)
    assert advice in capfd.readouterr().err


def test_a_key_of_the_file_keeps_its_name(capfd, tmp_path, monkeypatch) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"base_url": "http://127.0.0.1:1"}')
    monkeypatch.setenv("RUNAGENT_CONFIG", str(file))
    code, text = error_of(capfd, "stream", "a", "hi")
    assert (code, text) == (2, f"{file}: base_url: unknown key; did you mean api_url?")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--base-url", "agents.example"], "--base-url: did you forget https://?"),
        (["--transport", "https"], "--base-url"),
        (["--entrypoint-tag", "\udcff"], "--entrypoint-tag: the text holds a lone surrogate"),
        (["--header", "X-A: \udcff"], "--header"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_option(capfd, arguments, message) -> None:
    code, text = error_of(capfd, "stream", "a", "hi", *arguments)
    assert (2, True) == (code, message in text)
    assert not re.search(rf"\b(?:{ARGUMENTS})\b=|argument ", text)


def test_the_words_of_an_agent_stay_as_they_are() -> None:
    assert "check base_url, raise timeout=" == describe(StreamError("check base_url, raise timeout="))


def test_a_source_in_the_file_stays_as_it_is() -> None:
    error = ConfigurationError("/c.json: retry_config.max_retries: expected a whole number, found -1")
    assert error.message == describe(error)


def texts() -> Iterator[str]:
    """Yield the texts of the library that name an argument of a client as Python does."""
    for path in sorted((ROOT / "runagent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            text = node.value if isinstance(node, ast.Constant) else None
            if "_cli" in path.parts or not isinstance(text, str) or "\n" in text or " " not in text:
                continue
            if re.search(rf"\b(?:{ARGUMENTS})=(?!$)", text):  # a repr ends with the sign
                yield text


@pytest.mark.parametrize("text", sorted(set(texts())))
def test_every_text_that_names_an_argument_names_an_option_instead(text: str) -> None:
    shown = describe(StreamError("x", hint=text.replace("Timeouts(", "Timeouts(idle=...)", 1)))
    actions = build_parser().commands["stream"].visible_options
    assert not re.search(rf"\b(?:{ARGUMENTS})=", shown)
    assert set(re.findall(r"--[a-z-]+", shown)) <= {
        name for action in actions for name in action.option_strings
    }
