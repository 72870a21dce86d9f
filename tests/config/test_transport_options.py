"""Options of transports: their names are checked as far as they can be known."""

from __future__ import annotations

from typing import Any

import pytest

from runagent import ConfigurationError, RunAgentClient
from runagent_testing import MemoryNetwork


class Wrapped:
    """A transport of somebody else, who has options of his own."""

    name = "wrapped"

    def __init__(self, built_in: Any) -> None:
        self.built_in = built_in
        self.api_version, self.capabilities = built_in.api_version, built_in.capabilities
        self.tunnels = built_in.tunnels

    def open(self, *asked: Any) -> Any:
        return self.built_in.open(*asked)


def answer(transport: Any, **options: Any) -> str:
    memory = MemoryNetwork()
    memory.agent("a").always("x")
    with RunAgentClient(
        "a", base_url=memory.url, network=memory.blocking, transport=transport, transport_options=options
    ) as client:
        return client.run_generic_stream("q").text()


def wrapped() -> Wrapped:
    from runagent._plugins.registry import default_registry

    return Wrapped(default_registry().get("sse"))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_event_byte", "max_event_bytes"),
        ("max_evnet_bytes", "max_event_bytes"),
        ("steam_path", "stream_path"),
        ("userid", "user_id"),
    ],
)
@pytest.mark.parametrize("own", [False, True], ids=["built in", "another"])
def test_a_misspelt_option_of_all_transports_is_an_error_with_each_of_them(
    own: bool, name: str, meant: str
) -> None:
    with pytest.raises(ConfigurationError, match=rf"unknown option '{name}'; did you mean '{meant}'\?$"):
        answer(wrapped() if own else "sse", **{name: 1})


@pytest.mark.parametrize("name", ["story_path", "max_events", "wrapped_mode", "path", "x"])
def test_a_transport_that_is_not_built_in_may_have_other_options(name: str) -> None:
    assert "x" == answer(wrapped(), **{name: 1})
    with pytest.raises(ConfigurationError, match="unknown option"):
        answer("sse", **{name: 1})
