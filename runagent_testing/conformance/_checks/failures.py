"""What is required of whole runs that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import (
    AgentError,
    NetworkError,
    RunTimeoutError,
    StreamError,
    StreamTimeoutError,
    StreamTruncatedError,
    Timeouts,
)
from runagent_testing._script.steps import delay, ending, error, head, heartbeat, raw, status
from runagent_testing.conformance._checks.common import STATUSES, demand, expect_contents, only_where
from runagent_testing.conformance._harness.differences import text_difference
from runagent_testing.conformance._harness.requirements import required

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.stage import Shown, Stage

CHUNKS = ("first ", "sécond ", "third")
_OTHER_PROOFS = ("resume_by_id", "resume_by_snapshot")


@required(
    "run.refused",
    "A refusal is the error of its status, with the service's message and Retry-After, before any event.",
    'docs/errors.md, "Who has to act"',
)
async def check_refusals(stage: Stage) -> None:
    """Callers handle a 404 or a 429 by its class, and wait as long as Retry-After asks.

    To mend it: leave refusals to the base class; a library's exceptions are mapped with status, message
    and Retry-After.
    """
    async with stage.client() as client:
        for code, kind in STATUSES.items():
            after = 7 if code in (429, 503) else None
            stage.agent.reply(status(code, message="not today", retry_after=after))
            shown = await stage.show(client.run_generic_stream("x"))
            demand(
                type(shown.error) is kind,
                f"HTTP status {code}: expected {kind.__name__}, got {shown.summarize()}",
            )
            demand(
                "not today" in str(shown.error),
                f"HTTP status {code}: the service's message is lost: {shown.summarize()}",
            )
            demand(not shown.events, f"HTTP status {code}: {shown.events!r} came before the error")
            got = getattr(shown.error, "retry_after", None)
            demand(got == after, f"HTTP status {code}: retry_after is {got!r} instead of {after!r}")


@required(
    "run.steps-kept",
    "A retry does not repeat a POST request before the run that an earlier attempt has had answered.",
    'docs/transport-api.md, "Several requests in one run"',
)
async def check_kept_steps(stage: Stage) -> None:
    """A retry that makes another thread leaves the first one behind, and its conversation is in two places.

    To mend it: keep what the step has made with `self.call.found.keep(...)`, and leave the step out if
    `found.get(...)` has it.
    """
    stage.agent.always("a")
    once = await _posts_around_a_run(stage)
    only_where(once > 0, "the transport sends no POST request besides the one that starts the run")
    stage.agent.fails(1)
    again = await _posts_around_a_run(stage)
    demand(again <= once, f"a run that was refused once sent {again} such requests instead of {once}")


async def _posts_around_a_run(stage: Stage) -> int:
    before = len(stage.host.other_requests)
    shown = await stage.run(max_retries=1)
    demand(shown.completed, f"with one retry: {shown.summarize()}")
    return sum(exchange.method == "POST" for exchange in stage.host.other_requests[before:])


@required(
    "run.failed-inside",
    "An agent's error within a stream is a StreamError with the agent's message, and with a code if the"
    " protocol has one, after the chunks before it.",
    'docs/errors.md, "Who has to act"',
)
async def check_error_inside(stage: Stage) -> None:
    """The agent's own words explain the failure, and what it wrote before may be of use.

    To mend it: fail with `StreamError(message, code=...)` for the error event of the protocol.
    """
    only_where(stage.subject.traits.supports_errors, "the dialect cannot express a failed run")
    for count in (0, 2):
        stage.agent.always(*CHUNKS[:count], error("CAPACITY_ERROR", "no room left"))
        shown = await stage.run()
        expect_contents(stage.subject, shown.contents, CHUNKS[:count], "before the error")
        right = isinstance(shown.error, StreamError | AgentError) and "no room left" in str(shown.error)
        right &= not isinstance(shown.error, StreamTruncatedError | RunTimeoutError)
        demand(right, f"expected the agent's error, got {shown.summarize()}")
        has_code = getattr(shown.error, "code", None) is not None
        lost = "the error's code CAPACITY_ERROR is lost: its attribute code is None"
        demand(has_code or not stage.subject.traits.error_codes, lost)


@required(
    "run.truncated",
    "A stream that breaks off, in whatever way, is a StreamTruncatedError after all chunks that arrived.",
    'docs/errors.md, "Who has to act"',
)
async def check_truncation(stage: Stage) -> None:
    """A stream that breaks off must never look like a good end: half an answer would pass for a whole one.

    To mend it: raise StreamTruncatedError unless the protocol's end marker came.
    """
    endings = ["cut", "fin-in-chunk", "half-close", "reset"]
    if stage.subject.traits.proves_end:
        endings += ["no-done", "close-delimited-cut"]
    for kind in endings:
        for count in (1, 3):
            stage.agent.always(*CHUNKS[:count], ending(kind))  # type: ignore[arg-type]
            _expect_truncated(stage, await stage.run(), kind, CHUNKS[:count])
    if stage.subject.traits.delimited:
        half = raw(stage.subject.half_an_event())
        for kind in ("cut", "half-close", "reset"):
            stage.agent.always(*CHUNKS[:2], half, ending(kind))  # type: ignore[arg-type]
            _expect_truncated(stage, await stage.run(), f"{kind} inside a chunk", CHUNKS[:2])


def _expect_truncated(stage: Stage, shown: Shown, kind: str, said: tuple[str, ...]) -> None:
    what = f"ending {kind!r} after {len(said)} chunk{'s' if len(said) != 1 else ''}"
    demand(isinstance(shown.error, StreamTruncatedError), f"{what}: {shown.summarize()}")
    if kind.startswith("reset") and not stage.virtual:
        # A kernel that receives a RST may discard bytes that were not read.
        known = "".join(said).startswith("".join(map(str, shown.contents)))
        demand(known, f"{what}: the agent never sent {shown.contents!r}")
    else:
        expect_contents(stage.subject, shown.contents, said, what)
    demand(not shown.completed, f"{what}: Completed was delivered")


@required(
    "run.no-answer",
    "A connection that closes before any answer is a NetworkError.",
    'docs/errors.md, "Who has to act"',
)
async def check_no_answer(stage: Stage) -> None:
    """Without a byte of an answer the agent may not have seen the request: the client may try again.

    To mend it: map the library's connection errors to NetworkError, or let an OSError through.
    """
    stage.agent.always("a")
    for fault in ("close", "reset"):
        stage.host.on_connect(fault)
        shown = await stage.run()
        demand(
            isinstance(shown.error, NetworkError),
            f"on_connect({fault!r}): expected a NetworkError, got {shown.summarize()}",
        )


def _expect_timeout(stage: Stage, shown: Shown, phase: str, count: int, kind: type) -> None:
    right = isinstance(shown.error, kind) and getattr(shown.error, "phase", None) == phase
    demand(right, f"expected {kind.__name__} of phase {phase!r}, got {shown.summarize()}")
    expect_contents(stage.subject, shown.contents, CHUNKS[:count], f"before the limit of {phase}")


@required(
    "run.limits-of-time",
    "Each time limit (first_event, idle, progress, total) ends a run as soon as the run exceeds it.",
    'docs/timeouts.md, "The limits: connect, first_event, idle, progress, total"',
    players=("memory",),
)
async def check_timeouts(stage: Stage) -> None:
    """A limit is a promise to the caller about when a run ends.

    To mend it: return no event for what is not progress, and emit nothing that the agent did not send.
    """
    patient: dict[str, Any] = {"connect": 1000, "first_event": 1000, "idle": 1000}
    cases: list[tuple[str, tuple[Any, ...], int, type]] = [
        ("first_event", (delay(500), head(), "late"), 0, RunTimeoutError),
        ("idle", (*CHUNKS[:2], delay(500), "late"), 2, StreamTimeoutError),
        ("total", (CHUNKS[0], delay(6), CHUNKS[1], delay(6), "late"), 2, StreamTimeoutError),
    ]
    if "heartbeats" in stage.subject.capabilities:
        beats = [step for _ in range(20) for step in (delay(3), heartbeat())]
        cases.append(("progress", (CHUNKS[0], *beats, "late"), 1, StreamTimeoutError))
    for phase, steps, count, kind in cases:
        stage.agent.always(*steps)
        async with stage.client(timeout=Timeouts(**(patient | {phase: 10.0}))) as client:
            stream = client.run_generic_stream("x")
            shown = await stage.show(stream)
        _expect_timeout(stage, shown, phase, count, kind)
        seconds = stream.report.total_seconds
        demand(
            abs(seconds - (16 if phase == "idle" else 10)) < 7,
            f"the limit of {phase}, 10 s, took {seconds} s",
        )


@required(
    "run.silence",
    "A silent agent ends in a timeout error on real sockets, too.",
    'docs/timeouts.md, "The limits: connect, first_event, idle, progress, total"',
    players=("socket",),
)
async def check_silence(stage: Stage) -> None:
    """A silent agent must not be kept alive by its own client.

    To mend it: emit heartbeats only for bytes of the agent.
    """
    # A transport that beats has to do so within the idle limit, on a busy machine too, or it goes unnoticed.
    stage.agent.always(*CHUNKS[:1], ending("stall"))
    shown = await stage.run(timeout=Timeouts(connect=5, first_event=5, idle=0.3, total=3))
    _expect_timeout(stage, shown, "idle", 1, StreamTimeoutError)


@required(
    "run.not-begun-again",
    "A run that breaks after its first chunk is not started again if it cannot be resumed.",
    'docs/errors.md, "What is tried again"',
    capability="resume",
    alternatives=_OTHER_PROOFS,
    undeclared=True,
)
async def check_no_second_run(stage: Stage) -> None:
    """A run costs money and may act: it is never started a second time unasked.

    To mend it: switch off the retries of a library (`max_retries=0`).
    """
    stage.agent.reply(*CHUNKS[:2], ending("cut")).always(*CHUNKS)
    shown = await stage.run(max_retries=3, resume=True)
    demand(
        isinstance(shown.error, StreamTruncatedError),
        f"expected a StreamTruncatedError, got {shown.summarize()}",
    )
    expect_contents(stage.subject, shown.contents, CHUNKS[:2], "before the cut")
    demand(len(stage.host.requests) == 1, f"the agent got {len(stage.host.requests)} requests")


@required(
    "run.resume",
    "A broken stream resumes after its last chunk: every chunk is delivered once, in order.",
    'docs/errors.md, "What is resumed"',
    capability="resume",
    alternatives=_OTHER_PROOFS,
)
async def check_resume(stage: Stage) -> None:
    """A stream that broke off goes on behind the last chunk that the reader has.

    To mend it: set `self.resume_point` with each chunk, and ask for what follows if `open` gets a resume
    point. While half a character is kept (`SurrogateJoiner.half`) there is none.

    Example:
        if (fault := self.count.take(index)) is None:  # a ChunkCount
            self.resume_point = self.count.resume_point()
    """
    texts = [f"{place} " for place in range(6)]
    for count in (1, 3, 6):
        stage.agent.reply(*texts[:count], ending("cut")).always(*texts)
        shown = await stage.run(max_retries=3, resume=True)
        what = f"broken after {count} chunk{'s' if count != 1 else ''}"
        demand(shown.error is None and shown.completed, f"{what}: {shown.summarize()}")
        expect_contents(stage.subject, shown.contents, texts, what)
        attempts = len(shown.report.attempts)
        demand(attempts == 2, f"{what}: it took {attempts} attempts")
    stage.agent.reply("a ", "\ud83e", ending("cut")).always("a ", "\ud83e", "\udd8a b")
    shown = await stage.run(max_retries=3, resume=True)
    text = "".join(map(str, shown.contents))
    whole = "a 🦊 b"
    demand(text == whole or not shown.completed, f"broken inside a character: {text_difference(whole, text)}")


@required(
    "run.no-splice",
    "Two answers are never spliced: it is an error if the agent starts again instead of resuming.",
    'docs/errors.md, "What is resumed"',
    capability="resume",
)
async def check_no_splice(stage: Stage) -> None:
    """Half of one answer and half of another make a text that no agent wrote.

    To mend it: check with `ChunkCount` that the first chunk of a resumed answer is the expected one.
    """
    other = ("another ", "answer ", "altogether ", "it ", "is")
    for indexed in (True, False):
        stage.agent.reply(*CHUNKS[:2], ending("cut"))
        stage.agent.always(*other, resume="refuse", indexed=indexed)
        shown = await stage.run(max_retries=1, resume=True)
        demand(shown.error is not None, f"two answers were spliced: {shown.contents!r}")
        expect_contents(stage.subject, shown.contents, CHUNKS[:2], "before the cut")


@required(
    "run.gaps",
    "If the agent numbers its chunks, a missing or repeated chunk is an error.",
    'docs/errors.md, "What is resumed"',
    capability="resume",
    players=("memory",),
)
async def check_gaps(stage: Stage) -> None:
    """A missing number is a lost piece, a repeated one a doubled piece.

    To mend it: pass each chunk's index to `ChunkCount.take`, and fail with the fault that it returns.
    """
    from runagent_testing._script.steps import chunk

    for numbers in ((0, 2), (0, 0), (1, 0)):
        first, second = numbers
        stage.agent.always(chunk("a", index=first), chunk("b", index=second))
        shown = await stage.run()
        demand(shown.error is not None, f"chunks numbered {numbers}: {shown.summarize()}")
        expect_contents(stage.subject, shown.contents, ["a"], f"chunks numbered {numbers}")
