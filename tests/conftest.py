"""Fixtures of all tests: the concurrency style, the transport, and a fake agent server of the session."""

from __future__ import annotations

import os
import signal
import weakref
from typing import TYPE_CHECKING, Any

import httptools  # noqa: F401  # this extension cannot be imported twice, and pytester forgets modules that it has imported
import pytest

import runagent
import runagent.transports
from runagent_testing import FakeAgentServer
from tests.support.styles import STYLES, TRANSPORTS, Style

if TYPE_CHECKING:
    from collections.abc import Iterator


# Pytester forgets modules that were first imported inside of it; a lazy package would keep their classes.
for package in (runagent, runagent.transports):
    for name in package.__all__:
        getattr(package, name)


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> Style:
    """Each concurrency style in turn."""
    return Style(request.param)


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Each built-in transport in turn."""
    name: str = request.param
    return name


@pytest.fixture
def server() -> Iterator[Any]:
    """A fake agent server, new for each test."""
    with FakeAgentServer() as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def working_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C work in the tests and their child processes, even if a shell runs them in the background."""
    inherited = signal.getsignal(signal.SIGINT)
    if inherited is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, inherited)


@pytest.fixture(autouse=True)
def own_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep clients that other tests have left alive out of the texts of errors."""
    monkeypatch.setattr("runagent._internal.agents._clients", weakref.WeakSet())


@pytest.fixture(scope="session")
def no_home(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder that does not exist; a test that needs a home makes one."""
    return str(tmp_path_factory.mktemp("homes") / "none")


@pytest.fixture(autouse=True)
def own_configuration(monkeypatch: pytest.MonkeyPatch, no_home: str) -> None:
    """Keep the user's settings and proxies out of the tests."""
    monkeypatch.setenv("HOME", no_home)
    for name in [name for name in os.environ if name.startswith("RUNAGENT_")]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
