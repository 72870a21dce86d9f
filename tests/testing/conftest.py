from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runagent_testing import FakeAgentServer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def server() -> Iterator[FakeAgentServer]:
    with FakeAgentServer() as running:
        yield running
