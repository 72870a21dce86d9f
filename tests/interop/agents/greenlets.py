"""Synchronous clients in greenlets, over a library of asyncio; run by test_gevent.py in its environment."""

from gevent import monkey

monkey.patch_all()

import asyncio  # noqa: E402
import json  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402

from runagent import Chunk, Completed, RunAgentClient, RunAgentError  # noqa: E402
from runagent._net import tasks  # noqa: E402

thread_of_system = monkey.get_original("_thread", "get_ident")
SEEN = {"threads": set(), "cancelled": 0}


class Library:
    name = "library"
    api_version = 1
    capabilities = frozenset()
    runs_on = frozenset({"asyncio"})

    async def run(self, call, address, resume, emit):
        SEEN["threads"].add(thread_of_system())
        await emit(Chunk("a"))
        try:
            await asyncio.sleep(3600 if call.input["query"] == "stall" else 0.01)
        except asyncio.CancelledError:
            SEEN["cancelled"] += 1
            raise
        await emit(Chunk("b"), Completed())


client = RunAgentClient("a", base_url="http://127.0.0.1:1", transport=Library(), timeout=20)
readers = [gevent.spawn(lambda: client.run_generic_stream("q").text()) for _ in range(5)]
gevent.joinall(readers, timeout=20)

reading = gevent.event.Event()


def stall():
    for _ in client.run_generic_stream("stall"):
        reading.set()


stalled = gevent.spawn(stall)
reading.wait(20)
stalled.kill()
with gevent.Timeout(20):
    while not SEEN["cancelled"]:
        gevent.sleep(0.01)


def failure(**attributes):
    """Return the error of a run, which has to come at once."""
    library = type("Changed", (Library,), attributes)()
    failing = RunAgentClient("a", base_url="http://127.0.0.1:1", transport=library, timeout=20)
    began = time.monotonic()
    try:
        failing.run_generic_stream("q").text()
    except RunAgentError as exc:
        return [type(exc).__name__, str(exc).partition(";")[0], time.monotonic() - began < 5]


def broken(*_):
    raise RuntimeError("broken before it began")


trio = gevent.spawn(failure, runs_on=frozenset({"trio"}))
trio.join(20)
tasks._run_loop = broken
early = gevent.spawn(failure)
early.join(20)

print(  # noqa: T201
    json.dumps(
        {
            "texts": [reader.value for reader in readers],
            "own thread": thread_of_system() in SEEN["threads"],
            "threads": len(SEEN["threads"]),
            "killed": repr(stalled.value),
            "cancelled": SEEN["cancelled"],
            "trio": trio.value,
            "early": early.value,
        }
    )
)
