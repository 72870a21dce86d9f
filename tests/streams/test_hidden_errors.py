"""An agent's error past the format of errors: it reaches the user, ends the run, and nobody asks again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentError, ProtocolError, RunTimeoutError, StreamError, StreamTruncatedError
from tests.support.failing import failure
from tests.support.peer import (
    Peer,
    PeerConnection,
    answers,
    http,
    message,
    ndjson,
    sse,
    upgrade,
    websocket_frame,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.styles import Style

WORDS = "the budget is used up"
ERROR: dict[str, Any] = {"error": {"code": "BUDGET", "message": WORDS, "details": {"left": 0}}}
UNNAMED = [
    ERROR,
    {"error": WORDS, "code": "BUDGET"},
    {"error": True, "message": WORDS, "code": "BUDGET"},
    {"content": None, "error": ERROR["error"]},
]
KNOWN = [
    ("chunk", ERROR),
    ("done", ERROR),
    ("start", ERROR),
    ("status", {"status": "failed", **ERROR}),
    ("data", {"content": None, **ERROR}),
]
CUT = b"\x03\xe8"


def typed(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, **value}


def numbered(transport: str) -> Any:
    """Write a chunk behind which a run could be resumed."""
    fields = {"content": "x", "index": 0}
    return ("chunk", fields) if transport == "sse" else typed("chunk", fields)


def stream(transport: str, *parts: Any, end: bool = True) -> Callable[[PeerConnection], None]:
    """Play a stream; a message of SSE is unnamed unless it is a pair."""
    if transport == "websocket":
        frames = [part if isinstance(part, bytes) else message(part) for part in parts]
        return upgrade(*frames, websocket_frame(CUT, 8) if end else b"")
    if transport == "chunked":
        return answers(ndjson(*parts, end=end))
    events = [f"data: {json.dumps(p)}\n\n".encode() if isinstance(p, dict) else p for p in parts]
    return answers(sse(*events, end=end))


def check(style: Style, transport: str, act: Callable[[PeerConnection], None], **options: Any) -> Any:
    """Run against a peer, return the error, and see that nobody asked twice."""
    options = {"max_retries": 3, "retry_delay": 0.01, "timeout": 5} | options
    with Peer(act) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport, **options)
        assert 1 == peer.connections
    return error


@pytest.mark.parametrize("first", [True, False], ids=["first", "behind a chunk"])
@pytest.mark.parametrize("written", UNNAMED, ids=repr)
def test_an_object_with_an_error_and_no_content_is_the_agents_error(
    style: Style, transport: str, written: dict[str, Any], first: bool
) -> None:
    parts = [written] if first else [numbered(transport), written]
    error = check(style, transport, stream(transport, *parts))
    assert (StreamError, "BUDGET", WORDS) == (type(error), error.code, error.message)


@pytest.mark.parametrize(("kind", "written"), KNOWN)
def test_a_message_of_a_known_kind_may_be_the_agents_error(
    style: Style, transport: str, kind: str, written: dict[str, Any]
) -> None:
    part = (kind, written) if transport == "sse" else typed(kind, written)
    error = check(style, transport, stream(transport, numbered(transport), part))
    assert (StreamError, "BUDGET", WORDS) == (type(error), error.code, error.message)


@pytest.mark.parametrize("empty", [None, False, "", [], 0])
def test_an_empty_error_is_no_error(style: Style, transport: str, empty: Any) -> None:
    parts = [typed("done", {"error": empty})] if transport != "sse" else [("done", {"error": empty})]

    async def scenario() -> str:
        client = style.client("a", base_url=peer.url, transport=transport)
        return str(await client.run_generic_stream("x").text())

    with Peer(stream(transport, numbered(transport), *parts)) as peer:
        assert "x" == style.run(scenario)


def test_the_error_of_an_unknown_message_is_harmless_if_the_run_goes_on(style: Style, transport: str) -> None:
    tool, done = typed("tool_result", ERROR), typed("done", {})
    parts: list[Any] = [("tool_result", ERROR), ("done", {})] if transport == "sse" else [tool, done]

    async def scenario() -> str:
        client = style.client("a", base_url=peer.url, transport=transport)
        return str(await client.run_generic_stream("x").text())

    with Peer(stream(transport, numbered(transport), *parts)) as peer:
        assert "x" == style.run(scenario)


@pytest.mark.parametrize("end", [True, False], ids=["ends", "is cut"])
def test_the_error_of_an_unknown_message_is_final_if_the_run_breaks_off(
    style: Style, transport: str, end: bool
) -> None:
    part = ("failure", ERROR) if transport == "sse" else typed("failure", ERROR)
    act = stream(transport, numbered(transport), part, end=end)
    error = check(style, transport, act, timeout=0.5)
    assert (StreamError, "BUDGET", WORDS) == (type(error), error.code, error.message)


@pytest.mark.parametrize("word", ["error", "failed"])
def test_a_status_of_failure_is_final_if_the_run_breaks_off(style: Style, transport: str, word: str) -> None:
    written = {"status": word, "message": WORDS, "code": "BUDGET"}
    part = ("status", written) if transport == "sse" else typed("status", written)
    error = check(style, transport, stream(transport, numbered(transport), part))
    assert (StreamError, "BUDGET", WORDS) == (type(error), error.code, error.message)


@pytest.mark.parametrize(
    "detail",
    [{"message": WORDS}, {"error": WORDS, "code": 5}, {"reason": WORDS}, [{"loc": ["x"], "msg": WORDS}]],
)
def test_the_detail_of_a_refusal_is_shown(style: Style, transport: str, detail: Any) -> None:
    error = check(style, transport, answers(http(400, {"detail": detail})))
    assert WORDS in error.message


LINE = json.dumps(ERROR).encode()
PAST_THE_FORMAT = {
    "a line": LINE + b"\n",
    "a line without its end": LINE,
    "several lines": json.dumps(ERROR, indent=2).encode() + b"\n",
    "several lines without the last end": json.dumps(ERROR, indent=2).encode(),
    "an event without its blank line": b"data: " + LINE + b"\n",
    "an event without a line end": b"data: " + LINE,
    "an error event without its blank line": b"event: error\ndata: " + LINE + b"\n",
}


@pytest.mark.parametrize("end", [True, False], ids=["ends", "is cut"])
@pytest.mark.parametrize("written", PAST_THE_FORMAT.values(), ids=PAST_THE_FORMAT)
def test_an_error_past_the_format_of_an_event_stream(style: Style, written: bytes, end: bool) -> None:
    error = check(style, "sse", stream("sse", numbered("sse"), written, end=end))
    assert (StreamError, "BUDGET", WORDS) == (type(error), error.code, error.message)


@pytest.mark.parametrize("end", [True, False], ids=["ends", "is cut"])
def test_an_error_in_a_line_without_its_end(style: Style, end: bool) -> None:
    error = check(style, "chunked", stream("chunked", numbered("chunked"), LINE, end=end))
    assert (StreamError, "BUDGET", WORDS) == (type(error), error.code, error.message)


@pytest.mark.parametrize(
    "written", [b"budget used up\n", b"budget: used up\n", b"data: budget used up\n\n", b"budget"]
)
@pytest.mark.parametrize("end", [True, False], ids=["ends", "is cut"])
def test_what_was_ignored_before_a_bad_end_is_quoted(style: Style, written: bytes, end: bool) -> None:
    error = check(style, "sse", stream("sse", ("chunk", {"content": "x"}), written, end=end))
    assert type(error) is StreamTruncatedError
    assert 'the last message that was ignored: "budget' in str(error)


def test_what_was_ignored_before_a_silence_is_quoted(style: Style, transport: str) -> None:
    odd = ("news", {"text": WORDS}) if transport == "sse" else typed("news", {"text": WORDS})
    act = stream(transport, odd, end=False)

    def silent(connection: PeerConnection) -> None:
        act(connection)
        connection.wait_gone()

    error = check(style, transport, silent, timeout=0.3, max_retries=0)
    assert isinstance(error, RunTimeoutError)
    assert WORDS in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        ERROR,
        {"error": WORDS},
        {"error": True, "message": WORDS},
        {"error": [WORDS]},
        {"result": None, "error": WORDS},
        {"data": ERROR},
        {"status": "error", "data": {"error": WORDS}},
        {"success": False, "message": WORDS},
    ],
    ids=repr,
)
def test_the_error_of_a_plain_run(style: Style, transport: str, answer: dict[str, Any]) -> None:
    error = check(style, transport, answers(http(200, answer)), mode="invoke")
    assert isinstance(error, AgentError)
    assert WORDS in error.message


def test_an_error_in_place_of_a_stream_is_shown_whole(style: Style, transport: str) -> None:
    written = {"trace": "x" * 300, **ERROR}
    head, body = http(200, written).split(b"\r\n\r\n")

    def act(connection: PeerConnection) -> None:
        connection.read_request()
        connection.send(head + b"\r\n\r\n" + body[:5])
        connection.send(body[5:])

    error = check(style, transport, act)
    assert (ProtocolError, "BUDGET", {"left": 0}) == (type(error), error.code, error.details)
    assert f"the agent reports: {WORDS}" in str(error)


def test_the_start_of_a_resumed_run_is_not_counted(style: Style) -> None:
    start: Any = ("start", {})
    first = sse(start, ("chunk", {"content": "a", "index": 0}))
    rest = sse(start, ("chunk", {"content": "b", "index": 1}), ("done", {}))

    async def scenario() -> tuple[str, dict[str, int]]:
        stream = style.client("a", base_url=peer.url, retry_delay=0).run_generic_stream("x")
        return str(await stream.text()), stream.report.ignored

    with Peer(answers(first), answers(rest)) as peer:
        assert ("ab", {}) == style.run(scenario)
