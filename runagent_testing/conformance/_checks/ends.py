"""What is required of a session when a run completes, fails or breaks off."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runagent._errors import (
    AgentError,
    NetworkError,
    ProtocolError,
    StreamError,
    StreamTruncatedError,
    TransportError,
)
from runagent._events import Completed
from runagent_testing._script.steps import done, ending, error, status
from runagent_testing.conformance._checks.common import demand, expect_contents, only_where
from runagent_testing.conformance._harness.differences import brief
from runagent_testing.conformance._harness.feeding import Feeding, Seen, byte_by_byte, in_two, whole
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import AGENT
from runagent_testing.conformance._harness.tape import Tape
from runagent_testing.dialects._frames import BAD_FRAMES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.conformance._harness.lab import Lab

CHUNKS = ("first", "second", "third")


def _expect_truncated(lab: Lab, seen: Seen, delivered: int, most: int, what: str) -> None:
    seen.check_sound()
    demand(not seen.completed, f"{what}: the session returned Completed although the answer broke off")
    demand(seen.error is not None, f"{what}: no error was set")
    right = isinstance(seen.error, StreamTruncatedError | NetworkError)
    demand(right, f"{what}: expected a StreamTruncatedError, got {seen.summarize()}")
    if lab.subject.traits.delimited:
        count = len(seen.contents)
        expect_contents(lab.subject, seen.contents, CHUNKS[:count], what)
        demand(
            delivered <= count <= most,
            f"{what}: the bytes hold {delivered} to {most} chunks, {count} were delivered",
        )
    else:
        got, whole_text = "".join(seen.contents), "".join(CHUNKS)
        demand(whole_text.startswith(got), f"{what}: the agent never sent {got!r}")


@required(
    "session.truncated",
    "An answer that breaks off, at any byte, is a StreamTruncatedError (before its first byte a"
    " NetworkError); complete events are delivered first.",
    'docs/errors.md, "Who has to act"; RFC 9112 section 8',
)
def check_truncation(lab: Lab) -> None:
    """A connection that breaks must never look like a good end, nor take events with it that came.

    To mend it: raise StreamTruncatedError in `end_body` unless the end marker came; return complete
    events at once.
    """
    marked = lab.subject.traits.marked
    steps: tuple[Any, ...] = (*CHUNKS, done()) if marked else CHUNKS
    tape = Tape()
    places, length = lab.offsets(*steps, tape=tape)
    chunks = places[: len(CHUNKS)]
    marker = places[-1][0] if marked else length
    for until in range(length):
        complete = sum(end <= until for _, end in chunks)
        begun = sum(start < until for start, _ in chunks)
        seen = lab.feed(*steps, until=until, tape=tape)
        if until > marker and seen.completed and seen.raised is None:
            continue  # the marker itself may be whole already
        _expect_truncated(lab, seen, complete, begun, f"cut after byte {until} of {length}")


@required(
    "session.truncated-by-framing",
    "An answer that is incomplete by HTTP's framing, or lacks the end marker, is a StreamTruncatedError.",
    'docs/errors.md, "Who has to act"; RFC 9112 section 8',
)
def check_framed_truncation(lab: Lab) -> None:
    """A proxy may end a body properly although the agent broke off.

    To mend it: let only the protocol's end marker end a run: raise StreamTruncatedError in `end_body`. If a
    later answer reports the end (`Format.separate_end`), ask for it with `follow`.
    """
    endings = ["cut", "fin-in-chunk", "close-delimited-cut", "no-done"]
    if not lab.subject.traits.proves_end:
        more = lab.feed(*CHUNKS).asked_more
        demand(
            not more,
            "a request follows the stream: set separate_end in the dialect's Format if it proves the end",
        )
        endings = ["cut", "fin-in-chunk"]
    for kind in endings:
        for framing in ("chunked", "length"):
            seen = lab.feed(*CHUNKS, ending(kind), script={"framing": framing})  # type: ignore[arg-type]
            _expect_truncated(lab, seen, 3, 3, f"ending {kind!r}, framed by {framing}")


@required(
    "session.no-answer",
    "A connection that closes before the answer's first byte is a NetworkError, not a truncated stream.",
    'docs/errors.md, "Who has to act"',
)
def check_no_answer(lab: Lab) -> None:
    """Without a byte of an answer the agent may not have seen the request: the client may try again.

    To mend it: leave this end to the base class; if you override `receive_eof`, call it first and keep
    its error.
    """
    seen = lab.feed("x", until=0).check_sound()
    right = isinstance(seen.error, NetworkError)
    demand(right, f"expected a NetworkError, got {seen.summarize()}")
    demand(not seen.events, f"without any answer, the session returned {seen.events!r}")


@required(
    "session.nothing-after-end",
    "No event follows Completed, whatever the peer still sends.",
    'docs/transport-api.md, "Session contract"',
)
def check_after_end(lab: Lab) -> None:
    """Bytes behind the end, such as a late chunk, belong to no run.

    To mend it: stop decoding once `self.wants` is DONE: return from the loop over the events.
    """
    only_where(lab.subject.traits.marked, "the dialect has no end marker")
    for cut in (whole, byte_by_byte):
        seen = lab.feed("a", done(), "late", done(), cut=cut).check_sound()
        expect_contents(lab.subject, seen.contents, ["a"], "up to the end")
        ends = [event for event in seen.events if isinstance(event, Completed)]
        demand(
            len(ends) == 1 and seen.events[-1] is ends[0],
            f"Completed is not the last of {brief(seen.events)}",
        )
        demand(seen.error is None, f"bytes after the end are not an error: {seen.summarize()}")


@required(
    "session.error-is-final",
    "No event follows an error that the agent reports, and the session's error does not change.",
    'docs/transport-api.md, "Session contract"',
)
def check_after_error(lab: Lab) -> None:
    """The first error explains the failure; events or errors behind it only hide it.

    To mend it: after `self.fail(...)` return the events so far and decode nothing more.
    """
    only_where(lab.subject.traits.writes_errors, "the dialect writes no error into a stream")
    for cut in (whole, byte_by_byte):
        seen = lab.feed("a", error("CAPACITY_ERROR", "no room"), "late", done(), cut=cut).check_sound()
        expect_contents(lab.subject, seen.contents, ["a"], "up to the error")
        demand(not seen.completed, f"the session returned Completed for a failed run: {seen.summarize()}")
        fault = f"expected a StreamError with the agent's message, got {seen.summarize()}"
        demand(type(seen.error) is StreamError and "no room" in str(seen.error), fault)


@required(
    "session.good-before-bad",
    "Valid events are delivered even if invalid bytes follow them in the same read.",
    'docs/transport-api.md, "Session contract"',
)
def check_good_before_bad(lab: Lab) -> None:
    """A read may hold good events and a fault; whether the reader gets them must not depend on the cut.

    To mend it: return the events that came before the fault, and set the error with `self.fail(...)`.
    """
    for seen in _with_a_fault_behind_two(lab):
        seen.check_sound()
        expect_contents(lab.subject, seen.contents, CHUNKS[:2], "before the fault")
        right = isinstance(seen.error, ProtocolError | StreamError)
        demand(right, f"bytes that break the format: expected a ProtocolError, got {seen.summarize()}")


def _with_a_fault_behind_two(lab: Lab) -> Iterator[Seen]:
    places, _ = lab.offsets(*CHUNKS)
    fault = BAD_FRAMES["bad-opcode"] if lab.subject.traits.writes_frames else b"ZZ\r\n?"
    for cut in (whole, byte_by_byte):
        at = places[1][1]
        spoilt = _Spoiler(at, fault)
        yield lab.feed(*CHUNKS, cut=cut, tamper=spoilt)


class _Spoiler:
    """Inserts a fault at an offset into all bytes that the agent sends."""

    def __init__(self, at: int, fault: bytes) -> None:
        self._at = at
        self._fault = fault
        self._seen = 0

    def __call__(self, data: bytes) -> bytes:
        here = self._at - self._seen
        self._seen += len(data)
        return data[:here] + self._fault + data[here:] if 0 <= here <= len(data) else data


@required(
    "session.refused",
    "A refusal by HTTP status is the AgentError of that status, without events, even if its body breaks off.",
    'docs/errors.md, "Who has to act"',
)
def check_refusals(lab: Lab) -> None:
    """Callers handle a 404 or a 429 by its class; a cut body changes nothing of the status.

    To mend it: leave refusals to the base class, or build on `super().make_refusal(...)` to read your
    protocol's body.
    """
    for code in (400, 401, 403, 404, 409, 422, 429, 500, 502, 503):
        for until in (math.inf, 200):
            seen = lab.feed(status(code, message="not today"), until=until).check_sound()
            right = isinstance(seen.error, AgentError) and seen.error.status == code
            demand(right or until < math.inf, f"HTTP status {code}: {seen.summarize()}")
            right = isinstance(seen.error, AgentError | TransportError | StreamTruncatedError)
            demand(right, f"HTTP status {code}, cut short: {seen.summarize()}")
            demand(not seen.events, f"HTTP status {code} gave {seen.events!r}")


@required(
    "session.other-content",
    "A successful answer with a content type unknown to the protocol is a ProtocolError.",
    'docs/errors.md, "Who has to act"',
)
def check_other_content(lab: Lab) -> None:
    """A login page of a gateway comes with status 200, and is no answer of the agent.

    To mend it: return False from `open_body` for a content type that the protocol does not have.
    """
    page = b"<!doctype html>\n\n<p>Log in to the network</p>\n"
    for content_type in ("text/html; charset=utf-8", "image/png"):
        seen = lab.feed(status(200, body=page, headers={"Content-Type": content_type})).check_sound()
        what = f"an answer of the type {content_type!r}"
        demand(not seen.events, f"{what} gave {seen.events!r}")
        demand(
            isinstance(seen.error, ProtocolError), f"{what}: expected a ProtocolError, got {seen.summarize()}"
        )


@required(
    "session.outage-proves-nothing",
    "A session sets unsupported only on proof: an outage, a refusal or a broken connection never does so.",
    'docs/transports.md, "How a choice is made"',
)
def check_unsupported(lab: Lab) -> None:
    """With several transports the client moves on only on proof that the service lacks this one.

    To mend it: set `unsupported` only for an answer that no working service of the protocol gives, such
    as its own 404.
    """
    for code in (401, 403, 429, 500, 502, 503):
        seen = lab.feed(status(code))
        demand(not seen.session.unsupported, f"HTTP status {code} set unsupported")
    for until in (0, 20):
        seen = lab.feed("x", until=until)
        demand(not seen.session.unsupported, f"an answer cut after {until} bytes set unsupported")


@required(
    "session.close",
    "A session can be closed at any time, and again: close raises nothing, and sends its last bytes once.",
    'docs/transport-api.md, "Session contract"',
)
def check_close(lab: Lab) -> None:
    """The reader may leave at any moment, and the client may close twice.

    To mend it: make `close` idempotent: queue the protocol's last bytes once, and raise nothing.
    """
    places, length = lab.offsets(*CHUNKS)
    for until in (0, places[0][1], length):
        memory = lab.subject.memory()
        memory.agent(AGENT).always(*CHUNKS)
        feeding = Feeding(memory, lab.open(memory), in_two(until))
        for _ in feeding.steps():
            if feeding.seen.received >= until:
                break
        session = feeding.seen.session
        session.close()
        farewell = session.data_to_send()
        session.close()
        again = session.data_to_send()
        demand(not again, f"closed twice after {until} bytes: sent {farewell!r}, and then {again!r}")


@required(
    "session.reusable",
    "A session is reusable only once nothing of its answer can still arrive on the connection.",
    'docs/transport-api.md, "Session contract"',
)
def check_reusable(lab: Lab) -> None:
    """A connection with bytes still to come would hand them to the next run.

    To mend it: leave `reusable` to the base class, or make it true only at the proven end of the body.
    """
    places, length = lab.offsets(*CHUNKS)
    for until in (0, 10, places[0][0], places[1][1]):
        seen = lab.feed(*CHUNKS, until=until)
        demand(not seen.session.reusable, f"reusable after {until} of {length} bytes")
    seen = lab.feed(*CHUNKS, script={"framing": "close"})
    demand(
        seen.asked_more or not seen.session.reusable, "reusable, though the answer ends with the connection"
    )
