"""Half a character, which no encoding can carry, is refused with its place wherever a text can be given."""

from __future__ import annotations

import inspect
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, RunAgentClient, RunAgentError, ValidationError
from runagent._cli import main
from runagent._client.options import OPTIONS
from runagent._config.settings import load_settings
from tests.support.failing import failure

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.styles import Style

HALF = "half \ud83d"
KINDS = (ConfigurationError, ValidationError)

ARGUMENTS = [name for name in inspect.signature(RunAgentClient.__init__).parameters if name != "self"]
NESTED: dict[str, Any] = {
    "headers": {"X-A": HALF},
    "transport": ["sse", HALF],
    "transport_options": {"own": [{"deep": HALF}]},
    "client_cert": ("/no/such.pem", None, HALF),
}


def refused(style: Style, where: str, **options: Any) -> RunAgentError:
    """Make a client and run; the error has to name the place and be one that can be encoded."""
    given = {"base_url": "https://127.0.0.1:1", "max_retries": 0, "entrypoint_tag": None} | options

    async def scenario() -> None:
        client = style.client(given.pop("agent_id", "a"), **given)
        await client.run_stream("x").text()

    with pytest.raises(KINDS) as caught:
        style.run(scenario)
    str(caught.value).encode()
    assert where in str(caught.value)
    return caught.value


@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_argument_of_a_client_takes_one(style: Style, name: str) -> None:
    local = {"local": True, "base_url": None} if name in ("host", "port") else {}
    refused(style, "base_url" if local else name, **local | {name: HALF})


@pytest.mark.parametrize("name", NESTED)
def test_nor_does_the_value_of_an_argument(style: Style, name: str) -> None:
    error = refused(style, name, **{name: NESTED[name]})
    if name == "transport_options":
        assert "transport_options['own'][0]['deep']: the text holds a lone surrogate at position 5" in str(
            error
        )


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize(
    "value", [HALF, [HALF], {HALF: 1}, {"a": {"b": HALF}}], ids=["text", "list", "key", "deep"]
)
def test_no_option_takes_one(style: Style, name: str, value: Any) -> None:
    refused(style, name, transport_options={name: value})


@pytest.mark.parametrize("name", ["user_id", "persistent_memory"])
@pytest.mark.parametrize("value", [{1, 2}, b"x", object(), float("nan"), {1: 2}])
def test_an_option_that_is_sent_has_to_be_json(style: Style, name: str, value: Any) -> None:
    refused(style, f"transport_options['{name}']", transport_options={name: value})


def test_an_option_that_contains_itself_is_refused(style: Style) -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    refused(style, "transport_options: nested too deeply", transport_options=loop)


@pytest.mark.parametrize("value", ["", 5, b"tag", ["tag"]])
def test_an_entry_point_has_a_name(style: Style, value: Any) -> None:
    refused(style, "entrypoint_tag", entrypoint_tag=value)


@pytest.mark.parametrize(
    ("call", "where"),
    [
        (lambda client: client.run_generic_stream(HALF), "input_data['query']"),
        (lambda client: client.run_generic_stream({"a": [HALF]}), "input_data['a'][0]"),
        (lambda client: client.run_generic_stream({HALF: 1}), "(a key)"),
        (lambda client: client.run_generic_stream({"session_id": HALF}), "input_data['session_id']"),
        (lambda client: client.run_generic_stream("x", headers={"X-A": HALF}), "headers: X-A"),
        (lambda client: client.run_generic_stream("x", headers={HALF: "x"}), "headers"),
        (lambda client: client.run_generic_stream("x", timeout=HALF), "timeout"),
        (lambda client: client.run_stream(HALF), "args[0]"),
        (lambda client: client.run_stream(a=HALF), "input_data['a']"),
    ],
)
def test_no_argument_of_a_call_takes_one(style: Style, transport: str, call: Any, where: str) -> None:
    with pytest.raises(KINDS) as caught:
        call(style.client("a", base_url="http://127.0.0.1:1", transport=transport))
    assert where in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize(
    "variable",
    ["API_KEY", "API_URL", "TIMEOUT", "TRANSPORT_OPTIONS", "MAX_RETRIES", "PROXY", "LOG_LEVEL", "CONFIG"],
)
@pytest.mark.parametrize("value", [HALF, '{"user_id": "\\ud83d"}', "/\udcff"])
def test_no_variable_takes_one(variable: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=f"RUNAGENT_{variable}|/.*: ") as caught:
        load_settings({}, environ={f"RUNAGENT_{variable}": value})
    str(caught.value).encode()


def test_the_file_takes_none(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"transport_options": {"user_id": HALF}}))
    with pytest.raises(ConfigurationError, match=r"config\.json: transport_options\['user_id'\]: "):
        load_settings({}, environ={"RUNAGENT_CONFIG": str(file)})


def test_a_file_of_the_certificate_is_regular(style: Style, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = failure(style, "a", base_url="https://127.0.0.1:1", client_cert=str(tmp_path / "pipe"))
    assert isinstance(error, ConfigurationError)
    assert "is not a regular file" in str(error)


@pytest.mark.parametrize(
    "arguments",
    [
        ["stream", "a", "half \udcff"],
        ["stream", "a\udcff", "x"],
        ["invoke", "a", "x", "--transport", "\udcff"],
        ["stream", "a", "x", "--base-url", "http://x\udcff"],
        ["stream", "a", "x", "--base-url", "http://127.0.0.1:1", "--header", "X-A: \udcff"],
        ["stream", "a", "x", "--base-url", "http://127.0.0.1:1", "--entrypoint-tag", "\udcff"],
    ],
)
def test_the_command_takes_none(arguments: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert 2 == main(arguments)
    assert "Traceback" not in capfd.readouterr().err
