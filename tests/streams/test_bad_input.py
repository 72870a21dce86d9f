"""What is wrong with the input or the settings: a clear error each, in every style."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ConfigurationError, RunAgentClient, RunAgentError, ValidationError
from tests.support.failing import failure

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer
    from tests.support.styles import Style


@pytest.mark.parametrize(
    "agent_id", ["a/b", "a?b=c", "a#b", "a%2Fb", "日本 ü", "a b", "..a", "a;b", "a\\b", "{agent_id}"]
)
def test_an_odd_agent_id_reaches_that_agent(
    style: Style, transport: str, server: FakeAgentServer, agent_id: str
) -> None:
    server.agent(agent_id).always("here")

    async def scenario() -> str:
        client = style.client(agent_id, base_url=server.url, transport=transport)
        return str(await client.run_generic_stream("x").text())

    assert "here" == style.run(scenario)
    assert [agent_id] == [request.agent_id for request in server.requests]


@pytest.mark.parametrize(
    "agent_id", ["", ".", "..", "a\r\nHost: evil", "a\nb", "a\0", "\x7f", "\ud83d", None, 5, b"a"]
)
def test_an_invalid_agent_id(style: Style, agent_id: Any) -> None:
    with pytest.raises(ConfigurationError, match="agent_id") as caught:
        style.client(agent_id)
    assert "deployed" in str(caught.value)


def test_a_local_host_that_is_a_url(style: Style) -> None:
    with pytest.raises(ConfigurationError, match="a URL into base_url, without local=True"):
        style.client("a", local=True, host="http://127.0.0.1", port=8450)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nEvil: 1"),
        ("X", "a\nb"),
        ("X", "a\0"),
        ("X\r\nEvil", "1"),
        ("X Y", "1"),
        ("", "1"),
        ("X", "日本"),
        ("X", 5),
        ("Host", "evil"),
    ],
)
def test_a_header_that_cannot_be_sent(style: Style, server: FakeAgentServer, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError):
        style.client("a", base_url=server.url, headers={name: value})
    client = style.client("a", base_url=server.url)
    with pytest.raises(ConfigurationError):
        client.run_generic_stream("x", headers={name: value})
    assert 0 == server.connections


def test_headers_of_a_call_take_precedence_over_the_clients(
    style: Style, transport: str, server: FakeAgentServer
) -> None:
    server.agent("a").always("x")

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, transport=transport, headers={"X-A": "1", "X-B": "ü"})
        await client.run_generic_stream("x", headers={"x-a": "2"}).text()

    style.run(scenario)
    (request,) = server.requests
    assert "2" == request.headers["x-a"]
    assert "X-B".lower() in request.headers


ARGUMENTS = [name for name in inspect.signature(RunAgentClient.__init__).parameters if name != "self"]
WRONG_KINDS = [5, -1, 10**400, 3.5, True, b"x", object(), ["x"], [5], {"x": 1}, {5: 5}, "", "\0"]


@pytest.mark.parametrize("name", ARGUMENTS)
@pytest.mark.parametrize("value", WRONG_KINDS, ids=[f"{value!r:.12}" for value in WRONG_KINDS])
def test_no_argument_of_the_wrong_kind_ends_in_an_error_of_the_interpreter(
    style: Style, name: str, value: Any
) -> None:
    given = {"base_url": "https://127.0.0.1:1", "max_retries": 0, "retry_delay": 0} | {name: value}
    if name in ("host", "port"):
        given |= {"local": True, "base_url": None, "port": given.get("port", 1)}
    if name == "local":
        given |= {"base_url": None, "port": 1}

    async def scenario() -> None:
        client = style.client(given.pop("agent_id", "a"), **given)
        await client.run_generic_stream("x").text()

    with pytest.raises(RunAgentError):
        style.run(scenario)


@pytest.mark.parametrize("key", ["a b", "a\r\nb", "ü", "", 5])
def test_a_key_that_cannot_be_sent_is_not_shown(style: Style, server: FakeAgentServer, key: Any) -> None:
    client = style.client("a", base_url=server.url, api_key=lambda: key)

    async def scenario() -> None:
        with pytest.raises(ConfigurationError) as caught:
            await client.run_generic_stream("x").text()
        assert "API key" in str(caught.value)
        assert "a b" not in str(caught.value)

    style.run(scenario)


# Input that JSON cannot carry


class Color:
    pass


CYCLE: dict[str, Any] = {"list": []}
CYCLE["list"].append(CYCLE)
DEEP: Any = 1


for _ in range(1000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({1, 2}, "", "make it a list"),
        (frozenset(), "", "frozenset"),
        (b"x", "", "base64"),
        (math.nan, "", "nan"),
        (math.inf, "", "inf"),
        (-math.inf, "", "-inf"),
        ("a\ud83d", "", "lone surrogate at position 1"),
        (CYCLE, "['list'][0]", "contains itself"),
        ({1: "x"}, "", "key 1 is not text"),
        ({"\udc00": 1}, " (a key)", "lone surrogate"),
        ({"ok": [1, {"b": {2}}]}, "['ok'][1]['b']", "make it a list"),
        ((1, {"t": object()}), "[1]['t']", "object"),
        (Color(), "", "Color"),
        (1j, "", "complex"),
        pytest.param(10**5000, "", "too long", id="a huge integer"),
        (range(3), "", "range"),
    ],
)
def test_input_that_json_cannot_carry(
    style: Style, server: FakeAgentServer, value: Any, path: str, message: str
) -> None:
    error = failure(style, "a", base_url=server.url, input_data={"in": value})
    assert (ValidationError, "INVALID_INPUT") == (type(error), error.code)
    assert f"input_data['in']{path}: " == str(error)[: len(f"input_data['in']{path}: ")]
    assert message in str(error)
    assert f"input_data['in']{path}" == error.details["path"]
    assert 0 == server.connections


def test_input_that_is_too_deep(style: Style, server: FakeAgentServer) -> None:
    error = failure(style, "a", base_url=server.url, input_data={"in": DEEP})
    assert type(error) is ValidationError
    assert "200 levels deep" in str(error)
    assert 400 > len(str(error))


@pytest.mark.parametrize("value", [None, [1], 5, b"x", {1}, object(), ["query", "x"]])
def test_input_that_is_no_object(style: Style, server: FakeAgentServer, value: Any) -> None:
    error = failure(style, "a", base_url=server.url, input_data=value)
    assert type(error) is ValidationError
    assert str(error).startswith("input_data: expected a mapping")
    assert 0 == server.connections


def test_arguments_that_json_cannot_carry(style: Style, server: FakeAgentServer) -> None:
    client = style.client("a", base_url=server.url)
    with pytest.raises(ValidationError, match=r"^args\[1\]: "):
        client.run_stream(1, {2})
    with pytest.raises(ValidationError, match=r"^input_data\['k'\]: "):
        client.run_stream(k=b"x")


def test_what_json_can_carry_arrives_as_it_is(style: Style, transport: str, server: FakeAgentServer) -> None:
    value = {
        "text": "ü\u2028\N{GRINNING FACE}\0\r\n",
        "n": [1, 2.5, None, True, 10**30],
        "o": {"": {}},
        "t": (1, 2),
    }
    server.agent("a").always("x")

    async def scenario() -> None:
        await style.client("a", base_url=server.url, transport=transport).run_generic_stream(value).text()

    style.run(scenario)
    assert value | {"t": [1, 2]} == server.requests[0].input
