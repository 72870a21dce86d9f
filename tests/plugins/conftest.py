"""Five transport plugins in one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.computer import MARK, Computer
from tests.support.distributions import install, transport_module

if TYPE_CHECKING:
    from pathlib import Path

    from runagent_testing import FakeAgentServer


@pytest.fixture
def computer(tmp_path: Path, server: FakeAgentServer) -> Computer:
    """Has five transport plugins: one broken, two clashing, one slow, and one installed twice."""
    server.agent("a").always("hello")
    computer = Computer(tmp_path, server.url)
    site, again = computer.site, tmp_path / "again"
    good = MARK + transport_module("good")
    install(site, "runagent-good", good, transports=("good",), declares="v1.invoke.heartbeats")
    install(site, "runagent-broken", MARK + "import no_such_module", transports=("broken",))
    for name in ("runagent-one", "runagent-two"):
        install(site, name, MARK + transport_module("morse"), transports=("morse",))
    install(
        site,
        "runagent-slow",
        MARK + "import time; time.sleep(0.3)\n" + transport_module("slow"),
        transports=("slow",),
    )
    install(again, "runagent-good", good, transports=("good",), version="1.3", editable_from=site)
    computer.path.append(again)
    return computer
