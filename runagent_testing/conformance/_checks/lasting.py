"""What is required if a run outlives its stream: it is resumed by id, attached to, and cancelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import RunAgentError
from runagent_testing._script.steps import ending, gate
from runagent_testing.conformance._checks.common import demand, expect_contents, first_chunk
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.violation import NOT_UNDERSTOOD, Violation

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.stage import Stage

TEXTS = tuple(f"{place} " for place in range(6))
_READ = 3  # chunks before a stream is left or breaks off
_BY_PLACE = {"resume", "resume_by_id", "resume_by_snapshot"}


@required(
    "run.attach",
    "An attached run delivers the chunks that the first reader was not handed, and starts no run.",
    'docs/transport-api.md, "Capabilities"',
    capability="attach",
)
async def check_attach(stage: Stage) -> None:
    """A handle may be read long after, by another process: the run must go on, not begin again.

    To mend it: ask for the run of `call.attach_to`, from `resume` on, in every request of such a call.
    """
    middle = gate("middle")
    stage.agent.reply(*TEXTS[:_READ], middle, *TEXTS[_READ:])
    async with stage.client(resume=True) as client:
        stream = client.run_generic_stream("x")
        for text in TEXTS[:_READ]:
            expect_contents(stage.subject, [await first_chunk(stream)], [text], "the first reader")
        handle = stream.handle
        await stream.aclose()
        middle.open()
        demand(handle is not None, "stream.handle is None after three chunks: set handle_ids in the session")
        shown = await stage.show(client.attach(handle))
    started = [exchange.unmatched for exchange in stage.host.unmatched]
    demand(not started, f"attaching has started another run, or asked for an unknown one: {started[:1]}")
    demand(shown.error is None and shown.completed, f"the attached run: {shown.summarize()}")
    knows_the_place = bool(_BY_PLACE & stage.subject.capabilities)
    rest: Any = TEXTS[_READ:] if knows_the_place else TEXTS[len(TEXTS) - len(shown.contents) :]
    expect_contents(stage.subject, shown.contents, rest, "the attached run")


@required(
    "run.cancel",
    "The service stops a cancelled run: stream.cancel() returns True once it has confirmed that.",
    'docs/transport-api.md, "Capabilities"',
    capability="cancel",
)
async def check_cancel(stage: Stage) -> None:
    """A run that nobody wants goes on costing money until its service has been asked to stop it.

    To mend it: let `open_cancel` (or `cancel`) name the run of `call.attach_to`, and take only the service's
    own confirmation for one.
    """
    stage.agent.always("a", gate("never opened"), "b")
    async with stage.client() as client:
        stream = client.run_generic_stream("x")
        await first_chunk(stream)
        try:
            confirmed = await stream.cancel()
        except RunAgentError as exc:
            raise Violation(f"stream.cancel() raised {exc!r}") from exc
        finally:
            await stream.aclose()
    if not stage.host.requests:
        raise Violation(NOT_UNDERSTOOD)
    outcome = stage.host.requests[0].outcome
    demand(confirmed is True, f"stream.cancel() returned {confirmed!r}, although the run was going on")
    demand(outcome == "cancelled", f"stream.cancel() returned True, but the run was not stopped: {outcome}")


@required(
    "run.resume-by-id",
    "A stream resumes after its last event id, and an answer that begins again is an error.",
    'docs/errors.md, "What is resumed"',
    capability="resume_by_id",
)
async def check_resume_by_id(stage: Stage) -> None:
    """The ids are the only proof that a resumed answer goes on: the first one has to be a later one.

    To mend it: compare the id of each event with the last one, and fail if it is not later.
    """
    await _expect_proof(stage)


@required(
    "run.resume-by-snapshot",
    "A stream resumes behind what a snapshot repeats, and a snapshot of another answer is an error.",
    'docs/errors.md, "What is resumed"',
    capability="resume_by_snapshot",
)
async def check_resume_by_snapshot(stage: Stage) -> None:
    """A snapshot repeats what the reader has: only the rest is new, and only if all of it is the same.

    To mend it: pass the snapshot to `SnapshotParts.take_snapshot`, return only what that returns as new, and
    fail with its fault.
    """
    await _expect_proof(stage)
    for other in ([f"not {text}" for text in TEXTS], TEXTS[:1]):  # another answer, and one with less
        stage.agent.reply(*TEXTS[:_READ], ending("cut")).always(*other)
        await _expect_no_splice(stage)


async def _expect_proof(stage: Stage) -> None:
    """Break a stream off, and go on: with its rest, and then with another answer."""
    stage.agent.reply(*TEXTS[:_READ], ending("cut")).always(*TEXTS)
    shown = await stage.run(max_retries=3, resume=True)
    demand(shown.error is None and shown.completed, f"broken after {_READ} chunks: {shown.summarize()}")
    expect_contents(stage.subject, shown.contents, TEXTS, f"broken after {_READ} chunks")
    demand(len(shown.report.attempts) == 2, f"it took {len(shown.report.attempts)} attempts")
    stage.agent.reply(*TEXTS[:_READ], ending("cut")).always("another ", "answer", resume="refuse")
    await _expect_no_splice(stage)


async def _expect_no_splice(stage: Stage) -> None:
    shown = await stage.run(max_retries=1, resume=True)
    demand(shown.error is not None, f"two answers were spliced: {shown.summarize()}")
    expect_contents(stage.subject, shown.contents, TEXTS[:_READ], "before the cut")


@required(
    "session.ids-in-order",
    "An event that comes twice, or again after a later one, is not delivered twice.",
    'docs/errors.md, "What is resumed"',
    capability="resume_by_id",
)
def check_order_of_ids(lab: Lab) -> None:
    """A proxy or a service that resumes on its side may repeat events: their ids show it.

    To mend it: pass each id to `IdOrder.take`, and fail with the fault that it returns. If several events of
    the protocol may have the same id, set `Format.shares_ids` in the dialect: one that comes twice in a row
    is then not looked at.
    """
    places, _ = lab.offsets(*TEXTS)
    for first, last in ((1, 1), (0, 1))[lab.subject.traits.shares_ids :]:
        begin, end = places[first][0], places[last][1]
        repeat = _Repeater(begin, end)
        seen = lab.feed(*TEXTS, script={"writes": "per-step"}, tamper=repeat).check_sound()
        given = seen.contents if lab.subject.traits.delimited else list("".join(map(str, seen.contents)))
        expected = TEXTS if lab.subject.traits.delimited else list("".join(TEXTS))
        what = f"chunks {first} to {last} came twice"
        demand(given == list(expected[: len(given)]), f"{what}: {seen.summarize()}")
        demand(seen.error is not None or seen.completed, f"{what}: {seen.summarize()}")


class _Repeater:
    """Sends what the agent has sent from one offset to another once more."""

    def __init__(self, begin: int, end: int) -> None:
        self._begin = begin
        self._end = end
        self._sent = b""

    def __call__(self, data: bytes) -> bytes:
        before, self._sent = len(self._sent), self._sent + data
        if not before < self._end <= len(self._sent):
            return data
        here = self._end - before
        return data[:here] + self._sent[self._begin : self._end] + data[here:]
