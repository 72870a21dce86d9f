"""A run is a span, each of its attempts a child of it, and the agent gets the context of the attempt."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, StatusCode
from runagent_otel import instrument

from runagent import NetworkError, RunAgentClient, RunAgentError
from runagent_testing import MemoryNetwork, done, ending, error, status
from tests.support.styles import Style
from tests.support.telemetry import Telemetry, recorded, traceparent
from tests.support.transports import OwnTransport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from opentelemetry.sdk.trace import ReadableSpan

USAGE = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    with recorded() as telemetry:
        yield telemetry


@pytest.fixture
def memory() -> MemoryNetwork:
    return MemoryNetwork()


def ask(
    memory: MemoryNetwork, read: Callable[[Any], Awaitable[Any]], style: str = "sync", **options: Any
) -> None:
    """Have a client of an agent `writer` read."""
    where = Style(style)
    network = {"sync": memory.blocking, "trio": memory.trio}.get(style, memory.aio)

    async def scenario() -> None:
        client = where.client("writer", base_url=memory.url, network=network, retry_delay=0, **options)
        try:
            with contextlib.suppress(RunAgentError):
                await read(client)
        finally:
            await client.aclose()

    where.run(scenario)


async def read_text(client: Any) -> None:
    await client.run_generic_stream("x", session_id="evening").text()


async def read_chat(client: Any) -> None:
    await client.run_generic_stream("x").text()


async def close_early(client: Any) -> None:
    stream = client.run_generic_stream("x")
    await anext(stream)
    await stream.aclose()


async def run_plainly(client: Any) -> None:
    await client.run_generic("x")


def the_run(telemetry: Telemetry) -> ReadableSpan:
    (run,) = telemetry.runs
    return run


def test_two_handles_for_the_same_providers_record_a_run_once(
    telemetry: Telemetry, memory: MemoryNetwork
) -> None:
    memory.agent("writer").always("a")
    with instrument(telemetry.tracers, telemetry.meters):
        ask(memory, read_chat)
    ask(memory, read_chat)
    assert len(telemetry.runs) == 2


def shown(span: ReadableSpan, *names: str) -> list[Any]:
    attributes = span.attributes or {}
    return [attributes.get(name) for name in names]


@pytest.mark.parametrize("style", ["sync", "asyncio", "trio"])
@pytest.mark.parametrize("transport", ["sse", "chunked", "websocket"])
def test_a_run_is_a_span_and_its_attempts_are_children(
    telemetry: Telemetry, memory: MemoryNetwork, style: str, transport: str
) -> None:
    memory.agent("writer").reply(status(503)).reply("a", "b", done(usage=USAGE))
    ask(memory, read_text, style, transport=transport)
    run = the_run(telemetry)
    failed, last = telemetry.attempts_of(run)
    assert ("invoke_agent writer", SpanKind.CLIENT, None) == (run.name, run.kind, run.parent)
    assert StatusCode.UNSET == run.status.status_code
    attributes: dict[str, Any] = dict(run.attributes or {})
    assert len(attributes.pop("runagent.run.id")) == 32
    assert attributes.pop("runagent.bytes_received") > 0
    assert (attributes.pop("runagent.request.id", None) is not None) == (transport == "websocket")
    assert attributes.pop("gen_ai.response.time_to_first_chunk") >= 0
    assert {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "runagent",
        "gen_ai.agent.id": "writer",
        "gen_ai.agent.name": "writer",
        "gen_ai.conversation.id": "evening",
        "gen_ai.request.stream": True,
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "runagent.usage.total_tokens": 10,
        "server.address": "memory.localhost",
        "server.port": 80,
        "runagent.attempts": 2,
        "runagent.chunks": 2,
        "runagent.longest_gap": 0.0,
        "runagent.outcome": "completed",
        "runagent.transport": transport,
    } == attributes
    assert [f"attempt {transport}"] * 2 == [failed.name, last.name]
    assert [SpanKind.CLIENT] * 2 == [failed.kind, last.kind]
    names = ("http.response.status_code", "http.request.resend_count", "error.type", "runagent.error.code")
    assert [503, None, "runagent.AgentServerError", "SERVICE_UNAVAILABLE"] == shown(failed, *names)
    assert [101 if transport == "websocket" else 200, 1, None, None] == shown(last, *names)
    assert [StatusCode.ERROR, StatusCode.UNSET] == [failed.status.status_code, last.status.status_code]


def test_the_agent_gets_the_context_of_each_attempt(telemetry: Telemetry, memory: MemoryNetwork) -> None:
    memory.agent("writer").reply(status(503)).reply("a")
    token = context.attach(baggage.set_baggage("tenant", "blue & green"))
    try:
        ask(memory, read_text)
    finally:
        context.detach(token)
    sent = [request.headers["traceparent"].rpartition("-")[0] for request in memory.requests]
    assert [traceparent(span) for span in telemetry.attempts_of(the_run(telemetry))] == sent
    assert ["tenant=blue+%26+green"] * 2 == [request.headers["baggage"] for request in memory.requests]


@pytest.mark.parametrize("style", ["sync", "asyncio", "trio"])
def test_the_reader_stays_in_the_context_in_which_it_reads(
    telemetry: Telemetry, memory: MemoryNetwork, style: str
) -> None:
    memory.agent("writer").reply("a", "b")
    tracer = telemetry.tracers.get_tracer("test")

    async def read(client: Any) -> None:
        with tracer.start_as_current_span("caller") as caller:
            async for _ in client.run_generic_stream("x"):
                assert trace.get_current_span() is caller
                with tracer.start_as_current_span("work"):
                    pass
            assert trace.get_current_span() is caller

    ask(memory, read, style)
    (caller,) = (span for span in telemetry.spans if span.name == "caller")
    assert ["invoke_agent writer", "work", "work"] == sorted(
        span.name for span in telemetry.children_of(caller)
    )


@pytest.mark.parametrize(
    ("script", "read", "outcome", "kind", "description"),
    [
        (("a", error("NO_ROOM", "no room")), read_text, "failed", "runagent.StreamError", "no room"),
        (
            (status(404),),
            read_text,
            "failed",
            "runagent.AgentNotFoundError",
            "Not Found (check the agent id and base_url)",
        ),
        (("a", ending("stall")), close_early, "closed", None, None),
    ],
)
def test_a_failed_run_is_an_error_and_a_closed_one_is_not(
    telemetry: Telemetry,
    memory: MemoryNetwork,
    script: tuple[Any, ...],
    read: Any,
    outcome: str,
    kind: str | None,
    description: str | None,
) -> None:
    memory.agent("writer").always(*script)
    ask(memory, read, max_retries=0)
    run = the_run(telemetry)
    expected = (StatusCode.ERROR if kind else StatusCode.UNSET, description)
    for span in (run, *telemetry.attempts_of(run)):
        assert expected == (span.status.status_code, span.status.description)
        assert [kind] == shown(span, "error.type")
        assert () == span.events
    assert [outcome] == shown(run, "runagent.outcome")


def test_a_plain_run_is_a_span_without_what_streams_have(telemetry: Telemetry, memory: MemoryNetwork) -> None:
    memory.agent("writer").returns("done")
    ask(memory, run_plainly)
    run = the_run(telemetry)
    names = ("gen_ai.request.stream", "gen_ai.response.time_to_first_chunk", "runagent.outcome")
    assert [None, None, "completed"] == shown(run, *names)
    assert 1 == len(telemetry.attempts_of(run))


def test_a_run_that_no_transport_can_make_is_a_span_without_attempts(
    telemetry: Telemetry, memory: MemoryNetwork
) -> None:
    ask(memory, run_plainly, transport=OwnTransport(capabilities=frozenset()))
    run = the_run(telemetry)
    assert ["runagent.ConfigurationError", "failed", 0] == shown(
        run, "error.type", "runagent.outcome", "runagent.attempts"
    )
    assert [] == telemetry.attempts_of(run)


def test_the_context_replaces_a_header_field_of_the_caller(
    telemetry: Telemetry, memory: MemoryNetwork
) -> None:
    memory.agent("writer").reply("a")
    ask(memory, read_text, headers={"Traceparent": f"00-{1:032x}-{1:016x}-01"})
    (request,) = memory.requests
    (attempt,) = telemetry.attempts_of(the_run(telemetry))
    assert traceparent(attempt) == request.headers["traceparent"].rpartition("-")[0]


def test_what_a_run_asks_and_gets_is_not_recorded(telemetry: Telemetry, memory: MemoryNetwork) -> None:
    memory.agent("writer").reply("the answer")

    async def read(client: Any) -> None:
        await client.run_generic_stream({"query": "the question", "model": "small"}).text()

    ask(memory, read, api_key="the-key")
    text = "".join(span.to_json() for span in telemetry.spans)
    assert '"gen_ai.request.model": "small"' in text
    assert not {"the answer", "the question", "the-key"} & set(text.split('"'))


def test_calls_are_observed_until_the_handle_is_closed(memory: MemoryNetwork) -> None:
    memory.agent("writer").always("a")
    with recorded() as telemetry:
        ask(memory, read_text)
    ask(memory, read_text)
    assert 1 == len(telemetry.runs)
    assert "traceparent" not in memory.requests[-1].headers


def test_the_provider_is_of_the_protocol_unless_it_is_named(memory: MemoryNetwork) -> None:
    memory.agent("writer").always("a")
    with recorded(provider_name="acme") as named, recorded() as unnamed:
        ask(memory, read_text)
    assert ["acme"] == shown(the_run(named), "gen_ai.provider.name")
    assert ["runagent"] == shown(the_run(unnamed), "gen_ai.provider.name")


def test_what_the_last_event_and_the_tokens_show_is_recorded(
    telemetry: Telemetry, memory: MemoryNetwork
) -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 4,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    memory.agent("writer").reply("a", done(usage=usage))
    ask(memory, read_chat, transport="openai")
    run = the_run(telemetry)
    assert ["openai", ("stop",), "fake-agent", 9, 4, 2, 3, 13] == shown(
        run,
        "gen_ai.provider.name",
        "gen_ai.response.finish_reasons",
        "gen_ai.response.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.reasoning.output_tokens",
        "runagent.usage.total_tokens",
    )
    (response,) = shown(run, "gen_ai.response.id")
    assert response.startswith("chatcmpl-")


def test_an_attempt_shows_the_wait_after_it_and_whether_its_connection_was_open(
    telemetry: Telemetry, memory: MemoryNetwork
) -> None:
    memory.agent("writer").reply(status(503, retry_after=7)).always("a")

    async def read_twice(client: Any) -> None:
        await read_text(client)
        await read_text(client)

    ask(memory, read_twice)
    names = ("runagent.retry.wait", "runagent.connection.reused")
    attempts = [attempt for run in telemetry.runs for attempt in telemetry.attempts_of(run)]
    assert [[7.0, False], [None, False], [None, True]] == [shown(attempt, *names) for attempt in attempts]


def test_a_unix_socket_is_shown_by_its_path(telemetry: Telemetry, tmp_path: Path) -> None:
    path = str(tmp_path / "agent.sock")
    client = RunAgentClient("writer", base_url=f"http+unix://{quote(path, safe='')}", max_retries=0)
    with pytest.raises(NetworkError):
        client.run_generic("x")
    run = the_run(telemetry)
    (attempt,) = telemetry.attempts_of(run)
    for span in (run, attempt):
        assert [path, None] == shown(span, "server.address", "server.port")
