"""Fake agents without sockets, in the test's process and on virtual time.

    memory = MemoryNetwork()
    memory.agent("a").always("Once", delay(600), " upon")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking)

The scripts and plans are the same as on a `FakeAgentServer`, decided by the same code, so the client
under test runs with its real timeouts, retries and parsers; only the sockets are missing. One write of
a plan is one read of the client (unless the client asks for fewer bytes). Only scripted waits take
time, and this time is virtual: no test waits for it.

- ``network.py``: `MemoryNetwork`.        - ``peer.py``: the agent's end of a connection, a state machine.
- ``wire.py``: the bytes on their way.    - ``requests.py``: reads requests, with httptools.
- ``connection.py``: the client's end.    - ``calls.py``: pending calls, in the order of time.
- ``blocking.py``, ``aio.py``, ``trio.py``: waiting in each style, its virtual time, and deadlocks.
- ``loop.py``: virtual time for asyncio.  - ``playing.py``: a plan on its way to the wire.
- ``computing.py``: calls a test's function for steps.
- ``installed.py``: clients that are given no network.
"""

from __future__ import annotations

from runagent_testing._memory.loop import VirtualTimeLoop
from runagent_testing._memory.network import MemoryNetwork
from runagent_testing._memory.real_time import RealTimeWarning
from runagent_testing._memory.wire import DeadlockError

__all__ = ["DeadlockError", "MemoryNetwork", "RealTimeWarning", "VirtualTimeLoop"]
