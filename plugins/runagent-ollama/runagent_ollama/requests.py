"""The request: the common input as Ollama takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent import ValidationError
from runagent.transports import InvalidJSONError, decode_json, parse_input, post_json

if TYPE_CHECKING:
    from runagent.transports import AgentCall, AgentInput, HttpRequest, InputMessage, InputTool, ToolCall

__all__ = ["ollama_request"]

_PROTOCOL = "Ollama"


def ollama_request(call: AgentCall) -> HttpRequest:
    """Make the request of a run.

    Raises:
        ValidationError: The input is none that the endpoint could take.
    """
    api = call.options.get("ollama_api", "chat")
    stream = call.mode == "stream"
    asked = parse_input(call)
    asked.refuse(_PROTOCOL, "session_id", "resume")
    body = {"model": call.agent_id} | asked.fields
    body |= _chat(asked) if api == "chat" else _generate(asked)
    path = call.path(f"/api/{api}", "stream_path" if stream else "invoke_path")
    accept = "application/x-ndjson" if stream else "application/json"
    return post_json(call, path, body | {"stream": stream}, accept=accept)


def _chat(asked: AgentInput) -> dict[str, Any]:
    pending: list[ToolCall] = []  # calls whose results have not come yet
    messages = [_message(each, pending) for each in asked.need_messages()]
    return {"messages": messages} | ({"tools": [_tool(each) for each in asked.tools]} if asked.tools else {})


def _generate(asked: AgentInput) -> dict[str, Any]:
    asked.refuse("the endpoint /api/generate", "tools")
    if not isinstance(asked.query, str):
        raise ValidationError('the endpoint /api/generate takes a query that is text; "chat" takes messages')
    return {"prompt": asked.query}


def _message(message: InputMessage, pending: list[ToolCall]) -> dict[str, Any]:
    """Write a message; the result of a tool names the tool, as Ollama's calls have no ids.

    Results without an id belong to the calls without an id, in their order.
    """
    written: dict[str, Any] = {"role": message.role, **_content(message)}
    if message.tool_calls:
        pending += message.tool_calls
        calls = [(call.name, _arguments(call.name, call.arguments)) for call in message.tool_calls]
        written["tool_calls"] = [{"function": {"name": n, "arguments": given}} for n, given in calls]
    if message.role == "tool":
        called = next((call for call in pending if call.id == message.tool_call_id), None)
        if called is not None:
            pending.remove(called)
            written["tool_name"] = called.name
    return written | message.rest


def _content(message: InputMessage) -> dict[str, Any]:
    """Return the text of a message, and its images apart."""
    if message.text is not None:
        return {"content": message.text}
    texts: list[str] = []
    images: list[str] = []
    for part in message.content if isinstance(message.content, list) else ():
        image = part.get("image_url")
        url = image.get("url") if isinstance(image, dict) else image
        if part.get("type") == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(url, str) and url.startswith("data:") and ";base64," in url:
            images.append(url.partition(";base64,")[2])
        else:
            raise ValidationError(
                f"{_PROTOCOL} cannot carry a content part of the type {part.get('type')!r}: give text,"
                " or an image_url with the image's data in it"
            )
    return {"content": "".join(texts), "images": images}


def _arguments(name: str, text: str) -> dict[str, Any]:
    try:
        arguments = decode_json(text) if text.strip() else {}
    except InvalidJSONError as exc:
        raise ValidationError(f"the arguments of the call of {name!r} are {exc}") from None
    if not isinstance(arguments, dict):
        raise ValidationError(f"the arguments of the call of {name!r} are not an object")
    return arguments


def _tool(tool: InputTool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    known = {name: value for name, value in function.items() if value is not None}
    return {"type": "function", "function": known | tool.rest}
