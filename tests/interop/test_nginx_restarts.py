"""An nginx that goes away in the middle of a stream, and one that comes back."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest

from runagent import NetworkError, StreamTruncatedError, Timeouts
from runagent_testing import gate
from tests.interop.programs import needs

if TYPE_CHECKING:
    from runagent_testing import FakeAgentServer
    from tests.interop.nginx import Nginx
    from tests.support.styles import Style

pytestmark = needs("nginx")

IN_TIME = Timeouts(first_event=10, idle=10, total=20)
PREFIX = {"sse": "1.1-unbuffered", "chunked": "1.0-unbuffered", "websocket": "upgrade"}
any_end = pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL], ids=["restarted", "killed"])


def client_of(style: Style, nginx: Nginx, transport: str, **options: Any) -> Any:
    options = {"retry_delay": 0.01, "timeout": IN_TIME} | options
    return style.client("a", base_url=f"{nginx.url}/{PREFIX[transport]}", transport=transport, **options)


@any_end
@pytest.mark.parametrize("how", ["finally", "without numbers", "resume=False"])
def test_a_stream_whose_nginx_goes_away_is_cut_short(
    style: Style, transport: str, nginx: Nginx, agents: FakeAgentServer, end: signal.Signals, how: str
) -> None:
    door = gate("door")
    agents.agent("a").always("Once", " upon", door, " a time", indexed=how != "without numbers")

    async def scenario() -> None:
        client = client_of(style, nginx, transport, resume=how != "resume=False", max_retries=2)
        stream = client.run_generic_stream("x")
        assert ["Once", " upon"] == [await anext(aiter(stream)) for _ in range(2)]
        nginx.stop(end)
        if how != "finally":
            nginx.start()
        await anext(aiter(stream))

    try:
        with pytest.raises(StreamTruncatedError) as caught:
            style.run(scenario)
    finally:
        if how == "finally":
            nginx.restart()
    assert 2 == caught.value.chunks_received
    assert 1 == len(agents.requests)


@any_end
@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_a_stream_goes_on_through_the_next_nginx(
    style: Style, transport: str, nginx: Nginx, agents: FakeAgentServer, end: signal.Signals
) -> None:
    door, story = gate("door"), [f"{i} " for i in range(200)]
    agents.agent("a").always(*story[:100], door, *story[100:])

    async def scenario() -> Any:
        stream = client_of(style, nginx, transport).run_generic_stream("x")
        chunks = [await anext(aiter(stream)) for _ in range(100)]
        nginx.restart(end)
        door.open()
        return [*chunks, *[chunk async for chunk in stream]], stream.report.retries

    assert (story, 1) == style.run(scenario)
    assert 100 == agents.requests[1].body["parameters"]["resume_from_index"]


def test_a_reload_leaves_a_stream_alone(
    style: Style, transport: str, nginx: Nginx, agents: FakeAgentServer
) -> None:
    door = gate("door")
    agents.agent("a").always("Once", door, " upon")

    async def scenario() -> Any:
        stream = client_of(style, nginx, transport).run_generic_stream("x")
        first = await anext(aiter(stream))
        nginx.send(signal.SIGHUP)
        door.open()
        return [first, *[chunk async for chunk in stream]], stream.report.retries

    assert (["Once", " upon"], 0) == style.run(scenario)


@any_end
def test_a_kept_connection_to_an_nginx_that_is_gone_costs_nothing(
    style: Style, nginx: Nginx, agents: FakeAgentServer, end: signal.Signals
) -> None:
    agents.agent("a").always("x")

    async def scenario() -> list[Any]:
        client = client_of(style, nginx, "sse", max_retries=0)
        texts = [await client.run_generic_stream("x").text()]
        nginx.restart(end)
        return [*texts, await client.run_generic_stream("x").text()]

    assert ["x", "x"] == style.run(scenario)


def test_a_run_waits_for_an_nginx_that_is_coming_back(
    style: Style, nginx: Nginx, agents: FakeAgentServer
) -> None:
    agents.agent("a").always("x")
    nginx.stop()
    with pytest.raises(NetworkError) as caught:
        style.run(lambda: client_of(style, nginx, "sse", max_retries=1).run_generic_stream("x").text())
    nginx.start()
    assert "REFUSED" == caught.value.code
    assert nginx.url in str(caught.value)
