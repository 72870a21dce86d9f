"""A plain run: one message, and the task or message that answers it, as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentError, ProtocolError, RunResult
from runagent.transports import InvokeSession, quote
from runagent_a2a.client import A2AClient
from runagent_a2a.faults import find_fault, why_not_completed
from runagent_a2a.requests import message_params
from runagent_a2a.words import ENDED, INTERRUPTED, pieces_of, state_of, text_of

if TYPE_CHECKING:
    from runagent.transports import HttpRequest
    from runagent_a2a.words import Piece

__all__ = ["A2APlain"]


class A2APlain(A2AClient, InvokeSession):
    """Sends a message and waits until its task is over, or waits for the caller."""

    expects = "application/json, application/a2a+json"
    refuses_inside = True

    def make_request(self) -> HttpRequest:
        """Send the message."""
        return self.ask("send", message_params(self.call, self.interface.words))

    def read_answer(self, answer: dict[str, Any], body: bytes) -> RunResult:
        """Return the contents of the task's artifacts, or of the message.

        Raises:
            AgentError: The answer is an error, or the task was not completed.
            ProtocolError: It is neither, or the task goes on.
        """
        if (fault := find_fault(answer)) is not None:
            raise self.refused(fault)
        try:
            result = answer["result"] if self.interface.is_rpc else answer
            kind, value = self.interface.words.read_event(result)
            if kind == "task":
                return self.read_task(value)
            if kind == "message":
                ids = {name: value[name] for name in ("contextId", "taskId") if name in value}
                return RunResult(
                    _result(list(pieces_of(value["parts"]))), request_id=self.request_id, metadata=ids
                )
        except (LookupError, TypeError, AttributeError, ValueError):
            pass
        raise ProtocolError(f"the answer is neither a task nor a message: {quote(body)}")

    def read_task(self, task: dict[str, Any]) -> RunResult:
        """Return what a task has come to."""
        status = task["status"]
        state, text = state_of(status), text_of(status.get("message"))
        if state not in ENDED | INTERRUPTED:
            raise ProtocolError(
                f"the agent answered before its task was over: {quote(state)}", code="NOT_OVER"
            )
        if state in ENDED and state != "completed":
            message, code = why_not_completed(state, text)
            raise AgentError(message, code=code, details=status)
        pieces = [piece for each in task.get("artifacts") or () for piece in pieces_of(each["parts"])]
        waits = {"interrupts": [{"id": task["id"], **status}]} if state in INTERRUPTED else {}
        about = {"taskId": task["id"], "contextId": task.get("contextId"), "state": status["state"], **waits}
        return RunResult(_result(pieces or [text]), request_id=self.request_id, metadata=about)


def _result(pieces: list[Piece]) -> Any:
    """Return text as one text, a single value as it is, and anything else as a list."""
    texts = [piece for piece in pieces if isinstance(piece, str)]
    if len(texts) == len(pieces):
        return "".join(texts)
    contents = [piece if isinstance(piece, str) else piece.get("data", piece.get("file")) for piece in pieces]
    return contents[0] if len(contents) == 1 else contents
