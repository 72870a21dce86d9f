"""The catalogue of faults in other dialects: a third party's sound transport shows the expected outcome."""

from __future__ import annotations

import pickle

import pytest

from runagent import Timeouts
from runagent_testing import FakeAgentServer, MemoryNetwork, faults
from tests.runagent_testing.conformance.test_foreign import (
    LineDialect,
    LineTransport,
    TalkDialect,
    TalkTransport,
    TextFormat,
)
from tests.support.families import shown
from tests.support.styles import Style

LINES, TALK = LineDialect(), TalkDialect()
TRANSPORTS = {"lines": LineTransport(), "talk": TalkTransport()}
LIMIT = 64 * 1024  # bytes
BEAT = 10.0  # virtual seconds
TIMEOUTS = Timeouts(connect=30, first_event=60, idle=60, progress=300)


def catalogue(word, player="memory", **options):
    return faults.for_transport(word, player, dialect={"lines": LINES, "talk": TALK}[word], **options)


def read(fault, style, **options):
    """Run once over the transport that the fault is for."""

    async def scenario():
        given = {"transport": TRANSPORTS[fault.transport], "max_retries": 0, "resume": False}
        given |= {"transport_options": {"max_event_bytes": LIMIT}} | options
        async with style.client("a", **given) as client:
            return await shown(client.run_generic_stream("x"))

    return style.run(scenario)


@pytest.mark.parametrize("fault", [*catalogue("lines"), *catalogue("talk")], ids=str)
def test_every_fault_ends_as_it_should(fault):
    memory = MemoryNetwork(dialects=[LINES, TALK])
    fault.install(memory, "a", interval=BEAT, oversize=2 * LIMIT)
    options = {"base_url": memory.url, "network": memory.blocking, "timeout": TIMEOUTS}
    fault.check(*read(fault, Style("sync"), **options))


ON_SOCKETS = {
    "fin-in-event-2",
    "reset-after-event-1",
    "bad-chunk-size-after-event-1",
    "close-1011-after-event-1",
}


@pytest.mark.parametrize(
    "fault", [f for word in TRANSPORTS for f in catalogue(word, "socket") if f.id in ON_SOCKETS], ids=str
)
def test_sockets_make_no_difference(fault, style: Style):
    with FakeAgentServer(dialects=[LINES, TALK]) as server:
        fault.install(server, "a", oversize=2 * LIMIT)
        fault.check(*read(fault, style, base_url=server.url, timeout=5))


def test_what_is_in_the_format_of_others_is_left_out_and_listed():
    whys = dict(faults.unavailable("lines", "memory", dialect=LINES))
    assert "format of the built-in protocols" in whys["bad-json-after-event-1"]
    assert "not every protocol numbers its chunks" in whys["missing-index-after-event-1"]
    assert "only a WebSocket" in whys["wrong-accept"]
    there = {fault.id for fault in catalogue("lines")}
    assert {"error-after-event-1", "heartbeats", "gzip", "fin-in-chunk-in-event-1"} <= there
    assert not there & whys.keys()
    assert there | whys.keys() == {
        *(fault.id for fault in faults.for_transport("sse", "memory")),
        *dict(faults.unavailable("sse", "memory")),
    }


class Curt(LineDialect):
    """Lines without heartbeats and errors, of a type that others mean nothing by."""

    def stream(self, run):
        form = super().stream(run)
        form.heartbeat, form.supports_errors, form.content_type = b"", False, "application/octet-stream"
        return form


def test_what_a_dialect_cannot_express_is_left_out_and_listed():
    whys = dict(faults.unavailable("lines", dialect=Curt()))
    assert "the dialect has no heartbeats" == whys["heartbeats"] == whys["only-heartbeats-after-start"]
    assert "the dialect cannot express an error" == whys["error-after-start"]
    assert "that is what the dialect calls its streams" == whys["wrong-content-type"]


class Endless(LineDialect):
    def stream(self, run):
        form = TextFormat(lambda _: b"")
        form.heartbeat = b"\n"
        return form


def test_nothing_is_reported_of_protocols_whose_end_cannot_be_seen():
    with pytest.raises(ValueError, match="'lines' have no bounds, or its runs have no end marker"):
        faults.for_transport("lines", dialect=Endless())


def test_names_that_an_installed_distribution_brings_need_no_dialect(monkeypatch):
    monkeypatch.setattr("runagent_testing.faults._catalogue.installed_dialects", lambda: (TALK,))
    assert catalogue("talk", "socket") == faults.for_transport("talk")
    with pytest.raises(ValueError, match=r"websocket, talk, not 'lines'; for another one pass its dialect="):
        faults.for_transport("lines")


def test_faults_of_dialects_can_be_sent_to_other_processes():
    for fault in catalogue("talk"):
        assert fault.id == pickle.loads(pickle.dumps(fault)).id
