from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runagent_testing import FakeAgentServer
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
