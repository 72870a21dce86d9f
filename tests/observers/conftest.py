"""The observers of the process, new for each test."""

from __future__ import annotations

import pytest

import runagent
from runagent._plugins.installed import Installed
from runagent._plugins.observers import Observers
from tests.observers.watcher import Watcher

NOTHING_INSTALLED = {"RUNAGENT_DISABLE_PLUGINS": "all"}


@pytest.fixture
def observers(monkeypatch: pytest.MonkeyPatch) -> Observers:
    """The observers of the process, none at first."""
    made = Observers(Installed(NOTHING_INSTALLED))
    monkeypatch.setattr("runagent._plugins.observers._default", made)
    return made


@pytest.fixture
def watcher(observers: Observers) -> Watcher:
    watcher = Watcher()
    runagent.register_observer(watcher)
    runagent.register_observer(watcher)  # again is no fault, and reports nothing twice
    return watcher
