"""What is required of samples whose bytes are cut, broken off, corrupted or too many."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from runagent._errors import NetworkError, RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._events import Completed
from runagent_testing._script import steps
from runagent_testing.conformance._checks.common import demand
from runagent_testing.conformance._checks.guards import LIMIT, expect_limit, hostile, misshapen
from runagent_testing.conformance._checks.samples import samples_of
from runagent_testing.conformance._harness.differences import difference
from runagent_testing.conformance._harness.feeding import Feeding, byte_by_byte, in_two, rechunked, whole
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import AGENT
from runagent_testing.conformance._harness.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from runagent_testing.conformance._harness.feeding import Cut, Seen
    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.samples import Sample

_PLACES = 150  # of one sample at which it is cut, once each: all of a short one, else some at random
_CORRUPTED = 60  # variants of one sample
_MISSHAPEN = 40
_SMALL = 64  # bytes: a limit that some events of a sample exceed


def _places(length: int) -> Sequence[int]:
    every = range(1, length)
    return every if length <= _PLACES else sorted(Random(length).sample(every, _PLACES))


def _cuts(length: int) -> Iterator[tuple[str, Cut]]:
    yield "byte by byte", byte_by_byte
    for place in _places(length):
        yield f"cut at byte {place}", in_two(place)
    for seed in range(10):
        yield f"cut at random, seed {seed}", rechunked(seed)


@required(
    "session.samples-any-split",
    "The same bytes of a sample give the same events, wherever they are cut.",
    'docs/transport-api.md, "Session contract"',
)
def check_splits(lab: Lab) -> None:
    """Tool calls in pieces are where a cut loses something: all states have to survive between reads.

    To mend it: keep partial tool calls, reasoning and lines in the session, and return them once they are
    whole.
    """
    delimited = lab.subject.traits.delimited
    for sample in samples_of(lab.subject):
        tape = Tape()
        reference = lab.feed(*sample.steps, tape=tape).check_sound()
        expected = reference.outcome(delimited=delimited)
        for name, cut in _cuts(reference.received):
            got = lab.feed(*sample.steps, cut=cut, tape=tape).check_sound().outcome(delimited=delimited)
            demand(got == expected, f"the sample {sample.name!r}, {name}: {difference(expected, got)}")


def _over_at(lab: Lab, sample: Sample, tape: Tape) -> int:
    """Return after how many bytes a session has seen the end of a sample."""
    memory = lab.subject.memory()
    tape.play_on(memory)
    memory.agent(AGENT).always(*sample.steps)
    feeding = Feeding(memory, lab.open(memory), byte_by_byte)
    for _ in feeding.steps():
        if feeding.seen.completed or feeding.seen.over:
            break
    return feeding.seen.received


@required(
    "session.samples-truncated",
    "A sample that breaks off, at any byte, is a StreamTruncatedError after the events that came before.",
    'docs/errors.md, "Who has to act"',
)
def check_truncation(lab: Lab) -> None:
    """A run that broke off after a tool call has not ended: the call may lack its arguments.

    To mend it: raise StreamTruncatedError in `end_body` unless the end marker came; drop calls that are
    not whole.
    """
    delimited = lab.subject.traits.delimited
    for sample in samples_of(lab.subject):
        tape = Tape()
        reference = lab.feed(*sample.steps, tape=tape).check_sound()
        for until in (0, *_places(_over_at(lab, sample, tape))):
            seen = lab.feed(*sample.steps, until=until, tape=tape).check_sound()
            what = f"the sample {sample.name!r}, cut off after byte {until}"
            _expect_truncated(reference, seen, what, delimited=delimited)


def _expect_truncated(reference: Seen, seen: Seen, what: str, *, delimited: bool) -> None:
    expected = [event for event in reference.events if not isinstance(event, Completed)]
    demand(not seen.completed, f"{what}: the session returned Completed")
    # The agent's error may be known before the last bytes of its event have come.
    right = isinstance(seen.error, StreamTruncatedError | NetworkError) or (
        reference.error is not None and type(seen.error) is type(reference.error)
    )
    demand(right, f"{what}: expected a StreamTruncatedError, got {seen.summarize()}")
    if delimited:
        apart = difference(expected[: len(seen.events)], seen.events)
        demand(not apart, f"{what}: {apart}")


@required(
    "session.samples-never-raise",
    "receive_data and receive_eof raise nothing for a sample, corrupted or not; error is a RunAgentError.",
    'docs/transport-api.md, "Session contract"',
)
def check_nothing_is_raised(lab: Lab) -> None:
    """Blocks that are not text have members of many types; a peer may send any of them wrong.

    To mend it: check types before you use a value, and turn a surprise into
    `self.fail(ProtocolError(...))`.
    """
    for sample in samples_of(lab.subject):
        for how, cut, tamper in _corruptions():
            seen, what = lab.feed(*sample.steps, cut=cut, tamper=tamper), f"the sample {sample.name!r}, {how}"
            demand(
                seen.raised is None, f"{what}: the session raised {seen.raised!r} instead of setting error"
            )
            right = seen.error is None or isinstance(seen.error, RunAgentError)
            demand(right, f"{what}: error is {seen.error!r}, which is not a RunAgentError")


def _corruptions() -> Iterator[tuple[str, Cut, Callable[[bytes], bytes] | None]]:
    yield "as it is", byte_by_byte, None
    for seed in range(_CORRUPTED):
        yield f"corrupted by seed {seed}", (whole, rechunked(seed), byte_by_byte)[seed % 3], hostile(seed)
    for seed in range(_MISSHAPEN):
        yield f"a value of another type, seed {seed}", whole, misshapen(seed)


def _large_steps(carried: frozenset[str], size: int) -> dict[str, Any]:
    large = {
        "tool_call": steps.tool_call("large", {"text": "x" * size}, id="call-large"),
        "custom": steps.custom("large", {"text": "x" * size}),
    }
    return {name: step for name, step in large.items() if name in carried}


@required(
    "session.samples-limit",
    "A tool call or custom event that is larger than max_event_bytes, even in pieces, is a StreamLimitError.",
    'docs/transports.md, "Limits"',
)
def check_limit(lab: Lab) -> None:
    """A tool call that comes in pieces is one event in the end, and needs a limit of its size.

    To mend it: count the gathered bytes, and fail with StreamLimitError (limit_name="max_event_bytes")
    over the limit.
    """
    carried = lab.subject.traits.carries
    framed = {name: lab.feed("a", step).received for name, step in _large_steps(carried, LIMIT).items()}
    for sample in samples_of(lab.subject):
        _expect_small_limit(lab, sample)
    limits = {"max_event_bytes": LIMIT}
    for size in (LIMIT + 1, 20 * LIMIT):
        for name, step in _large_steps(carried, size).items():
            seen = lab.feed("a", step, options=limits, cut=rechunked(5)).check_sound()
            expect_limit(seen, "max_event_bytes", f"a {name} of {size} bytes, with a limit of {LIMIT}")
            demand(
                seen.received < 4 * max(LIMIT, framed[name]),  # small pieces need much framing
                f"a {name} of {size} bytes: {seen.received} bytes were read before the limit took effect",
            )


def _expect_small_limit(lab: Lab, sample: Sample) -> None:
    """Read a sample with a limit below some of its events: those before the first of these arrive."""
    reference = lab.feed(*sample.steps).check_sound()
    seen = lab.feed(*sample.steps, options={"max_event_bytes": _SMALL}, cut=rechunked(7)).check_sound()
    what = f"the sample {sample.name!r}, with a limit of {_SMALL} bytes"
    right = seen.error is None or isinstance(seen.error, StreamLimitError | type(reference.error))
    demand(right, f"{what}: expected a StreamLimitError, got {seen.summarize()}")
    if lab.subject.traits.delimited:
        apart = difference(reference.events[: len(seen.events)], seen.events)
        demand(not apart, f"{what}: {apart}")
