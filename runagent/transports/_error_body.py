"""The body of an answer that gives no events: a refusal, or a format that the session cannot read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runagent._errors import NetworkError, ProtocolError
from runagent._report import add_remark
from runagent._wire.jsontext import quote
from runagent.transports._error_objects import decode_object, error_object, has_error
from runagent.transports._media import is_json, parse_content_type
from runagent.transports._refusals import error_from_answer, error_from_body

if TYPE_CHECKING:
    from runagent._address.proxy import Proxy
    from runagent._wire.http1 import ResponseDecoder

__all__ = ["ErrorBody", "via_proxy"]


class ErrorBody:
    """Collects the beginning of such a body, as much as an error may show.

    Args:
        answer: The answer; its head is complete.
        max_bytes: How many bytes are kept; the rest is dropped.

    Attributes:
        data: The bytes kept so far, without content coding.
    """

    is_wanted = False  # by a step

    def __init__(self, answer: ResponseDecoder, max_bytes: int) -> None:
        self.data = b""
        self._answer = answer
        self._max = max_bytes

    def add(self, data: bytes) -> None:
        """Keep the next bytes, up to ``max_bytes`` in all."""
        self.data += data[: self._max - len(self.data)]

    @property
    def whole(self) -> bool:
        """Whether nothing more will be kept."""
        return self._answer.complete or len(self.data) >= self._max

    @property
    def enough(self) -> bool:
        """Whether the error can be made now; for a 2xx answer that is not JSON, one byte of it is enough."""
        no_error_in_it = self._answer.status < 300 and not self._is_json
        return self.whole or (no_error_in_it and bool(self.data))

    def unreadable(self, expects: str) -> ProtocolError:
        """Make the error for a 2xx answer of the wrong type, with the agent's error if that is in it.

        Args:
            expects: The content types that the session reads.
        """
        found = self._content_type or "of no stated type"
        error = ProtocolError(
            f"expected {expects}, but the answer is {quote(found)}: {quote(self.data)}",
            hint="check base_url and the transport",
        )
        message = decode_object(self.data)
        if has_error(message):
            reported = error_from_body(error_object(message))
            error.code, error.details, error.request_id = reported.code, reported.details, reported.request_id
            add_remark(error, f"the agent reports: {reported.message}")
        return error

    def proxy_refusal(self, proxy: Proxy | None, opened_at: float) -> NetworkError:
        """Make the error for status 407, which comes from the proxy and not from the service."""
        error = error_from_answer(407, self._answer.headers, self.data, opened_at)
        return NetworkError(f"{via_proxy(proxy)}{error.message}", hint=error.hint, code="PROXY_407")

    @property
    def _content_type(self) -> str:
        return self._answer.headers.get("content-type", "")

    @property
    def _is_json(self) -> bool:
        return is_json(parse_content_type(self._content_type)[0])


def via_proxy(proxy: Proxy | None) -> str:
    """Return the beginning of the message of an error that came through this proxy; "" without a proxy."""
    return "" if proxy is None else f"through the proxy {proxy}: "
