"""The catalogue of faults: complete, well formed, strict, and every script of it can be played."""

from __future__ import annotations

import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import runagent_testing
from runagent_testing import MemoryNetwork, faults
from runagent_testing._render.render import refusal_plan, stream_plan
from runagent_testing._script.script import Script
from runagent_testing.dialects import DialectRun
from runagent_testing.dialects._builtin import dialect_of
from tests.runagent_testing.raw_client import PATIENCE, connected, masked

PLAYERS: list[tuple[faults.Player, bool]] = [("socket", False), ("socket", True), ("memory", False)]
VARIANTS: list[tuple[faults.StreamTransport, faults.Player, bool]] = [
    (transport, player, tls) for transport in faults.TRANSPORTS for player, tls in PLAYERS
]
CUTS = ("fin", "reset", "half-close", "stall", "stall-reset")
CLOSE_CODES = (1000, 1001, 1003, 1009, 1011, 1012)
CHUNKS = ("alpha", "bräwo", "charlie", "delta")


def all_faults():
    return [fault for transport in faults.TRANSPORTS for fault in faults.for_transport(transport, "memory")]


def find(transport, fault_id, player="memory"):
    return next(fault for fault in faults.for_transport(transport, player) if fault.id == fault_id)


def plan(fault, chunks=CHUNKS):
    """Render the answer of a fault, on a WebSocket without the handshake."""
    scenario = fault.script(chunks, oversize=1000)
    script = Script.of(scenario.steps, **scenario.options)
    run = DialectRun(
        fault.transport, "id", "now", {}, {"sec-websocket-key": "AAAA"}, dialect=dialect_of(fault.transport)
    )
    return refusal_plan(script.steps, run) if script.refuses else stream_plan(script, run)


@pytest.mark.parametrize(("transport", "player", "tls"), VARIANTS)
def test_ids_are_unique_and_nothing_is_both_there_and_not(transport, player, tls):
    there = [fault.id for fault in faults.for_transport(transport, player, tls=tls)]
    absent = [fault.id for fault in faults.unavailable(transport, player, tls=tls)]
    assert len(there) + len(absent) == len({*there, *absent})
    assert all(fault.reason for fault in faults.unavailable(transport, player, tls=tls))


def test_every_variant_is_of_the_same_catalogue():
    catalogues = set()
    for transport, player, tls in VARIANTS:
        there = [fault.id for fault in faults.for_transport(transport, player, tls=tls)]
        absent = [fault.id for fault in faults.unavailable(transport, player, tls=tls)]
        catalogues.add(frozenset([*there, *absent]))
    assert 1 == len(catalogues)


@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_a_cut_of_every_kind_at_every_place(transport):
    places = ["before-answer", "in-head", "after-head", "after-start", "after-event-1", "after-event-2"]
    places += ["in-event-1", "in-event-2", "before-end-marker", "after-done"]
    ids = {fault.id for fault in faults.for_transport(transport)}
    assert {f"{kind}-{place}" for kind in CUTS for place in places} <= ids
    assert {"fin-before-accept", "reset-before-accept", "stall-before-accept"} <= ids


def test_a_websocket_is_closed_with_every_code_at_every_place():
    ids = {fault.id for fault in faults.for_transport("websocket")}
    places = ("after-start", "after-event-1", "after-event-2", "before-end-marker")
    assert {f"close-{code}-{place}" for code in CLOSE_CODES for place in places} <= ids


def test_what_does_not_exist_somewhere_has_a_reason():
    assert "no half-close" in dict(faults.unavailable("sse", tls=True))["half-close-in-head"]
    assert "half-close-in-head" not in dict(faults.unavailable("sse"))
    assert "nobody listens" in dict(faults.unavailable("sse"))["refuse-before-accept"]
    assert "closing event" in dict(faults.unavailable("text"))["fin-after-done"]
    assert "only a WebSocket" in dict(faults.unavailable("chunked"))["wrong-accept"]


@pytest.mark.parametrize(
    ("arguments", "tls"), [(("smtp",), False), (("sse", "tape"), False), (("sse", "memory"), True)]
)
def test_an_unknown_catalogue_is_an_error(arguments, tls):
    with pytest.raises(ValueError, match=r"smtp|tape|TLS"):
        faults.for_transport(*arguments, tls=tls)
    with pytest.raises(ValueError, match=r"smtp|tape|TLS"):
        faults.unavailable(*arguments, tls=tls)


@pytest.mark.parametrize("transport", faults.TRANSPORTS)
def test_every_fault_installs_and_renders(transport):
    for fault in faults.for_transport(transport, "memory"):
        memory = MemoryNetwork()
        assert memory.agent("a") is fault.install(memory, "a", CHUNKS, oversize=1000)
        if fault.script(CHUNKS).connection is None:
            rendered = plan(fault)
            assert rendered.data or fault.position.name == "before-answer"


def send_until_closed(client):
    """Raise what sending raises once the server has closed: after its Close it reads nothing more."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        client.send(b"x")
        time.sleep(0.005)


def test_a_half_closed_websocket_is_listened_to_and_not_answered(server, caplog):
    find("websocket", "half-close-after-event-1", "socket").install(server, "a")
    with connected(server.url) as client:
        client.open_websocket()
        assert "fin" == client.rest()[1]
        client.send(masked(0x9, b"still there?") + masked(0x8, b"\x03\xe8"))
        with pytest.raises(ConnectionError):
            send_until_closed(client)
    assert [] == [record.message for record in caplog.records if record.levelname == "ERROR"]


def test_faults_are_data():
    every = all_faults()
    assert every == all_faults()
    assert every == pickle.loads(pickle.dumps(every))
    assert len(every) == len(set(every))


def test_the_ids_are_those_of_the_tests(pytester):
    pytester.makepyfile(
        """
        import pytest
        from runagent_testing import faults

        @pytest.mark.parametrize("fault", faults.for_transport("sse"))
        def test_client(fault):
            assert str(fault) == fault.id
        """
    )
    result = pytester.runpytest_inprocess("-v", "-k", "reset-after-event-2")
    result.stdout.fnmatch_lines(["*::test_client[[]reset-after-event-2[]] PASSED*"])


def test_the_catalogue_needs_no_client_and_no_server():
    code = "import sys\nfrom runagent_testing import faults\nfaults.for_transport('sse')[50].script()\n"
    code += "print({'runagent', 'aiohttp', 'trio', 'pytest'} & set(sys.modules))"
    root = Path(runagent_testing.__file__).parents[1]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert "set()" == ran.stdout.strip()


@pytest.mark.parametrize("transport", faults.TRANSPORTS)
@pytest.mark.parametrize("event", [1, 2])
def test_after_an_event_and_in_it_are_at_their_places(transport, event):
    after = plan(find(transport, f"fin-after-event-{event}"))
    inside = plan(find(transport, f"fin-in-event-{event}"))
    words = [chunk.encode() for chunk in CHUNKS]
    assert [word in after.data for word in words] == [number < event for number in range(len(words))]
    assert [word in inside.data for word in words] == [number < event - 1 for number in range(len(words))]
    assert after.data.startswith(inside.data[: len(inside.data) // 2])
    assert words[event - 1][:2] in inside.data or transport != "text"
    assert ("cut", "cut") == (after.end, inside.end)


@pytest.mark.parametrize("transport", faults.TRANSPORTS)
def test_inside_an_event_is_inside_a_character(transport):
    data = plan(find(transport, "fin-in-event-2"))
    tail = data.data.removesuffix(b"\r\n")
    with pytest.raises(UnicodeDecodeError, match="unexpected end"):
        tail[tail.index(b"br") :].decode()


@pytest.mark.parametrize("transport", ["sse", "chunked", "text"])
def test_places_around_the_head_are_right(transport):
    assert b"" == plan(find(transport, "reset-before-answer")).data
    in_head = plan(find(transport, "reset-in-head"))
    assert (True, False) == (in_head.data.startswith(b"HTTP/1.1 200 OK\r\n"), b"\r\n\r\n" in in_head.data)
    after = plan(find(transport, "stall-after-head"))
    assert (True, "stall") == (after.data.endswith(b"\r\n\r\n"), after.end)


@pytest.mark.parametrize("transport", ["sse", "chunked"])
def test_places_around_the_closing_event_are_right(transport):
    before = plan(find(transport, "half-close-before-end-marker")).data
    after = plan(find(transport, "half-close-after-done")).data
    assert all(chunk.encode() in before for chunk in CHUNKS)
    assert (False, True) == (b"done" in before, b"done" in after)
    assert not after.endswith(b"0\r\n\r\n")
    no_done = plan(find(transport, "no-done-before-end-marker")).data
    assert (False, True) == (b"done" in no_done, no_done.endswith(b"0\r\n\r\n"))


def test_outcomes_are_data():
    expected = find("sse", "reset-after-event-2").expected
    assert ("truncated", (), 2, 2, "resume") == (
        expected.error,
        expected.accepted,
        expected.min_chunks,
        expected.max_chunks,
        expected.hidden_by,
    )
    # What has not been read when a RST comes, the system may throw away.
    assert 0 == find("sse", "reset-after-event-2", "socket").expected.min_chunks
    assert "nothing" == find("websocket", "reset-after-event-2").expected.hidden_by
    assert "unproven" == find("text", "close-delimited-cut-after-event-1").expected.error
    assert "retry" == find("text", "status-503-seconds").expected.hidden_by


def right_contents(fault):
    sent = list(fault.contents(CHUNKS))
    return sent[: len(sent) if fault.expected.min_chunks is None else fault.expected.min_chunks]


@pytest.mark.parametrize("transport", faults.TRANSPORTS)
def test_a_client_is_sound_that_shows_the_outcome(transport):
    for fault in faults.for_transport(transport, "memory"):
        for family in (fault.expected.error, *fault.expected.accepted):
            fault.check(family, right_contents(fault), CHUNKS)


@pytest.mark.parametrize("transport", faults.TRANSPORTS)
def test_a_client_that_shows_anything_else_is_not(transport):
    for fault in faults.for_transport(transport, "memory"):
        right, error = right_contents(fault), fault.expected.error
        wrong: list[tuple[faults.ErrorFamily, list[Any]]] = [
            ("agent" if error != "agent" else "ok", right),
            (error, [*right, "more"]),
        ]
        wrong += [(error, right[:-1])] if right else []
        wrong += [(error, right[::-1])] if len(right) > 1 else []
        if error not in ("ok", "unproven"):
            wrong.append(("ok", right))
        for family, contents in wrong:
            with pytest.raises(AssertionError, match=rf"^{fault.id}: expected"):
                fault.check(family, contents, CHUNKS)


def test_an_error_in_another_format_is_refused():
    wrong: Any = ConnectionError("gone")
    with pytest.raises(ValueError, match=r"one of ok, unproven, truncated, .*, not ConnectionError"):
        find("sse", "fin-after-event-1").check(wrong, ["alpha"], CHUNKS)


def test_plain_text_may_come_in_any_pieces():
    fault = find("text", "fin-in-event-2")
    for contents in (["al", "pha"], ["alphab"], ["alpha", "br"]):
        fault.check("truncated", contents, CHUNKS)
    with pytest.raises(AssertionError, match="delivered"):
        fault.check("truncated", ["alphabr\ufffd"], CHUNKS)


def test_values_are_chunks_too():
    values = ({"a": 1}, [2], None)
    assert values == find("sse", "drip").contents(values)
    assert ('{"a": 1}', "[2]", "null") == find("text", "drip").contents(values)


def test_too_few_chunks_are_an_error():
    with pytest.raises(ValueError, match="fin-after-event-2 needs 2 chunks, and got 1"):
        find("sse", "fin-after-event-2").script(["x"])
