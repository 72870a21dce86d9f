"""The handle of what a program has registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._public import publish

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["Registration"]


class Registration:
    """What `register_transport` or `register_observer` has registered, until it is closed. Safe for threads.

    With ``with`` it is closed at the end of the block. A program that registers once and for all may drop it:
    that closes nothing. An object that was registered more than once stays until each handle is closed.
    """

    def __init__(self, undo: Callable[[], None]) -> None:
        self._undo = [undo]  # pop() hands it out once, in whichever thread

    def close(self) -> None:
        """Take back the registration; runs that have begun keep what they use. Again does nothing."""
        try:
            undo = self._undo.pop()
        except IndexError:
            return
        undo()

    def __enter__(self) -> Registration:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


publish(Registration)
