"""The error objects in answers: where they are, and what their fields mean.

They have many forms: the documented object, with or without an envelope, those of Anthropic, Google, JSON-RPC
and Ollama, FastAPI's ``detail`` and pydantic's bare list of faults. See docs/wire.md, "Errors".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

from runagent._cutting import cut_text
from runagent._wire.jsontext import InvalidJSONError, decode_json, quote_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "decode_object",
    "error_object",
    "has_error",
    "is_agent_error",
    "is_seconds",
    "parse_error",
    "parse_error_body",
    "request_id_in",
]

_NO_ERROR: tuple[Any, ...] = (None, False, "", [])
_NOT_ACCEPTED = "the agent did not accept the request"
# What frameworks write for a path or a method that they do not know, as the text of an error.
_OF_A_FRAMEWORK = frozenset({"", "bad request", "not found"})
_NO_CODES = frozenset({"about:blank", "error"})  # values of ``type`` that name no error
_MAX_FAULTS = 20
_MAX_PART = 500  # characters


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """Return the service's id of a request from its answer's header fields; None if there is none."""
    return headers.get("x-request-id") or headers.get("request-id")


def is_agent_error(body: bytes) -> bool:
    """Whether a refusal may come from the agent, and not from a server that knows no agents.

    An agent's are an ``error`` that is an object or a text, and FastAPI's ``detail``, unless the text only
    names the status, such as "Not Found".
    """
    try:
        answer = decode_json(body)
    except InvalidJSONError as exc:
        return exc.undecodable
    if not isinstance(answer, dict):
        return False
    return any(_is_of_an_agent(answer.get(name)) for name in ("error", "detail"))


def _is_of_an_agent(error: Any) -> bool:
    if isinstance(error, str):
        return error.strip().rstrip(".").casefold() not in _OF_A_FRAMEWORK
    return isinstance(error, dict) or (isinstance(error, list) and bool(error))


def decode_object(body: bytes | str) -> dict[str, Any]:
    """Decode a JSON object; return an empty one for any other text."""
    answer = _decode(body)
    return answer if isinstance(answer, dict) else {}


def has_error(message: Mapping[str, Any]) -> bool:
    """Whether the ``error`` of a message reports one; in many good answers it is empty."""
    return message.get("error") not in _NO_ERROR


def error_object(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the error in a message as an object; it may be a text, or the message's own fields."""
    error = message.get("error")
    if isinstance(error, dict):
        return {"request_id": message.get("request_id"), **error}
    if isinstance(error, str) and error:
        return {**message, "message": error}
    if error not in (*_NO_ERROR, True) and not isinstance(message.get("message"), str):
        return {**message, "message": quote_value(error)}
    return message


def parse_error_body(body: bytes) -> dict[str, Any]:
    """Return the known fields of the error in the body of a refusal; see `parse_error`."""
    answer = _decode(body)
    if isinstance(answer, list):
        answer = _object_in_list(answer)
    return parse_error(error_object(answer)) if isinstance(answer, dict) else {}


def _object_in_list(answer: list[Any]) -> Any:
    """Return the object that a list means: Google's answers in parts, or pydantic's faults."""
    first = answer[0] if answer else None
    if not isinstance(first, dict):
        return None
    return {"detail": answer} if isinstance(first.get("msg"), str) else first


def parse_error(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known fields of the right type; the rest counts as absent.

    Returns:
        ``details``, and of ``message``, ``code``, ``request_id`` and ``retry_after`` what there is.
    """
    parsed: dict[str, Any] = {}
    for name in ("message", "request_id"):
        if isinstance(error.get(name), str) and error[name]:
            parsed[name] = error[name]
    if code := _code(error):
        parsed["code"] = code
    detail = error.get("detail")
    if "message" not in parsed and detail:
        parsed["message"] = detail if isinstance(detail, str) else _describe_detail(detail)
    others = (error.get("details"), None if isinstance(detail, str) else detail, error.get("data"))
    parsed["details"] = next((found for found in others if found is not None), None)
    nested = parsed["details"] if isinstance(parsed["details"], dict) else {}
    found = [r for r in (error.get("retry_after"), nested.get("retry_after")) if is_seconds(r)]
    if found:
        parsed["retry_after"] = float(found[0])
    return parsed


def _code(error: Mapping[str, Any]) -> str | None:
    """Return what names an error for programs.

    It is a code that is a text, Google's ``status`` instead of its number, JSON-RPC's number, or the ``type``
    of Anthropic and OpenAI.
    """
    code, status, kind = (error.get(name) for name in ("code", "status", "type"))
    if isinstance(code, str) and code:
        return code
    if isinstance(code, int) and not isinstance(code, bool):
        return status if isinstance(status, str) and status.isupper() else str(code)
    return kind if isinstance(kind, str) and kind not in _NO_CODES else None


def _describe_detail(detail: Any) -> str:
    """Write FastAPI's list of faults as one line, each with its place in the input."""
    if isinstance(detail, dict):
        texts = (detail.get(name) for name in ("message", "error", "msg", "detail"))
        otherwise = f"{_NOT_ACCEPTED}: {quote_value(detail)}"
        return next((each for each in texts if isinstance(each, str) and each), otherwise)
    faults = [f for f in detail[:_MAX_FAULTS] if isinstance(f, dict)] if isinstance(detail, list) else []
    return "; ".join(map(_describe_fault, faults)) or _NOT_ACCEPTED


def _describe_fault(fault: Mapping[str, Any]) -> str:
    where, what = fault.get("loc"), fault.get("msg")
    where = where[:_MAX_FAULTS] if isinstance(where, list) else []
    steps = [cut_text(str(step), _MAX_PART) for step in where if isinstance(step, str | int)]
    return f"{'.'.join(steps)}: {cut_text(what, _MAX_PART) if isinstance(what, str) else 'not valid'}"


def is_seconds(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a usable number of seconds: 0 or more, and below a billion."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9


def _decode(body: bytes | str) -> Any:
    try:
        return decode_json(body)
    except InvalidJSONError:
        return None
