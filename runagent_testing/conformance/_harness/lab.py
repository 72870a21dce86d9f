"""Opens sessions of a subject and feeds them a fake agent's answers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from runagent_testing._render.plan import Write
from runagent_testing.conformance._harness.feeding import Cut, Feeding, Seen, whole
from runagent_testing.conformance._harness.recording import DiffersError
from runagent_testing.conformance._harness.subject import AGENT, Subject
from runagent_testing.conformance._harness.violation import NOT_UNDERSTOOD, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runagent.transports._base import Session
    from runagent_testing._memory import MemoryNetwork
    from runagent_testing.conformance._harness.recording import Agents
    from runagent_testing.conformance._harness.tape import Tape

__all__ = ["Lab"]


class Lab:
    """Opens sessions and feeds them a fake agent's answers."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    def open(self, memory: MemoryNetwork, **fields: Any) -> Session:
        """Open a session, as `Subject.open` does."""
        return self.subject.open(memory, **fields)

    def feed(
        self,
        *steps: Any,
        cut: Cut = whole,
        until: float = math.inf,
        tamper: Callable[[bytes], bytes] | None = None,
        script: Mapping[str, Any] | None = None,
        tape: Tape | None = None,
        **fields: Any,
    ) -> Seen:
        """Feed an agent's answer with these steps to a new session, and return what the session did.

        Args:
            steps: As for `Agent.reply`; with ``mode="invoke"`` as for `Agent.returns`.
            cut: Cuts the bytes into pieces.
            until: The connection closes after so many bytes.
            tamper: Changes the bytes of each write.
            script: Options of the script.
            tape: Repeats answers that it has recorded.
            fields: As for `open`.

        Raises:
            Violation: The dialect wrote no answer, or the transport opened no session.
        """
        if tape is not None and tape.knows((steps, fields)):
            try:
                return self._feed_again(tape, cut, until, tamper, fields)
            except DiffersError:
                tape.recorder = None  # the next one would, too
        memory = self.subject.memory()
        agent = memory.agent(AGENT)
        if fields.get("mode") == "invoke":
            agent.returns(*steps)
        else:
            agent.always(*steps, **(script or {}))
        agents: Agents = memory
        if tape is not None:
            tape.play_on(memory)
            if cut is whole and until == math.inf and tamper is None:
                agents = tape.record(memory, (steps, fields))
        return Feeding(agents, self.open(memory, **fields), cut, until, tamper).run().check_written()

    def _feed_again(
        self,
        tape: Tape,
        cut: Cut,
        until: float,
        tamper: Callable[[bytes], bytes] | None,
        fields: Mapping[str, Any],
    ) -> Seen:
        """Feed another session from the recording, which saves the fake agent most of its work."""
        assert tape.recorder is not None
        session = self.open(tape.recorder.memory, **fields)
        return Feeding(tape.recorder.replay(), session, cut, until, tamper).run().check_written()

    def offsets(self, *steps: Any, tape: Tape | None = None) -> tuple[list[tuple[int, int]], int]:
        """Return the offsets of each step's begin and end in all bytes of the peer, and their number.

        Raises:
            Violation: The dialect wrote no answer.
        """
        seen = self.feed(*steps, script={"writes": "per-step"}, tape=tape)
        exchange = seen.exchange
        if exchange is None or exchange.plan is None:
            raise Violation(NOT_UNDERSTOOD)
        at, places = seen.before, {}
        for move in exchange.plan.moves:
            assert isinstance(move, Write)
            places.update(dict.fromkeys(move.steps, (at, at + len(move.data))))
            at += len(move.data)
        for number, step in enumerate(steps):
            if number not in places:
                raise Violation(f"the dialect writes nothing for step {number} of the script, {step!r}")
        return [places[number] for number in sorted(places)], at
