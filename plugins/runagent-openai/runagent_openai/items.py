"""A conversation in the terms of Chat Completions, as the items of the Responses endpoint's ``input``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from runagent.transports import parse_input

if TYPE_CHECKING:
    from runagent.transports import AgentCall, InputMessage, ToolCall

__all__ = ["items_of"]


def items_of(call: AgentCall, messages: Any) -> list[dict[str, Any]]:
    """Turn messages into items: a message may become one for its content, and one for each tool call.

    Raises:
        ValidationError: ``messages`` is not a list of messages.
    """
    asked = parse_input(msgspec.structs.replace(call, input={"messages": messages}))
    return [item for message in asked.messages for item in _items(message)]


def _items(message: InputMessage) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [
            {
                "type": "function_call_output",
                "call_id": message.tool_call_id,
                "output": _content(message, "input_text"),
                **message.rest,
            }
        ]
    calls = [_function_call(each) for each in message.tool_calls]
    if calls and not message.content:
        return calls
    text = "output_text" if message.role == "assistant" else "input_text"
    return [{"role": message.role, "content": _content(message, text), **message.rest}, *calls]


def _function_call(call: ToolCall) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _content(message: InputMessage, text: str) -> str | list[dict[str, Any]]:
    if not isinstance(message.content, list):
        return message.content or ""
    return [_part(part, text) for part in message.content]


def _part(part: dict[str, Any], text: str) -> dict[str, Any]:
    """Rename the text and ``image_url`` of Chat Completions; any other part is sent as it is."""
    if part.get("type") == "text":
        return {**part, "type": text}
    image = part.get("image_url")
    if part.get("type") == "image_url" and isinstance(image, dict) and "url" in image:
        others = {name: value for name, value in image.items() if name != "url"}
        return {"type": "input_image", "image_url": image["url"], **others}
    return part
