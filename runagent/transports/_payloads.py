"""The published server's own forms: the message that starts a run, and the wrapping of content."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runagent._internal.tracebacks import is_ours
from runagent._wire.jsontext import InvalidJSONError, decode_json, encode_json

if TYPE_CHECKING:
    from runagent._call import AgentCall

__all__ = ["run_request", "unwrap_payload"]

__tracebackhide__ = is_ours

_PAYLOAD_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_WRAPPING = r'\{\s*"(?:type|payload)"\s*:'  # compiled on first use, by few programs
_TIMEOUT_SECONDS = 600
_OPTIONAL_FIELDS = ("user_id", "persistent_memory")


def run_request(call: AgentCall, default_tag: str) -> bytes:
    """Encode the message that starts a run, with the input by position and by name."""
    seconds = call.timeout_seconds
    message: dict[str, Any] = {
        "entrypoint_tag": call.entrypoint_tag or default_tag,
        "input_args": list(call.args),
        "input_kwargs": dict(call.input),
        "timeout_seconds": _TIMEOUT_SECONDS if seconds is None else max(1, round(seconds)),
        "async_execution": False,
    }
    message.update((name, call.options[name]) for name in _OPTIONAL_FIELDS if name in call.options)
    return encode_json(message)


def unwrap_payload(content: Any) -> Any:
    r"""Undo the published server's wrapping: ``{"type", "payload"}`` as JSON text, the payload as another.

    For example, the content ``{"type": "string", "payload": "\"hi\""}`` gives ``hi``. Content that is not
    wrapped, as older servers send it, is returned unchanged.

    Raises:
        InvalidJSONError: The content is wrapped, but its payload is not JSON or cannot be decoded.
    """
    if not isinstance(content, str) or not content.startswith("{"):
        return content
    try:
        wrapped = decode_json(content)
    except InvalidJSONError as exc:
        if exc.undecodable and re.match(_WRAPPING, content):
            raise
        return content
    if not isinstance(wrapped, dict) or wrapped.keys() != {"type", "payload"}:
        return content
    kind, payload = wrapped["type"], wrapped["payload"]
    if not isinstance(kind, str) or kind not in _PAYLOAD_TYPES:
        return content
    value = decode_json(payload) if isinstance(payload, str) else payload
    if kind == "number" and not isinstance(value, int | float):
        return _odd_number(value)
    return value


def _odd_number(value: Any) -> Any:
    """Return a number that JSON lacks: NaN is sent as null, the infinities as text."""
    if value is None:
        return float("nan")
    return float(value) if value in ("inf", "-inf", "nan") else value
