"""A request that a real service answers. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from runagent_testing._forwarding.upstream import Forward
from runagent_testing._host.parsed import Answer
from runagent_testing._journal.journal import FALLBACK as ANY_AGENT
from runagent_testing._render.plan import Plan
from runagent_testing._script.steps import Status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from runagent_testing._host.parsed import ParsedRequest
    from runagent_testing._host.scripts import AgentScripts
    from runagent_testing._recording.replayed import Replayed
    from runagent_testing.dialects import Request

__all__ = ["Forwarded", "only_answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded(Answer):
    """A request to pass on; its plan is empty, as the bytes of the answer are the service's.

    Attributes:
        forward: Where to.
        request: The request.
    """

    forward: Forward
    request: Request
    _parsed: ParsedRequest = field(repr=False)

    @classmethod
    def of(cls, forward: Forward, parsed: ParsedRequest) -> Self:
        """Pass on a request."""
        plan = Plan((), "close")
        return cls(parsed.exchange, plan, forward=forward, request=parsed.request, _parsed=parsed)

    def unreachable(self, why: str) -> Answer:
        """Answer in place of a service that cannot be reached; the test fails."""
        fault = self.exchange.secrets.text(f"the upstream cannot be reached: {why}")
        self.exchange.failure = fault
        status = Status(502, code="UPSTREAM_UNREACHABLE", message=fault)
        return self._parsed.answer(self._parsed.refused(status))


def only_answer(agents: Mapping[str, AgentScripts], request: Request) -> Forward | Replayed | None:
    """Return what answers a request whatever it asks for, if there is no agent for anything else.

    That is the service to which everything is passed on, or the recording of a request with the same method
    and path. The handshake of a WebSocket is left to its dialect, which reads the messages.
    """
    if agents.keys() != {ANY_AGENT} or agents[ANY_AGENT].rules:
        return None
    script = agents[ANY_AGENT].script
    if isinstance(script, Forward):
        return script
    path = request.path.partition("?")[0]
    return agents[ANY_AGENT].take_replay(request.method, path)
