"""The handle of a stream: the text with which another client reads on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._handle import MAX_IDS_BYTES, Handle, write_handle
from runagent._run.recovery import PROVEN_BY
from runagent.capabilities import Capability

if TYPE_CHECKING:
    from runagent._call import ResumePoint
    from runagent._run.handed import Handed
    from runagent._run.state import RunState

__all__ = ["write_run_handle"]

_REFUSED = f"ids of a handle: over {MAX_IDS_BYTES} bytes, not fit for a URL, or with a key"


def _place(run: RunState, handed: Handed) -> ResumePoint | None:
    """Return where the reader goes on: behind a numbered chunk, or at the session's point if that gave all.

    A point without a proof means that the place is not known.
    """
    place = handed.place
    if place is not None and place.next_index is not None:
        return place
    return run.resume_point or place if handed.everything else place


def write_run_handle(run: RunState, handed: Handed) -> str | None:
    """Write the handle of a run; None if there is nothing to attach to, or no place in it is known."""
    ids = run.ids
    if not ids or handed.is_complete:
        return None
    transport = run.transport
    if Capability.ATTACH not in transport.capabilities:
        return None
    place = None
    if not transport.capabilities.isdisjoint(PROVEN_BY.values()):
        place = _place(run, handed)
        if place is not None and PROVEN_BY.get(place.proof or "") not in transport.capabilities:
            return None
    call = run.call
    text = write_handle(
        Handle(
            transport=transport.name,
            origin=str(call.base.origin),
            agent_id=call.agent_id,
            ids=dict(ids),
            place=place,
        )
    )
    holds_secret = any(secret and secret in value for secret in run.secrets for value in ids.values())
    if text is None or holds_secret:
        run.report.ignored.setdefault(_REFUSED, 1)
        return None
    return text
