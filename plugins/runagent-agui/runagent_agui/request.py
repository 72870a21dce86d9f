"""The body of a request, a RunAgentInput, made of a run's input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runagent.transports import parse_input

if TYPE_CHECKING:
    from runagent.transports import AgentCall, InputMessage, InputTool, InterruptAnswer

__all__ = ["run_agent_input"]

_VERSION = "1.0"


def run_agent_input(call: AgentCall) -> dict[str, Any]:
    """Make the body; fields of the input that AG-UI does not rename are sent as they are.

    ``tools``, ``state``, ``context`` and ``forwardedProps`` are always there, because servers from before
    AG-UI 1.0 demand them. Without a session the thread has the run's id.

    Raises:
        ValidationError: The input is of another form.
    """
    given = parse_input(call)
    body: dict[str, Any] = {
        "threadId": given.session_id or call.run_id,
        "runId": call.run_id,
        "protocolVersion": _VERSION,
        "messages": [_message(each, f"{call.run_id}-{at}") for at, each in enumerate(given.messages)],
        "tools": [_tool(each) for each in given.tools],
        "state": {},
        "context": [],
        "forwardedProps": {},
    }
    if given.resume:
        body["resume"] = [_answer(each) for each in given.resume]
    return body | given.fields


def _message(given: InputMessage, own_id: str) -> dict[str, Any]:
    """Make a message; fields without a value are left out, because null is not allowed."""
    message: dict[str, Any] = {
        "id": own_id,
        "role": given.role,
        "content": "" if given.role == "tool" and given.content is None else _content(given.content),
        "toolCallId": given.tool_call_id,
        "toolCalls": [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in given.tool_calls
        ]
        or None,
    }
    return {name: value for name, value in (message | given.rest).items() if value is not None}


def _content(content: Any) -> Any:
    return [_part(part) for part in content] if isinstance(content, list) else content


def _part(part: dict[str, Any]) -> dict[str, Any]:
    """Turn an image of Chat Completions into one of AG-UI; other parts are sent as they are."""
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return {"type": "image", "source": _source(url)}
    return part


def _source(url: str) -> dict[str, Any]:
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head.removeprefix("data:").removesuffix(";base64")
        return {"type": "data", "value": data, "mimeType": mime_type}
    return {"type": "url", "value": url}


def _tool(given: InputTool) -> dict[str, Any]:
    tool = {"name": given.name, "description": given.description or ""}
    return tool | ({} if given.parameters is None else {"parameters": given.parameters}) | given.rest


def _answer(given: InterruptAnswer) -> dict[str, Any]:
    entry: dict[str, Any] = {"interruptId": given.id, "status": given.status}
    return entry if given.payload is None else entry | {"payload": given.payload}
