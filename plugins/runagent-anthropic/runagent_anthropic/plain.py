"""A message that is not streamed: one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentError, ProtocolError, RunAgentError, RunResult
from runagent.transports import InvokeSession, quote
from runagent_anthropic.faults import check_end, complete_refusal, mark_overloaded
from runagent_anthropic.requests import messages_request
from runagent_anthropic.session import metadata_of

if TYPE_CHECKING:
    from runagent.transports import HttpRequest

__all__ = ["PlainMessage"]

_THOUGHTS = ("thinking", "redacted_thinking")  # compared with any JSON value, which a set would hash


class PlainMessage(InvokeSession):
    """A plain run."""

    def make_request(self) -> HttpRequest:
        """Ask for the whole answer."""
        return messages_request(self.call)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error that an answer means whose status is not 2xx."""
        return complete_refusal(super().make_refusal(status, body), status, self.headers)

    def read_answer(self, answer: dict[str, Any], body: bytes) -> RunResult:
        """Give the text, or all blocks if there are others than text and thinking.

        Raises:
            AgentError: It is an error, or the model refused.
            ProtocolError: It is not a message.
        """
        if answer.get("type") == "error" or isinstance(answer.get("error"), dict):
            try:
                return super().read_answer(answer, body)
            except AgentError as exc:
                raise mark_overloaded(exc) from None
        content = answer.get("content")
        if not isinstance(content, list):
            raise ProtocolError(f"the message has no content: {quote(body)}")
        usage = answer.get("usage")
        self.usage = usage if isinstance(usage, dict) else None
        check_end(AgentError, answer, self.usage, [])
        return RunResult(
            _result(content), usage=self.usage, request_id=self.request_id, metadata=metadata_of(answer)
        )


def _result(content: list[Any]) -> Any:
    blocks = [block for block in content if isinstance(block, dict) and block.get("type") not in _THOUGHTS]
    texts = [block.get("text") for block in blocks if block.get("type") == "text"]
    only_text = len(texts) == len(blocks) and all(isinstance(text, str) for text in texts)
    return "".join(map(str, texts)) if only_text else content
