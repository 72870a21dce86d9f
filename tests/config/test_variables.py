"""Environment variables: the second name of the service's address, and names that look misspelt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from runagent import AuthenticationError, ConfigurationError, NetworkError
from runagent._cli import main
from runagent._config.settings import load_settings, misspelt_variables
from runagent_testing import status

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style

OURS, PUBLISHED = "RUNAGENT_API_URL", "RUNAGENT_BASE_URL"
NOBODY = "http://127.0.0.1:1"  # which refuses every connection
ONE, OTHER = "http://one.example", "http://other.example"


def address(environ: dict[str, str], **arguments: str) -> tuple[str, str]:
    settings = load_settings(arguments, environ={"RUNAGENT_CONFIG": "/dev/null/none", **environ})
    return str(settings.base_url), settings.sources["api_url"]


@pytest.fixture
def no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runagent._config.settings._load_file", lambda _named: ("", {}))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({PUBLISHED: ONE}, (ONE, f"environment variable {PUBLISHED}")),
        ({PUBLISHED: f" {ONE} ", OURS: ""}, (ONE, f"environment variable {PUBLISHED}")),
        ({OURS: ONE}, (ONE, f"environment variable {OURS}")),
        ({OURS: ONE, PUBLISHED: ""}, (ONE, f"environment variable {OURS}")),
        ({OURS: ONE, PUBLISHED: f"{ONE}/"}, (ONE, f"environment variable {OURS}")),
    ],
)
@pytest.mark.usefixtures("no_file")
def test_the_published_name_of_the_address_is_read_if_its_own_name_is_unset(
    environ: dict[str, str], expected: tuple[str, str]
) -> None:
    assert expected == address(environ)


@pytest.mark.usefixtures("no_file")
def test_the_log_has_a_line_if_the_published_name_is_used(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="runagent.config"):
        address({OURS: ONE})
        assert [] == caplog.messages
        address({PUBLISHED: ONE})
    assert ["RUNAGENT_BASE_URL is used, as RUNAGENT_API_URL is unset"] == caplog.messages


@pytest.mark.usefixtures("no_file")
def test_two_different_addresses_are_refused_unless_an_argument_overrides_them() -> None:
    environ = {OURS: ONE, PUBLISHED: OTHER}
    with pytest.raises(ConfigurationError, match="RUNAGENT_API_URL and RUNAGENT_BASE_URL: they differ"):
        address(environ)
    assert ("http://third.example", "argument base_url") == address(environ, base_url="http://third.example")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RUNAGENT_APIKEY", "RUNAGENT_API_KEY"),
        ("RUNAGENT_KEY", "RUNAGENT_API_KEY"),
        ("RUNAGENT_TOKEN", "RUNAGENT_API_KEY"),
        ("RUN_AGENT_API_KEY", "RUNAGENT_API_KEY"),
        ("runagent_api_key", "RUNAGENT_API_KEY"),
        ("RUNAGENT_URL", "RUNAGENT_API_URL"),
        ("RUNAGENT_BASEURL", "RUNAGENT_BASE_URL"),
        ("RUNAGENT_LOGGING_LEVEL", "RUNAGENT_LOG_LEVEL"),
        ("RUNAGENT_TIMEOUTS", "RUNAGENT_TIMEOUT"),
        ("RUNAGENT_RETRY_UNSAFE", "the argument retry_unsafe="),
        ("RUNAGENT_MAX_RETRY_WAIT", "the argument max_retry_wait="),
        ("RUNAGENT_RESUME", "the argument resume="),
    ],
)
def test_a_misspelt_variable_is_found(name: str, meant: str) -> None:
    assert {name: meant} == misspelt_variables({name: "x", "HOME": "/", "API_KEY": "x"})


@pytest.mark.parametrize("name", ["RUNAGENT_API_KEY", "RUNAGENT_BASE_URL", "RUNAGENT_HOME", "AGENT_API_KEY"])
def test_other_variables_are_not_taken_for_misspelt_ones(name: str) -> None:
    assert {} == misspelt_variables({name: "x"})


def test_the_error_of_a_refused_key_names_a_misspelt_variable(
    style: Style, transport: str, server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.agent("a").always(status(401))
    monkeypatch.setenv("RUNAGENT_APIKEY", "sk-secret")
    client = style.client("a", base_url=server.url, transport=transport)
    with pytest.raises(AuthenticationError) as caught:
        style.run(lambda: client.run_generic_stream("x").text())
    assert "RUNAGENT_APIKEY is set: did you mean RUNAGENT_API_KEY?" in caught.value.hint
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "hint"),
    [("RUNAGENT_API_URLL", "; RUNAGENT_API_URLL is set: did you mean RUNAGENT_API_URL?"), ("OTHER_URL", "")],
)
@pytest.mark.usefixtures("no_file")
def test_the_error_of_the_default_address_names_it_as_the_default(
    style: Style, transport: str, monkeypatch: pytest.MonkeyPatch, variable: str, hint: str
) -> None:
    monkeypatch.setattr("runagent._config.settings.DEFAULT_BASE_URL", NOBODY)
    monkeypatch.setenv(variable, ONE)
    for name in (OURS, PUBLISHED):
        monkeypatch.delenv(name, raising=False)
    client = style.client("a", transport=transport, max_retries=0)
    with pytest.raises(NetworkError) as caught:
        style.run(lambda: client.run_generic_stream("x").text())
    default = f"{NOBODY} is the default address, as neither base_url= nor RUNAGENT_API_URL is set"
    assert caught.value.hint.endswith(f"; {default}{hint}")


def test_an_address_that_was_given_is_no_default(style: Style, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAGENT_API_URLL", ONE)
    client = style.client("a", base_url=NOBODY, max_retries=0)
    with pytest.raises(NetworkError) as caught:
        style.run(lambda: client.run_generic_stream("x").text())
    assert "default" not in caught.value.hint


@pytest.mark.usefixtures("no_file")
def test_the_command_names_its_option_in_that_error(monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    monkeypatch.setattr("runagent._config.settings.DEFAULT_BASE_URL", NOBODY)
    for name in (OURS, PUBLISHED):
        monkeypatch.delenv(name, raising=False)
    assert 3 == main(["stream", "a", "x", "--max-retries", "0"])
    assert "as neither --base-url nor RUNAGENT_API_URL is set" in capfd.readouterr().err


def test_no_other_error_names_it(server: FakeAgentServer, monkeypatch: pytest.MonkeyPatch, capfd) -> None:
    server.agent("a").always(status(404))
    monkeypatch.setenv("RUNAGENT_APIKEY", "sk-secret")
    assert 1 == main(["stream", "a", "x", "--base-url", server.url])
    assert "APIKEY" not in capfd.readouterr().err
