"""A run that is over, well or badly, keeps nothing alive: no cycle leads from its error to its client."""

from __future__ import annotations

import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from runagent import RunAgentClient, RunAgentError
from runagent_testing import ending, error, status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing import FakeAgentServer


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    "scripts",
    [
        [("x",)],
        [("x", error("CODE", "failed"))],
        [("x", ending("cut")), ("x", "y")],
        [("x", ending("reset")), ("x", ending("reset")), ("x", "y")],
        [(status(503, retry_after=0),), ("x",)],
        [(status(400),)],
        [(ending("cut"),)],
    ],
)
@pytest.mark.usefixtures("no_collector")
def test_a_dropped_client_is_collected_at_once(
    server: FakeAgentServer, transport: str, scripts: list[tuple[Any, ...]]
) -> None:
    for script in scripts:
        server.agent("a").reply(*script)
    client = RunAgentClient("a", base_url=server.url, transport=transport, retry_delay=0)
    kept = weakref.ref(client._pool)
    try:
        list(client.run_generic_stream("x"))
    except RunAgentError:
        pass
    del client
    assert kept() is None
