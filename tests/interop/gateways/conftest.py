"""Each gateway of docs/gateways.md under each of its servers, started once for all tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from runagent_testing import FakeAgentServer
from tests.interop.gateways.examples import SERVERS, Gateway, start, write_examples
from tests.interop.nginx import Nginx
from tests.interop.programs import Port

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = list(SERVERS)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # pytest itself groups by the place in a list of parameters, and those with WebSockets are another list.
    places = [place for place, item in enumerate(items) if _way_of(item) in WAYS]
    ordered = sorted((items[place] for place in places), key=lambda item: WAYS.index(_way_of(item)))
    for place, item in zip(places, ordered, strict=True):
        items[place] = item


def _way_of(item: pytest.Item) -> Any:
    """Return the server and the framework of the gateway that a test needs, or None."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("gateway") if callspec is not None else None


@pytest.fixture(scope="package")
def shared_agents() -> Iterator[FakeAgentServer]:
    """The fake agents behind the gateways."""
    with FakeAgentServer() as server:
        yield server


@pytest.fixture(scope="package", params=SERVERS, ids=" ".join)
def gateway(
    request: pytest.FixtureRequest, shared_agents: FakeAgentServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Each gateway under each of its servers."""
    server, framework = request.param
    folder = tmp_path_factory.mktemp("gateway")
    write_examples(folder)
    with Port() as port, start(server, framework, folder, shared_agents.url, port) as running:
        yield Gateway(server, framework, port.number, running.url)


@pytest.fixture(scope="package")
def front(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """An nginx in front of the gateway."""
    folder = tmp_path_factory.mktemp("nginx")
    with Port() as port, Port() as nobody, Nginx(folder, gateway.url, port, nobody) as nginx:
        yield nginx
