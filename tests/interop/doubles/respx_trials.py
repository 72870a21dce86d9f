"""respx: httpx without a socket, whose streams a test writes as classes."""

# mypy: ignore-errors
# A separate environment runs this, which has the double; that of the project does not.

from __future__ import annotations

import asyncio
import contextlib
import time

import httpx
import respx
from trials import main, situation

URL = "http://agents.test/stream"


class Chunks(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A stream of a test's own: texts, pauses in seconds, events to wait for, and errors."""

    def __init__(self, *steps):
        self.steps = steps
        self.closed = False

    def __iter__(self):
        for step in self.steps:
            if isinstance(step, float):
                time.sleep(step)
            elif isinstance(step, Exception):
                raise step
            else:
                yield step

    async def __aiter__(self):
        for step in self.steps:
            if isinstance(step, float):
                await asyncio.sleep(step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            else:
                yield step

    def close(self):
        self.closed = True


def read(steps, **options):
    """Read a stream of these steps; return what came, and the error."""
    came = []
    with respx.mock, httpx.Client(**options) as client:
        respx.get(URL).mock(return_value=httpx.Response(200, stream=Chunks(*steps)))
        try:
            with client.stream("GET", URL) as response:
                came.extend(response.iter_raw())
        except httpx.HTTPError as error:
            return came, error
    return came, None


async def text_of(client, url=URL):
    async with client.stream("GET", url) as response:
        return b"".join([piece async for piece in response.aiter_raw()])


@situation(4, "yes")
def one_slow_answer_holds_no_other_up():
    async def both():
        async with httpx.AsyncClient() as client:
            slow = asyncio.ensure_future(text_of(client))
            await text_of(client, f"{URL}/quick")
            waits = not slow.done()
            return waits and await slow == b"a"

    with respx.mock:
        respx.get(URL).mock(return_value=httpx.Response(200, stream=Chunks(0.1, b"a")))
        respx.get(f"{URL}/quick").respond(text="b")
        return asyncio.run(both())


@situation(7, "partly")
def the_test_decides_when_each_event_comes():
    async def ask():
        door = asyncio.Event()
        respx.get(URL).mock(return_value=httpx.Response(200, stream=Chunks(b"1", door, b"2")))
        async with httpx.AsyncClient() as client, client.stream("GET", URL) as response:
            pieces = response.aiter_raw()
            first = await anext(pieces)
            asyncio.get_running_loop().call_later(0.05, door.set)
            return (first, await anext(pieces)) == (b"1", b"2")

    with respx.mock:
        return asyncio.run(ask())


@situation(9, "partly")
def hundreds_of_slow_streams_at_once():
    def answer(request):
        return httpx.Response(200, stream=Chunks(*[0.02, b"x"] * 5))

    async def ask():
        async with httpx.AsyncClient() as client:
            return await asyncio.gather(*[text_of(client) for _ in range(300)])

    with respx.mock:
        respx.get(URL).mock(side_effect=answer)
        return asyncio.run(ask()) == [b"xxxxx"] * 300


@situation(10, "yes")
def the_first_answer_fails_and_the_next_is_good():
    with respx.mock, httpx.Client() as client:
        respx.get(URL).mock(side_effect=[httpx.Response(503), httpx.Response(200)])
        return [client.get(URL).status_code for _ in range(2)] == [503, 200]


@situation(11, "yes")
def answers_by_body_and_header_and_one_for_the_rest():
    with respx.mock, httpx.Client() as client:
        respx.post(URL, json={"query": "rain"}).respond(text="by body")
        respx.post(URL, headers={"x-tenant": "acme"}).respond(text="by header")
        respx.post(URL).respond(text="the rest")
        asked = [
            client.post(URL, json={"query": "rain"}),
            client.post(URL, headers={"x-tenant": "acme"}),
            client.post(URL),
        ]
        return [answer.text for answer in asked] == ["by body", "by header", "the rest"]


@situation(13, "yes")
def the_double_sends_on_a_wire():
    with respx.mock, httpx.Client() as client:
        respx.get(URL).mock(return_value=httpx.Response(200, stream=Chunks(b"a")))
        return "network_stream" in client.get(URL).extensions


@situation(17, "partly")
def a_cut_after_two_chunks():
    came, error = read([b"1", b"2", 0.01, httpx.ReadError("reset")])
    return came == [b"1", b"2"] and isinstance(error, httpx.ReadError)


@situation(19, "partly")
def the_client_lets_go():
    stream = Chunks(b"1", b"2")
    with respx.mock, httpx.Client() as client:
        respx.get(URL).mock(return_value=httpx.Response(200, stream=stream))
        with client.stream("GET", URL) as response:
            next(response.iter_raw())
    return stream.closed


@situation(25, "partly")
def a_stream_without_an_end():
    class Endless(Chunks):
        def __iter__(self):
            while True:
                yield b"tick"

    with respx.mock, httpx.Client() as client:
        respx.get(URL).mock(return_value=httpx.Response(200, stream=Endless()))
        with client.stream("GET", URL) as response, contextlib.closing(response.iter_raw()) as pieces:
            return [next(pieces) for _ in range(3)] == [b"tick"] * 3


@situation(33, "yes")
def the_order_of_requests():
    with respx.mock as router, httpx.Client() as client:
        respx.route().respond(200)
        for name in ("planner", "writer"):
            client.get(f"http://agents.test/{name}")
        return [call.request.url.path for call in router.calls] == ["/planner", "/writer"]


@situation(43, "yes")
def the_time_limit_of_the_client_is_met():
    _, error = read([b"1", 0.3, b"2"], timeout=httpx.Timeout(5, read=0.05))
    return isinstance(error, httpx.ReadTimeout)


@situation(44, "partly")
def a_stream_that_is_cut_off_shows_as_cut_off():
    _, error = read([b"1", httpx.RemoteProtocolError("peer closed connection")])
    return isinstance(error, httpx.RemoteProtocolError)


if __name__ == "__main__":
    main("respx")
