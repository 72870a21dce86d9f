"""A plain run: ``generateContent``, whose answer is one JSON object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import AgentError, ProtocolError, RunAgentError, RunResult, Tokens
from runagent.transports import InvokeSession, quote
from runagent_gemini.content import metadata_of, read_answer, read_tokens
from runagent_gemini.faults import check_end, complete_error
from runagent_gemini.requests import content_request

if TYPE_CHECKING:
    from runagent.transports import HttpRequest

__all__ = ["PlainContent"]


class PlainContent(InvokeSession):
    """One answer that is not streamed."""

    def make_request(self) -> HttpRequest:
        """Ask for the whole answer."""
        return content_request(self.call)

    def make_refusal(self, status: int, body: bytes) -> RunAgentError:
        """Make the error that an answer means whose status is not 2xx."""
        return complete_error(super().make_refusal(status, body))

    def read_answer(self, answer: dict[str, Any], body: bytes) -> RunResult:
        """Give the text, or all parts if there are others than text and thoughts.

        Raises:
            AgentError: It is an error, or the prompt was blocked, or the model has failed.
            ProtocolError: It has no answer.
        """
        if isinstance(answer.get("error"), dict):
            return super().read_answer(answer, body)
        found = read_answer(body)
        usage = found.usage_metadata
        self.usage = usage if isinstance(usage, dict) else None
        candidate = found.first
        reason = None if candidate is None else candidate.reason
        message = None if candidate is None else candidate.finish_message
        check_end(AgentError, blocked=found.prompt_feedback, reason=reason, message=message, usage=self.usage)
        if candidate is None or reason is None:
            raise ProtocolError(f"the answer has no candidate with a finishReason: {quote(body)}")
        return RunResult(
            _result(candidate.parts),
            usage=self.usage,
            request_id=self.request_id,
            metadata=metadata_of(found, reason),
        )

    @property
    def tokens(self) -> Tokens | None:
        """The token counts under their names in this API."""
        return read_tokens(self.usage)


def _result(parts: list[Any]) -> Any:
    answer = [part for part in parts if not (isinstance(part, dict) and part.get("thought") is True)]
    texts = [part.get("text") if isinstance(part, dict) else None for part in answer]
    return "".join(map(str, texts)) if all(isinstance(text, str) for text in texts) else parts
