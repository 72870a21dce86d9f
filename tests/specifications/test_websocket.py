"""WebSocket: each case through a whole run, handshake included, without sockets, in many cuts."""

from __future__ import annotations

import pytest

from tests.specifications.checks import check_websocket
from tests.specifications.cutting import cuts_of
from tests.specifications.loader import websocket_cases
from tests.specifications.replay import replay_websocket

CASES = {case["id"]: case for case in websocket_cases()}


@pytest.mark.parametrize("name", CASES)
def test_a_websocket(name: str) -> None:
    case = CASES[name]
    for cut in cuts_of(case).values():
        check_websocket(case, replay_websocket(case, cut))
