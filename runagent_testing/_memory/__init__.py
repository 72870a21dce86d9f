"""The fake agents without sockets, in process and on virtual time.

    memory = MemoryNetwork()
    memory.agent("a").always("Once", delay(600), " upon")
    client = RunAgentClient("a", base_url=memory.url, network=memory.blocking)

The same scripts and plans as on a `FakeAgentServer`, decided by the same code, so the client under
test runs with its real timeouts, retries and parsers; only the bytes do not travel. One write of a
plan is one read of the client (unless the client asks for fewer bytes), nothing takes any time but
what was scripted, and waiting takes none.

- ``network.py``: `MemoryNetwork`.        - ``peer.py``: the agent's end of a connection, a state machine.
- ``wire.py``: the bytes on their way.    - ``requests.py``: reads requests, with httptools.
- ``connection.py``: the client's end.    - ``calls.py``: what is to happen, in the order of time.
- ``blocking.py``, ``aio.py``, ``trio.py``: waiting, in each style, its virtual time, and who waits in vain.
- ``loop.py``: virtual time for asyncio.  - ``playing.py``: a plan on its way to the wire.
- ``computing.py``: asks a test's function for steps.
"""

from __future__ import annotations

from runagent_testing._memory.loop import VirtualTimeLoop
from runagent_testing._memory.network import MemoryNetwork
from runagent_testing._memory.wire import DeadlockError

__all__ = ["DeadlockError", "MemoryNetwork", "VirtualTimeLoop"]
