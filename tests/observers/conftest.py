"""Observers that are registered for one test."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

import runagent
from tests.observers.watcher import Watcher

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def observe() -> Iterator[Callable[[object], runagent.Registration]]:
    """Register observers until the test ends."""
    with ExitStack() as registered:
        yield lambda observer: registered.enter_context(runagent.register_observer(observer))


@pytest.fixture
def watcher(observe: Callable[[object], runagent.Registration]) -> Watcher:
    watcher = Watcher()
    observe(watcher)
    return watcher
