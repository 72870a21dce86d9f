"""Servers that speak several protocols."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.programs import Port, Program, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

AGENTS = Path(__file__).parents[1] / "agents"


@pytest.fixture(scope="module")
def pydantic_ai(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of pydantic-ai's agents: behind it come the protocol, ``agui`` or ``vercel``, and a name."""
    log = tmp_path_factory.mktemp("pydantic-ai") / "log"
    with Port() as port:
        command = [environment("agui"), AGENTS / "pydantic_ai_server.py", port.number]
        with Program(command, port, log, patience=60) as program:
            yield program.url
