"""Samples: what the kit makes of a dialect, and what authors add."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runagent._events import Custom, ToolCall
from runagent.transports._sse import SSESession
from runagent_testing import custom, delay, done, ending, error, heartbeat, raw, reasoning, status, tool_call
from runagent_testing.conformance import check_transport
from runagent_testing.conformance._broken import Broken
from runagent_testing.conformance._harness.samples import missing, same_custom
from runagent_testing.conformance._harness.subject import Subject
from tests.runagent_testing.conformance.test_foreign import (
    LineDialect,
    Lines,
    LineSession,
    LineTransport,
    Words,
)

SAMPLES = [
    "session.other-events",
    "session.usage",
    "session.samples-any-split",
    "session.samples-truncated",
    "session.samples-never-raise",
    "run.other-events",
    "run.usage",
]
QUICK: dict[str, Any] = {"styles": ("sync",), "players": ("memory",)}


class _Refuses(SSESession):
    """Raises an error at one custom event, of which only its author knows."""

    def read_body(self, data):
        events = super().read_body(data)
        if any(isinstance(event, Custom) and event.name == "rare" for event in events):
            raise KeyError("rare")
        return events


class _GathersPieces(SSESession):
    """Joins the pieces of a tool call, however many they are."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.pieces = []

    def read_body(self, data):
        kept = []
        for event in super().read_body(data):
            if isinstance(event, Custom) and event.name == "piece":
                self.pieces.append(str(event.value))
            else:
                kept.append(event)
        return kept


def words(report):
    return {result.id: result.status for result in report.results}


@pytest.mark.parametrize("name", ["sse", "chunked", "websocket"])
def test_own_samples_of_every_kind_pass(name):
    samples: dict[str, Any] = {
        "everything": (
            *("Once ", heartbeat(), reasoning("hm"), {"page": 1}, "upon"),
            *(tool_call("f", {"a": ["ü"]}), custom("state", {"b": None})),
            done(usage={"total_tokens": 7}, metadata={"x": {"y": 2.5}}, stop_reason="stop"),
        ),
        "a failure": ("Once ", tool_call("f"), error("CAPACITY_ERROR", "no room")),
        "nothing": (),
    }
    report = check_transport(name, only=SAMPLES, samples=samples, **QUICK)
    report.check()
    assert {"passed"} == set(words(report).values())


def test_bytes_of_a_sample_may_bring_events_of_their_own():
    event = b'event: tool_call\ndata: {"name": "g", "arguments": "{}"}\n\n'
    samples: dict[str, Any] = {
        "bytes": ("Once", raw(event), tool_call("f"), raw(event), done(usage={"a": 1}))
    }
    check_transport("sse", only=SAMPLES, samples=samples, **QUICK).check()


def test_what_only_a_sample_holds_is_found():
    transport = Broken("refuses", "session.other-events", _Refuses)
    assert check_transport(transport, only=SAMPLES, **QUICK).ok
    samples = {"rare events": ("Once", custom("rare", 1))}
    report = check_transport(transport, only=["session.samples-never-raise"], samples=samples)
    (failed,) = report.failed
    assert "the sample 'rare events', as it is: the session raised KeyError('rare')" in failed.reason


def test_a_tool_call_in_a_thousand_pieces_is_bounded():
    piece = b'event: custom\ndata: {"name": "piece", "value": "0123456789"}\n\n'
    samples = {"pieces": ("Once", raw(piece), "upon")}
    only = ["session.memory"]
    check_transport("sse", only=only, samples=samples).check()
    transport = Broken("gathers-pieces", "session.memory", _GathersPieces)
    check_transport(transport, only=only).check()
    (failed,) = check_transport(transport, only=only, samples=samples).failed
    assert "the sample 'pieces', step 1 repeated" in failed.reason


class _ObjectLines(Lines):
    """Writes the arguments of a tool call as an object."""

    def tool_call(self, step):
        return self.write(["call", {"name": step.name, "arguments": json.loads(step.arguments)}])


class _ObjectDialect(LineDialect):
    def stream(self, run):
        return _ObjectLines()


class _CallWords(Words):
    """Reads such calls; their text differs from the sent one in its blanks."""

    def change(self, arguments):
        return arguments

    def events(self, session, text):
        if not text.startswith(b'["call"'):
            return super().events(session, text)
        call = json.loads(text)[1]
        return [ToolCall(None, call["name"], json.dumps(self.change(call["arguments"]), indent=3))]


class _LosesADay(_CallWords):
    def change(self, arguments):
        return arguments | {"days": [1]} if "days" in arguments else arguments


class _CallSession(LineSession):
    words_of = _CallWords

    def open_body(self, content_type, charset):
        known = super().open_body(content_type, charset)
        self.words = self.words_of(self.resume)
        return known


class _CallTransport(LineTransport):
    def __init__(self, words_of):
        self.words_of = words_of

    def open(self, call, route, resume):
        session = _CallSession(call, route, resume)
        session.words_of = self.words_of
        return session


@pytest.mark.parametrize(("words_of", "ok"), [(_CallWords, True), (_LosesADay, False)])
def test_arguments_that_are_an_object_arrive_with_the_same_value(words_of, ok):
    only = ["session.other-events", "run.other-events"]
    report = check_transport(_CallTransport(words_of), dialects=[_ObjectDialect()], only=only, **QUICK)
    assert ok == report.ok
    assert all("name and arguments of tool calls" in failed.reason for failed in report.failed)


@pytest.mark.parametrize(
    ("samples", "fault"),
    [
        (
            {"wait": ("a", delay(1))},
            r"the sample 'wait' has Delay\(seconds=1\): a sample has chunks, reasoning",
        ),
        ({"cut": ("a", ending("cut"))}, "the sample 'cut' has Ending"),
        ({"no": (status(500),)}, "the sample 'no' has Status"),
        ([("a",)], r"samples= maps names to scripts, as in \{'tools': \[\.\.\.\]\}, not \[\('a',\)\]"),
        ({"x": (object(),)}, "step"),
    ],
)
def test_an_invalid_sample_is_refused_at_once(samples, fault):
    with pytest.raises(TypeError, match=fault):
        check_transport("sse", samples=samples)


def test_a_dialect_with_chunks_only_needs_no_samples():
    report = check_transport(LineTransport(), dialects=[LineDialect()], only=SAMPLES, **QUICK)
    assert {"not applicable"} == set(words(report).values())
    assert "no samples of your protocol are given" in report.results[0].reason
    chunks = {"chunks": ("a", {"b": 1})}
    report = check_transport(LineTransport(), dialects=[LineDialect()], only=SAMPLES, samples=chunks, **QUICK)
    assert report.ok
    assert "passed" == words(report)["session.samples-any-split"]


class _MisspeltLines(Lines):
    def tool_call(self, step):
        return step.nmae.encode()


class _MisspeltDialect(LineDialect):
    def stream(self, run):
        return _MisspeltLines()


def test_a_mistake_in_a_dialect_does_not_pass_for_an_event_that_its_protocol_lacks():
    only = ["session.other-events", "run.other-events"]
    report = check_transport(LineTransport(), dialects=[_MisspeltDialect()], only=only, **QUICK)
    assert {"failed"} == set(words(report).values())
    assert 2 == str(report).count("has no attribute 'nmae'")


def test_the_kit_has_samples_of_what_the_dialect_can_write():
    names = {sample.name: sample for sample in Subject("sse").samples}
    assert {"events that are not content", "the facts of the end"} == set(names)
    assert 2 == len(names["events that are not content"].calls)
    assert names["the facts of the end"].end.usage
    assert () == Subject(LineTransport(), (LineDialect(),)).samples


@pytest.mark.parametrize(
    ("sent", "got", "lost"),
    [
        ({"a": 1, "b": {"c": [2, True]}}, {"x": [True, 2, {"y": 1}]}, []),
        ({"a": 1, "b": "1"}, {"a": 1}, ['"1"']),
        ({"a": 1}, None, ["1"]),
    ],
)
def test_facts_of_the_end_may_move_but_are_not_lost(sent, got, lost):
    assert lost == missing(sent, got)


def test_a_protocol_may_add_to_a_custom_event():
    assert same_custom(("kit", {"a": {"b": 1}}), ("response.kit", {"type": "x", "a": {"b": 1, "c": 2}}))
    assert not same_custom(("kit", {"a": {"b": 1}}), ("kit", {"a": {}}))
    assert not same_custom(("kit", "a"), ("other", "a"))


def test_the_fixture_of_the_class_adds_samples(pytester):
    pytester.makepyfile(
        """
        import pytest
        from runagent_testing import custom, delay
        from runagent_testing.conformance import TransportConformance

        class TestMine(TransportConformance):
            requirements = 1

            @pytest.fixture
            def transport(self):
                return "sse"

            @pytest.fixture
            def samples(self):
                return {"mine": ("a", delay(1))}
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-k", "session.usage")
    result.stdout.fnmatch_lines(["*the sample 'mine' has Delay(seconds=1)*"])
