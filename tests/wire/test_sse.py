"""Server-sent events, from the WHATWG text (HTML §9.2.5 and §9.2.6): whole and cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runagent._errors import StreamLimitError
from runagent._wire.sse import ServerSentEvent, SSEDecoder


def event(
    data: str, event: str = "message", id: str = "", retry: int | None = None, *, has_id: bool = False
) -> ServerSentEvent:
    return ServerSentEvent(event, data, id, retry, has_id)


def decode(stream: bytes, step: int) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [e for at in range(0, len(stream), step) for e in decoder.feed(stream[at : at + step])]


CASES: dict[str, tuple[bytes, list[ServerSentEvent]]] = {
    "the text's example of two lines": (b"data: YHOO\ndata: +2\ndata: 10\n\n", [event("YHOO\n+2\n10")]),
    "the text's example of comments and ids": (
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [
            event("first event", id="1", has_id=True),
            event("second event", has_id=True),
            event(" third event"),
        ],
    ),
    "the text's example of empty data": (b"data\n\ndata\ndata\n\ndata:", [event(""), event("\n")]),
    "the text's example of spaces": (b"data:test\n\ndata: test\n\n", [event("test"), event("test")]),
    "CR": (b"data: a\rdata: b\r\rdata: c\r\r", [event("a\nb"), event("c")]),
    "CRLF": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [event("a\nb"), event("c")]),
    "line ends mixed": (b"data: a\r\ndata: b\ndata: c\r\n\rdata: d\n\r", [event("a\nb\nc"), event("d")]),
    "other separators end no line": (
        "data: a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\n\n".encode(),
        [event("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg")],
    ),
    "event names": (b"event: chunk\ndata: x\n\ndata: y\n\n", [event("x", "chunk"), event("y")]),
    "the last name counts, an empty one is none": (
        b"event: a\nevent: b\ndata\n\nevent: a\nevent\ndata\n\n",
        [event("", "b"), event("")],
    ),
    "a block without data gives nothing": (b"event: chunk\nid: 7\n\ndata: x\n\n", [event("x", id="7")]),
    "an id persists": (
        b"id: 1\ndata: a\n\ndata: b\n\nid:\ndata: c\n\n",
        [event("a", id="1", has_id=True), event("b", id="1"), event("c", has_id=True)],
    ),
    "an id with NUL is none": (
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
        [event("a", id="1", has_id=True), event("b", id="1")],
    ),
    "retry": (
        b"retry: 1500\ndata: a\n\nretry: 1.5\ndata: b\n\nretry:\xd9\xa1\ndata: c\n\n",
        [event("a", retry=1500), event("b"), event("c")],
    ),
    "unknown fields": (b"foo: bar\n:data: x\n data: y\nDATA: z\ndata: a\n\n", [event("a")]),
    "a byte order mark at the start only": (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [event("a")]),
    "half a byte order mark is none": (b"\xef\xbbdata: a\n\ndata: b\n\n", [event("b")]),
    "bytes that are not UTF-8": (b"data: a\xff\xc3\n\n", [event("a\ufffd\ufffd")]),
    "emoji": ("data: \N{GRINNING FACE}\n\n".encode(), [event("\N{GRINNING FACE}")]),
    "what the end cuts off is dropped": (b"data: a\n\ndata: b\n", [event("a")]),
    "colons in the value": (b"data:: a:b\n\n", [event(": a:b")]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [1, 2, 3, 1 << 20])
def test_interpretation(name: str, step: int) -> None:
    stream, events = CASES[name]
    assert events == decode(stream, step)


@pytest.mark.parametrize("name", CASES)
def test_one_cut_anywhere_changes_nothing(name: str) -> None:
    stream, events = CASES[name]
    for cut in range(len(stream)):
        decoder = SSEDecoder()
        assert events == [*decoder.feed(stream[:cut]), *decoder.feed(b""), *decoder.feed(stream[cut:])]


def test_an_event_is_dispatched_at_its_CR() -> None:
    assert [event("a")] == SSEDecoder().feed(b"data: a\r\r")


def test_comments_are_counted_and_the_state_is_kept() -> None:
    decoder = SSEDecoder()
    decoder.feed(b": a\n:\nid: 9\nretry: 20\n\n")
    assert (2, "9", 20) == (decoder.comments, decoder.last_event_id, decoder.retry)


@pytest.mark.parametrize(
    ("stream", "incomplete"),
    [
        (b"data: a\n\n", False),
        (b"data: a\n", True),
        (b"dat", True),
        (b": com", False),
        (b"", False),
        (b"id: 1\n", True),
    ],
)
def test_it_shows_whether_an_event_is_cut_off(stream: bytes, incomplete: bool) -> None:
    decoder = SSEDecoder()
    decoder.feed(stream)
    assert incomplete == decoder.incomplete


@pytest.mark.parametrize("step", [1, 7, 1 << 20])
@pytest.mark.parametrize(
    ("stream", "fits"),
    [
        (b"data: " + b"x" * 94 + b"\n\n", True),
        (b"data: " + b"x" * 95 + b"\n\n", False),
        (b"data: " + b"x" * 44 + b"\ndata: " + b"x" * 44 + b"\n\n", True),
        (b"data: " + b"x" * 44 + b"\ndata: " + b"x" * 45 + b"\n\n", False),
        (b"data\n" * 26 + b"\n", False),
        (b":" + b"x" * 200, False),
    ],
)
def test_an_event_has_a_limit(stream: bytes, fits: bool, step: int) -> None:
    decoder = SSEDecoder(max_event_bytes=100)
    events = []
    for at in range(0, len(stream), step):
        if decoder.error is None:
            events += decoder.feed(stream[at : at + step])
    assert (fits, fits) == (decoder.error is None, len(events) == 1)
    if decoder.error is not None:
        assert ("max_event_bytes", 100) == (decoder.error.limit_name, decoder.error.limit)
        with pytest.raises(StreamLimitError):
            decoder.feed(b"\n")


def test_good_events_come_before_the_limit() -> None:
    decoder = SSEDecoder(max_event_bytes=20)
    assert [event("a")] == decoder.feed(b"data: a\n\ndata: " + b"x" * 20)
    assert decoder.error is not None


TYPES, DATA = [b"event: a", b"event: ", b"event:b"], [b"data: 1", b"data: ", b"data:\xc3", b"data: \xff\xc3"]
OTHERS = [b"id: 7-0", b"id: ", b"id: \0", b"", b"", b": c", b"retry: 5", b"stray", b"data: " + b"x" * 30]
USUAL = st.sampled_from([*TYPES, *DATA, *OTHERS])


@given(st.lists(USUAL, max_size=16), st.sampled_from([b"\n", b"\r\n"]), st.sampled_from([20, 1000]))
def test_events_of_usual_forms_are_read_as_line_by_line(lines: list[bytes], end: bytes, most: int) -> None:
    stream = end.join([b"event: a", b"data: 1", b"id: 1-0", b"", *lines, b"", b""])
    found = []
    for step in (1, len(stream)):
        decoder, events = SSEDecoder(max_event_bytes=most), []
        for at in range(0, len(stream), step):
            if decoder.error is None:
                events += decoder.feed(stream[at : at + step])
        state = decoder.last_event_id, decoder.retry, bytes(decoder.stray), decoder.incomplete
        found.append(
            (events, decoder.error is None, decoder.comments, state if decoder.error is None else None)
        )
    assert found[0] == found[1]
