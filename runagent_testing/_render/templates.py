"""Plans that many runs share: a script is rendered once for all requests that get equal answers.

Rendering takes about 20 microseconds per event, playing almost nothing. No I/O.
"""

from __future__ import annotations

import uuid
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from runagent_testing._render.growing import GrowingPlan
from runagent_testing._render.plan import Plan, Write
from runagent_testing._render.render import growing_plan, stream_plan
from runagent_testing._script.writes import splits_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from runagent_testing._render.plan import Move
    from runagent_testing._script.script import Script
    from runagent_testing.dialects import DialectRun

__all__ = ["GrowingTemplate", "Template", "shared_plan", "templates_of"]

_LIMIT = 8  # templates of one script
_LONG = 256  # a script with so many steps is not rendered as a whole before its first byte is sent
_HEADERS = ("last-event-id", "origin")  # all headers of a request on which a stream depends
_INPUT = ("parameters", "session_id")  # likewise


@dataclass(frozen=True, slots=True)
class Template:
    """A plan for all runs whose requests are alike; only the run's id differs.

    Attributes:
        plan: The plan with ``run_id`` in place of the id.
        places: The moves that contain it.
    """

    plan: Plan
    run_id: str
    places: tuple[int, ...]

    @classmethod
    def of(cls, plan: Plan, run_id: str) -> Template | None:
        """Make a template; None if the id is split between two writes."""
        name = run_id.encode()
        counts = [move.data.count(name) if isinstance(move, Write) else 0 for move in plan.moves]
        if sum(counts) != plan.data.count(name):
            return None
        return cls(plan, run_id, tuple(number for number, count in enumerate(counts) if count))

    def plan_for(self, run: DialectRun) -> Plan:
        """Put the run's id, which has the same length, in its places."""
        if not self.places:
            return self.plan
        moves = list(self.plan.moves)
        for place in self.places:
            move = moves[place]
            assert isinstance(move, Write)
            moves[place] = move._replace(data=move.data.replace(self.run_id.encode(), run.run_id.encode()))
        return Plan(tuple(moves), self.plan.end)


@dataclass(frozen=True, slots=True)
class GrowingTemplate:
    """A template of a long script, whose plan is rendered while it is played; no event is cut."""

    plan: GrowingPlan
    run_id: str

    def plan_for(self, run: DialectRun) -> GrowingPlan:
        """Put the run's id in its places as they are rendered."""
        return GrowingPlan(self._renamed(run.run_id.encode()), self.plan.end)

    def _renamed(self, name: bytes) -> Iterator[list[Move]]:
        common, at = self.run_id.encode(), 0
        while (move := self.plan.after(at)) is not None:
            if isinstance(move, Write) and common in move.data:
                move = move._replace(data=move.data.replace(common, name))
            yield [move]
            at += 1


# By the identity of scripts, as equal scripts may have different gates.
_TEMPLATES: dict[int, dict[object, Template | GrowingTemplate | None]] = {}


def templates_of(script: Script) -> dict[object, Template | GrowingTemplate | None]:
    """Return the templates of a script, which are dropped together with it."""
    place = id(script)
    if place not in _TEMPLATES:
        _TEMPLATES[place] = {}
        weakref.finalize(script, _TEMPLATES.pop, place, None).atexit = False
    return _TEMPLATES[place]


def shared_plan(script: Script, run: DialectRun) -> Plan | GrowingPlan:
    """Render a stream as `stream_plan` does, or reuse the plan of an equal request."""
    is_long = len(script.steps) > _LONG and script.framing != "length"
    if not run.dialect.shares_plans or run.answer_headers or (is_long and splits_events(script.writes)):
        plan = growing_plan(script, run) if is_long else stream_plan(script, run)
        plan.after(0)  # a failure before the first move can still become a refusal
        return plan
    # The template is rendered for a run that has only the data in the key.
    headers = {name: run.headers[name] for name in _HEADERS if name in run.headers}
    if "origin" in headers:
        headers["origin"] = "*"  # the answer is the same for every origin
    given = {name: run.input[name] for name in _INPUT if name in run.input}
    key = (run.transport, run.http_1_1, run.keep_alive, repr(headers), repr(given))
    templates = templates_of(script)
    if key not in templates:
        if len(templates) >= _LIMIT:
            templates.clear()
        run_id = str(uuid.uuid4())
        common = replace(run, run_id=run_id, timestamp="", headers=headers, input=given)
        # Rendered of a copy: a growing plan holds its script, which would otherwise never be collected.
        templates[key] = (
            GrowingTemplate(growing_plan(replace(script), common), run_id)
            if is_long
            else Template.of(stream_plan(script, common), run_id)
        )
    template = templates[key]
    return stream_plan(script, run) if template is None else template.plan_for(run)
