"""Only a whole stream is relayed, and only once: otherwise a page would take the rest for the answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from runagent import AsyncRunAgentClient, RateLimitError, RunAgentClient
from runagent.relay import relay
from runagent_testing import delay, done, head, reasoning, status

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.gateways import Gateway

    Before = Callable[[Any], Awaitable[object]]

STORY = ("Once", " upon", " a", " time")


async def first_chunk(stream: Any) -> None:
    assert "Once" == await anext(stream)


async def first_event(stream: Any) -> None:
    await anext(stream.events())


async def first_batch(stream: Any) -> None:
    await anext(stream.batches())


async def one_of_those_at_hand(stream: Any) -> None:
    await stream.accepted()
    assert await stream.wait(5)
    await first_chunk(stream)


async def one_of_each_of_two_waits(stream: Any) -> None:
    assert await stream.wait(5)
    await first_event(stream)
    assert await stream.wait(5)


READ: list[Before] = [first_chunk, first_event, first_batch, one_of_those_at_hand, one_of_each_of_two_waits]


@pytest.mark.parametrize("read", READ, ids=lambda read: read.__name__)
def test_a_stream_that_was_read_is_not_relayed(gateway: Gateway, read: Before) -> None:
    gateway.agent.always("Once", delay(1), " upon", delay(1), " a", writes="per-step")
    with pytest.raises(RuntimeError, match="was read or relayed before"):
        gateway.visit(before=read)


async def to_the_end(stream: Any) -> None:
    await stream.text()


async def close(stream: Any) -> None:
    await stream.aclose()


async def accept_and_close(stream: Any) -> None:
    await stream.accepted()
    await stream.aclose()


@pytest.mark.parametrize("end", [to_the_end, close, accept_and_close], ids=lambda end: end.__name__)
@pytest.mark.parametrize("made_before", [True, False])
def test_a_stream_that_is_over_is_not_relayed(gateway: Gateway, end: Before, made_before: bool) -> None:
    gateway.agent.always(*STORY)

    async def scenario(stream: Any) -> None:
        if made_before:
            answer = gateway.relay(stream)
            await end(stream)
            with pytest.raises(RuntimeError, match="this stream is over"):
                await gateway.browser().visit(answer)
        else:
            await end(stream)
            with pytest.raises(RuntimeError, match="this stream is over"):
                gateway.relay(stream)

    gateway.run(scenario)


@pytest.mark.parametrize("browser", [{}, {"method": "HEAD"}, {"headers": {"Last-Event-ID": "end"}}])
def test_a_relay_answers_one_request(gateway: Gateway, browser: dict[str, Any]) -> None:
    gateway.agent.always(*STORY)

    async def scenario(stream: Any) -> None:
        answer = gateway.relay(stream)
        await gateway.browser(**browser).visit(answer)
        with pytest.raises(RuntimeError, match="this stream is over"):
            await gateway.browser(**browser).visit(answer)

    gateway.run(scenario)


def test_a_stream_answers_one_of_two_relays(gateway: Gateway) -> None:
    gateway.agent.always(*STORY)

    async def scenario(stream: Any) -> list[Any]:
        answer, other = gateway.relay(stream), gateway.relay(stream)
        page = await gateway.browser().visit(answer)
        with pytest.raises(RuntimeError, match="this stream is over"):
            await gateway.browser().visit(other)
        return page.contents

    assert [*STORY] == gateway.run(scenario)


def test_a_second_request_does_not_disturb_the_answer_to_the_first(gateway: Gateway) -> None:
    gateway.agent.always(*STORY)

    async def scenario(stream: Any) -> Any:
        answer = gateway.relay(stream)
        first = gateway.browser()

        async def ask_again(_: int) -> None:
            with pytest.raises(RuntimeError, match="was read or relayed before"):
                await gateway.browser().visit(answer)

        first.after_write = ask_again
        return await first.visit(answer)

    page = gateway.run(scenario)
    assert ([*STORY], "done") == (page.contents, page.last[0])


async def accept(stream: Any) -> None:
    await stream.accepted()
    await stream.accepted()


async def wait(stream: Any) -> None:
    await stream.wait(0)  # in vain, if no thread reads ahead
    assert await stream.wait(5)
    assert await stream.wait(5)


async def accept_and_wait(stream: Any) -> None:
    await stream.accepted()
    assert await stream.wait(5)


async def enter(stream: Any) -> None:
    await stream.__aenter__()


@pytest.mark.parametrize("begin", [accept, wait, accept_and_wait, enter], ids=lambda begin: begin.__name__)
@pytest.mark.parametrize("options", [{}, {"read_ahead_bytes": 65536}])
def test_a_stream_that_has_begun_is_relayed_whole(
    gateway: Gateway, transport: str, begin: Before, options: dict[str, int]
) -> None:
    steps = (head(), delay(1), reasoning("Hm"), "Once", " upon", delay(1), " a", " time", done())
    gateway.agent.always(*steps)
    page = gateway.visit(
        transport=transport, before=begin, include={"reasoning"}, client={"transport_options": options}
    )
    assert [*STORY] == page.contents
    assert ["reasoning", *["chunk"] * 4, "done"] == [k for k in page.kinds if k not in ("start", "heartbeat")]


def test_a_run_that_is_known_to_be_refused_has_the_status_of_its_refusal(sse_gateway: Gateway) -> None:
    sse_gateway.agent.always(status(429, retry_after=7))

    async def accept(stream: Any) -> None:
        with pytest.raises(RateLimitError):
            await stream.accepted()

    page = sse_gateway.visit(before=accept)
    assert (429, "7") == (page.status, page.headers["retry-after"])


def test_a_stream_whose_read_is_cancelled_before_an_event_is_not_relayed() -> None:
    from tests.support.gateways import Gateway

    gateway = Gateway("asyncio", "sse")
    gateway.agent.always(head(), delay(5), *STORY)

    async def cancelled(stream: Any) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await anext(stream)

    with pytest.raises(RuntimeError, match="was read or relayed before"):
        gateway.visit(before=cancelled)


@pytest.mark.parametrize("method", ["django", "quart", "aiohttp"])
@pytest.mark.parametrize("format", ["sse", "websocket"])
def test_each_framework_gets_the_error_before_its_response_is_made(method: str, format: Any) -> None:
    async def scenario() -> None:
        stream = AsyncRunAgentClient("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
        answer = relay(stream, format=format)
        await stream.aclose()
        with pytest.raises(RuntimeError, match="this stream is over"):
            await getattr(answer, method)(*[None] * (method == "aiohttp"))

    asyncio.run(scenario())


def test_django_under_wsgi_gets_the_error_before_its_response_is_made() -> None:
    stream = RunAgentClient("a", base_url="http://127.0.0.1:1").run_generic_stream("q")
    answer = relay(stream)
    stream.close()
    with pytest.raises(RuntimeError, match="this stream is over"):
        answer.django()
