"""The request to cancel a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent import ProtocolError, StreamError, StreamLimitError
from runagent.transports import CancelSession, InvalidJSONError, decode_json, quote
from runagent_a2a.client import A2AClient
from runagent_a2a.faults import find_fault
from runagent_a2a.words import ENDED, state_of

if TYPE_CHECKING:
    from runagent.transports import AgentCall, Event, HttpRequest, Route

__all__ = ["A2ACancel"]


class A2ACancel(A2AClient, CancelSession):
    """Asks to cancel the task of the call; only the state ``canceled`` confirms that."""

    expects = "application/json, application/a2a+json"

    def __init__(self, call: AgentCall, route: Route) -> None:
        self.whole = bytearray()
        super().__init__(call, route, None)

    def make_request(self) -> HttpRequest:
        """Ask to cancel."""
        return self.ask_for_task("cancel")

    def read_body(self, data: bytes) -> list[Event]:
        """Collect the answer."""
        self.whole += data
        if len(self.whole) > (limit := self.call.limits.max_event_bytes):
            raise StreamLimitError(
                f"the answer is larger than {limit} bytes", limit_name="max_event_bytes", limit=limit
            )
        return []

    def end_body(self, proven: bool) -> list[Event]:
        """Return the event that confirms.

        Raises:
            StreamError: The task is over (code ``GONE``), or goes on.
            ProtocolError: The answer is no task.
        """
        body = bytes(self.whole)
        if (fault := find_fault(body)) is not None:
            raise self.refused(fault)
        try:
            answer = decode_json(body)
            state = state_of((answer["result"] if self.interface.is_rpc else answer)["status"])
        except (InvalidJSONError, LookupError, TypeError, AttributeError):
            raise ProtocolError(f"the answer is no task: {quote(body)}") from None
        if state == "canceled":
            return super().end_body(proven)
        code = "GONE" if state in ENDED else "NOT_CANCELLED"
        raise StreamError(f"the task is not canceled, but {quote(state)}", code=code)
