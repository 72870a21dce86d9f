"""Fields of an answer whose wrong values are common and harmless: the run goes on, and some are counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from runagent import ProtocolError, RateLimitError
from runagent_testing import FakeAgentServer
from tests.support.failing import failure
from tests.support.peer import Peer, answers, chunked, http

if TYPE_CHECKING:
    from tests.support.styles import Style

STREAMS = {
    "sse": ("text/event-stream", b'event: chunk\ndata: {"content": "x"}\n\nevent: done\ndata: {}\n\n'),
    "chunked": ("application/x-ndjson", b'{"type":"chunk","content":"x"}\n{"type":"done"}\n'),
}


def read(style: Style, transport: str, answer: bytes, mode: str = "stream") -> tuple[Any, Any]:
    """Return what a run against this answer gave, and its report."""

    async def scenario() -> tuple[Any, Any]:
        client = style.client("a", base_url=peer.url, transport=transport)
        if mode == "invoke":
            return await client.run_generic("x"), None
        stream = client.run_generic_stream("x")
        return await stream.text(), stream.report

    with Peer(answers(answer)) as peer:
        result: tuple[Any, Any] = style.run(scenario)
    return result


@pytest.mark.parametrize("transport", STREAMS)
@pytest.mark.parametrize("coding", ["none", "UTF-8", "utf-8, identity", "text/event-stream", "binary"])
def test_a_content_encoding_that_means_no_coding(style: Style, transport: str, coding: str) -> None:
    content_type, body = STREAMS[transport]
    text, report = read(style, transport, chunked(content_type, body, content_encoding=coding))
    assert ("x", [1]) == (text, list(report.ignored.values()))
    assert "content coding" in next(iter(report.ignored))


def test_a_content_encoding_that_means_no_coding_hides_no_refusal(style: Style, transport: str) -> None:
    answer = http(429, {"error": {"code": "BUSY", "message": "come back later"}}, content_encoding="none")
    error = failure(style, "a", base_url=(peer := Peer(answers(answer))).__enter__().url, transport=transport)
    peer.__exit__(None, None, None)
    assert (RateLimitError, "BUSY") == (type(error), error.code)
    assert "come back later" in str(error)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "x-compress", "gzip, br", "snappy"])
@pytest.mark.parametrize("transport", STREAMS)
def test_a_coding_that_cannot_be_undone_is_refused(style: Style, transport: str, coding: str) -> None:
    content_type, body = STREAMS[transport]
    with Peer(answers(chunked(content_type, body, content_encoding=coding))) as peer:
        error = failure(style, "a", base_url=peer.url, transport=transport)
    assert type(error) is ProtocolError
    assert coding in str(error)


@pytest.mark.parametrize("coding", ["none", "UTF-8"])
def test_a_content_encoding_that_means_no_coding_on_a_plain_run(
    style: Style, transport: str, coding: str
) -> None:
    answer = http(200, json.dumps({"result": 4}), content_type="application/json", content_encoding=coding)
    assert 4 == read(style, transport, answer, "invoke")[0]


@pytest.mark.parametrize(
    ("transport", "content_type"),
    [
        *(
            ("sse", field)
            for field in (
                "text/event-stream, text/event-stream",
                "text/event-stream; charset=utf-8, text/event-stream",
                "text/plain, text/event-stream",
                "text/event-stream;",
                "text/event-stream,",
                "text/event-stream charset=utf-8",
                'TEXT/EVENT-STREAM;Charset="utf-8, x"',
                "application/event-stream",
                "text/x-event-stream",
            )
        ),
        *(
            ("chunked", field)
            for field in (
                "application/x-ndjson, application/x-ndjson",
                "application/json, application/x-ndjson",
                "application/stream+json",
                "application/jsonlines",
                "application/x-jsonlines",
                "application/x-json-lines",
                "application/x-jsonl",
                "application/json-stream",
                "text/x-ndjson",
                "text/ndjson;charset=utf-8",
                "text/jsonl",
            )
        ),
    ],
)
def test_a_content_type_that_is_written_otherwise(style: Style, transport: str, content_type: str) -> None:
    assert "x" == read(style, transport, chunked(content_type, STREAMS[transport][1]))[0]


@pytest.mark.parametrize(
    "charset", ["text/plain; charset=iso-8859-1", "text/html, text/plain; charset=iso-8859-1"]
)
def test_the_charset_of_a_field_that_came_twice(style: Style, charset: str) -> None:
    assert "ü" == read(style, "chunked", chunked(charset, b"\xfc"))[0]
    twice = chunked(f"{charset}, text/plain", b"\xfc")
    assert "ü" == read(style, "chunked", twice)[0]


@pytest.mark.parametrize(
    "content_type",
    ["application/json, application/json", "text/json", "application/x-json", "application/problem+json"],
)
def test_the_content_type_of_a_plain_run(style: Style, transport: str, content_type: str) -> None:
    assert 4 == read(style, transport, http(200, '{"result": 4}', content_type=content_type), "invoke")[0]


@pytest.mark.parametrize(
    "content_type", ["application/stream+json", "text/html", "application/json-seq", "json"]
)
def test_another_content_type_is_still_refused(style: Style, content_type: str) -> None:
    with Peer(answers(http(200, '{"result": 4}', content_type=content_type))) as peer:
        error = failure(style, "a", base_url=peer.url, mode="invoke")
    assert type(error) is ProtocolError


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
def test_the_fake_agent_reads_the_scheme_of_a_key_in_any_case(
    style: Style, transport: str, scheme: str
) -> None:
    with FakeAgentServer(api_key="right-key") as server:
        server.agent("a").always("x")

        async def scenario() -> str:
            headers = {"Authorization": f"{scheme} right-key"}
            client = style.client("a", base_url=server.url, transport=transport, headers=headers)
            return str(await client.run_generic_stream("x").text())

        assert "x" == style.run(scenario)
