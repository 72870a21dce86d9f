"""A function of ``responds()`` that raises what ends a loop: the run fails, and names the function."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent import AgentServerError, RunAgentClient, RunAgentError, StreamError
from runagent_testing import MemoryNetwork
from tests.runagent_testing.players import PLAYERS, player

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

STOPS = (StopIteration, StopAsyncIteration, GeneratorExit)


def functions(stop: type[BaseException]) -> dict[str, Callable[[Any], Any]]:
    """Return functions of every kind that raise this, two of them after a step."""

    def function(exchange: Any) -> Any:
        raise stop

    async def coroutine(exchange: Any) -> Any:
        raise stop

    def generator(exchange: Any) -> Iterator[Any]:
        yield "Once"
        raise stop

    async def async_generator(exchange: Any) -> AsyncIterator[Any]:
        yield "Once"
        raise stop

    return {each.__name__: each for each in (function, coroutine, generator, async_generator)}


@pytest.mark.parametrize("kind", PLAYERS)
@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("name", functions(StopIteration))
def test_a_function_that_runs_out_fails_the_run(kind: str, stop: type[BaseException], name: str) -> None:
    with player(kind) as host:
        host.agent("a").responds(functions(stop)[name])
        network = host.blocking if isinstance(host, MemoryNetwork) else None
        with (
            RunAgentClient("a", base_url=host.url, max_retries=0, network=network) as client,
            pytest.raises(RunAgentError) as caught,
        ):
            client.run_generic_stream("x").text()
    assert (StreamError if name.endswith("generator") else AgentServerError) is type(caught.value)
    assert stop.__name__ in caught.value.message
