"""A failure shows where two sequences part, and is a sentence, whatever the check stumbles over."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from runagent.transports._sse import SSESession
from runagent_testing._memory import MemoryNetwork
from runagent_testing.conformance import all_requirements, check_transport
from runagent_testing.conformance._broken import Broken
from runagent_testing.conformance._checks import common
from runagent_testing.conformance._harness.differences import brief, difference, text_difference
from runagent_testing.dialects import Request
from tests.runagent_testing.conformance.test_foreign import LineDialect, LineTransport

MANY = [f"chunk {number}" for number in range(500)]
QUICK: dict[str, Any] = {"styles": ("sync",), "players": ("memory",)}


@pytest.mark.parametrize(
    ("expected", "got", "shown"),
    [
        (
            ["a", "b", "c", "d", "e"],
            ["a", "b", "x", "d", "e"],
            (
                "they part at index 2 of 5 expected and 5 received: expected 'c', got 'x'\n"
                "  around it, expected ['a', 'b', 'c', 'd', 'e']\n  around it, got ['a', 'b', 'x', 'd', 'e']"
            ),
        ),
        (["a"], [], "they part at index 0 of 1 expected and 0 received: expected 'a', got nothing more"),
        ([], [1], "they part at index 0 of 0 expected and 1 received: expected nothing more, got 1"),
        (["a"], ["a"], ""),
    ],
)
def test_the_place_and_what_is_around_it_are_shown(expected, got, shown):
    assert shown == difference(expected, got)


def test_long_lists_show_only_the_place():
    shown = difference(MANY, [*MANY[:300], "another", *MANY[300:]])
    assert "index 300 of 500 expected and 501 received: expected 'chunk 300', got 'another'" in shown
    assert "['…', 'chunk 298'" not in shown
    assert "[…, 'chunk 298', 'chunk 299', 'another', 'chunk 300', 'chunk 301', …]" in shown
    assert len(shown) < 400


def test_long_items_are_cut_around_the_place():
    shown = difference(["x" * 5000 + "a" + "y" * 5000], ["x" * 5000 + "b" + "y" * 5000])
    assert "xa" in shown
    assert "xb" in shown
    assert len(shown) < 400


def test_texts_part_at_a_character():
    shown = text_difference("a" * 300 + "b", "a" * 300 + "c")
    assert shown.startswith("they part at character 300 of 301 expected and 301 received: expected …'aaa")
    assert shown.endswith("aac'")
    assert "" == text_difference("a", "a")


def test_a_list_is_shown_in_brief():
    assert "['chunk 0', 'chunk 1', 'chunk 2', … 494 more …, 'chunk 497'" in brief(MANY)
    assert "['a', 'b']" == brief(["a", "b"])


class _LosesOne(SSESession):
    """Loses the five hundredth chunk."""

    count = 0

    def read_body(self, data):
        events = super().read_body(data)
        kept = []
        for event in events:
            self.count += 1
            if self.count != 500:
                kept.append(event)
        return kept


def test_a_report_never_has_a_thousand_chunks_in_it():
    transport = Broken("loses-one", "run.order", _LosesOne)
    (failed,) = check_transport(transport, only=["run.order"], **QUICK).failed
    assert "a thousand chunks in one write: they part at index 498 of 1000 expected" in failed.reason
    assert len(failed.reason) < 500


def test_an_error_of_the_kit_is_a_sentence(monkeypatch):
    code = compile("def check(lab):\n    return [][0]\n", common.__file__, "exec")
    space: dict[str, Any] = {}
    exec(code, space)  # a check of the kit by its file
    broken = [dataclasses.replace(r, check=space["check"]) for r in all_requirements()]
    monkeypatch.setattr("runagent_testing.conformance._check.all_requirements", lambda: broken)
    (failed,) = check_transport("sse", only=["session.done"]).failed
    assert failed.reason.startswith("the kit was unable to finish this check, which is a fault of the kit: ")


def test_a_dialect_that_writes_nothing_for_a_chunk_is_named():
    class Silent(LineDialect):
        def stream(self, run):
            form: Any = super().stream(run)
            write = form.chunk
            form.chunk = lambda step, index, id: b"" if "second" in step.content else write(step, index, id)
            return form

    names = ["session.truncated", "session.good-before-bad", "session.close", "session.reusable"]
    report = check_transport(LineTransport(), dialects=[Silent()], only=names)
    for result in report.failed:
        assert "the dialect writes nothing for step 1 of the script, 'second'" in result.reason
    assert len(report.failed) == len(names)


def test_runs_of_a_network_begin_when_its_clock_is_asked():
    class Dated(LineDialect):
        def stream(self, run):
            form: Any = super().stream(run)
            form.start = lambda run: f'["at", "{run.timestamp}"]\n'.encode()
            return form

    sent = []
    for _ in range(2):
        network = MemoryNetwork(dialects=[Dated()], timestamps=lambda: "2026-01-01T00:00:00+00:00")
        network.agent("kit").always("x")
        answered: Any = network._endpoints.answer(Request("PUT", "/lines/kit/from/0", {}, 1, b"{}"))
        sent.append(answered.plan.data)
    assert sent[0] == sent[1]
    assert b"2026-01-01T00:00:00+00:00" in sent[0]
