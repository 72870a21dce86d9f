"""What is required of plain runs: one whole answer, or an error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import RunAgentError, StreamLimitError, StreamTruncatedError
from runagent._events import RunResult
from runagent_testing._script.steps import status
from runagent_testing.conformance._checks.common import STATUSES, demand
from runagent_testing.conformance._harness.feeding import Seen, byte_by_byte, in_two, rechunked, whole
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.tape import Tape

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.stage import Stage

ANSWER = 'Önce "upon" \u2028 a time 🦊'


def _result(seen: Seen) -> Any:
    seen.check_sound()
    results = [event.result for event in seen.events if isinstance(event, RunResult)]
    return results[0] if len(results) == 1 else None


@required(
    "session.plain-split",
    "The answer to a plain run gives the same result, wherever its bytes are cut.",
    'docs/transport-api.md, "Session contract"',
    capability="invoke",
)
def check_plain_splits(lab: Lab) -> None:
    """The answer of a plain run comes in reads, too.

    To mend it: gather the body until `end_body`, and decode it there.
    """
    tape = Tape()
    length = lab.feed(ANSWER, mode="invoke", tape=tape).received
    cuts = [whole, byte_by_byte, rechunked(1), *map(in_two, range(1, length, 7))]
    for cut in cuts:
        seen = lab.feed(ANSWER, mode="invoke", cut=cut, tape=tape)
        demand(
            _result(seen) == ANSWER,
            f"expected the result {ANSWER!r}, got {seen.events!r}, {seen.summarize()}",
        )


@required(
    "session.plain-truncated",
    "The answer to a plain run that breaks off, at any byte, is an error, and gives no result.",
    'docs/errors.md, "Who has to act"; RFC 9112 section 8',
    capability="invoke",
)
def check_plain_truncation(lab: Lab) -> None:
    """Half an answer must never look like a result.

    To mend it: decode the result in `end_body`, which is called only for a whole body; check that the
    JSON is complete.
    """
    tape = Tape()
    length = lab.feed(ANSWER, mode="invoke", tape=tape).received
    for until in range(length):
        seen = lab.feed(ANSWER, mode="invoke", until=until, tape=tape)
        demand(_result(seen) is None, f"cut after byte {until} of {length}: the result {_result(seen)!r}")
        right = isinstance(seen.error, RunAgentError)
        demand(right, f"cut after byte {until} of {length}: no error was set")
        behind_head = seen.session.answered and isinstance(seen.error, StreamTruncatedError)
        demand(
            behind_head or not seen.session.answered,
            f"cut after byte {until} of {length}: {seen.summarize()}",
        )


@required(
    "session.result-limit",
    "The answer to a plain run is a StreamLimitError if it is larger than max_result_bytes.",
    'docs/transports.md, "Limits"',
    capability="invoke",
)
def check_result_limit(lab: Lab) -> None:
    """An endless answer would fill the memory of the client.

    To mend it: check the gathered size against `self.call.limits.max_result_bytes` with each read.
    """
    limits = {"max_result_bytes": 4096}
    for cut in (whole, rechunked(5)):
        seen = lab.feed("x" * 2048, mode="invoke", options=limits, cut=cut)
        demand(_result(seen) == "x" * 2048, f"a result within the limit: {seen.summarize()}")
        seen = lab.feed("x" * 4097, mode="invoke", options=limits, cut=cut).check_sound()
        right = isinstance(seen.error, StreamLimitError) and seen.error.limit_name == "max_result_bytes"
        demand(
            right,
            f"a result larger than the limit: expected a StreamLimitError, got {seen.summarize()[:300]}",
        )


@required(
    "run.plain-refused",
    "A refusal of a plain run is the error of its status, with the service's message.",
    'docs/errors.md, "Who has to act"',
    capability="invoke",
)
async def check_plain_refusals(stage: Stage) -> None:
    """Callers handle a refusal of a plain run as they do that of a stream.

    To mend it: leave refusals to the base class, or build on `super().make_refusal(...)`.
    """
    async with stage.client() as client:
        for code, kind in STATUSES.items():
            stage.agent.returns(status(code, message="not today"))
            try:
                got: Any = await client.run_generic("x")
            except RunAgentError as exc:
                got = exc
            right = type(got) is kind and "not today" in str(got)
            demand(
                right, f"HTTP status {code}: expected {kind.__name__} with the service's message, got {got!r}"
            )
