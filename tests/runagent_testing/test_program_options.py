"""The options of ``runagent-fake serve``: on the command line, in the environment, on the page."""

from __future__ import annotations

import argparse
import re

import pytest

from runagent_testing._standalone.cli import main
from runagent_testing._standalone.command import CommandError
from runagent_testing._standalone.options import OPTIONS, add_options, with_environment
from tests.docs.pages import DOCS, code_in
from tests.runagent_testing.test_testing_docs import table

TEXTS = {"PORT": "0", "SECONDS": "0.5", "N": "7", "SEED": "7", "RATE": "0.25", "FORMAT": "json", None: "yes"}
PAGE = DOCS["fake"]


def parsed(*arguments, **environment):
    parser = argparse.ArgumentParser()
    add_options(parser)
    return with_environment(parser.parse_args(arguments), environment)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_an_option_comes_from_the_command_line_then_the_environment(option):
    text = TEXTS.get(option.metavar, "text")
    value = option.read(text)
    assert option.default == getattr(parsed(), option.name)
    assert option.default == getattr(parsed(**{option.variable: ""}), option.name)
    assert value == getattr(parsed(**{option.variable: text}), option.name)
    given = [option.flag] if option.metavar is None else [option.flag, text]
    wrong = {option.variable: "no" if option.metavar is None else "?"}
    assert value == getattr(parsed(*given, **wrong), option.name)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.flag)
def test_the_page_has_the_option_with_its_variable(option):
    rows = {code_in(row[0])[0]: row for row in table(PAGE, "| option of `serve` |")}
    flag = option.flag if option.metavar is None else f"{option.flag} {option.metavar}"
    assert [option.variable] == code_in(rows[flag][1])
    default = re.search(r"\(default: `?([^`)]+)`?\)", rows[flag][2])
    wanted = None if option.default is None or option.default is False else f"{option.default}"
    assert wanted == (default and default[1])


def test_the_page_has_no_other_options(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    shown = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE))
    listed = {code_in(row[0])[0].partition(" ")[0] for row in table(PAGE, "| option of `serve` |")}
    assert listed - {"FILE…"} == shown == {option.flag for option in OPTIONS}


def test_script_files_come_from_the_environment_if_none_is_given():
    assert ["a.yaml", "b.yaml"] == parsed(RUNAGENT_FAKE_SCRIPTS="a.yaml:b.yaml").scripts
    assert ["c.yaml"] == parsed("c.yaml", RUNAGENT_FAKE_SCRIPTS="a.yaml:b.yaml").scripts
    assert [] == parsed().scripts


@pytest.mark.parametrize(
    ("variable", "text", "fault"),
    [
        ("RUNAGENT_FAKE_PORT", "70000", "invalid port value: '70000'"),
        ("RUNAGENT_FAKE_DRAIN", "inf", "invalid seconds value: 'inf'"),
        ("RUNAGENT_FAKE_DRAIN", "-1", "invalid seconds value: '-1'"),
        ("RUNAGENT_FAKE_KEEP", "0", "invalid number value: '0'"),
        ("RUNAGENT_FAKE_WATCH", "maybe", "invalid switch value: 'maybe'"),
        ("RUNAGENT_FAKE_LOG_FORMAT", "xml", "invalid format value: 'xml'"),
    ],
)
def test_an_invalid_variable_is_named(variable, text, fault):
    with pytest.raises(CommandError, match=f"^{variable}: {fault}$"):
        parsed(**{variable: text})


def test_a_port_that_kubernetes_sets_for_a_service_is_no_port_to_listen_on():
    assert 8450 == parsed(RUNAGENT_FAKE_PORT="tcp://10.96.0.1:8450").port


def test_no_key_of_the_environment_is_shown(monkeypatch, capsys):
    monkeypatch.setenv("RUNAGENT_FAKE_API_KEY", "k3y-that-is-secret")
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    assert "k3y" not in capsys.readouterr().out
