"""Keys that a function gives: plain or async, slow, late, wrong, or not wanted any more."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio

from runagent import (
    AuthenticationError,
    ConfigurationError,
    NetworkError,
    RunTimeoutError,
    StreamError,
    Timeouts,
)
from runagent._net.tasks import current_library
from runagent_testing import FakeAgentServer, status
from tests.support.peer import Peer, answers, http
from tests.support.styles import STYLES, Style

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

KEY = "sk-very-secret-0123456789"


async def pause(seconds: float) -> None:
    await (trio.sleep if current_library() == "trio" else asyncio.sleep)(seconds)


async def give_key() -> str:
    await pause(0)
    return KEY


class Giver:
    """An object that is called like an async function."""

    async def __call__(self) -> str:
        return await give_key()


@pytest.fixture(params=STYLES[1:])
def asynchronous(request: pytest.FixtureRequest) -> Style:
    """Each style that awaits."""
    return Style(request.param)


@pytest.mark.parametrize(
    "give",
    [give_key, Giver(), lambda: give_key(), functools.partial(give_key)],
    ids=["function", "object", "lambda", "partial"],
)
@pytest.mark.parametrize("mode", ["stream", "invoke"])
def test_an_async_function_is_awaited(
    asynchronous: Style, transport: str, mode: str, give: Callable[[], Awaitable[str]]
) -> None:
    async def scenario() -> Any:
        client = asynchronous.client("a", base_url=server.url, transport=transport, api_key=give)
        return await (client.run_generic("x") if mode == "invoke" else client.run_generic_stream("x").text())

    with FakeAgentServer(api_key=KEY) as server:
        server.agent("a").always("x").returns("x")
        assert "x" == asynchronous.run(scenario)


def test_it_is_asked_at_each_attempt(asynchronous: Style, transport: str) -> None:
    keys = iter([f"{KEY}-1", f"{KEY}-2"])

    async def give() -> str:
        await pause(0)
        return next(keys)

    async def scenario() -> Any:
        client = asynchronous.client(
            "a", base_url=server.url, transport=transport, api_key=give, retry_delay=0
        )
        stream = client.run_generic_stream("x")
        await stream.text()
        return stream.report

    with FakeAgentServer() as server:
        server.agent("a").reply(status(503, retry_after=0)).always("x")
        report = asynchronous.run(scenario)
        sent = [request.raw_headers["authorization"] for request in server.requests]
    assert [f"Bearer {KEY}-1", f"Bearer {KEY}-2"] == sent
    assert (2, "completed") == (len(report.attempts), report.outcome)


def test_the_synchronous_client_refuses_an_async_function() -> None:
    style = Style("sync")

    async def scenario() -> None:
        await style.client("a", base_url="http://127.0.0.1:1", api_key=give_key).run_generic("x")

    with pytest.raises(ConfigurationError, match="AsyncRunAgentClient"):
        style.run(scenario)


def failing(style: Style, give: Callable[[], Awaitable[Any]], **options: Any) -> tuple[Any, Any]:
    """Run with a key that does not come; return the error and the report."""

    async def scenario() -> tuple[Any, Any]:
        stream = style.client("a", base_url=peer.url, api_key=give, **options).run_generic_stream("x")
        with pytest.raises(Exception) as caught:  # noqa: PT011  # whatever it is, the test looks at it
            await stream.text()
        return caught.value, stream.report

    with Peer(answers(http(200))) as peer:
        result: tuple[Any, Any] = style.run(scenario)
        assert 0 == peer.connections
    return result


@pytest.mark.parametrize(("limits", "phase"), [({"connect": 0.1}, "connect"), ({"total": 0.1}, "total")])
def test_a_key_that_does_not_come_runs_into_the_limit(
    asynchronous: Style, limits: dict[str, float], phase: str
) -> None:
    left = []

    async def give() -> str:
        try:
            await pause(60)
        except BaseException as exc:
            left.append(type(exc).__name__)
            raise
        return KEY

    error, report = failing(asynchronous, give, timeout=Timeouts(**limits), max_retries=0)
    assert (RunTimeoutError, phase) == (type(error), error.phase)
    assert "waiting for api_key()" in str(error)
    assert ("failed", 1) == (report.outcome, len(report.attempts))
    assert ["Cancelled" if asynchronous.name == "trio" else "CancelledError"] == left


@pytest.mark.parametrize("key", ["", "a b", "sch\u00fcssel", 5, None, b"key"])
def test_a_key_that_cannot_be_sent(asynchronous: Style, key: Any) -> None:
    async def give() -> Any:
        return key

    error, report = failing(asynchronous, give)
    assert ConfigurationError is type(error)
    assert str(error).startswith("what api_key() returned: ")
    assert "failed" == report.outcome


@pytest.mark.parametrize("raised", [ValueError("no key today"), NetworkError("the vault is down")])
def test_what_the_function_raises_reaches_the_reader(asynchronous: Style, raised: Exception) -> None:
    async def give() -> str:
        raise raised

    error, report = failing(asynchronous, give)
    assert raised is error
    assert "failed" == report.outcome


def test_a_stream_can_be_closed_while_it_waits_for_its_key(asynchronous: Style) -> None:
    asked, left = threading.Event(), threading.Event()

    async def give() -> str:
        asked.set()
        try:
            await pause(60)
        finally:
            left.set()
        return KEY

    async def scenario() -> None:
        stream = asynchronous.client("a", base_url="http://127.0.0.1:1", api_key=give).run_generic_stream("x")

        async def close() -> None:
            assert await asynchronous.wait(asked)
            await stream.aclose()

        async def read() -> None:
            with pytest.raises(StreamError, match="closed while it was being read"):
                await anext(stream)

        await asynchronous.beside(read, close)
        assert left.is_set()

    asynchronous.run(scenario)


def test_a_slow_function_is_named_once(
    style: Style, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = iter(range(0, 1000, 2))
    monkeypatch.setattr("runagent._client.shared.now", lambda: next(ticks))
    caplog.set_level(logging.WARNING, "runagent")

    def fetch_key() -> str:
        return KEY

    async def scenario() -> None:
        client = style.client("a", base_url=server.url, api_key=fetch_key)
        for _ in range(3):
            await client.run_generic_stream("x").text()

    with FakeAgentServer(api_key=KEY) as server:
        server.agent("a").always("x")
        style.run(scenario)
    (message,) = caplog.messages
    assert "fetch_key) took 2.0 s" in message
    assert KEY not in message


def test_a_key_that_is_refused_is_no_secret_to_the_error(asynchronous: Style) -> None:
    async def scenario() -> Any:
        with pytest.raises(AuthenticationError) as caught:
            await asynchronous.client("a", base_url=peer.url, api_key=give_key).run_generic("x")
        return caught.value

    with Peer(answers(http(401, f"the key {KEY} is not known"))) as peer:
        assert KEY not in repr(asynchronous.run(scenario))
