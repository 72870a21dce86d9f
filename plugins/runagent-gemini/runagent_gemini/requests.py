"""The request: the common input in the terms of the Gemini API."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.transports import InvalidJSONError, decode_json, parse_input, post_json

if TYPE_CHECKING:
    from runagent.transports import AgentCall, HttpRequest, InputMessage, InputTool, ToolCall

__all__ = ["content_request"]

_STREAM = "/models/{agent_id}:streamGenerateContent?alt=sse"
_PLAIN = "/models/{agent_id}:generateContent"
_VERSION = re.compile(r"/v\d\w*(/|$)")
_INSTRUCTIONS = ("system", "developer")


def content_request(call: AgentCall) -> HttpRequest:
    """Make the request of a run.

    The key goes into ``x-goog-api-key``, and nowhere else.

    Raises:
        ValidationError: The input is not one that the protocol can carry.
    """
    if call.mode == "stream":
        path, accept = _path(call, _STREAM, "stream_path"), "text/event-stream"
    else:
        path, accept = _path(call, _PLAIN, "invoke_path"), "application/json"
    return post_json(call, path, _body(call), accept=accept, key_field="x-goog-api-key", key_prefix="")


def _path(call: AgentCall, template: str, option: str) -> str:
    """Return the path behind ``base_url``, in v1beta, as the official client, if that names no version."""
    has_version = _VERSION.search(call.base.prefix + call.base.ending)
    return call.path(template if has_version else f"/v1beta{template}", option, exact=True)


def _body(call: AgentCall) -> dict[str, Any]:
    asked = parse_input(call)
    asked.refuse("the Gemini API", "session_id", "resume")
    body = asked.fields
    if body.get("contents") is not None:
        if asked.messages:
            raise ValidationError("contents and query or messages mean the same; give one of them")
    else:
        body["contents"] = _contents(asked.need_messages())
    instructions = [part for each in asked.messages if each.role in _INSTRUCTIONS for part in _parts(each)]
    if instructions:
        if body.get("systemInstruction") is not None:
            raise ValidationError(
                "systemInstruction and a message of the role system mean the same; give one of them"
            )
        body["systemInstruction"] = {"parts": instructions}
    if asked.tools:
        body["tools"] = _tools(asked.tools)
    return body


def _contents(messages: list[InputMessage]) -> list[dict[str, Any]]:
    """Write the conversation; the results of all tools that one answer called belong into one content."""
    names = {call.id: call.name for message in messages for call in message.tool_calls}
    written: list[dict[str, Any]] = []
    results: list[dict[str, Any]] | None = None  # of the content at hand
    for message in messages:
        if message.role in _INSTRUCTIONS:
            continue
        if message.role != "tool":
            results = None
            calls = [_function_call(call) for call in message.tool_calls]
            role = "model" if message.role == "assistant" else message.role
            written.append({"role": role, "parts": [*_parts(message), *calls]})
        elif results is None:
            results = [_function_response(message, names)]
            written.append({"role": "user", "parts": results})
        else:
            results.append(_function_response(message, names))
    return written


def _parts(message: InputMessage) -> list[dict[str, Any]]:
    if isinstance(message.content, list):
        return [_part(part) for part in message.content]
    return [{"text": message.content}] if message.content else []


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Turn the text and ``image_url`` of Chat Completions into parts; any other part is sent as it is."""
    match part:
        case {"type": "text", "text": text}:
            return {"text": text}
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            head, comma, data = url.partition(";base64,")
            if comma and head.startswith("data:"):
                return {"inlineData": {"mimeType": head.removeprefix("data:"), "data": data}}
            return {"fileData": {"fileUri": url}}
    return part


def _function_call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = decode_json(call.arguments) if call.arguments.strip() else {}
    except InvalidJSONError as exc:
        raise ValidationError(f"the arguments of the call of {call.name!r} are {exc}") from None
    if not isinstance(arguments, dict):
        raise ValidationError(f"the arguments of the call of {call.name!r} are not an object")
    named = {"name": call.name, "args": arguments}
    return {"functionCall": named if call.id is None else {"id": call.id, **named}}


def _function_response(message: InputMessage, names: dict[str | None, str]) -> dict[str, Any]:
    """Write the result of a tool, whose name is that of its call, or the message's ``name``."""
    name = message.rest.get("name") or names.get(message.tool_call_id)
    if not isinstance(name, str):
        raise ValidationError(
            f"the result of the call {message.tool_call_id!r} has no tool: give its name, or the call"
        )
    found: dict[str, Any] = {"name": name, "response": _response(message.text or "")}
    return {
        "functionResponse": found if message.tool_call_id is None else {"id": message.tool_call_id, **found}
    }


def _response(text: str) -> dict[str, Any]:
    """Return a result as the object that the protocol wants."""
    try:
        value = decode_json(text)
    except InvalidJSONError:
        value = text
    return value if isinstance(value, dict) else {"result": value}


def _tools(tools: list[InputTool]) -> list[dict[str, Any]]:
    """Write the functions as one tool."""
    functions = []
    for tool in tools:
        function: dict[str, Any] = {"name": tool.name}
        if tool.description is not None:
            function["description"] = tool.description
        if tool.parameters is not None:
            function["parametersJsonSchema"] = tool.parameters
        functions.append(function | tool.rest)
    return [{"functionDeclarations": functions}]
