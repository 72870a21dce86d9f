from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from runagent_testing import FakeAgentServer, MemoryNetwork
from tests.runagent_testing.control_client import ControlClient
from tests.runagent_testing.project import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[FakeAgentServer]:
    with FakeAgentServer() as running:
        yield running


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """An empty project, whose test runs are separate processes and have the plugin."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makeini("[pytest]\naddopts = --strict-markers\nfilterwarnings = error")
    return pytester


@pytest.fixture(params=["server", "memory"])
def host(request: pytest.FixtureRequest) -> Iterator[FakeAgentServer | MemoryNetwork]:
    """A fake agent server, and a memory network."""
    if request.param == "memory":
        yield MemoryNetwork()
        return
    with FakeAgentServer() as server:
        yield server


@pytest.fixture
def door() -> Iterator[threading.Event]:
    """What a function of a test waits for; opened at the end, so that its thread ends."""
    door = threading.Event()
    yield door
    door.set()


@pytest.fixture
def served() -> Iterator[FakeAgentServer]:
    """A server with the control API."""
    with FakeAgentServer(control=True) as server:
        yield server


@pytest.fixture
def control(served: FakeAgentServer) -> Iterator[ControlClient]:
    """A client of its control API."""
    with ControlClient(served.url) as client:
        yield client
