"""What is required of a session's events, however the bytes of the answer are cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._events import Chunk, Started
from runagent_testing.conformance._checks.common import TEXTS, answer_steps, demand, expect_contents
from runagent_testing.conformance._harness.differences import difference, text_difference
from runagent_testing.conformance._harness.feeding import Feeding, byte_by_byte, in_two, rechunked, whole
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import AGENT
from runagent_testing.conformance._harness.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing.conformance._harness.feeding import Cut
    from runagent_testing.conformance._harness.lab import Lab


@required(
    "session.events",
    "Started comes at most once and before any chunk, text arrives as str, and Completed comes last.",
    'docs/streaming.md, "Events"',
)
def check_events(lab: Lab) -> None:
    """Readers rely on this order: `stream.started` first, text as text, the end last.

    To mend it: return `Started` once at most, decode bytes to `str`, and return `Completed` as the last
    event.
    """
    seen = lab.feed(*answer_steps(lab.subject)).check_sound()
    expect_contents(lab.subject, seen.contents, TEXTS, "the chunks")
    demand(seen.error is None, f"a complete answer gave {seen.summarize()}")
    starts = [place for place, event in enumerate(seen.events) if isinstance(event, Started)]
    demand(starts in ([], [0]), f"Started is event number {[place + 1 for place in starts]}")
    demand(seen.completed, f"a complete answer gave no Completed: {seen.summarize()}")
    kinds = {type(event.content).__name__ for event in seen.events if isinstance(event, Chunk)}
    demand(kinds == {"str"}, f"text arrived as {kinds}")


@required(
    "session.done",
    "Once a session has returned Completed, it wants DONE: the client reads no further.",
    'docs/transport-api.md, "Session contract"',
)
def check_done(lab: Lab) -> None:
    """The client stops reading, and can use the connection for another run, once a session wants DONE.

    To mend it: call `self.finish()` where you return `Completed`.
    """
    seen = lab.feed("x", "y").check_sound()
    demand(seen.completed and seen.error is None, f"a complete answer gave {seen.summarize()}")
    demand(not seen.ended, "the session went on reading after Completed, until the connection closed")
    wants = seen.session.wants.value
    demand(
        wants == "done", f"after Completed the session wants {wants!r}, so the connection is never released"
    )


def _cuts(length: int) -> Iterator[tuple[str, Cut]]:
    yield "byte by byte", byte_by_byte
    for place in range(1, length):
        yield f"cut at byte {place}", in_two(place)
    for seed in range(10):
        yield f"cut at random, seed {seed}", rechunked(seed)


@required(
    "session.any-split",
    "The same bytes give the same events, wherever they are cut: after every byte, once anywhere, at random.",
    'docs/transport-api.md, "Session contract"',
)
def check_splits(lab: Lab) -> None:
    """TCP keeps no boundaries: a read may end inside a line, a character or a number.

    To mend it: feed all bytes to a decoder that keeps the incomplete rest (`SSEDecoder`,
    `NDJSONDecoder`), one per session.
    """
    delimited = lab.subject.traits.delimited
    steps = answer_steps(lab.subject)
    tape = Tape()
    reference = lab.feed(*steps, tape=tape).check_sound()
    expect_contents(lab.subject, reference.contents, TEXTS, "uncut")
    expected = reference.outcome(delimited=delimited)
    for name, cut in _cuts(reference.received):
        seen = lab.feed(*steps, cut=cut, tape=tape).check_sound()
        outcome = seen.outcome(delimited=delimited)
        demand(outcome == expected, f"{name}: {difference(expected, outcome)}")


@required(
    "session.prompt",
    "An event is returned as soon as its last byte has arrived, not together with the next event.",
    'docs/transport-api.md, "Session contract"',
)
def check_promptness(lab: Lab) -> None:
    """A reader waits for each word; an event that is held back arrives when the agent goes on, perhaps late.

    To mend it: return an event with the read that holds its last byte; wait for no event behind it.
    """
    steps = TEXTS[:3]
    tape = Tape()
    places, _ = lab.offsets(*steps, tape=tape)
    for number, (_, end) in enumerate(places, 1):
        # Only the events up to here count: the session never sees the end of the connection.
        given: list[Any] = []
        for piece in _fed_until(lab, steps, end, tape):
            given = piece
        expect_contents(lab.subject, given, steps[:number], f"after the last byte of chunk {number}")


def _fed_until(lab: Lab, steps: tuple[str, ...], end: int, tape: Tape) -> Iterator[list[Any]]:
    memory = lab.subject.memory()
    tape.play_on(memory)
    memory.agent(AGENT).always(*steps, writes="per-step")
    feeding = Feeding(memory, lab.open(memory), in_two(end))
    for _ in feeding.steps():
        feeding.seen.check_sound()
        if feeding.seen.received > end:
            return
        yield feeding.seen.contents


@required(
    "session.whole-characters",
    "Text contains whole characters only, even if the agent splits one between two chunks.",
    'docs/transport-api.md, "Wire-format helpers"',
)
def check_characters(lab: Lab) -> None:
    """Models cut an emoji into two JSON escapes; half of one cannot be printed or encoded.

    To mend it: pass chunk texts through a `SurrogateJoiner`, and return its `flush()` before `Completed`.
    """
    halves, expected = ("a \ud83e", "\udd8a b", "\udd8a c", "\ud83e"), "a 🦊 b\ufffd c\ufffd"
    for cut in (whole, byte_by_byte):
        seen = lab.feed(*halves, cut=cut).check_sound()
        demand(seen.completed, f"an emoji in two halves: {seen.summarize()}")
        text = "".join(map(str, seen.contents))
        what = "an emoji in two halves, and single halves"
        demand(text == expected, f"{what}: {text_difference(expected, text)}")


@required(
    "session.independent",
    "Sessions share no state: sessions that are fed in turn, byte by byte, each return their own answer.",
    'docs/transport-api.md, "Transport attributes"',
)
def check_independence(lab: Lab) -> None:
    """Many runs are read in turn; what one session keeps must not reach another.

    To mend it: make decoders and lists in `__init__` or `open_body`, never on the class or the module.
    """
    answers = [[f"{who} {place}" for place in range(4)] for who in ("first", "second", "third")]
    feedings = []
    for answer in answers:
        memory = lab.subject.memory()
        memory.agent(AGENT).always(*answer)
        feedings.append(Feeding(memory, lab.open(memory), byte_by_byte))
    turns = [feeding.steps() for feeding in feedings]
    while turns:
        turns = [turn for turn in turns if next(turn, _OVER) is not _OVER]
    for answer, feeding in zip(answers, feedings, strict=True):
        expect_contents(lab.subject, feeding.seen.check_sound().contents, answer, "one of three sessions")


_OVER = object()


@required(
    "session.any-framing",
    "An answer is read in each of HTTP's framings: chunked, Content-Length, or until the connection closes.",
    "RFC 9112 sections 6 and 7",
)
def check_framings(lab: Lab) -> None:
    """Servers and gateways choose the framing, and may change it between two requests.

    To mend it: read bodies through `read_body`, which gets them without framing; look at no framing
    header yourself.
    """
    traits = lab.subject.traits
    for framing in ("chunked", "extensions", "length", "close"):
        for cut in (whole, rechunked(1)):
            seen = lab.feed(*answer_steps(lab.subject), script={"framing": framing}, cut=cut).check_sound()
            expect_contents(lab.subject, seen.contents, TEXTS, f"framed by {framing}")
            demand(seen.completed, f"framed by {framing}: {seen.summarize()}")
            if not (traits.marked or seen.asked_more):
                proven = next(event for event in seen.events if hasattr(event, "proven")).proven
                demand(
                    proven is (framing != "close"),
                    f"framed by {framing}: Completed.proven is {proven}, without an end marker",
                )
