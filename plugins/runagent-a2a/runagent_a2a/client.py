"""The base of all sessions: the card, the requests, the refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent import AgentNotFoundError, RunAgentError, StreamError, ValidationError
from runagent.transports import HttpRequest, HttpSession, Step, mark_error, should_retry
from runagent_a2a.faults import NOT_SPOKEN, OVER, Fault, find_fault
from runagent_a2a.interfaces import Interface, card_path, choose, given_interface
from runagent_a2a.requests import message_params, request_for
from runagent_a2a.words import V1_0

if TYPE_CHECKING:
    from collections.abc import Generator

    from runagent.transports import StepAnswer
    from runagent_a2a.words import Operation

__all__ = ["A2AClient"]

_CARD_SECONDS = 600.0


class A2AClient(HttpSession):
    """Finds the agent's interface by its card, and asks there.

    Attributes:
        interface: The interface.
        has_new_card: Whether the card was read in this attempt.
    """

    interface: Interface
    has_new_card = False

    def before(self) -> Generator[Step, StepAnswer, None]:
        """Read the card, unless the options name an interface, or another run has read it."""
        given = given_interface(self.call) or self.kept_interface()
        if given is None:
            self.check_input()
            headers = self.call.request_headers(accept="application/json")
            answer = yield Step(HttpRequest("GET", card_path(self.call), headers))
            given = choose(answer.json(), self.call)
            self.has_new_card = True
            self.call.found.keep(self.card_name, msgspec.to_builtins(given), seconds=_CARD_SECONDS)
        self.interface = given

    def check_input(self) -> None:
        """Refuse an input that A2A cannot carry before anything is sent.

        Raises:
            ValidationError: The reason.
        """
        if self.call.attach_to is None:
            message_params(self.call, V1_0)

    @property
    def card_name(self) -> str:
        """The name under which the interface is kept: a client may ask at several origins."""
        return f"{self.call.base.origin}{card_path(self.call)}"

    def kept_interface(self) -> Interface | None:
        """Return the interface that another attempt or run has found."""
        kept = self.call.found.get(self.card_name)
        return None if kept is None else msgspec.convert(kept, Interface)

    def ask(self, operation: Operation, params: dict[str, Any]) -> HttpRequest:
        """Make the request of an operation."""
        return request_for(self.call, self.interface, operation, params, self.expects)

    def ask_for_task(self, operation: Operation) -> HttpRequest:
        """Make a request about the task that the call is attached to."""
        assert self.call.attach_to is not None
        return self.ask(operation, {"id": self.call.attach_to["task"]})

    def proves_unsupported(self, status: int, body: bytes) -> bool:
        """Whether a refusal proves that this protocol is not spoken: not if the card may be an old one."""
        fault = find_fault(body)
        if fault is not None and fault.reason in NOT_SPOKEN:
            return True
        return not self.may_have_moved(status) and super().proves_unsupported(status, body)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error of an answer that is not 2xx."""
        error = super().make_refusal(status, body)
        fault = find_fault(body)
        if fault is not None and not isinstance(error, StreamError):
            error = self.describe(error, fault)
        if status == 404 and fault is None:
            moved = self.may_have_moved(status)
            self.call.found.forget(self.card_name)
            if moved:
                return mark_error(error, retryable=True)  # nothing has begun: read the card again
        return mark_error(error, retryable=should_retry(self.headers))

    def describe(self, error: RunAgentError, fault: Fault) -> RunAgentError:
        """Return the error of a refusal with what the service sent about it."""
        if fault.reason in OVER and self.call.attach_to is not None:
            return StreamError(fault.message, code="GONE", details=fault.details)
        if isinstance(error, AgentNotFoundError) and fault.reason == "TASK_NOT_FOUND":
            return ValidationError(fault.message, code=fault.code, details=fault.details, status=error.status)
        error.code, error.details = fault.code, fault.details
        return error

    def may_have_moved(self, status: int) -> bool:
        """Whether an agent may have moved since its card was read."""
        return status == 404 and not self.has_new_card and self.kept_interface() is not None

    def refused(self, fault: Fault) -> RunAgentError:
        """Make the error of a refusal with status 200."""
        self.unsupported = fault.reason in NOT_SPOKEN
        return self.describe(fault.as_refusal(), fault)
