"""Working capabilities of runs that outlive their stream, or are resumed otherwise, are declared."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from runagent._call import RunIds
from runagent._errors import RunAgentError
from runagent_testing._script.steps import gate
from runagent_testing.conformance._checks.declared import SOURCE, expect_undeclared
from runagent_testing.conformance._checks.lasting import TEXTS
from runagent_testing.conformance._harness.feeding import Feeding
from runagent_testing.conformance._harness.requirements import required
from runagent_testing.conformance._harness.subject import AGENT

if TYPE_CHECKING:
    from runagent._call import ResumePoint
    from runagent.transports._base import Session
    from runagent_testing._memory import MemoryNetwork
    from runagent_testing.conformance._harness.lab import Lab

_READ = 3
_PIECES = 100  # from the peer, pings among them; no protocol needs more for three chunks


class _Interrupted:
    """A run of which a session has read the first chunks.

    Attributes:
        memory: The network.
        session: The session that has read them.
        complete: Whether all of them have come.
    """

    def __init__(self, lab: Lab, *, again: bool = False) -> None:
        self._lab = lab
        self.memory: MemoryNetwork = lab.subject.memory()
        middle = gate("middle")
        agent = self.memory.agent(AGENT).reply(*TEXTS[:_READ], middle, *TEXTS[_READ:])
        if again:
            agent.reply(*TEXTS)
        feeding = Feeding(self.memory, lab.open(self.memory))
        self.session: Session = feeding.seen.session
        self.complete = any(
            "".join(map(str, feeding.seen.contents)) == "".join(TEXTS[:_READ])
            for _ in itertools.islice(feeding.steps(), _PIECES)
        )
        middle.open()

    @property
    def ids(self) -> RunIds | None:
        """The ids by which the service knows the run."""
        given = getattr(self.session, "handle_ids", None)
        return RunIds(given) if given and self.complete else None

    def reads_on(self, ids: RunIds | None, resume: ResumePoint | None) -> bool:
        """Whether another session reads the rest, or with no place all of it, and begins no other run."""
        try:
            session = self._lab.open(self.memory, attach_to=ids, resume=resume)
        except RunAgentError:
            return False
        seen = Feeding(self.memory, session).run()
        rest = TEXTS[_READ:] if resume is not None else TEXTS
        whole = seen.completed and "".join(map(str, seen.contents)) == "".join(rest)
        return whole and seen.error is None and not self.memory.unmatched


def _resumes(lab: Lab, proof: str) -> bool:
    """Whether a session that is given a place with this proof goes on there."""
    attaches = "attach" in lab.subject.capabilities
    run = _Interrupted(lab, again=not attaches)
    point = run.session.resume_point
    if not run.complete or point is None or point.proof != proof:
        return False
    return run.reads_on(run.ids if attaches else None, point)


@required(
    "declared.resume-by-id",
    "If resuming by id works, the transport declares 'resume_by_id'.",
    SOURCE,
    capability="resume_by_id",
    undeclared=True,
)
def check_resume_by_id(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses.

    To mend it: add `Capability.RESUME_BY_ID` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.RESUME_BY_ID})
    """
    expect_undeclared("resume_by_id", _resumes(lab, "id"))


@required(
    "declared.resume-by-snapshot",
    "If resuming by snapshot works, the transport declares 'resume_by_snapshot'.",
    SOURCE,
    capability="resume_by_snapshot",
    undeclared=True,
)
def check_resume_by_snapshot(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses.

    To mend it: add `Capability.RESUME_BY_SNAPSHOT` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.RESUME_BY_SNAPSHOT})
    """
    expect_undeclared("resume_by_snapshot", _resumes(lab, "snapshot"))


@required(
    "declared.attach",
    "If attaching to a run works, the transport declares 'attach'.",
    SOURCE,
    capability="attach",
    undeclared=True,
)
def check_attach(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses: `stream.handle` is None.

    To mend it: add `Capability.ATTACH` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.ATTACH})
    """
    run = _Interrupted(lab)
    by_place = {"resume", "resume_by_id", "resume_by_snapshot"} & lab.subject.capabilities
    point = run.session.resume_point if by_place else None
    expect_undeclared("attach", run.ids is not None and run.reads_on(run.ids, point))


@required(
    "declared.cancel",
    "If cancelling a run works, the transport declares 'cancel'.",
    SOURCE,
    capability="cancel",
    undeclared=True,
)
def check_cancel(lab: Lab) -> None:
    """A capability that is not declared is one that no client uses: `stream.cancel()` stops nothing.

    To mend it: add `Capability.CANCEL` to `capabilities`.

    Example:
        capabilities = frozenset({Capability.CANCEL})
    """
    subject, run = lab.subject, _Interrupted(lab)
    open_cancel = getattr(subject.transport, "open_cancel", None)
    if open_cancel is None or run.ids is None:
        return
    call = subject.call(run.memory.url, attach_to=run.ids)
    Feeding(run.memory, open_cancel(call, subject.route(call))).run()
    expect_undeclared("cancel", run.memory.requests[0].outcome == "cancelled")
