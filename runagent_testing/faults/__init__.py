"""Everything that can go wrong with a stream, at every place, and what a sound client then shows.

    from runagent_testing import faults

    @pytest.mark.parametrize("fault", faults.for_transport("sse"))
    def test_my_client(fake_agent_server, fault):
        fault.install(fake_agent_server, "a", interval=0.05, oversize=1_000_000)
        error, contents = what_my_client_shows(fake_agent_server.url, "a")
        fault.check(error, contents)

The faults are data and know no client: ``expected.error`` names a family of errors, which a test maps to
its client's classes. A script is queued, so only the next run meets the fault.

Positions: "before-accept", "before-answer" (the request was read), "in-head", "after-head",
"after-start" (the start event was sent), "after-event-1", "in-event-1" and so on (chunks are counted
from 1), "before-end-marker" (all chunks are there, the closing event is not), "after-done" (the closing
event is there, HTTP's own end or the Close is not), "throughout".

`unavailable` lists what does not exist for a transport or player, and why.
"""

from __future__ import annotations

from runagent_testing.faults._catalogue import (
    CHUNKS,
    Expected,
    Fault,
    Player,
    Unavailable,
    for_transport,
    unavailable,
)
from runagent_testing.faults._kind import TRANSPORTS, ErrorFamily, Position, Scenario, StreamTransport

__all__ = [
    "CHUNKS",
    "TRANSPORTS",
    "ErrorFamily",
    "Expected",
    "Fault",
    "Player",
    "Position",
    "Scenario",
    "StreamTransport",
    "Unavailable",
    "for_transport",
    "unavailable",
]
