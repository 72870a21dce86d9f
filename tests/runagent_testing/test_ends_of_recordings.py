"""Replays whose client disconnects before the end: which of their steps count as never played."""

from __future__ import annotations

import pytest

from runagent import RunTimeoutError
from tests.runagent_testing.recordings import DONE, header, written
from tests.runagent_testing.virtual import Virtual

CHUNK = 'event: chunk\ndata: {"content":"a"}\n\n'
WEBSOCKET = header({"status": 101, "gap": 0.5}, transport="websocket")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "0001-a-documented.agentstream.jsonl"


@pytest.mark.parametrize("kind", ["close:1000", "close:1011", "fin", "reset", "complete", "timeout"])
@pytest.mark.parametrize("transport", ["sse", "websocket"])
def test_a_client_need_not_wait_for_what_follows_the_last_recorded_bytes(path, transport, kind):
    """A client disconnects at its protocol's end, perhaps before the service closes, as when recorded."""
    virtual = Virtual("sync")
    lines = [header(), [0.0, "w", CHUNK + DONE]]
    if transport == "websocket":
        lines = [WEBSOCKET, [0.0, "c", "{}"], [0.0, "m", '{"type":"done"}']]
    virtual.memory.agent("a").replay(written(path, *lines, [0.002, "end", {"kind": kind}]))

    async def scenario():
        await virtual.client(transport).run_generic_stream("x").text()

    virtual.run(scenario)
    virtual.memory.check()


@pytest.mark.parametrize("lines", [[], [[1.0, "w", CHUNK]]])
def test_an_end_is_waited_for_if_nothing_was_recorded_or_sent_before_it(path, lines):
    virtual = Virtual("sync")
    virtual.memory.agent("a").replay(written(path, header(), *lines, [1.0, "end", {"kind": "reset"}]))

    async def scenario():
        stream = virtual.client(timeout=0.7, max_retries=0).run_generic_stream("x")
        with pytest.raises(RunTimeoutError):
            await stream.text()

    virtual.run(scenario)
    with pytest.raises(AssertionError, match="never played"):
        virtual.memory.check()
