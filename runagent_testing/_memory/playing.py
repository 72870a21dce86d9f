"""Plays a plan on a wire, move by move, on a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent_testing._internal.redaction import escaped
from runagent_testing._render.lazy import LazyPlan
from runagent_testing._render.plan import Pass, Wait, Write

if TYPE_CHECKING:
    from collections.abc import Callable

    from runagent_testing._journal.recorder import Recorder
    from runagent_testing._memory.calls import Clock, Timer
    from runagent_testing._memory.wire import Wire
    from runagent_testing._render.plan import AnyPlan, Move

__all__ = ["Playing"]

_NOBODY = "which nothing can open any more (for a client's timeout, script a delay or ending('stall'))"


class Playing:
    """A plan that is being played.

    Args:
        plan: The plan.
        wire: Carries the bytes, and may be full.
        write: Takes the bytes of each write.
        clock: Measures the waits.
        recorder: Notes each move; None for a handshake.
        then: Called after the last move.
        broken_off: Called in place of it if the dialect cannot write the answer to its end.

    Attributes:
        wants_room: Whether it continues once the wire has room again.
    """

    def __init__(
        self,
        plan: AnyPlan,
        wire: Wire,
        write: Callable[[Write], None],
        clock: Clock,
        recorder: Recorder | None,
        then: Callable[[], None],
        broken_off: Callable[[], None],
    ) -> None:
        self._plan = plan
        self._moves = iter(plan)
        self._failure: Exception | None = None
        self._advance()
        self._wire = wire
        self._write = write
        self._clock = clock
        self._recorder = recorder
        self._then = then
        self._broken_off = broken_off
        self._gate: Pass | None = None
        self._was_opened = False  # the gate, which may have been closed since
        self._timer: Timer | None = None
        self._stopped = False
        self.wants_room = False

    @property
    def waits_for(self) -> str:
        """A description of what it waits for."""
        return "a time" if self._gate is None else f"gate {escaped(self._gate.gate.name)}, {_NOBODY}"

    @property
    def is_at_gate(self) -> bool:
        """Whether it waits at a closed gate."""
        return self._gate is not None and not (self._was_opened or self._gate.gate.is_open)

    def wait_at_gate(self, seconds: float) -> bool:
        """Wait for another thread to open the gate, and return whether it has."""
        return self._gate is None or self._gate.gate.wait(seconds)

    def go(self) -> None:
        """Make moves until one has to be waited for."""
        while not self._stopped and (move := self._move) is not None:
            match move:
                case Write() if self._wire.is_full:
                    self.wants_room = True
                    return
                case Write() as write:
                    self.wants_room = False
                    self._write(write)
                case Wait(seconds=seconds) if self._timer is None:
                    self._timer = self._clock.call_at(self._clock.time() + seconds, self.go)
                    return
                case Pass(gate=gate) as place if not (self._was_opened or gate.is_open):
                    if self._gate is not place:
                        self._gate = place
                        gate.on_open(self._opened)
                        self._wire.wake()  # so that the reader sees that it waits for a gate now
                    return
            self._timer = self._gate = None
            self._was_opened = False
            if self._recorder is not None:
                self._recorder.note_move(move)
            self._advance()
        if self._stopped:
            return
        self._stopped = True
        if self._failure is None:
            self._then()
            return
        if self._recorder is not None:
            self._recorder.fail(self._failure)
        self._broken_off()

    def _advance(self) -> None:
        self._move: Move | None = None
        try:
            self._move = next(self._moves, None)
        except Exception as exc:  # noqa: BLE001 - a dialect's, whose plan grows while it is played
            self._failure = exc

    def stop(self) -> None:
        """Stop here."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._gate is not None:
            self._gate.gate.forget(self._opened)
        if isinstance(self._plan, LazyPlan):
            self._plan.close()

    def _opened(self) -> None:
        self._was_opened = True
        self._clock.call_soon_threadsafe(self.go)
