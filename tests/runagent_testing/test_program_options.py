"""The options of ``runagent-fake serve``: on the command line, in the environment, on the page."""

from __future__ import annotations

import argparse
import re

import pytest
import trustme

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
        ("RUNAGENT_FAKE_PORT", "70000", "it is a whole number from 0 to 65535, not '70000'"),
        ("RUNAGENT_FAKE_DRAIN", "inf", "it is a number of seconds, 0 or more, not 'inf'"),
        ("RUNAGENT_FAKE_DRAIN", "-1", "it is a number of seconds, 0 or more, not '-1'"),
        ("RUNAGENT_FAKE_KEEP", "0", "it is a whole number, 1 or more, not '0'"),
        ("RUNAGENT_FAKE_WATCH", "maybe", "it is one of 1, true, yes, on, 0, false, no, off, not 'maybe'"),
        ("RUNAGENT_FAKE_LOG_FORMAT", "xml", "it is text or json, not 'xml'"),
    ],
)
def test_an_invalid_variable_is_named(variable, text, fault):
    with pytest.raises(CommandError, match=f"^{variable}: {fault}$"):
        parsed(**{variable: text})


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["serve", "--chaos", "2"], "argument --chaos: it is a number from 0 to 1, not '2'"),
        (["serve", "--chaos", "a few"], "argument --chaos: it is a number from 0 to 1, not 'a few'"),
        (["record", "--port", "99999"], "argument --port: it is a whole number from 0 to 65535, not '99999'"),
        (["health", "--port", "x"], "argument --port: it is a whole number from 0 to 65535, not 'x'"),
        (["serve", "--log-format", "xml"], "argument --log-format: it is text or json, not 'xml'"),
        (["serve", "--keep", "-1"], "argument --keep: it is a whole number, 1 or more, not '-1'"),
        (["serve", "--drain", "nan"], "argument --drain: it is a number of seconds, 0 or more, not 'nan'"),
        (["serve", "--seed", "1.5"], "argument --seed: it is a whole number, not '1.5'"),
        (["serve", "--prot", "8000"], "unrecognized arguments: --prot; did you mean '--port'?"),
        (["serve", "--prot=8000"], "unrecognized arguments: --prot=8000; did you mean '--port'?"),
        (["check", "a.yaml", "--zzz"], "unrecognized arguments: --zzz"),
    ],
)
def test_an_invalid_option_shows_what_is_allowed_and_the_help_of_its_command(arguments, fault, capsys):
    assert 2 == main(arguments)
    shown = f"runagent-fake: error: {fault} (see runagent-fake {arguments[0]} --help)\n"
    assert shown == capsys.readouterr().err


@pytest.mark.parametrize("key", [[], ["--tls-key"]])
def test_a_certificate_that_is_not_in_pem_is_refused_in_words(key, tmp_path, capsys):
    path = tmp_path / "notapem"
    path.write_text("no certificate", encoding="utf-8")
    place = path if key else "the same file (or --tls-key)"
    assert 2 == main(
        ["serve", "--tls-cert", str(path), *[word for each in key for word in (each, str(path))]]
    )
    why = f"it has to be one in PEM, with its key in PEM in {place}"
    assert f"runagent-fake: error: cannot use the certificate {path}: {why}\n" == capsys.readouterr().err


def test_the_key_of_another_certificate_is_refused_in_words(tmp_path, capsys):
    for name in ("one", "two"):
        trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(tmp_path / name)
    assert 2 == main(["serve", "--tls-cert", str(tmp_path / "one"), "--tls-key", str(tmp_path / "two")])
    why = "the key is that of another certificate"
    shown = f"runagent-fake: error: cannot use the certificate {tmp_path / 'one'}: {why}\n"
    assert shown == capsys.readouterr().err


def test_a_port_that_kubernetes_sets_for_a_service_is_no_port_to_listen_on():
    assert 8450 == parsed(RUNAGENT_FAKE_PORT="tcp://10.96.0.1:8450").port


def test_no_key_of_the_environment_is_shown(monkeypatch, capsys):
    monkeypatch.setenv("RUNAGENT_FAKE_API_KEY", "k3y-that-is-secret")
    with pytest.raises(SystemExit, match="0"):
        main(["serve", "--help"])
    assert "k3y" not in capsys.readouterr().out
