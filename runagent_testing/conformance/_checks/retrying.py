"""What is required if a run is tried again: it is not begun twice, and its transport knows what may help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._report import known_retryable
from runagent_testing._script.steps import ending, head, status
from runagent_testing.conformance._checks.common import demand
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import API_KEY
from runagent_testing.conformance._harness.violation import NOT_UNDERSTOOD

if TYPE_CHECKING:
    from runagent_testing.conformance._harness.lab import Lab
    from runagent_testing.conformance._harness.stage import Stage

_SOURCE = 'docs/transport-api.md, "What a transport knows about a failure"'
_FINAL = (400, 401, 403, 404, 422)  # the same request is refused again


@required(
    "run.begun-once",
    "A run that the service has accepted is not begun again, even if it breaks off before its first chunk.",
    'docs/errors.md, "What is tried again"',
)
async def check_begun_once(stage: Stage) -> None:
    """A service that has accepted a run is at work on it, although nothing of it has come yet.

    To mend it: mark an error `retryable=True` only if the agent has certainly not begun; mark a step that
    begins the run with `begins_run=True`; switch off the retries of a library.
    """
    for kind in ("cut", "reset", "fin-in-chunk"):
        stage.agent.reply(head(), ending(kind)).always("again")
        before = len(stage.host.requests)
        shown = await stage.run(max_retries=3, resume=False)
        requests = stage.host.requests[before:]
        what = f"accepted, then ending {kind!r}: {shown.summarize()}"
        demand(bool(requests), NOT_UNDERSTOOD)
        reads_on = requests[0].is_continued
        demand(len(requests) == 1 or reads_on, f"{what}, after {len(requests)} requests for a run")
        demand(shown.error is not None or reads_on, what)


@required(
    "run.begun-unasked",
    "A run that a gateway may have passed on to the service (502, 504) is not begun again unasked.",
    'docs/errors.md, "What is tried again"',
)
async def check_begun_unasked(stage: Stage) -> None:
    """Behind a gateway's error the run may be going on, and a second one would be paid as well.

    To mend it: leave such an error unmarked; mark a step that begins the run with `begins_run=True`.
    """
    for code in (502, 504):
        before = len(stage.host.requests)
        stage.agent.reply(status(code)).always("again")
        shown = await stage.run(max_retries=3)
        count = len(stage.host.requests) - before
        demand(count == 1, f"HTTP status {code}: {count} requests for a run: {shown.summarize()}")


@required(
    "session.retryable",
    "An error by which the same request is refused again is not marked as retryable.",
    _SOURCE,
)
def check_retryable(lab: Lab) -> None:
    """With `retryable=True` the client repeats a run at once, whatever the status: here in vain.

    To mend it: set `retryable=True` only for answers that are about the service, such as an overload.
    """
    for code in _FINAL:
        error = lab.feed(status(code, message="not today")).check_sound().error
        marked = error is not None and known_retryable(error) is True
        demand(not marked, f"HTTP status {code}: {error!r} is marked retryable")


@required(
    "run.key-asked-again",
    "If the service refuses the key of a function, the client asks for another one, once, and only then.",
    _SOURCE,
    guarded=True,
)
async def check_key_asked_again(stage: Stage) -> None:
    """A key may have expired since the function gave it; another key does not mend another refusal.

    To mend it: raise an `AuthenticationError` if, and only if, the key was refused; else use `key_refused`.
    """
    asked: list[str] = []

    def key() -> str:
        asked.append(API_KEY if asked else "kit-key-that-has-expired")
        return asked[-1]

    stage.agent.always("a")
    async with stage.client(api_key=key, max_retries=3) as client:
        shown = await stage.show(client.run_generic_stream("x"))
        demand(shown.completed and len(asked) == 2, f"asked {len(asked)} times: {shown.summarize()}")
        for code in (400, 422):
            stage.agent.reply(status(code, message="not today"))
            before = len(asked)
            shown = await stage.show(client.run_generic_stream("x"))
            times = len(asked) - before
            demand(times == 1, f"HTTP status {code}: asked for a key {times} times: {shown.summarize()}")
