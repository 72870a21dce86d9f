"""What would end a loop silently is an error: a StopIteration of a caller's function or of a transport."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import Completed
from runagent.transports import HttpRequest, HttpSession
from tests.support.styles import STYLES, Style

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer

STOPS = (StopIteration, StopAsyncIteration)


class StoppingSession(HttpSession):
    expects = "text/event-stream"
    stop: type[Exception]

    def make_request(self) -> Any:
        path = self.call.path("/v1/agents/{agent_id}/stream", "stream_path")
        return HttpRequest("POST", path, self.call.request_headers(accept=self.expects), b"{}")

    def open_body(self, content_type: str, charset: str) -> bool:
        return True

    def read_body(self, data: bytes) -> list[Any]:
        raise self.stop

    def end_body(self, proven: bool) -> list[Any]:
        return [Completed()]


class StoppingTransport:
    name = "stopping"
    api_version = 1
    capabilities: frozenset[Any] = frozenset()
    tunnels = False

    def __init__(self, stop: type[Exception]) -> None:
        self.stop = stop

    def open(self, call: Any, route: Any, resume: Any) -> Any:
        session = StoppingSession(call, route, resume)
        session.stop = self.stop
        return session


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("plain", [False, True])
def test_a_key_function_that_runs_out_is_an_error(
    name: str, stop: type[Exception], plain: bool, server: FakeAgentServer
) -> None:
    def key() -> str:
        raise stop

    read(Style(name), plain, stop, base_url=server.url, api_key=key)
    assert server.requests == []


@pytest.mark.parametrize("name", STYLES)
@pytest.mark.parametrize("stop", STOPS)
def test_a_session_that_runs_out_of_something_is_an_error(
    name: str, stop: type[Exception], server: FakeAgentServer
) -> None:
    server.agent("a").always("Once")
    read(Style(name), False, stop, base_url=server.url, transport=StoppingTransport(stop))


def read(style: Style, plain: bool, stop: type[Exception], **options: Any) -> None:
    """Read a run to its end, and expect an error that names what was raised."""
    outcomes = []

    async def scenario(client: Any) -> None:
        if plain:
            await client.run_generic("x")
            return
        stream = client.run_generic_stream("x")
        try:
            async for _ in stream:
                pass
        finally:
            outcomes.append(stream.report.outcome)

    async def with_client() -> None:
        async with style.client("a", **options) as client:
            await scenario(client)

    with pytest.raises(RuntimeError, match=f"raised {stop.__name__}"):
        style.run(with_client)
    assert outcomes == ([] if plain else ["failed"])
