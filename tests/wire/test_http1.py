"""HTTP/1.1 answers (RFC 9112), whole and byte by byte: framing, the end, bounds, interim answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from runagent._errors import ProtocolError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._limits import Limits
from runagent._wire.http1 import ResponseDecoder, encode_request

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass
class Outcome:
    body: bytes
    decoder: ResponseDecoder
    fault: RunAgentError | None

    @property
    def kind(self) -> type[RunAgentError] | None:
        return None if self.fault is None else type(self.fault)


def decode(data: bytes, step: int, *, eof: bool = True, limits: Limits | None = None) -> Outcome:
    decoder = ResponseDecoder(limits)
    body = b""
    for at in range(0, len(data), step):
        if decoder.error or decoder.upgraded:
            break
        body += decoder.feed(data[at : at + step])
    fault: RunAgentError | None = decoder.error
    if eof and fault is None:
        try:
            decoder.close()
        except RunAgentError as exc:
            fault = exc
    return Outcome(body, decoder, fault)


@pytest.fixture(params=[1, 3, 1 << 20], ids=["byte by byte", "by threes", "whole"])
def step(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


@pytest.mark.parametrize(
    ("answer", "body", "keep_alive"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello", True),
        (OK + b"Content-Length: 0\r\n\r\n", b"", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello", True),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: t\r\n\r\n", b"hello", True),
        (OK + b"transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", b"", True),
        (OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello", False),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", b"hello", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", True),
        (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", b"x", True),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
            + OK
            + b"Content-Length: 1\r\n\r\nx",
            b"x",
            True,
        ),
    ],
)
def test_framing_marks_the_end(answer: bytes, body: bytes, keep_alive: bool, step: int) -> None:
    outcome = decode(answer, step, eof=False)
    assert (body, True, True) == (outcome.body, outcome.decoder.complete, outcome.decoder.proven)
    assert outcome.fault is None
    assert keep_alive == outcome.decoder.keep_alive
    assert not outcome.decoder.excess


def test_an_end_by_the_connection_is_not_proven(step: int) -> None:
    outcome = decode(OK + b"\r\nhello", step)
    assert (b"hello", None) == (outcome.body, outcome.fault)
    assert (True, False) == (outcome.decoder.complete, outcome.decoder.proven)


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Le", b""),
        (OK + b"Content-Length: 6\r\n\r\nhello", b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b"hello"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", b"hel"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    ],
)
def test_a_short_answer_is_truncated(answer: bytes, body: bytes, step: int) -> None:
    outcome = decode(answer, step)
    assert (StreamTruncatedError, body) == (outcome.kind, outcome.body)
    assert bool(answer) == outcome.decoder.began


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"<html><body>It works</body></html>",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        OK + b"Content-Length: five\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
        OK + b"Bad Name: x\r\n\r\n",
        OK + b"Name : x\r\n\r\n",
        OK + b"A: b\r\n folded\r\nno colon\r\n\r\n",
        OK + b"A: \x00\r\n\r\n",
    ],
)
def test_what_is_not_http_is_a_protocol_error(answer: bytes, step: int) -> None:
    assert ProtocolError == decode(answer, step).kind


def test_the_error_quotes_a_foreign_answer_and_has_advice() -> None:
    fault = decode(b"SSH-2.0-OpenSSH_9.6\r\n", 1 << 20).fault
    assert "SSH-2.0-OpenSSH_9.6" in str(fault)
    assert "base_url" in str(fault)


@pytest.mark.parametrize("behind", [b"x", OK + b"Content-Length: 0\r\n\r\n", b"\r\n\r\nx"])
def test_bytes_behind_the_end_forbid_reuse(behind: bytes, step: int) -> None:
    outcome = decode(OK + b"Content-Length: 5\r\n\r\nhello" + behind, step, eof=False)
    assert (b"hello", None, True) == (outcome.body, outcome.fault, outcome.decoder.complete)
    assert outcome.decoder.excess


def test_an_upgrade_keeps_what_comes_behind_it() -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    for cut in range(len(head) + 4):
        decoder = ResponseDecoder()
        data = head + b"\x81\x01x"
        pieces = [data[:cut], data[cut:]]
        rest = b""
        for piece in pieces:
            if decoder.upgraded:
                rest += piece
            else:
                decoder.feed(piece)
        assert (101, True, b"\x81\x01x") == (decoder.status, decoder.upgraded, decoder.rest + rest)


def test_repeated_fields_are_joined(step: int) -> None:
    outcome = decode(OK + b"A: 1\r\na:  2 \r\nB: \xe4\r\nContent-Length: 0\r\n\r\n", step)
    assert {"a": "1, 2", "b": "\xe4", "content-length": "0"} == outcome.decoder.headers


def test_trailers_are_no_headers(step: int) -> None:
    answer = OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-Request-Id: forged\r\n\r\n"
    assert "x-request-id" not in decode(answer, step).decoder.headers


@pytest.mark.parametrize("size", [4096, 4097])
def test_the_head_has_a_limit(size: int, step: int) -> None:
    start = OK + b"Content-Length: 0\r\nA: "
    answer = start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"
    outcome = decode(answer, step, limits=Limits(max_head_bytes=4096))
    assert (StreamLimitError if size > 4096 else None) == outcome.kind
    if isinstance(outcome.fault, StreamLimitError):
        assert ("max_head_bytes", 4096) == (outcome.fault.limit_name, outcome.fault.limit)


@pytest.mark.parametrize(
    "endless",
    [
        b"HTTP/1.1 200 " + b"x" * 5000,
        OK + b"A: " + b"x" * 5000,
        OK + b"x" * 5000,
        OK + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"x" * 9000,
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: " + b"x" * 9000,
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"A: b\r\n" * 1500,
    ],
)
def test_no_line_is_endless(endless: bytes, step: int) -> None:
    assert StreamLimitError == decode(endless, step, eof=False, limits=Limits(max_head_bytes=4096)).kind


@pytest.mark.parametrize("count", [20, 21])
def test_interim_answers_are_counted(count: int, step: int) -> None:
    outcome = decode(b"HTTP/1.1 100 Continue\r\n\r\n" * count + OK + b"Content-Length: 0\r\n\r\n", step)
    assert (StreamLimitError if count > 20 else None) == outcome.kind


def test_a_body_as_large_as_you_like_has_no_head_limit() -> None:
    pieces = b"".join(b"%x\r\n%b\r\n" % (999, b"x" * 999) for _ in range(200))
    outcome = decode(
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n",
        70,
        limits=Limits(max_head_bytes=200),
    )
    assert (None, 199_800) == (outcome.fault, len(outcome.body))


def test_a_request_is_written_as_it_is() -> None:
    data = encode_request("POST", "/a?b", [("Host", "h"), ("X", "\xe4")], b"{}")
    assert b"POST /a?b HTTP/1.1\r\nHost: h\r\nX: \xe4\r\nContent-Length: 2\r\n\r\n{}" == data
    assert b"GET / HTTP/1.1\r\n\r\n" == encode_request("GET", "/", [])
