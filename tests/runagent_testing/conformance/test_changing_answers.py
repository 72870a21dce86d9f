"""A dialect that writes the time or a counter makes no transport fail."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import pytest

from runagent import Completed
from runagent_testing._memory import MemoryNetwork
from runagent_testing.conformance import check_transport
from runagent_testing.conformance._harness.tape import Tape
from runagent_testing.dialects import Request
from tests.runagent_testing.conformance.test_foreign import (
    LineDialect,
    Lines,
    LineSession,
    LineTransport,
    TalkDialect,
    TalkTransport,
    Words,
)

SESSIONS = ("session.any-split", "session.truncated", "session.prompt", "session.events", "declared.resume")


def changing():
    """Count up, in texts of changing length, as times are."""
    return (f"{time.time()!r}{'0' * (number % 7)}" for number in itertools.count())


STAMPS = changing()


class StampedWords(Words):
    def events(self, session, text):
        message = json.loads(text) if text.strip().startswith((b"[", "[")[isinstance(text, str)]) else None
        events = super().events(session, text)
        if message and message[0] == "end":
            return [*events[:-1], Completed(message=str(message[-1]))]
        return events


class StampedSession(LineSession):
    def open_body(self, content_type, charset):
        opened = super().open_body(content_type, charset)
        self.words = StampedWords(self.resume)
        return opened


class StampedTransport(LineTransport):
    def open(self, call, route, resume):
        return StampedSession(call, route, resume)


class StampedDialect(LineDialect):
    def stream(self, run):
        lines: Any = Lines()
        write = lines.write
        lines.write = lambda message: write([*message, next(STAMPS)] if message[0] == "end" else message)
        begin = lines.start
        lines.start = lambda run: b"\n" * (len(next(STAMPS)) % 7) + begin(run)
        return lines


@pytest.mark.parametrize("requirement", SESSIONS)
def test_a_timestamp_fails_no_transport(requirement):
    report = check_transport(StampedTransport(), dialects=[StampedDialect()], only=[requirement])
    assert report.ok, str(report)


class ForgetfulSession(StampedSession):
    """Loses what it has of a line if there is a quote in it."""

    def read_body(self, data):
        events = super().read_body(data)
        if self.rest.endswith(b'"u'):
            self.rest = b""
        return events


class ForgetfulTransport(LineTransport):
    def open(self, call, route, resume):
        return ForgetfulSession(call, route, resume)


def test_a_session_that_depends_on_cuts_is_found_all_the_same():
    report = check_transport(ForgetfulTransport(), dialects=[StampedDialect()], only=["session.any-split"])
    (result,) = report.failed
    assert "byte by byte" in result.reason or "cut at byte" in result.reason


def test_the_same_request_gets_the_same_bytes_and_another_one_its_own():
    tape = Tape()
    answers = []
    for path in ("/lines/a/from/0", "/lines/a/from/0", "/lines/b/from/0"):
        memory = MemoryNetwork(dialects=[StampedDialect()])
        tape.play_on(memory)
        memory.agent("a").always("x")
        memory.agent("b").always("x")
        answered: Any = memory._endpoints.answer(Request("PUT", path, {}, 1, b"{}"))
        answers.append(answered.plan.data)
    assert (answers[0] == answers[1], answers[0] == answers[2]) == (True, False)


@pytest.mark.parametrize("name", ["session.any-split", "session.truncated"])
def test_so_it_is_in_messages(name):
    class Stamped(TalkDialect):
        def stream(self, run):
            words = super().stream(run)
            begin = words.start
            words.start = lambda run: begin(run) + words.heartbeat * (len(next(STAMPS)) % 7)
            return words

    report = check_transport(TalkTransport(), dialects=[Stamped()], only=[name])
    assert report.ok, str(report)
