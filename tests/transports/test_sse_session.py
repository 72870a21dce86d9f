"""The SSE transport without sockets: docs/wire.md sections 1 and 5, whole and byte by byte."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest

from runagent import (
    Chunk,
    Completed,
    ProtocolError,
    Started,
    StreamError,
    StreamLimitError,
    StreamTruncatedError,
)
from runagent._call import ResumePoint
from tests.support.peer import chunked, http, sse
from tests.support.sessions import Seen, feed, open_session

START: tuple[str, Any] = ("start", {})
DONE: tuple[str, Any] = ("done", {})


@pytest.fixture(params=[1, 5, 1 << 30], ids=["byte by byte", "by fives", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


def run(answer: bytes, step: int = 1 << 30, *, eof: bool = True, **fields: Any) -> Seen:
    return feed(open_session("sse", **fields), answer, step=step, eof=eof)


def chunk(content: Any, **fields: Any) -> tuple[str, Any]:
    return "chunk", {"content": content, **fields}


def test_the_request() -> None:
    seen = run(
        b"", api_key="secret", idempotency_key="k", agent_id="a/b?", eof=False, base_url="http://h/p/v1"
    )
    head, _, body = seen.request.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    assert "POST /p/v1/agents/a%2Fb%3F/stream HTTP/1.1" == line
    assert {
        "Host: h",
        "Accept: text/event-stream",
        "Accept-Encoding: identity",
        "Authorization: Bearer secret",
        "Idempotency-Key: k",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    } <= set(fields)
    assert {"query": "x"} == json.loads(body)


def test_the_documented_stream(step: int) -> None:
    answer = sse(
        ("start", {"message": "hi", "session_id": "s"}),
        chunk("Straße", index=0),
        chunk({"n": [1, None]}, index=1),
        (
            "done",
            {
                "message": "bye",
                "usage": {"total_tokens": 150},
                "execution_time": 2.5,
                "metadata": {"model": "m"},
            },
        ),
    )
    assert [
        Started(message="hi", session_id="s"),
        Chunk("Straße", 0),
        Chunk({"n": [1, None]}, 1),
        Completed(message="bye", usage={"total_tokens": 150}, execution_time=2.5, metadata={"model": "m"}),
    ] == run(answer, step).events


def test_done_is_the_end_and_the_formal_end_makes_the_connection_reusable(step: int) -> None:
    whole = sse(chunk("x"), DONE)
    seen = run(whole.removesuffix(b"0\r\n\r\n"), step, eof=False)
    assert ([Chunk("x"), Completed()], None) == (seen.events, seen.error)
    assert (True, False) == (seen.session.keeps_connection, seen.session.reusable)
    assert [] == seen.session.receive_data(seen.rest + b"0\r\n\r\n")
    assert seen.session.reusable


@pytest.mark.parametrize("late", [sse(chunk("late"))[-30:], b"x" * 40, b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"])
def test_anything_after_the_end_is_ignored_and_the_connection_not_reused(late: bytes) -> None:
    seen = run(sse(chunk("x"), DONE, end=False), eof=False)
    assert [] == seen.session.receive_data(late)
    assert ([Chunk("x"), Completed()], None) == (seen.events, seen.error)
    assert not seen.session.reusable


def test_events_after_done_in_one_read_are_ignored(step: int) -> None:
    assert [Chunk("x"), Completed()] == run(sse(chunk("x"), DONE, chunk("late"), ("error", {})), step).events


@pytest.mark.parametrize(
    ("events", "contents", "ignored"),
    [
        ([("progress", {"percent": 5}), chunk("x"), DONE], ["x"], {"unknown message 'progress'": 1}),
        (
            [("progress", "text"), b"event: log\ndata: {\n\n", DONE],
            [],
            {"unknown message 'progress'": 1, "unknown message 'log'": 1},
        ),
        ([b'data: {"content": "x"}\n\n', DONE], ["x"], {}),
        ([b'event: message\ndata: {"content": null}\n\n', DONE], [None], {}),
        (
            [b'data: {"no": "content"}\n\n', b"data: [DONE]\n\n", b"data: 5\n\n", DONE],
            [],
            {"unknown message 'message'": 3},
        ),
        ([START, chunk("x"), START, DONE], ["x"], {"another start": 1}),
        (
            [chunk("x", index="0"), chunk("y", index=True), chunk("z", index=1.0), DONE],
            ["x", "y", "z"],
            {"index of the wrong type": 3},
        ),
        (
            [("start", {"message": 5, "session_id": []}), DONE],
            [],
            {"message of the wrong type": 1, "session_id of the wrong type": 1},
        ),
        (
            [("done", {"usage": [], "execution_time": "2", "message": {}})],
            [],
            {
                "usage of the wrong type": 1,
                "execution_time of the wrong type": 1,
                "message of the wrong type": 1,
            },
        ),
        ([("done", {"usage": None, "execution_time": None, "message": None})], [], {}),
        ([chunk(None), chunk(""), chunk(0), chunk(False), chunk([]), DONE], [None, "", 0, False, []], {}),
        ([b": beat\n\n", chunk("x"), b":\n\n", DONE], ["x"], {}),
    ],
)
def test_odd_events_that_do_no_harm(
    events: list[Any], contents: list[Any], ignored: dict[str, int], step: int
) -> None:
    seen = run(sse(*events), step)
    assert (contents, ignored, None) == (seen.contents, seen.session.ignored, seen.error)
    assert isinstance(seen.events[-1], Completed)


@pytest.mark.parametrize(
    ("bad", "quoted"),
    [
        (b"event: chunk\ndata: {oops\n\n", "{oops"),
        (b"event: chunk\ndata: [1]\n\n", "[1]"),
        (b'event: chunk\ndata: "text"\n\n', "text"),
        (b"event: done\ndata: 5\n\n", "5"),
        (b"event: start\ndata: \n\n", '""'),
        (b"event: error\ndata: boom\n\n", "boom"),
        (b'event: chunk\ndata: {"index": 7}\n\n', "index"),
        (b'event: chunk\ndata: {"content": NaN}\n\n', "NaN"),
        (b"event: chunk\ndata: {\x1b]0;\x07\n\n", r"\x1b]0;\x07"),
    ],
)
def test_bad_data_is_a_protocol_error_that_quotes_it_behind_the_good_events(
    bad: bytes, quoted: str, step: int
) -> None:
    seen = run(sse(chunk("good"), bad, chunk("never"), DONE), step)
    assert ([Chunk("good")], ProtocolError) == (seen.events, type(seen.error))
    assert quoted in str(seen.error)
    assert str(seen.error).isprintable()


def test_a_quotation_is_short() -> None:
    assert 500 > len(str(run(sse(b"event: chunk\ndata: {" + b"x" * 10_000 + b"\n\n")).error))


@pytest.mark.parametrize(
    ("data", "text", "code", "retry_after"),
    [
        (
            {"error": "no capacity", "code": "CAPACITY_ERROR", "retry_after": 30},
            "no capacity",
            "CAPACITY_ERROR",
            30,
        ),
        ({"error": "no", "retry_after": "soon", "code": 5}, "no", None, None),
        ({"error": "no", "retry_after": -1}, "no", None, None),
        ({"error": "no", "retry_after": True}, "no", None, None),
        ({"code": "CAPACITY_ERROR"}, "CAPACITY_ERROR", "CAPACITY_ERROR", None),
        ({}, "the agent reported an error without a message", None, None),
        ({"error": ""}, "the agent reported an error without a message", None, None),
        ({"error": {"message": "nested", "code": "X", "retry_after": 2.5}}, "nested", "X", 2.5),
        ({"message": "elsewhere"}, "elsewhere", None, None),
    ],
)
def test_an_error_event(
    data: dict[str, Any], text: str, code: str | None, retry_after: float | None, step: int
) -> None:
    seen = run(sse(START, chunk("x"), ("error", data), DONE), step)
    assert ([Started(), Chunk("x")], StreamError) == (seen.events, type(seen.error))
    assert (text, code, retry_after) == (seen.error.message, seen.error.code, seen.error.retry_after)


@pytest.mark.parametrize(
    "answer",
    [
        sse(chunk("x")),
        sse(chunk("x"), end=False),
        sse(chunk("x"), b"event: done\ndata: {}\n"),
        sse(chunk("x"), b"event: done\ndata: {}\n", end=False),
        http(200, b'event: chunk\ndata: {"content": "x"}\n\n', content_type="text/event-stream"),
        b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nevent: chunk\ndata: {"content": "x"}\n\n',
    ],
)
def test_an_end_without_done_is_truncated(answer: bytes, step: int) -> None:
    seen = run(answer, step)
    assert ([Chunk("x")], StreamTruncatedError) == (seen.events, type(seen.error))


@pytest.mark.parametrize(
    ("indexes", "fault"),
    [
        ([0, 2], "chunk 1 is missing"),
        ([0, 1, 1], "chunk 1 came twice"),
        ([0, 0], "chunk 0 came twice"),
        ([0, None, 3], "chunk 2 is missing"),
    ],
)
def test_a_gap_or_a_repeat_of_index_is_a_protocol_error(indexes: list[int], fault: str, step: int) -> None:
    seen = run(sse(*(chunk(str(i), index=i) for i in indexes), DONE), step)
    assert (ProtocolError, indexes[:-1]) == (
        type(seen.error),
        [e.index for e in seen.events if isinstance(e, Chunk)],
    )
    assert fault in str(seen.error)


@pytest.mark.parametrize("indexes", [[0, None, 2], [None, None, 2], [5, 6], [0, None, None]])
def test_an_index_may_be_left_out_and_begin_anywhere(indexes: list[int | None]) -> None:
    assert run(sse(*(chunk("x", index=i) for i in indexes), DONE)).error is None


def test_an_emoji_cut_in_two_is_joined_and_a_lone_half_replaced(step: int) -> None:
    halves = (
        b'event: chunk\ndata: {"content": "a\\ud83d"}\n\n',
        b'event: chunk\ndata: {"content": "\\ude00b"}\n\n',
    )
    assert "a\N{GRINNING FACE}b" == "".join(run(sse(*halves, DONE), step).contents)
    assert "a\ufffdx" == "".join(run(sse(halves[0], chunk("x"), DONE), step).contents)
    assert "a\ufffd" == "".join(run(sse(halves[0], DONE), step).contents)


def test_ids_come_with_the_chunks_and_lead_to_a_resume_point(step: int) -> None:
    seen = run(sse(b'id: 7\nevent: chunk\ndata: {"content": "x", "index": 0}\n\n'), step)
    assert [Chunk("x", 0, "7")] == seen.events
    assert ResumePoint(1, "7", proof="index") == seen.session.resume_point


def test_a_resumed_stream_asks_for_the_rest_and_must_prove_it(step: int) -> None:
    point = ResumePoint(2, "7", proof="index")
    good = run(sse(START, chunk("c", index=2), DONE), step, resume=point, input={"parameters": {"a": 1}})
    assert b"Last-Event-ID: 7\r\n" in good.request
    assert {"parameters": {"a": 1, "resume_from_index": 2}} == json.loads(
        good.request.partition(b"\r\n\r\n")[2]
    )
    assert ([Chunk("c", 2), Completed()], {}) == (good.events, good.session.ignored)
    for first in (0, 3, None):
        seen = run(sse(START, chunk("c", index=first), DONE), step, resume=point)
        assert ([], StreamError) == (seen.events, type(seen.error))
        assert "did not resume at chunk 2" in str(seen.error)


def test_a_trusted_resume_needs_no_proof(step: int) -> None:
    point = ResumePoint(None, "7")
    assert [Chunk("c"), Completed()] == run(sse(chunk("c"), DONE), step, resume=point).events


@pytest.mark.parametrize("field", ["gzip", "deflate"])
def test_a_stream_that_is_coded_all_the_same(field: str, step: int) -> None:
    text = b'event: chunk\ndata: {"content": "x"}\n\nevent: done\ndata: {}\n\n'
    data = gzip.compress(text[:20]) + gzip.compress(text[20:]) if field == "gzip" else zlib.compress(text)
    assert [Chunk("x"), Completed()] == run(
        chunked("text/event-stream", data, content_encoding=field), step
    ).events


def test_coded_data_that_is_cut_short_inside_complete_framing_is_truncated(step: int) -> None:
    text = b'event: chunk\ndata: {"content": "x"}\n\n'
    seen = run(chunked("text/event-stream", gzip.compress(text)[:-8], content_encoding="gzip"), step)
    assert ([Chunk("x")], StreamTruncatedError) == (seen.events, type(seen.error))
    assert "gzip" in str(seen.error)


@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_a_coding_that_cannot_be_undone_is_a_protocol_error(coding: str, step: int) -> None:
    seen = run(chunked("text/event-stream", b"<html>", content_encoding=coding), step)
    assert ([], ProtocolError) == (seen.events, type(seen.error))
    assert coding in str(seen.error)


@pytest.mark.parametrize(
    "answer",
    [
        http(200, "<html>hello</html>", content_type="text/html"),
        http(200, "hello"),
        http(200, '{"result": 1}', content_type="application/json"),
        http(204),
        http(304),
        http(200, "hello", content_type="text/event-stream?").replace(b"?", b"\xa0"),
    ],
)
def test_an_answer_of_another_kind_names_it_and_what_to_check(answer: bytes, step: int) -> None:
    seen = run(answer, step)
    assert ([], ProtocolError, False) == (seen.events, type(seen.error), seen.session.unsupported)
    if b" 200 " in answer:
        assert "text/event-stream" in str(seen.error)
        assert "base_url" in str(seen.error)
    else:
        assert "which has no body" in str(seen.error)


def test_a_charset_parameter_changes_nothing(step: int) -> None:
    answer = chunked(
        "Text/Event-Stream; charset=latin1",
        'event: chunk\ndata: {"content": "ß"}\n\nevent: done\ndata: {}\n\n'.encode(),
    )
    assert ["ß"] == run(answer, step).contents


@pytest.mark.parametrize("size", [100, 101])
def test_an_event_has_a_limit(size: int, step: int) -> None:
    line = b'data: {"content": "' + b"x" * (size - 21) + b'"}\n'
    seen = run(sse(b"event: chunk\n" + line + b"\n", DONE), step, limits={"max_event_bytes": 100})
    assert (None if size == 100 else StreamLimitError) == (seen.error and type(seen.error))


def test_bytes_that_are_no_utf8_do_not_end_a_stream(step: int) -> None:
    assert ["a\ufffd"] == run(sse(b'event: chunk\ndata: {"content": "a\xff"}\n\n', DONE), step).contents


def test_a_retry_field_sets_the_wait(step: int) -> None:
    seen = run(sse(b"retry: 1500\n\n", chunk("x")), step)
    assert 1.5 == seen.session.retry_delay


def test_an_unrequested_switch_of_protocols(step: int) -> None:
    seen = run(b"HTTP/1.1 101 x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", step)
    assert type(seen.error) is ProtocolError


@pytest.mark.parametrize("data", ['{"content": NaN}', ' {"content": "x', '{"error": {"message": }}'])
def test_an_object_without_a_name_that_is_not_json(data: str) -> None:
    seen = run(chunked("text/event-stream", f"data: {data}\n\nevent: done\ndata: {{}}\n\n".encode()))
    assert ([], ProtocolError) == (seen.events, type(seen.error))
    assert data.strip() in str(seen.error)
