"""UI messages, made of a run's input.

What Chat Completions spreads over two messages, a tool call and its result, is one part of the assistant's
message here; so is the answer to a request for approval.
"""

from __future__ import annotations

import mimetypes
from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.transports import InvalidJSONError, decode_json, parse_input

if TYPE_CHECKING:
    from runagent.transports import AgentCall, AgentInput, InputMessage, InterruptAnswer

__all__ = ["chat_request"]

_PROTOCOL = "the UI message stream"


def chat_request(call: AgentCall) -> dict[str, Any]:
    """Make the body of a request; fields of the input that have no place in it are sent as they are.

    Raises:
        ValidationError: The input is of another form, or has something that UI messages cannot carry.
    """
    given = parse_input(call)
    given.refuse(_PROTOCOL, "tools")
    body = {
        "id": given.session_id or call.run_id,
        "messages": _messages(given, call.run_id),
        "trigger": "submit-message",
    }
    return body | given.fields


def _messages(given: AgentInput, run_id: str) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    calls: dict[str, dict[str, Any]] = {}  # the parts of tool calls, by their ids
    for at, each in enumerate(given.messages):
        if each.role == "tool":
            _add_result(calls, each)
            continue
        parts = _own_parts(each, at) if "parts" in each.rest else [*_content(each), *_calls(each)]
        calls |= {part["toolCallId"]: part for part in parts if isinstance(part.get("toolCallId"), str)}
        messages.append({"id": f"{run_id}-{at}", "role": each.role} | each.rest | {"parts": parts})
    for answer in given.resume:
        _add_answer(calls, answer)
    return messages


def _own_parts(message: InputMessage, at: int) -> list[dict[str, Any]]:
    """Return copies of the parts of a message that is a UI message already."""
    parts = message.rest["parts"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise ValidationError(f"messages[{at}].parts: expected a list of objects")
    return [dict(part) for part in parts]


def _content(message: InputMessage) -> list[dict[str, Any]]:
    if not isinstance(message.content, list):
        return [{"type": "text", "text": message.content}] if message.content else []
    return [_part(part) for part in message.content]


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Turn an image of Chat Completions into a file; other parts are sent as they are."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return {"type": "file", "mediaType": _media_type(url), "url": url}
    return part


def _media_type(url: str) -> str:
    if url.startswith("data:"):
        return url.removeprefix("data:").partition(",")[0].partition(";")[0] or "text/plain"
    return mimetypes.guess_type(url)[0] or "image/*"


def _calls(message: InputMessage) -> list[dict[str, Any]]:
    parts = []
    for call in message.tool_calls:
        if call.id is None:
            raise ValidationError(f"a tool call has no id, which {_PROTOCOL} needs")
        part = {"type": f"tool-{call.name}", "toolCallId": call.id, "state": "input-available"}
        parts.append(part | {"input": _decoded(call.arguments)})
    return parts


def _decoded(arguments: str) -> Any:
    try:
        return decode_json(arguments) if arguments else {}
    except InvalidJSONError as exc:
        raise ValidationError(f"the arguments of a tool call are {exc}") from None


def _add_result(calls: dict[str, dict[str, Any]], message: InputMessage) -> None:
    """Put the result of a tool into the part of its call."""
    part = calls.get(message.tool_call_id or "")
    if part is None:
        raise ValidationError(f"no message before it has the tool call {message.tool_call_id!r}")
    part |= {"state": "output-available", "output": message.content}


def _add_answer(calls: dict[str, dict[str, Any]], answer: InterruptAnswer) -> None:
    """Put the answer to a request for approval into the part of its tool call.

    The id is that of the call, and of the request behind a slash if that is another one.
    """
    call_id, _, approval_id = answer.id.partition("/")
    part = calls.get(answer.id) or calls.get(call_id)
    if part is None:
        raise ValidationError(
            f"resume: no message has the tool call {call_id!r}, to which the answer belongs;"
            " give the conversation so far as messages"
        )
    payload = answer.payload if isinstance(answer.payload, dict) else {}
    approved = answer.status == "resolved" and payload.get("approved", answer.payload is True) is True
    approval: dict[str, Any] = {"id": approval_id or part["toolCallId"], "approved": approved}
    if isinstance(payload.get("reason"), str):
        approval["reason"] = payload["reason"]
    part |= {"state": "approval-responded", "approval": approval}
