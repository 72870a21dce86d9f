"""Plans that serve many runs: what does not depend on the request is rendered once for each script.

Rendering costs some 20 microseconds an event, playing almost nothing. No I/O.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runagent_testing.plan import Plan, Write
from runagent_testing.render import stream_plan

if TYPE_CHECKING:
    from runagent_testing.formats import Run
    from runagent_testing.script import Script

__all__ = ["Template", "shared_plan"]

_LIMIT = 8  # templates of one script
_HEADERS = ("last-event-id", "origin")  # all of a request that a stream depends on
_INPUT = ("parameters", "session_id")  # likewise


@dataclass(frozen=True, slots=True)
class Template:
    """A plan for every run that asks in the same way, but for the run's own id.

    Attributes:
        plan: With ``run_id`` in place of the id.
        places: The moves that hold it.
    """

    plan: Plan
    run_id: str
    places: tuple[int, ...]

    @classmethod
    def of(cls, plan: Plan, run_id: str) -> Template | None:
        """Make one; None if the id falls on two writes."""
        name = run_id.encode()
        counts = [move.data.count(name) if isinstance(move, Write) else 0 for move in plan.moves]
        if sum(counts) != plan.data.count(name):
            return None
        return cls(plan, run_id, tuple(number for number, count in enumerate(counts) if count))

    def plan_for(self, run: Run) -> Plan:
        """Put the run's id, which is as long, in its places."""
        if not self.places:
            return self.plan
        moves = list(self.plan.moves)
        for place in self.places:
            move = moves[place]
            assert isinstance(move, Write)
            moves[place] = replace(move, data=move.data.replace(self.run_id.encode(), run.run_id.encode()))
        return Plan(tuple(moves), self.plan.end)


def shared_plan(script: Script, run: Run) -> Plan:
    """Render a stream as `stream_plan` does, or use again what was rendered for an equal request."""
    if run.dialect is not None:  # it may say anything of a request
        return stream_plan(script, run)
    # The template is rendered for a run that knows nothing but what is in the key.
    headers = {name: run.headers[name] for name in _HEADERS if name in run.headers}
    if "origin" in headers:
        headers["origin"] = "*"  # which one makes no difference
    given = {name: run.input[name] for name in _INPUT if name in run.input}
    key = (run.transport, run.http_1_1, run.keep_alive, repr(headers), repr(given))
    if key not in script.templates:
        if len(script.templates) >= _LIMIT:
            script.templates.clear()
        run_id = str(uuid.uuid4())
        common = replace(run, run_id=run_id, timestamp="", headers=headers, input=given)
        script.templates[key] = Template.of(stream_plan(script, common), run_id)
    template = script.templates[key]
    return stream_plan(script, run) if template is None else template.plan_for(run)
