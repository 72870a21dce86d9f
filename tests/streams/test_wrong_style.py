"""A client or a stream that is used as one of the other style, and how its mistake is shown."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import AsyncRunAgentClient, RunAgentClient

URL = "http://127.0.0.1:1"  # nothing is asked of it


def synchronous(kind: str) -> Any:
    client = RunAgentClient("a", base_url=URL)
    return client if kind == "client" else client.run_generic_stream("x")


def asynchronous(kind: str) -> Any:
    client = AsyncRunAgentClient("a", base_url=URL)
    return client if kind == "client" else client.run_generic_stream("x")


@pytest.mark.parametrize("kind", ["client", "stream"])
def test_with_names_async_with(kind: str) -> None:
    thing = asynchronous(kind)
    with pytest.raises(TypeError, match=r"is asynchronous: write 'async with', not 'with'$"), thing:
        raise AssertionError("the block was entered")


@pytest.mark.parametrize("kind", ["client", "stream"])
def test_async_with_names_with(kind: str) -> None:
    async def use() -> None:
        async with synchronous(kind):
            raise AssertionError("the block was entered")

    with pytest.raises(TypeError, match=r"is synchronous: write 'with', not 'async with'$"):
        use().send(None)


def test_frameworks_see_of_which_style_a_stream_is() -> None:
    """Some ask for `Iterable` first: a method that only refuses would be taken for an iteration."""
    asks_first = asynchronous("stream"), synchronous("stream")
    assert [(False, True), (True, False)] == [
        (hasattr(stream, "__iter__"), hasattr(stream, "__aiter__")) for stream in asks_first
    ]


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: RunAgentClient("a", timout=3),  # type: ignore[call-arg]
        lambda: AsyncRunAgentClient("a", URL),  # type: ignore[call-arg]
        lambda: RunAgentClient(),  # type: ignore[call-arg]
        lambda: asynchronous("client").__enter__(),
    ],
    ids=["unknown", "in order", "missing", "style"],
)
def test_a_failed_test_shows_only_the_callers_line_of_a_mistake(mistake: Any) -> None:
    with pytest.raises(TypeError) as caught:
        mistake()
    shown = [entry.frame.code.path for entry in caught.traceback.filter(caught)]
    assert {__file__} == set(map(str, shown))
