"""Repeats an answer byte for byte, even if its dialect writes the time or a counter into it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from runagent_testing._host.answers import Pending, WebSocketAnswer
from runagent_testing.conformance._harness.recording import Recorder

if TYPE_CHECKING:
    from collections.abc import Hashable

    from runagent_testing._host.parsed import Answer
    from runagent_testing._memory import MemoryNetwork
    from runagent_testing._render.plan import AnyPlan
    from runagent_testing.dialects._request import Request

__all__ = ["Tape"]


class Tape:
    """Records what agents answer; an equal request, on another network, gets the same bytes.

    Attributes:
        recorder: The whole conversation of an uncut session, for further ones that send the same; None if
            there is none, or if it has turned out that they send something else.
    """

    def __init__(self) -> None:
        self._plans: dict[Hashable, AnyPlan] = {}
        self.recorder: Recorder | None = None
        self._recorded: Any = None

    def record(self, memory: MemoryNetwork, what: Any) -> Recorder | MemoryNetwork:
        """Return the network that records the first conversation, which is about ``what``."""
        if self._recorded is not None:
            return memory
        self._recorded, self.recorder = what, Recorder(memory)
        return self.recorder

    def knows(self, what: Any) -> bool:
        """Whether the conversation about ``what`` is recorded."""
        return self.recorder is not None and self._recorded == what

    def play_on(self, memory: MemoryNetwork) -> None:
        """Make a network answer from this tape."""
        endpoints = memory._endpoints
        decide = endpoints.answer

        def answer(request: Request) -> Answer | Pending | WebSocketAnswer:
            decided = decide(request)
            if isinstance(decided, WebSocketAnswer):
                self._play_to(decided)
                return decided
            # The answer to a handshake depends on the key in it, and so is not recorded.
            asked = request.method, request.path, tuple(request.headers.items()), request.body
            return self._again(decided, asked)

        endpoints.answer = answer  # type: ignore[method-assign]

    def _play_to(self, opened: WebSocketAnswer) -> None:
        decide = opened.answer

        def answer(message: str | bytes) -> Answer | Pending:
            return self._again(decide(message), message)

        opened.answer = answer  # type: ignore[method-assign]

    def _again(self, decided: Answer | Pending, asked: Hashable) -> Answer | Pending:
        if isinstance(decided, Pending):
            return decided
        plan = decided.exchange.plan = self._plans.setdefault(asked, decided.plan)
        return replace(decided, plan=plan)
