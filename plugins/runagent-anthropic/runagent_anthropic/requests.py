"""The request: the common input in the terms of the Messages API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.transports import InvalidJSONError, decode_json, parse_input, post_json

if TYPE_CHECKING:
    from runagent.transports import AgentCall, HttpRequest, InputMessage, InputTool, ToolCall

__all__ = ["MAX_TOKENS", "messages_request"]

_PROTOCOL = "the Messages API"
_PATH = "/v1/messages"
_VERSION = "2026-10-21"  # what the official client of that time sends
MAX_TOKENS = 4096  # of a request whose input has none
_INSTRUCTIONS = ("system", "developer")


def messages_request(call: AgentCall) -> HttpRequest:
    """Make the request of a run.

    The key goes into ``x-api-key``, and nowhere else.

    Raises:
        ValidationError: The input is none that the endpoint could take.
    """
    stream = call.mode == "stream"
    return post_json(
        call,
        call.path(_PATH, "stream_path" if stream else "invoke_path"),
        _body(call) | {"stream": stream},
        accept="text/event-stream" if stream else "application/json",
        headers=[("anthropic-version", call.options.get("anthropic_version", _VERSION))],
        key_field="x-api-key",
        key_prefix="",
    )


def _body(call: AgentCall) -> dict[str, Any]:
    asked = parse_input(call)
    asked.refuse(_PROTOCOL, "session_id", "resume")
    body = {"model": call.agent_id, "max_tokens": call.options.get("anthropic_max_tokens", MAX_TOKENS)}
    body |= asked.fields
    system = [part for each in asked.need_messages() if each.role in _INSTRUCTIONS for part in _content(each)]
    if system:
        if body.get("system") is not None:
            raise ValidationError("system and a message of the role system mean the same; give one of them")
        body["system"] = system
    body["messages"] = _messages([each for each in asked.messages if each.role not in _INSTRUCTIONS])
    if asked.tools:
        body["tools"] = [_tool(each) for each in asked.tools]
    return body


def _messages(messages: list[InputMessage]) -> list[dict[str, Any]]:
    """Write the conversation; the results of all tools that one answer called belong into one message."""
    written: list[dict[str, Any]] = []
    results: list[dict[str, Any]] | None = None  # of the message at hand
    for message in messages:
        if message.role != "tool":
            results = None
            written.append(_message(message))
        elif results is None:
            results = [_result(message)]
            written.append({"role": "user", "content": results})
        else:
            results.append(_result(message))
    return written


def _message(message: InputMessage) -> dict[str, Any]:
    content: Any = message.content
    if message.tool_calls:
        content = _content(message) + [_tool_use(call) for call in message.tool_calls]
    elif isinstance(content, list):
        content = _content(message)
    return {"role": message.role, "content": content or "", **message.rest}


def _content(message: InputMessage) -> list[dict[str, Any]]:
    """Return the blocks of a message's content; an empty text is none, as the service rejects it."""
    if isinstance(message.content, list):
        return [_part(part) for part in message.content]
    return [{"type": "text", "text": message.content}] if message.content else []


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Turn the ``image_url`` of Chat Completions into an image; any other part is sent as it is."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if part.get("type") != "image_url" or not isinstance(url, str):
        return part
    head, comma, data = url.partition(";base64,")
    if comma and head.startswith("data:"):
        source = {"type": "base64", "media_type": head.removeprefix("data:"), "data": data}
    else:
        source = {"type": "url", "url": url}
    return {"type": "image", "source": source}


def _tool_use(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = decode_json(call.arguments) if call.arguments.strip() else {}
    except InvalidJSONError as exc:
        raise ValidationError(f"the arguments of the call of {call.name!r} are {exc}") from None
    if not isinstance(arguments, dict):
        raise ValidationError(f"the arguments of the call of {call.name!r} are not an object")
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments}


def _result(message: InputMessage) -> dict[str, Any]:
    content: Any = _content(message) if isinstance(message.content, list) else message.content
    block = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": content or ""}
    return block | message.rest


def _tool(tool: InputTool) -> dict[str, Any]:
    """Write a tool; one of the service itself, which has a type, needs no schema."""
    written: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.parameters is not None or not {"input_schema", "type"} & tool.rest.keys():
        written["input_schema"] = tool.parameters or {"type": "object"}
    return written | tool.rest
