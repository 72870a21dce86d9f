"""Scripts rendered without any server: the bytes of each write, the waits, the end."""

from __future__ import annotations

import json

import pytest

from runagent_testing import chunk, delay, done, ending, error, gate, heartbeat, raw, status
from runagent_testing._render.plan import Pass, Wait, Write
from runagent_testing._render.render import refusal_plan, stream_plan
from runagent_testing._script.script import Script
from runagent_testing._script.writes import WRITE_LIMIT
from runagent_testing.dialects import DialectRun, frame, to_json
from runagent_testing.dialects._builtin import dialect_of
from runagent_testing.dialects._jsontext import structured

STREAMS = ("sse", "chunked", "text", "websocket")


def script(*steps, **options):
    return Script.of(steps, **options)


def run(transport, agent_input=None, headers=None, **options):
    return DialectRun(
        transport,
        "run-1",
        "2026-01-01T00:00:00+00:00",
        agent_input or {},
        headers or {},
        dialect=dialect_of(transport),
        **options,
    )


def writes(plan):
    return [move.data for move in plan.moves if isinstance(move, Write)]


def body(transport, *steps, agent_input=None, headers=None, **options):
    """The bytes between the start event and the end of HTTP's framing, without that framing."""
    plan = stream_plan(script(*steps, **options), run(transport, agent_input, headers, http_1_1=False))
    whole = b"".join(writes(plan))
    start = b"".join(writes(stream_plan(script(ending("cut")), run(transport, http_1_1=False))))
    assert whole.startswith(start)
    return whole[len(start) :]


def data(content_type, payload):
    content = json.dumps({"type": content_type, "payload": payload}, ensure_ascii=False)
    return frame(1, f'{{"type":"data","content":{json.dumps(content, ensure_ascii=False)}}}'.encode())


STEP_BYTES = {
    "text": (
        chunk("wörld \u2028\r\n"),
        'event: chunk\ndata: {"content": "wörld \u2028\\r\\n", "index": 0}\n\n'.encode(),
        '{"type": "chunk", "content": "wörld \u2028\\r\\n", "index": 0}\n'.encode(),
        "wörld \u2028\r\n".encode(),
        data("string", '"wörld \u2028\\r\\n"'),
    ),
    "empty": (
        chunk(""),
        b'event: chunk\ndata: {"content": "", "index": 0}\n\n',
        b'{"type": "chunk", "content": "", "index": 0}\n',
        b"",
        data("string", '""'),
    ),
    "object": (
        chunk({"k": [1]}),
        b'event: chunk\ndata: {"content": {"k": [1]}, "index": 0}\n\n',
        b'{"type": "chunk", "content": {"k": [1]}, "index": 0}\n',
        b'{"k": [1]}',
        data("object", '{"k": [1]}'),
    ),
    "null": (
        chunk(None),
        b'event: chunk\ndata: {"content": null, "index": 0}\n\n',
        b'{"type": "chunk", "content": null, "index": 0}\n',
        b"null",
        data("null", "null"),
    ),
    "labelled": (
        chunk("x", index="7", id="abc", event="token"),
        b'event: token\nid: abc\ndata: {"content": "x", "index": "7"}\n\n',
        b'{"type": "token", "content": "x", "index": "7"}\n',
        b"x",
        frame(
            1,
            b'{"type":"token","content":"{\\"type\\": \\"string\\", \\"payload\\": \\"\\\\\\"x\\\\\\"\\"}",'
            b'"index":"7"}',
        ),
    ),
    "bare": (
        chunk("x", index=None, id=None, event=None),
        b'data: {"content": "x"}\n\n',
        b'{"content": "x"}\n',
        b"x",
        frame(1, b'{"content":"{\\"type\\": \\"string\\", \\"payload\\": \\"\\\\\\"x\\\\\\"\\"}"}'),
    ),
    "heartbeat": (heartbeat(), b": heartbeat\n\n", b"\n", b"", b"\x89\x00"),
    "raw": (raw(b"\xff\x00\r\n"), *[b"\xff\x00\r\n"] * 4),
    "error": (
        error("CAPACITY_ERROR", "full", retry_after=30),
        b'event: error\ndata: {"error": "full", "code": "CAPACITY_ERROR", "retry_after": 30}\n\n',
        b'{"type": "error", "error": "full", "code": "CAPACITY_ERROR", "retry_after": 30}\n',
        b"",
        frame(1, b'{"type":"error","error":"full","code":"CAPACITY_ERROR","retry_after":30}'),
    ),
    "done": (
        done("bye", {"total_tokens": 150}, 2.5),
        b'event: done\ndata: {"message": "bye", "usage": {"total_tokens": 150}, "execution_time": 2.5}\n\n',
        b'{"type": "done", "message": "bye", "usage": {"total_tokens": 150}, "execution_time": 2.5}\n',
        b"",
        frame(
            1,
            b'{"type":"status","status":"stream_completed","total_chunks":0,"execution_time":2.5,'
            b'"message":"bye","usage":{"total_tokens":150},"invocation_id":"run-1"}',
        ),
    ),
    "no-done": (ending("no-done"), b"", b"", b"", b"\x88\x02\x03\xe8"),
}


@pytest.mark.parametrize("at", range(4), ids=STREAMS)
@pytest.mark.parametrize("step", STEP_BYTES)
def test_each_step_has_its_bytes(step, at):
    scripted, *expected = STEP_BYTES[step]
    ends = step in ("error", "done", "no-done")
    assert expected[at] == body(STREAMS[at], *([scripted] if ends else [scripted, ending("cut")]))


@pytest.mark.parametrize(
    ("transport", "head", "start", "end"),
    [
        (
            "sse",
            (
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            ),
            b'46\r\nevent: start\ndata: {"message": "stream started", "session_id": "s1"}\n\n\r\n',
            b"16\r\nevent: done\ndata: {}\n\n\r\n0\r\n\r\n",
        ),
        (
            "chunked",
            (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nCache-Control: no-cache\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            ),
            b'43\r\n{"type": "start", "message": "stream started", "session_id": "s1"}\n\r\n',
            b'11\r\n{"type": "done"}\n\r\n0\r\n\r\n',
        ),
        (
            "text",
            (
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-cache\r\n"
                b"Transfer-Encoding: chunked\r\n\r\n"
            ),
            b"",
            b"0\r\n\r\n",
        ),
        (
            "websocket",
            b"",
            frame(1, b'{"type":"status","status":"stream_started","invocation_id":"run-1"}'),
            frame(
                1,
                b'{"type":"status","status":"stream_completed","total_chunks":0,"execution_time":0.0,'
                b'"invocation_id":"run-1"}',
            ),
        ),
    ],
)
def test_a_stream_without_waits_is_one_write_with_its_end_marker(transport, head, start, end):
    plan = stream_plan(script(), run(transport, {"session_id": "s1"}))
    assert ([head + start + end], "open") == (writes(plan), plan.end)


DOOR = gate("g")


@pytest.mark.parametrize(
    ("pause", "move"), [(delay(0.5), Wait(0.5, 1)), (DOOR, Pass(DOOR, 1))], ids=["delay", "gate"]
)
def test_a_pause_parts_two_writes(pause, move):
    first, *others = stream_plan(script("a", pause, "b"), run("text")).moves
    assert [move, Write(b"1\r\nb\r\n0\r\n\r\n", (2,))] == others
    assert isinstance(first, Write)
    assert first.data.endswith(b"\r\n\r\n1\r\na\r\n")


def test_large_writes_are_split_between_chunks_only():
    plan = stream_plan(script(*["x" * 100_000] * 5, "y" * 600_000), run("text", http_1_1=False))
    assert [200_000, 200_000, 100_000, 600_000] == [len(data.rpartition(b"\r\n")[2]) for data in writes(plan)]
    assert 2 * 100_000 < WRITE_LIMIT < 3 * 100_000


@pytest.mark.parametrize("kind", ["cut", "reset", "stall"])
@pytest.mark.parametrize("transport", STREAMS)
def test_a_bad_ending_leaves_out_every_end_marker(transport, kind):
    (complete,) = writes(stream_plan(script("x"), run(transport)))
    plan = stream_plan(script("x", ending(kind)), run(transport))
    (broken,) = writes(plan)
    assert (kind, True) == (plan.end, complete.startswith(broken))
    assert len(broken) < len(complete)


def test_what_follows_an_error_or_done_is_sent_without_another_done():
    assert b"a" + b"b" == body("text", "a", done(), "b")
    assert body("sse", error("C", "m"), "late").endswith(b'data: {"content": "late", "index": 0}\n\n')


def test_plain_text_is_cut_off_by_an_error():
    plan = stream_plan(script("a", error("C", "m"), "b"), run("text"))
    assert plan.end == "cut"
    assert writes(plan)[0].endswith(b"1\r\na\r\n")


@pytest.mark.parametrize(
    ("transport", "expected"),
    [
        (
            "sse",
            (
                b'event: chunk\ndata: {"content": "\\ud83d", "index": 0}\n\n'
                b'event: chunk\ndata: {"content": "\\ude00", "index": 1}\n\n'
            ),
        ),
        (
            "chunked",
            (
                b'{"type": "chunk", "content": "\\ud83d", "index": 0}\n'
                b'{"type": "chunk", "content": "\\ude00", "index": 1}\n'
            ),
        ),
        ("text", "😀".encode()),
        ("websocket", data("string", '"\\ud83d"') + data("string", '"\\ude00"')),
    ],
)
def test_half_an_emoji_is_an_escape_in_json_and_whole_in_text(transport, expected):
    assert expected == body(transport, "\ud83d", "\ude00", ending("cut"))


def test_a_half_emoji_that_is_never_completed_is_replaced_in_text():
    assert "a\ufffd\ufffdb\ufffd".encode() == body("text", "a\ude00", "\ud83d", "b\ud83d")


@pytest.mark.parametrize(
    ("value", "type_name", "payload"),
    [
        (True, "boolean", "true"),
        (3, "integer", "3"),
        (0.5, "number", "0.5"),
        ({"type": "error"}, "object", '{"type": "error"}'),
    ],
)
def test_the_published_structure_names_the_type(value, type_name, payload):
    assert data(type_name, payload) == body("websocket", value, ending("cut"))


@pytest.mark.parametrize(
    ("value", "type_name", "payload"),
    [
        (float("nan"), "number", "null"),
        (float("inf"), "number", '"inf"'),
        ([1, [float("-inf")]], "array", '[1, ["-inf"]]'),
    ],
)
def test_the_published_structure_has_text_for_numbers_that_json_does_not_have(value, type_name, payload):
    assert {"type": type_name, "payload": payload} == json.loads(structured(value))


def test_json_never_contains_a_number_that_json_does_not_have():
    assert '{"a": null, "b": ["inf"]}' == to_json({"a": float("nan"), "b": [float("inf")]})


def test_indexes_and_ids_are_options():
    assert b'event: chunk\ndata: {"content": "x"}\n\n' == body("sse", "x", ending("cut"), indexed=False)
    assert b'event: chunk\nid: 0\ndata: {"content": "x", "index": 0}\n\n' == body(
        "sse", "x", ending("cut"), ids=True
    )


RESUME = {"parameters": {"resume_from_index": 2}}


@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_resuming_skips_chunks_and_the_waits_between_them_and_counts_on(transport):
    steps = ("a", delay(9), "b", heartbeat(), "c", delay(1), "d")
    resumed = stream_plan(script(*steps), run(transport, RESUME))
    whole = b"".join(writes(resumed))
    assert [Wait(1, 5)] == [move for move in resumed.moves if not isinstance(move, Write)]
    assert [b'"c", "index": 2', b'"d", "index": 3'] == [
        part.split(b"}")[0] for part in whole.split(b'"content": ')[1:]
    ]


@pytest.mark.parametrize("asked", [0, -1, "2", None, 1.5])
def test_a_senseless_place_to_resume_from_is_the_start(asked):
    agent_input = {"parameters": {"resume_from_index": asked}}
    assert b"abc" == body("text", "a", "b", "c", agent_input=agent_input)


def test_resuming_after_the_last_chunk_still_ends_as_scripted():
    agent_input = {"parameters": {"resume_from_index": 9}}
    assert b"event: done\ndata: {}\n\n" == body("sse", "a", agent_input=agent_input)
    assert body("sse", "a", error("C", "m"), agent_input=agent_input).startswith(b"event: error")


def test_resuming_can_be_refused():
    assert b"abc" == body("text", "a", "b", "c", agent_input=RESUME, resume=False)


@pytest.mark.parametrize(
    ("ids", "last", "expected"),
    [(True, "1", b"c"), (True, "mark", b"bc"), (True, "nowhere", b"abc"), (False, "1", b"abc")],
)
def test_last_event_id_resumes_after_that_chunk(ids, last, expected):
    steps = (chunk("a", id="mark") if last == "mark" else "a", "b", "c")
    assert expected == body("text", *steps, headers={"last-event-id": last}, ids=ids)


def test_http_1_0_is_neither_chunked_nor_kept_alive():
    plan = stream_plan(script("x"), run("text", http_1_1=False, keep_alive=False))
    assert plan.end == "close"
    assert writes(plan)[0] == (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
        b"Cache-Control: no-cache\r\n\r\nx"
    )


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            status(503, retry_after=1, code="BUSY", message="later"),
            (
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 124\r\nRetry-After: 1\r\n"
                b"Content-Type: application/json\r\n\r\n"
                b'{"error": {"code": "BUSY", "message": "later", "status": 503, "request_id": "run-1", '
                b'"retry_after": 1}}'
            ),
        ),
        (
            status(418, body={"detail": "tea"}),
            (
                b"HTTP/1.1 418 I'm a Teapot\r\nContent-Length: 17\r\nContent-Type: application/json\r\n\r\n"
                b'{"detail": "tea"}'
            ),
        ),
        (
            status(502, body="<html>", headers={"content-type": "text/html", "X-A": "b"}),
            (
                b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\ncontent-type: text/html\r\nX-A: b\r\n\r\n"
                b"<html>"
            ),
        ),
        (status(599, body=b""), b"HTTP/1.1 599 Unnamed\r\nContent-Length: 0\r\n\r\n"),
        (status(204, body=b""), b"HTTP/1.1 204 No Content\r\n\r\n"),
    ],
)
def test_a_status_is_a_whole_answer(step, expected):
    length = len(expected.partition(b"\r\n\r\n")[2])
    expected = expected.replace(b"Content-Length: 124", f"Content-Length: {length}".encode())
    plan = refusal_plan((step,), run("sse"))
    assert ([expected], "open") == (writes(plan), plan.end)
