"""The kit feeds a session from a recording of the fake agent if it sends what the recorded one has sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from runagent_testing.conformance._harness.feeding import byte_by_byte
from runagent_testing.conformance._harness.lab import Lab
from runagent_testing.conformance._harness.recording import DiffersError, Recorder
from runagent_testing.conformance._harness.subject import Subject
from runagent_testing.conformance._harness.tape import Tape
from tests.runagent_testing.conformance.test_foreign import LineDialect, LineSession, LineTransport

if TYPE_CHECKING:
    from runagent.transports import HttpRequest
    from runagent_testing._memory import MemoryNetwork

STEPS = ("Once", " upon", " a time")


class CountingSession(LineSession):
    """Sends another header field each time."""

    made = 0

    def make_request(self) -> HttpRequest:
        request: HttpRequest = super().make_request()
        type(self).made += 1
        request.headers.append(("X-Number", str(self.made)))
        return request


class CountingTransport(LineTransport):
    def open(self, call, route, resume):
        return CountingSession(call, route, resume)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[MemoryNetwork]:
    """The networks that were made."""
    found: list[MemoryNetwork] = []
    memory = Subject.memory

    def noted(subject: Subject) -> MemoryNetwork:
        found.append(memory(subject))
        return found[-1]

    monkeypatch.setattr(Subject, "memory", noted)
    return found


def test_further_sessions_get_the_recorded_bytes(made: list[MemoryNetwork]) -> None:
    lab, tape = Lab(Subject("sse")), Tape()
    first = lab.feed(*STEPS, tape=tape)
    for again in (lab.feed(*STEPS, cut=byte_by_byte, tape=tape), lab.feed(*STEPS, until=200, tape=tape)):
        assert first.contents[: len(again.contents)] == again.contents
        assert first.exchange is again.exchange
    assert 1 == len(made)


def test_a_cut_session_sees_the_end_of_the_connection() -> None:
    lab, tape = Lab(Subject("sse")), Tape()
    length = lab.feed(*STEPS, tape=tape).received
    cut = lab.feed(*STEPS, until=length // 2, tape=tape)
    assert cut.ended
    assert cut.error is not None


def test_other_steps_are_not_taken_from_the_recording() -> None:
    lab, tape = Lab(Subject("sse")), Tape()
    lab.feed(*STEPS, tape=tape)
    plain = lab.feed("Once", mode="invoke", tape=tape)
    assert plain.completed
    assert [] == plain.contents


def test_a_session_that_sends_something_else_gets_an_answer(made: list[MemoryNetwork]) -> None:
    lab, tape = Lab(Subject(CountingTransport(), (LineDialect(),))), Tape()
    fed = [lab.feed(*STEPS, tape=tape), *(lab.feed(*STEPS, cut=byte_by_byte, tape=tape) for _ in range(2))]
    assert [list(STEPS)] * 3 == [seen.contents for seen in fed]
    assert 3 == len(made)


def test_a_recording_has_no_further_connection() -> None:
    with pytest.raises(DiffersError):
        Recorder(Subject("sse").memory()).replay().open(None, None)  # type: ignore[arg-type]  # neither is used
