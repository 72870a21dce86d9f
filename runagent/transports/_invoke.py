"""Plain runs: one request and one JSON answer, of the documented API or the published server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent._errors import ProtocolError, StreamLimitError
from runagent._events import Event, RunResult
from runagent._internal.tracebacks import is_ours
from runagent._public import publish
from runagent._wire.jsontext import InvalidJSONError, decode_json, encode_json, quote
from runagent.transports._error_objects import error_object, has_error
from runagent.transports._http import HttpSession
from runagent.transports._media import is_json
from runagent.transports._payloads import unwrap_payload
from runagent.transports._refusals import error_from_body
from runagent.transports._request import HttpRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["InvokeSession"]

__tracebackhide__ = is_ours


class InvokeSession(HttpSession):
    """One plain run over the documented API.

    A subclass for another protocol whose answer is one JSON object overrides ``make_request`` and
    ``read_answer``.
    """

    expects = "application/json"

    def make_request(self) -> HttpRequest:
        """Return the request of the plain run."""
        headers = [
            *self.call.request_headers(accept="application/json"),
            ("Content-Type", "application/json"),
        ]
        path = self.call.path("/v1/agents/{agent_id}/invoke", "invoke_path")
        return HttpRequest("POST", path, headers, encode_json(self.call.input))

    def open_body(self, content_type: str, charset: str) -> bool:
        """Accept JSON, also by the suffix ``+json``."""
        self._body = bytearray()
        return is_json(content_type)

    def read_body(self, data: bytes) -> list[Event]:
        """Collect the body, up to ``max_result_bytes``."""
        self._body += data
        limit = self.call.limits.max_result_bytes
        if len(self._body) > limit:
            raise StreamLimitError(
                f"the agent's answer is larger than {limit} bytes",
                hint="raise max_result_bytes to accept it",
                limit_name="max_result_bytes",
                limit=limit,
            )
        return []

    def end_body(self, proven: bool) -> list[Event]:
        """Return the result, taken out of the envelope around it if there is one."""
        body = bytes(self._body)
        try:
            answer = decode_json(body)
        except InvalidJSONError as exc:
            raise ProtocolError(f"the agent's answer is {exc}") from None
        if not isinstance(answer, dict):
            raise ProtocolError(f"the agent's answer is not an object: {quote(body)}")
        return [self.read_answer(answer, body)]

    def read_answer(self, answer: dict[str, Any], body: bytes) -> RunResult:
        """Return the result in the answer; ``body`` is the answer's text, for messages.

        Raises:
            AgentError: The answer is the agent's error.
            ProtocolError: The answer holds neither a result nor an error.
        """
        if isinstance(answer.get("error"), dict) or answer.get("success") is False or _reports_error(answer):
            raise error_from_body(error_object(answer), self.status)
        if answer.get("success") is True and "data" in answer:
            return self._published_result(answer)
        if "result" not in answer and isinstance(answer.get("data"), dict):
            answer = answer["data"]
            if _reports_error(answer):
                raise error_from_body(error_object(answer), self.status)
        if "result" not in answer:
            raise ProtocolError(f"the agent's answer has no result: {quote(body)}")
        return self._documented_result(answer)

    def _published_result(self, answer: dict[str, Any]) -> RunResult:
        try:
            result = unwrap_payload(answer["data"])
        except InvalidJSONError as exc:
            raise ProtocolError(f"the payload of the agent's answer is {exc}") from None
        request_id = answer.get("request_id")
        self.request_id = request_id if isinstance(request_id, str) else self.request_id
        return RunResult(result, request_id=self.request_id)

    def _documented_result(self, answer: dict[str, Any]) -> RunResult:
        metadata = _as_object(answer.get("metadata"))
        seconds, version, request_id = (
            metadata.get(k) for k in ("execution_time", "agent_version", "request_id")
        )
        self.request_id = request_id if isinstance(request_id, str) else self.request_id
        usage = answer.get("usage", metadata.get("usage"))
        self.usage = usage if isinstance(usage, dict) else None
        return RunResult(
            answer["result"],
            execution_time=seconds if isinstance(seconds, int | float) else None,
            usage=self.usage,
            agent_version=version if isinstance(version, str) else None,
            request_id=self.request_id,
            metadata=dict(metadata),
        )


def _reports_error(answer: Mapping[str, Any]) -> bool:
    """Whether an answer is the agent's error: it has an ``error`` and no result."""
    return answer.get("result") is None and has_error(answer)


def _as_object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


publish(InvokeSession, module="runagent.transports")
