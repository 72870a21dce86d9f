"""What an error may carry: message, code and details are cut before anything is done with them."""

from __future__ import annotations

import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, ProtocolError, RunAgentError, StreamError
from runagent._cutting import MAX_TEXT, MAX_VALUE, cut_value
from runagent._redact import hide_secrets
from runagent._wire.jsontext import quote, quote_value
from tests.support.failing import failure
from tests.support.peer import Peer, answers, http, message, ndjson, sse, upgrade

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

MIB = 1024 * 1024
LONG = "\x7f" * (2 * MIB)
SLACK = 2 * 1024  # what is added to a message


def check(error: Any) -> None:
    assert MAX_TEXT + SLACK > len(error.message)
    assert MAX_TEXT >= len(error.code or "")
    assert MAX_TEXT >= len(error.request_id or "")
    assert MAX_VALUE + SLACK > len(json.dumps(error.details, ensure_ascii=False))
    assert error.args == (error.message,)


def stream(transport: str, fields: dict[str, Any]) -> Any:
    if transport == "websocket":
        return upgrade(message({"type": "error", **fields}))
    return answers(ndjson({"type": "error", **fields}) if transport == "chunked" else sse(("error", fields)))


@pytest.mark.parametrize("field", ["message", "code", "details", "request_id"])
def test_an_error_of_a_stream_is_cut(style: Style, transport: str, field: str) -> None:
    value: Any = {"long": [LONG], "other": "x"} if field == "details" else LONG
    with Peer(stream(transport, {"error": {"message": "no", field: value}})) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport, api_key="k" * 1200)
    assert type(error) is StreamError
    check(error)


@pytest.mark.parametrize("field", ["message", "code", "details", "request_id"])
def test_an_error_of_a_plain_run_is_cut(style: Style, transport: str, field: str) -> None:
    fields = {"error": {"message": "no", field: LONG}}
    with Peer(answers(http(200, fields))) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport, mode="invoke")
    assert isinstance(error, AgentServerError)
    check(error)


def test_advice_is_not_cut(style: Style, transport: str) -> None:
    answer = http(401, {"error": {"message": "n" * 60_000}})
    with Peer(answers(answer)) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport)
    check(error)
    assert "check the API key" in str(error)


HUGE: dict[str, Any] = {
    "a text": LONG,
    "a list": ["x"] * 1_000_000,
    "empty lists": [[]] * 1_000_000,
    "an object": {str(n): n for n in range(200_000)},
    "long names": {"n" * MIB: 1, "m" * MIB: 2},
    "a number": 10**4000,
    "numbers": [10**4000] * 1000,
    "nested": {"a": [{"b": ["x" * 40_000] * 3}] * 3},
}


@pytest.mark.parametrize("name", HUGE)
@pytest.mark.parametrize("kind", [RunAgentError, StreamError, AgentServerError, ProtocolError])
def test_every_error_is_cut(kind: type[RunAgentError], name: str) -> None:
    error = kind("no", details=HUGE[name])
    assert MAX_VALUE * 1.1 > len(repr(error.details))
    if isinstance(HUGE[name], str):
        check(kind(HUGE[name], code=HUGE[name], request_id=HUGE[name]))


def test_what_is_short_stays_as_it_is() -> None:
    short: list[Any] = [None, 5, 1.5, {"a": [1, {"b": None}]}, ("t",), ["x" * 100] * 600, [[]] * 8000]
    for value in short:
        assert cut_value(value) is value
    error = RunAgentError("x" * MAX_TEXT, code="y" * MAX_TEXT)
    assert ("x" * MAX_TEXT, "y" * MAX_TEXT) == (error.message, error.code)


def test_text_that_a_caller_has_collected_is_not_cut() -> None:
    text = "x" * MIB
    assert text == StreamError("no", partial_text=text).partial_text


def test_a_deep_value_is_cut_too() -> None:
    deep: Any = "x" * MAX_VALUE
    for _ in range(900):
        deep = [deep]
    assert MAX_VALUE > len(repr(StreamError("no", details=deep).details))


@pytest.mark.parametrize(
    "show", [quote, quote_value, RunAgentError, lambda text: RunAgentError("", details=[text])]
)
def test_a_long_text_is_not_gone_through(show: Callable[[Any], Any]) -> None:
    text = "\x7f\ud83d" * (4 * MIB)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        show(text)
        assert MIB > tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


KEY = "".join(chr(97 + n * 7 % 26) for n in range(1200))
BEGINNINGS: dict[str, Any] = {
    "by itself": [KEY[:8]] * 6_000,
    "quoted": [f'"{KEY[:600]}"'] * 100,
    "in one text": " ".join([KEY[:8]] * 6_000),
    "nearly all of it": KEY[:-1] * 50,
}


@pytest.mark.parametrize("key", [KEY, "a" * 1199 + "b"], ids=["a key", "a key of one letter"])
@pytest.mark.parametrize("name", BEGINNINGS)
def test_secrets_are_found_in_one_go(name: str, key: str) -> None:
    details = json.loads(json.dumps(BEGINNINGS[name]).replace(KEY[:8], key[:8]))
    error = RunAgentError("no", details={"said": details})
    began = time.process_time()
    hide_secrets(error, [key, key[::-1], "x" * 1000])
    assert 1 > time.process_time() - began  # it was some 2 s for a tenth of it


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ("the key secret-key-1 is wrong", "the key *** is wrong"),
        ("secret-key-1secret-key-1", "******"),
        ("secret-key-12 secret-key-1", "***2 ***"),
        ('it begins "secret-key"', 'it begins "***"'),
        ("it begins secret-ke…", "it begins ***…"),
        ("secret-k is not all of it", "secret-k is not all of it"),
        ("secret- is too short", "secret- is too short"),
        ("ssecret-key-1", "s***"),
        ("other-secret-key-1", "***"),
    ],
)
def test_what_is_hidden(fields: str, shown: str) -> None:
    error = RunAgentError(fields, details={fields: [fields]})
    hide_secrets(error, ["secret-key-1", "other-secret-key-1", "short"])
    assert (shown, {shown: [shown]}) == (error.message, error.details)


def test_a_secret_that_the_limit_cuts_is_hidden() -> None:
    text = "x" * (MAX_TEXT - 20) + "secret-key-1-and-much-more-of-it"
    error = RunAgentError(text)
    hide_secrets(error, ["secret-key-1-and-much-more-of-it"])
    assert "secret-k" not in error.message
    assert error.message.endswith("***…")
